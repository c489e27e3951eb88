// engine/types/datetime_format.h
//
// strftime and strptime: C's codes and chrono's additions, compiled once.
//
// In text to read, `%f` stands only after a dot and takes 1 to 9 digits; blanks match any number of blanks; names of
// months and days match in any case. Written, `%f` is nine digits and `%3f` `%6f` `%9f` are that many.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace thalweg {

class DatetimeFormat {
 public:
  enum class Use : std::uint8_t { kRead, kWrite };
  [[nodiscard]] static Result<DatetimeFormat> compile(std::string_view format, Use use);

  // Reads the offset of the text (`%z`), so that what it reads is UTC.
  [[nodiscard]] bool has_offset() const { return has_offset_; }
  // UTC nanoseconds if has_offset(), else those of the wall. A date is year, month and day (or an equivalent); a time
  // alone is one of 1900-01-01.
  [[nodiscard]] std::optional<std::int64_t> read(std::string_view text) const;
  // `offset_seconds` is what `%z` prints; a naive time has none and prints nothing there.
  [[nodiscard]] std::string write(std::int64_t local_ns, std::optional<std::int64_t> offset_seconds) const;

 private:
  struct Item {
    char code = 0;     // 0: the literal text
    char padding = 0;  // '-', '_', '0' or 0 for the code's own
    int digits = 0;    // of %f; 0: as many as there are
    bool dot = false;  // %.f
    int colons = 0;    // of %:z
    std::string text;
  };
  Result<void> add(std::string_view format, Use use, int depth);
  std::vector<Item> items_;
  bool has_offset_ = false;

  friend class DatetimeTextReader;
  friend class DatetimeTextWriter;
};

}  // namespace thalweg
