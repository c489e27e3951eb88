// connectors/formats/encode.h
//
// Rows → text: csv records and JSON objects, with the commit's time and the diff where they are wanted.
//
//   csv    None `None`, bool `True`/`False`, float as Python prints it, datetimes with nine digits, durations in
//          nanoseconds, bytes in base64, composites as JSON
//   json   as one expects; NaN and infinities null; arrays {"shape": […], "elements": […]}
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/types/batch.h"

namespace thalweg {

void append_json_string(std::string_view text, std::string& out);
void append_json_value(const Value& value, std::string& out);
void append_json_cell(const Type& type, const Column& column, std::size_t row, std::string& out);
[[nodiscard]] std::string row_text(const Schema& schema, const Batch& batch, std::size_t row);  // a JSON object

enum class CsvQuoting : std::uint8_t { kMinimal, kAll, kNonNumeric, kNone };

class CsvEncoder {
 public:
  CsvEncoder(Schema schema, char delimiter, CsvQuoting quoting)
      : schema_(std::move(schema)), delimiter_(delimiter), quoting_(quoting) {}
  void header(bool with_time, std::string& out) const;
  // With its line end. No time and diff without `time`.
  void row(const Batch& batch, std::size_t row, const std::uint64_t* time, std::string& out) const;

 private:
  void cell(const Type& type, const Column& column, std::size_t row, std::string& out) const;
  void quoted(std::string_view text, bool is_text, std::string& out) const;
  const Schema schema_;
  const char delimiter_;
  const CsvQuoting quoting_;
};

class JsonEncoder {
 public:
  explicit JsonEncoder(Schema schema);
  void row(const Batch& batch, std::size_t row, const std::uint64_t* time, std::string& out) const;

 private:
  const Schema schema_;
  std::vector<std::string> heads_;  // `{"a":`, `,"b":`
};

}  // namespace thalweg
