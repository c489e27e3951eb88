#include "connectors/postgres/encoder.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "connectors/formats/encode.h"
#include "engine/types/datetime.h"
#include "engine/types/from_text.h"
#include "engine/types/value_text.h"

namespace thalweg::postgres {

namespace {

constexpr std::int64_t kNsPerMicrosecond = 1000;
constexpr std::size_t kTextMax = 1U << 30;  // of a field of Postgres

bool unfit(std::string& why, std::string what) {
  why = std::move(what);
  return false;
}

template <class T>
void field(T value, std::string& out) {
  append_be<std::int32_t>(sizeof(T), out);
  append_be(value, out);
}

void field_float8(double value, std::string& out) { field(std::bit_cast<std::int64_t>(value), out); }

bool bytes_field(std::string_view bytes, std::string& out, std::string& why) {
  if (bytes.size() >= kTextMax) return unfit(why, "is larger than a field of Postgres can be (1 GB)");
  append_be<std::int32_t>(static_cast<std::int32_t>(bytes.size()), out);
  out += bytes;
  return true;
}

std::size_t count_characters(std::string_view text) {
  std::size_t count = 0;
  for (const char c : text) count += (c & 0xC0) != 0x80 ? 1 : 0;
  return count;
}

bool text_field(const WireType& wire, std::string_view text, std::string& out, std::string& why) {
  if (text.find('\0') != std::string_view::npos) return unfit(why, "has a zero byte, which texts of Postgres cannot");
  if (wire.length_max >= 0 && text.size() > static_cast<std::size_t>(wire.length_max) &&
      count_characters(text) > static_cast<std::size_t>(wire.length_max))
    return unfit(why, fmt::format("is longer than {} characters", wire.length_max));
  return bytes_field(text, out, why);
}

bool json_field(const WireType& wire, std::string_view text, std::string& out, std::string& why) {
  if (wire.wire == Wire::kJson) return text_field(wire, text, out, why);
  for (std::size_t at = text.find("\\u0000"); at != std::string_view::npos; at = text.find("\\u0000", at + 1)) {
    std::size_t slashes = 0;
    while (slashes < at && text[at - 1 - slashes] == '\\') ++slashes;
    if (slashes % 2 == 0) return unfit(why, "has the character \\u0000, which jsonb cannot keep");
  }
  append_be<std::int32_t>(static_cast<std::int32_t>(text.size() + 1), out);
  out += '\1';  // the version of the form
  out += text;
  return true;
}

bool int_field(const WireType& wire, std::int64_t value, std::string& out, std::string& why) {
  const auto fits = [&]<class T>(T) {
    return value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max();
  };
  switch (wire.wire) {
    case Wire::kInt8: field(value, out); return true;
    case Wire::kInt4:
      if (!fits(std::int32_t{})) return unfit(why, fmt::format("{} does not fit `integer`", value));
      field(static_cast<std::int32_t>(value), out);
      return true;
    case Wire::kInt2:
      if (!fits(std::int16_t{})) return unfit(why, fmt::format("{} does not fit `smallint`", value));
      field(static_cast<std::int16_t>(value), out);
      return true;
    case Wire::kFloat8: field_float8(static_cast<double>(value), out); return true;
    case Wire::kFloat4: field(std::bit_cast<std::int32_t>(static_cast<float>(value)), out); return true;
    case Wire::kNumeric: {
      std::string digits;
      (void)append_numeric(std::to_string(value), digits);
      return bytes_field(digits, out, why);
    }
    default: return unfit(why, "is an int");
  }
}

bool float_field(const WireType& wire, double value, std::string& out, std::string& why) {
  switch (wire.wire) {
    case Wire::kFloat8: field_float8(value, out); return true;
    case Wire::kFloat4: {
      const auto narrow = static_cast<float>(value);
      if (std::isinf(narrow) && !std::isinf(value)) return unfit(why, fmt::format("{} does not fit `real`", value));
      field(std::bit_cast<std::int32_t>(narrow), out);
      return true;
    }
    case Wire::kNumeric: {
      std::string text;
      append_float(value, text);
      std::string digits;
      if (!append_numeric(text, digits)) return unfit(why, text + " is no number of Postgres");
      return bytes_field(digits, out, why);
    }
    default: return unfit(why, "is a float");
  }
}

bool moment_field(const WireType& wire, std::int64_t ns, std::string& out, std::string& why) {
  if (wire.wire == Wire::kDate) {
    if (floor_mod(ns, kNsPerDay) != 0) return unfit(why, "has a time of day, and the column is a `date`");
    field(static_cast<std::int32_t>(floor_div(ns, kNsPerDay) - kEpochDays), out);
    return true;
  }
  field(floor_div(ns, kNsPerMicrosecond) - kEpochUs, out);
  return true;
}

bool duration_field(const WireType& wire, std::int64_t ns, std::string& out, std::string& why) {
  const std::int64_t us = floor_div(ns, kNsPerMicrosecond);
  if (wire.wire == Wire::kInterval) {
    append_be<std::int32_t>(16, out);
    append_be(us, out);
    append_be<std::int32_t>(0, out);
    append_be<std::int32_t>(0, out);
    return true;
  }
  if (wire.wire == Wire::kTime && (ns < 0 || ns > kNsPerDay)) return unfit(why, "is no time of day");
  field(us, out);
  return true;
}

bool uuid_field(const Key& key, std::string& out) {
  append_be<std::int32_t>(16, out);
  append_be(static_cast<std::int64_t>(key.hi), out);
  append_be(static_cast<std::int64_t>(key.lo), out);
  return true;
}

bool str_field(const WireType& wire, std::string_view text, std::string& out, std::string& why) {
  if (wire.wire != Wire::kUuid) return text_field(wire, text, out, why);
  const auto uuid = uuid_from_text(text);
  if (!uuid) return unfit(why, "is no uuid");
  return uuid_field(*uuid, out);
}

bool value_field(const WireType& wire, const Value& value, std::string& out, std::string& why);

// The sizes of nested lists; false if they are not all of one size.
bool shape_of(const Value& value, std::size_t depth, std::vector<std::int32_t>& shape,
              std::vector<const Value*>& flat) {
  if (value.tag() != Value::Tag::kTuple) {
    flat.push_back(&value);
    return depth == shape.size();
  }
  const auto& elements = value.as_tuple();
  if (depth == shape.size()) {
    if (!flat.empty()) return false;
    shape.push_back(static_cast<std::int32_t>(elements.size()));
  }
  if (shape[depth] != static_cast<std::int32_t>(elements.size())) return false;
  for (const Value& element : elements)
    if (!shape_of(element, depth + 1, shape, flat)) return false;
  return true;
}

void array_head(const WireType& wire, const std::vector<std::int32_t>& shape, bool has_nulls, std::string& out) {
  append_be<std::int32_t>(static_cast<std::int32_t>(shape.size()), out);
  append_be<std::int32_t>(has_nulls ? 1 : 0, out);
  append_be<std::int32_t>(static_cast<std::int32_t>(wire.element_oid), out);
  for (const std::int32_t size : shape) {
    append_be(size, out);
    append_be<std::int32_t>(1, out);  // where counting begins
  }
}

bool vector_field(const Value& value, std::string& out, std::string& why) {
  std::vector<double> numbers;
  if (value.tag() == Value::Tag::kArray) {
    std::visit([&](const auto& data) { numbers.assign(data.begin(), data.end()); }, value.as_array().data);
  } else {
    for (const Value& element : value.as_tuple()) {
      if (element.tag() == Value::Tag::kFloat)
        numbers.push_back(element.as_float());
      else if (element.tag() == Value::Tag::kInt)
        numbers.push_back(static_cast<double>(element.as_int()));
      else
        return unfit(why, "has an element that is no number");
    }
  }
  append_be<std::int32_t>(static_cast<std::int32_t>(4 + 4 * numbers.size()), out);
  append_be(static_cast<std::int16_t>(numbers.size()), out);
  append_be<std::int16_t>(0, out);
  for (const double number : numbers) append_be(std::bit_cast<std::int32_t>(static_cast<float>(number)), out);
  return true;
}

bool array_field(const WireType& wire, const Value& value, std::string& out, std::string& why) {
  if (wire.wire == Wire::kVector) return vector_field(value, out, why);
  const std::size_t length_at = out.size();
  out.append(4, '\0');
  const WireType element{.wire = wire.element, .oid = wire.element_oid};
  if (value.tag() == Value::Tag::kArray) {
    const NdArray& array = value.as_array();
    std::vector<std::int32_t> shape;
    std::size_t count = 1;
    for (const std::int64_t size : array.shape) {
      shape.push_back(static_cast<std::int32_t>(size));
      count *= static_cast<std::size_t>(size);
    }
    if (count == 0) shape.clear();
    array_head(wire, shape, false, out);
    const bool fine = std::visit(
        [&](const auto& data) {
          for (const auto number : data) {
            if constexpr (std::is_same_v<std::decay_t<decltype(number)>, double>) {
              if (!float_field(element, number, out, why)) return false;
            } else if (!int_field(element, number, out, why)) {
              return false;
            }
          }
          return true;
        },
        array.data);
    if (!fine) return false;
  } else {
    std::vector<std::int32_t> shape;
    std::vector<const Value*> flat;
    if (value.tag() != Value::Tag::kTuple || !shape_of(value, 0, shape, flat))
      return unfit(why, "has lists of several sizes, which an array of Postgres cannot");
    bool has_nulls = false;
    for (const Value* one : flat) has_nulls = has_nulls || one->is_none();
    if (flat.empty()) shape.clear();
    array_head(wire, shape, has_nulls, out);
    for (const Value* one : flat)
      if (!value_field(element, *one, out, why)) return false;
  }
  store_be(static_cast<std::int32_t>(out.size() - length_at - 4), out.data() + length_at);
  return true;
}

bool json_value_field(const WireType& wire, const Value& value, std::string& out, std::string& why) {
  std::string text;
  append_json_value(value, text);
  return json_field(wire, text, out, why);
}

bool value_field(const WireType& wire, const Value& value, std::string& out, std::string& why) {
  using Tag = Value::Tag;
  if (value.is_none()) {
    append_be<std::int32_t>(-1, out);
    return true;
  }
  if (wire.wire == Wire::kArray || wire.wire == Wire::kVector) return array_field(wire, value, out, why);
  if ((wire.wire == Wire::kJson || wire.wire == Wire::kJsonb) && value.tag() != Tag::kJson)
    return json_value_field(wire, value, out, why);
  switch (value.tag()) {
    case Tag::kBool:
      append_be<std::int32_t>(1, out);
      out += value.as_bool() ? '\1' : '\0';
      return true;
    case Tag::kInt: return int_field(wire, value.as_int(), out, why);
    case Tag::kFloat: return float_field(wire, value.as_float(), out, why);
    case Tag::kStr: return str_field(wire, value.as_text(), out, why);
    case Tag::kBytes: return bytes_field(value.as_text(), out, why);
    case Tag::kJson:
      if (wire.wire == Wire::kText) return text_field(wire, value.as_text(), out, why);
      return json_field(wire, value.as_text(), out, why);
    case Tag::kPointer: return text_field(wire, to_text(value.as_key()), out, why);
    case Tag::kUuid:
      if (wire.wire == Wire::kText) return text_field(wire, value.to_text(), out, why);
      return uuid_field(value.as_key(), out);
    case Tag::kDateTimeNaive:
    case Tag::kDateTimeUtc: return moment_field(wire, value.as_int(), out, why);
    case Tag::kDuration: return duration_field(wire, value.as_int(), out, why);
    case Tag::kTuple:
    case Tag::kArray:
    case Tag::kNone:
    case Tag::kError:
    case Tag::kPending: return unfit(why, "does not fit the column");
  }
  return false;
}

bool is_json(const WireType& wire) { return wire.wire == Wire::kJson || wire.wire == Wire::kJsonb; }

bool append_checked(const EncodedColumn& column, const Batch& batch, std::size_t row, std::string& out,
                    std::string& why) {
  const Column& cells = batch.columns[column.column];
  if (!cells.is_value(row)) {
    if (column.not_null) return unfit(why, "is None, and the column is NOT NULL");
    append_be<std::int32_t>(-1, out);
    return true;
  }
  if (is_json(column.wire) && !column.type.is(Kind::kJson))
    return json_value_field(column.wire, cells.value(column.type, row), out, why);
  switch (column.type.kind()) {
    case Kind::kBool:
      append_be<std::int32_t>(1, out);
      out += cells.u8()[row] != 0 ? '\1' : '\0';
      return true;
    case Kind::kInt: return int_field(column.wire, cells.i64()[row], out, why);
    case Kind::kFloat: return float_field(column.wire, cells.f64()[row], out, why);
    case Kind::kStr: return str_field(column.wire, cells.views()[row].view(), out, why);
    case Kind::kBytes: return bytes_field(cells.views()[row].view(), out, why);
    case Kind::kJson:
      if (column.wire.wire == Wire::kText) return text_field(column.wire, cells.views()[row].view(), out, why);
      return json_field(column.wire, cells.views()[row].view(), out, why);
    case Kind::kDateTimeNaive:
    case Kind::kDateTimeUtc: return moment_field(column.wire, cells.i64()[row], out, why);
    case Kind::kDuration: return duration_field(column.wire, cells.i64()[row], out, why);
    default: return value_field(column.wire, cells.value(column.type, row), out, why);
  }
}

}  // namespace

bool append_field(const EncodedColumn& column, const Batch& batch, std::size_t row, std::string& out,
                  std::string& why) {
  const std::size_t before = out.size();
  if (append_checked(column, batch, row, out, why)) return true;
  out.resize(before);
  return false;
}

}  // namespace thalweg::postgres
