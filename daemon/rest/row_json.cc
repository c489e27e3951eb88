#include "daemon/rest/row_json.h"

#include <fmt/format.h>

#include "engine/types/datetime.h"

namespace thalweg::daemon {
namespace {

constexpr std::int64_t kExactIntMax = 1LL << 53;

void append_int(std::int64_t value, bool int64_as_text, JsonWriter& json) {
  if (int64_as_text && (value > kExactIntMax || value < -kExactIntMax)) {
    json.text(std::to_string(value));
  } else {
    json.number(value);
  }
}

// `.5`, `.123456789`: as few of 3, 6 or 9 digits as hold it; nothing for zero.
std::string fraction(std::int64_t ns) {
  if (ns == 0) return {};
  if (ns % 1'000'000 == 0) return fmt::format(".{:03}", ns / 1'000'000);
  if (ns % 1'000 == 0) return fmt::format(".{:06}", ns / 1'000);
  return fmt::format(".{:09}", ns);
}

template <class Number>
void append_array(const NdArray& array, const std::vector<Number>& data, std::size_t dimension, std::size_t& at,
                  bool int64_as_text, JsonWriter& json) {
  if (dimension == array.shape.size()) {
    Number value = at < data.size() ? data[at] : Number{};
    ++at;
    append_value(Value::of(value), int64_as_text, json);
    return;
  }
  json.begin_array();
  for (std::int64_t i = 0; i < array.shape[dimension]; ++i)
    append_array(array, data, dimension + 1, at, int64_as_text, json);
  json.end_array();
}

std::string base64(std::string_view bytes) {
  std::string out;
  append_base64(bytes, out);
  return out;
}

void append_csv_cell(std::string_view text, std::string& out) {
  if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
    out += text;
    return;
  }
  out.push_back('"');
  for (char c : text) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  out.push_back('"');
}

// A cell as JSON has it, but text without quotes.
std::string csv_text(const Value& value) {
  switch (value.tag()) {
    case Value::Tag::kNone:
    case Value::Tag::kError:
    case Value::Tag::kPending: return {};
    case Value::Tag::kStr:
    case Value::Tag::kJson: return value.as_text();
    case Value::Tag::kBytes: return base64(value.as_text());
    case Value::Tag::kPointer: return to_text(value.as_key());
    case Value::Tag::kUuid: return uuid_text(value.as_key());
    case Value::Tag::kDateTimeNaive: return iso_datetime(value.as_int(), false);
    case Value::Tag::kDateTimeUtc: return iso_datetime(value.as_int(), true);
    case Value::Tag::kDuration: return iso_duration(value.as_int());
    case Value::Tag::kBool:
    case Value::Tag::kInt:
    case Value::Tag::kFloat:
    case Value::Tag::kTuple:
    case Value::Tag::kArray: break;
  }
  std::string out;
  JsonWriter json(out);
  append_value(value, false, json);
  // NaN comes quoted in JSON; CSV needs no quotes.
  if (value.tag() == Value::Tag::kFloat && out.front() == '"') return out.substr(1, out.size() - 2);
  return out;
}

}  // namespace

std::string_view media_type(RowFormat format) {
  switch (format) {
    case RowFormat::kJson: return "application/json";
    case RowFormat::kJsonLines: return "application/x-ndjson";
    case RowFormat::kCsv: return "text/csv; charset=utf-8";
  }
  return "application/json";
}

std::string uuid_text(const Key& uuid) {
  return fmt::format("{:08x}-{:04x}-{:04x}-{:04x}-{:012x}", uuid.hi >> 32, uuid.hi >> 16 & 0xFFFF, uuid.hi & 0xFFFF,
                     uuid.lo >> 48, uuid.lo & 0xFFFFFFFFFFFFULL);
}

std::string iso_datetime(std::int64_t ns, bool utc) {
  CivilTime c = civil_from_ns(ns);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}{}", c.year, c.month, c.day, c.hour, c.minute, c.second,
                     fraction(c.nanosecond), utc ? "Z" : "");
}

std::string iso_duration(std::int64_t ns) {
  std::string out = ns < 0 ? "-P" : "P";
  // Unsigned, so that the least i64 has a magnitude too.
  auto left = ns < 0 ? ~static_cast<std::uint64_t>(ns) + 1 : static_cast<std::uint64_t>(ns);
  auto take = [&](std::int64_t unit) {
    std::uint64_t count = left / static_cast<std::uint64_t>(unit);
    left %= static_cast<std::uint64_t>(unit);
    return count;
  };
  if (std::uint64_t days = take(kNsPerDay)) out += std::to_string(days) + "D";
  if (left == 0 && out.back() == 'D') return out;
  out += "T";
  if (std::uint64_t hours = take(kNsPerHour)) out += std::to_string(hours) + "H";
  if (std::uint64_t minutes = take(kNsPerMinute)) out += std::to_string(minutes) + "M";
  std::uint64_t seconds = take(kNsPerSecond);
  if (seconds != 0 || left != 0 || out.back() == 'T')
    out += std::to_string(seconds) + fraction(static_cast<std::int64_t>(left)) + "S";
  return out;
}

void append_value(const Value& value, bool int64_as_text, JsonWriter& json) {
  switch (value.tag()) {
    case Value::Tag::kNone:
    case Value::Tag::kError:
    case Value::Tag::kPending: json.null(); return;
    case Value::Tag::kBool: json.boolean(value.as_bool()); return;
    case Value::Tag::kInt: append_int(value.as_int(), int64_as_text, json); return;
    case Value::Tag::kFloat: json.number(value.as_float()); return;
    case Value::Tag::kStr: json.text(value.as_text()); return;
    case Value::Tag::kJson: json.raw(value.as_text()); return;
    case Value::Tag::kBytes:
    case Value::Tag::kPointer:
    case Value::Tag::kUuid:
    case Value::Tag::kDateTimeNaive:
    case Value::Tag::kDateTimeUtc:
    case Value::Tag::kDuration: json.text(csv_text(value)); return;
    case Value::Tag::kTuple:
      json.begin_array();
      for (const Value& element : value.as_tuple()) append_value(element, int64_as_text, json);
      json.end_array();
      return;
    case Value::Tag::kArray: {
      const NdArray& array = value.as_array();
      std::size_t at = 0;
      std::visit([&](const auto& data) { append_array(array, data, 0, at, int64_as_text, json); }, array.data);
      return;
    }
  }
}

RowOptions all_columns(const Schema& schema) {
  RowOptions options;
  for (std::uint32_t i = 0; i < schema.size(); ++i) options.columns.push_back(i);
  return options;
}

RowJson::RowJson(Schema schema, RowOptions options) : schema_(std::move(schema)), options_(std::move(options)) {}

void RowJson::append_object(const Batch& batch, std::size_t row, JsonWriter& json) const {
  json.begin_object();
  if (options_.with_key) json.field("_key", to_text(batch.keys[row]));
  bool errors = false;
  for (std::uint32_t i : options_.columns) {
    const Column& column = batch.columns[i];
    json.key(schema_.columns[i].name);
    errors = errors || column.tag(row) == CellTag::kError;
    if (!column.is_value(row)) {
      json.null();
    } else if (column.phys() == Phys::kView && schema_.columns[i].type.is(Kind::kStr)) {
      json.text(column.views()[row].view());
    } else {
      append_value(column.value(schema_.columns[i].type, row), options_.int64_as_text, json);
    }
  }
  if (errors) {
    json.key("_errors").begin_array();
    for (std::uint32_t i : options_.columns)
      if (batch.columns[i].tag(row) == CellTag::kError) json.text(schema_.columns[i].name);
    json.end_array();
  }
  json.end_object();
}

void RowJson::append_csv_header(std::string& out) const {
  if (options_.with_key) out += "_key";
  bool first = !options_.with_key;
  for (std::uint32_t i : options_.columns) {
    if (!first) out.push_back(',');
    first = false;
    append_csv_cell(schema_.columns[i].name, out);
  }
  out += "\n";
}

void RowJson::append_csv(const Batch& batch, std::size_t row, std::string& out) const {
  if (options_.with_key) out += to_text(batch.keys[row]);
  bool first = !options_.with_key;
  for (std::uint32_t i : options_.columns) {
    if (!first) out.push_back(',');
    first = false;
    append_csv_cell(csv_text(batch.columns[i].value(schema_.columns[i].type, row)), out);
  }
  out += "\n";
}

}  // namespace thalweg::daemon
