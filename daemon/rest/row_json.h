// daemon/rest/row_json.h
//
// Rows as JSON and CSV (daemon.md 3): ints as numbers, NaN and infinities as text, datetimes and durations as ISO
// text, bytes as base64, pointers as `^…`, ERROR cells as null with their names in `_errors`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/json_writer.h"
#include "engine/types/batch.h"
#include "engine/types/schema.h"

namespace thalweg::daemon {

enum class RowFormat : std::uint8_t { kJson, kJsonLines, kCsv };
[[nodiscard]] std::string_view media_type(RowFormat format);

struct RowOptions {
  std::vector<std::uint32_t> columns;  // which, in that order
  bool with_key = false;               // `_key` first
  bool int64_as_text = false;          // ints beyond 2^53 as text
};

[[nodiscard]] RowOptions all_columns(const Schema& schema);

class RowJson {
 public:
  RowJson(Schema schema, RowOptions options);
  // {"_key": …, "column": value, …}. Requires: keys written out, if they are asked for.
  void append_object(const Batch& batch, std::size_t row, JsonWriter& json) const;
  void append_csv_header(std::string& out) const;
  void append_csv(const Batch& batch, std::size_t row, std::string& out) const;
  [[nodiscard]] bool with_key() const { return options_.with_key; }

 private:
  Schema schema_;
  RowOptions options_;
};

void append_value(const Value& value, bool int64_as_text, JsonWriter& json);

// `2024-01-02T03:04:05Z`, a fraction of 3, 6 or 9 digits where there is one.
[[nodiscard]] std::string iso_datetime(std::int64_t ns, bool utc);
// `PT1H30M`, `-PT0.5S`, `PT0S`.
[[nodiscard]] std::string iso_duration(std::int64_t ns);
[[nodiscard]] std::string uuid_text(const Key& uuid);

}  // namespace thalweg::daemon
