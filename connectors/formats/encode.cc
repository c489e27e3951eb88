#include "connectors/formats/encode.h"

#include <charconv>
#include <cmath>

#include "connectors/formats/text_value.h"
#include "engine/types/datetime.h"
#include "engine/types/encoding.h"
#include "engine/types/value_text.h"

namespace thalweg {

namespace {

template <class T>
void append_number(T v, std::string& out) {
  char buffer[32];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, v).ptr;
  out.append(buffer, end);
}

void append_json_float(double v, std::string& out) {
  if (std::isfinite(v))
    append_float(v, out);
  else
    out += "null";
}

void append_json_base64(std::string_view bytes, std::string& out) {
  out += '"';
  append_base64(bytes, out);
  out += '"';
}

void append_json_datetime(std::int64_t ns, bool utc, std::string& out) {
  out += '"';
  append_datetime(ns, utc, out);
  out += '"';
}

void append_json_array(const NdArray& array, std::string& out) {
  out += "{\"shape\":[";
  for (std::size_t i = 0; i < array.shape.size(); ++i) {
    if (i) out += ',';
    append_number(array.shape[i], out);
  }
  out += "],\"elements\":[";
  bool first = true;
  auto comma = [&] {
    if (!first) out += ',';
    first = false;
  };
  if (const auto* ints = std::get_if<std::vector<std::int64_t>>(&array.data)) {
    for (std::int64_t v : *ints) comma(), append_number(v, out);
  } else {
    for (double v : std::get<std::vector<double>>(array.data)) comma(), append_json_float(v, out);
  }
  out += "]}";
}

}  // namespace

void append_json_string(std::string_view text, std::string& out) {
  constexpr char kHex[] = "0123456789abcdef";
  out += '"';
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text, done, i - done);
    done = i + 1;
    out += '\\';
    switch (c) {
      case '\n': out += 'n'; break;
      case '\t': out += 't'; break;
      case '\r': out += 'r'; break;
      case '\b': out += 'b'; break;
      case '\f': out += 'f'; break;
      case '"':
      case '\\': out += static_cast<char>(c); break;
      default:
        out += "u00";
        out += kHex[c >> 4];
        out += kHex[c & 15];
    }
  }
  out.append(text, done, text.size() - done);
  out += '"';
}

void append_json_value(const Value& value, std::string& out) {
  switch (value.tag()) {
    case Value::Tag::kNone:
    case Value::Tag::kError:
    case Value::Tag::kPending: out += "null"; break;
    case Value::Tag::kBool: out += value.as_bool() ? "true" : "false"; break;
    case Value::Tag::kInt:
    case Value::Tag::kDuration: append_number(value.as_int(), out); break;
    case Value::Tag::kFloat: append_json_float(value.as_float(), out); break;
    case Value::Tag::kPointer:
    case Value::Tag::kUuid: append_json_string(value.to_text(), out); break;
    case Value::Tag::kStr: append_json_string(value.as_text(), out); break;
    case Value::Tag::kBytes: append_json_base64(value.as_text(), out); break;
    case Value::Tag::kJson: out += value.as_text(); break;
    case Value::Tag::kDateTimeNaive: append_json_datetime(value.as_int(), false, out); break;
    case Value::Tag::kDateTimeUtc: append_json_datetime(value.as_int(), true, out); break;
    case Value::Tag::kArray: append_json_array(value.as_array(), out); break;
    case Value::Tag::kTuple: {
      out += '[';
      bool first = true;
      for (const Value& element : value.as_tuple()) {
        if (!first) out += ',';
        first = false;
        append_json_value(element, out);
      }
      out += ']';
      break;
    }
  }
}

void append_json_cell(const Type& type, const Column& column, std::size_t row, std::string& out) {
  if (!column.is_value(row)) {
    out += "null";
    return;
  }
  switch (type.kind()) {
    case Kind::kInt:
    case Kind::kDuration: return append_number(column.i64()[row], out);
    case Kind::kFloat: return append_json_float(column.f64()[row], out);
    case Kind::kStr: return append_json_string(column.views()[row].view(), out);
    case Kind::kJson: out += column.views()[row].view(); return;
    case Kind::kBool: out += column.u8()[row] ? "true" : "false"; return;
    case Kind::kBytes: return append_json_base64(column.views()[row].view(), out);
    case Kind::kDateTimeNaive: return append_json_datetime(column.i64()[row], false, out);
    case Kind::kDateTimeUtc: return append_json_datetime(column.i64()[row], true, out);
    case Kind::kNone:
    case Kind::kPointer:
    case Kind::kUuid:
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray:
    case Kind::kAny: return append_json_value(column.value(type, row), out);
  }
}

void CsvEncoder::quoted(std::string_view text, bool is_text, std::string& out) const {
  bool special =
      text.find_first_of("\"\r\n") != std::string_view::npos || text.find(delimiter_) != std::string_view::npos;
  bool quote = false;
  switch (quoting_) {
    case CsvQuoting::kMinimal: quote = special; break;
    case CsvQuoting::kAll: quote = true; break;
    case CsvQuoting::kNonNumeric: quote = is_text || special; break;
    case CsvQuoting::kNone: break;
  }
  if (!quote) {
    out += text;
    return;
  }
  out += '"';
  for (char c : text) {
    if (c == '"') out += '"';
    out += c;
  }
  out += '"';
}

void CsvEncoder::header(bool with_time, std::string& out) const {
  bool first = true;
  for (const auto& column : schema_.columns) {
    if (!first) out += delimiter_;
    first = false;
    bool special =
        column.name.find_first_of("\"\r\n") != std::string::npos || column.name.find(delimiter_) != std::string::npos;
    quoted(column.name, special || quoting_ == CsvQuoting::kAll, out);
  }
  if (with_time) {
    if (!first) out += delimiter_;
    quoted("time", false, out);
    out += delimiter_;
    quoted("diff", false, out);
  }
  out += '\n';
}

void CsvEncoder::cell(const Type& type, const Column& column, std::size_t row, std::string& out) const {
  if (!column.is_value(row)) return quoted("None", false, out);
  switch (type.kind()) {
    case Kind::kInt:
    case Kind::kDuration:
      if (quoting_ == CsvQuoting::kAll) return quoted(std::to_string(column.i64()[row]), false, out);
      return append_number(column.i64()[row], out);
    case Kind::kStr: return quoted(column.views()[row].view(), true, out);
    case Kind::kJson: return quoted(column.views()[row].view(), true, out);
    case Kind::kBool: return quoted(column.u8()[row] ? "True" : "False", false, out);
    case Kind::kNone:
    case Kind::kFloat:
    case Kind::kPointer:
    case Kind::kBytes:
    case Kind::kDateTimeNaive:
    case Kind::kDateTimeUtc:
    case Kind::kUuid:
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray:
    case Kind::kAny: break;
  }
  Value value = column.value(type, row);
  std::string text;
  bool is_text = true;
  switch (value.tag()) {
    case Value::Tag::kFloat: append_float(value.as_float(), text), is_text = false; break;
    case Value::Tag::kInt:
    case Value::Tag::kDuration: text = std::to_string(value.as_int()), is_text = false; break;
    case Value::Tag::kBool: text = value.to_text(), is_text = false; break;
    case Value::Tag::kBytes: append_base64(value.as_text(), text); break;
    case Value::Tag::kDateTimeNaive: append_datetime(value.as_int(), false, text), is_text = false; break;
    case Value::Tag::kDateTimeUtc: append_datetime(value.as_int(), true, text), is_text = false; break;
    case Value::Tag::kTuple:
    case Value::Tag::kArray: append_json_value(value, text); break;
    case Value::Tag::kNone:
    case Value::Tag::kPointer:
    case Value::Tag::kStr:
    case Value::Tag::kJson:
    case Value::Tag::kUuid:
    case Value::Tag::kError:
    case Value::Tag::kPending: text = value.to_text(); break;
  }
  quoted(text, is_text, out);
}

void CsvEncoder::row(const Batch& batch, std::size_t row, const std::uint64_t* time, std::string& out) const {
  for (std::size_t i = 0; i < schema_.size(); ++i) {
    if (i) out += delimiter_;
    cell(schema_.columns[i].type, batch.columns[i], row, out);
  }
  if (time) {
    if (schema_.size()) out += delimiter_;
    append_number(*time, out);
    out += delimiter_;
    append_number(batch.diff(row), out);
  }
  out += '\n';
}

JsonEncoder::JsonEncoder(Schema schema) : schema_(std::move(schema)) {
  for (std::size_t i = 0; i < schema_.size(); ++i) {
    std::string head = i == 0 ? "{" : ",";
    append_json_string(schema_.columns[i].name, head);
    heads_.push_back(head + ":");
  }
}

void JsonEncoder::row(const Batch& batch, std::size_t row, const std::uint64_t* time, std::string& out) const {
  for (std::size_t i = 0; i < schema_.size(); ++i) {
    out += heads_[i];
    append_json_cell(schema_.columns[i].type, batch.columns[i], row, out);
  }
  if (schema_.size() == 0) out += '{';
  if (time) {
    out += schema_.size() ? ",\"diff\":" : "\"diff\":";
    append_number(batch.diff(row), out);
    out += ",\"time\":";
    append_number(*time, out);
  }
  out += "}\n";
}

std::string row_text(const Schema& schema, const Batch& batch, std::size_t row) {
  std::string out = "{";
  for (std::size_t c = 0; c < schema.size(); ++c) {
    if (c > 0) out += ',';
    append_json_string(schema.columns[c].name, out);
    out += ':';
    append_json_cell(schema.columns[c].type, batch.columns[c], row, out);
  }
  return out + "}";
}

}  // namespace thalweg
