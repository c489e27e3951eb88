#include "engine/types/time_zone.h"

#include <date/tz.h>

#include <chrono>
#include <map>
#include <mutex>
#include <string>

#include "engine/types/datetime.h"

namespace thalweg {
namespace {

std::optional<std::int64_t> shifted(std::int64_t ns, std::int64_t seconds) {
  std::int64_t result = 0;
  if (__builtin_add_overflow(ns, seconds * kNsPerSecond, &result)) return std::nullopt;
  return result;
}

class FixedZone final : public TimeZone {
 public:
  explicit FixedZone(std::int64_t seconds_east) : seconds_east_(seconds_east) {}
  [[nodiscard]] std::optional<std::int64_t> to_utc(std::int64_t local_ns) const override {
    return shifted(local_ns, -seconds_east_);
  }
  [[nodiscard]] std::optional<std::int64_t> to_local(std::int64_t utc_ns) const override {
    return shifted(utc_ns, seconds_east_);
  }

 private:
  std::int64_t seconds_east_;
};

class NamedZone final : public TimeZone {
 public:
  explicit NamedZone(const date::time_zone* zone) : zone_(zone) {}

  [[nodiscard]] std::optional<std::int64_t> to_utc(std::int64_t local_ns) const override {
    date::local_seconds local{std::chrono::seconds(floor_div(local_ns, kNsPerSecond))};
    date::local_info info = zone_->get_info(local);
    if (info.result == date::local_info::nonexistent)
      return ns_from_seconds(info.first.end.time_since_epoch().count(), 0);
    const date::sys_info& reading = info.result == date::local_info::ambiguous ? info.second : info.first;
    return shifted(local_ns, -reading.offset.count());
  }

  [[nodiscard]] std::optional<std::int64_t> to_local(std::int64_t utc_ns) const override {
    date::sys_seconds utc{std::chrono::seconds(floor_div(utc_ns, kNsPerSecond))};
    return shifted(utc_ns, zone_->get_info(utc).offset.count());
  }

 private:
  const date::time_zone* zone_;  // of the library's database, which lives for ever
};

std::shared_ptr<const TimeZone> locate(const std::string& name) {
  if (name.find("..") != std::string::npos || name.starts_with("/")) return nullptr;  // names are file names there
  try {
    return std::make_shared<NamedZone>(date::locate_zone(name));
  } catch (const std::exception&) {  // the library's only way to say that it knows no such zone
    return nullptr;
  }
}

}  // namespace

std::shared_ptr<const TimeZone> find_time_zone(std::string_view name) {
  if (auto offset = parse_utc_offset(name)) return std::make_shared<FixedZone>(*offset);
  static std::mutex mutex;
  static std::map<std::string, std::shared_ptr<const TimeZone>, std::less<>> zones;  // known ones only: bounded
  std::lock_guard lock(mutex);
  auto found = zones.find(name);
  if (found != zones.end()) return found->second;
  auto zone = locate(std::string(name));
  if (zone) zones.emplace(std::string(name), zone);
  return zone;
}

}  // namespace thalweg
