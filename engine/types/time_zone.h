// engine/types/time_zone.h
//
// IANA time zones and fixed offsets. A local time that does not exist is the first instant after the gap; an
// ambiguous one is the later reading.
// Threads  zones are immutable; find_time_zone may be called from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace thalweg {

class TimeZone {
 public:
  virtual ~TimeZone() = default;
  // None if the result is out of range.
  [[nodiscard]] virtual std::optional<std::int64_t> to_utc(std::int64_t local_ns) const = 0;
  [[nodiscard]] virtual std::optional<std::int64_t> to_local(std::int64_t utc_ns) const = 0;
};

// `Europe/Warsaw`, `UTC`, `+02:00`, `UTC+2`; null if unknown.
[[nodiscard]] std::shared_ptr<const TimeZone> find_time_zone(std::string_view name);

}  // namespace thalweg
