#include "connectors/postgres/decoder.h"

#include <charconv>
#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "connectors/formats/json_value.h"
#include "engine/types/datetime.h"
#include "engine/types/encoding.h"
#include "engine/types/from_text.h"
#include "engine/types/json_names.h"

namespace thalweg::postgres {

namespace {

constexpr std::int64_t kNsPerUs = 1000;
constexpr std::int64_t kUsPerDay = 86'400'000'000;
constexpr int kArrayDimsMax = 6;  // of Postgres

std::nullopt_t refuse(std::string& why, std::string what) {
  why = std::move(what);
  return std::nullopt;
}

template <class T>
bool has(std::string_view bytes) {
  return bytes.size() == sizeof(T);
}

bool is_whole(Wire wire) {
  return wire == Wire::kInt2 || wire == Wire::kInt4 || wire == Wire::kInt8 || wire == Wire::kOid;
}

std::optional<std::int64_t> read_int(Wire wire, std::string_view bytes) {
  switch (wire) {
    case Wire::kInt2:
      return has<std::int16_t>(bytes) ? std::optional(load_be<std::int16_t>(bytes.data())) : std::nullopt;
    case Wire::kInt4:
      return has<std::int32_t>(bytes) ? std::optional(load_be<std::int32_t>(bytes.data())) : std::nullopt;
    case Wire::kOid:
      return has<std::int32_t>(bytes) ? std::optional(static_cast<std::uint32_t>(load_be<std::int32_t>(bytes.data())))
                                      : std::nullopt;
    case Wire::kInt8:
      return has<std::int64_t>(bytes) ? std::optional(load_be<std::int64_t>(bytes.data())) : std::nullopt;
    default: return std::nullopt;
  }
}

std::optional<double> read_float(Wire wire, std::string_view bytes, std::string& why) {
  if (wire == Wire::kFloat8 && has<std::int64_t>(bytes))
    return std::bit_cast<double>(load_be<std::int64_t>(bytes.data()));
  if (wire == Wire::kFloat4 && has<std::int32_t>(bytes))
    return std::bit_cast<float>(load_be<std::int32_t>(bytes.data()));
  if (wire == Wire::kNumeric) {
    const auto text = numeric_to_text(bytes);
    const auto number = text ? float_from_text(*text) : std::nullopt;
    if (number) return number;
    return refuse(why, "cannot be read as a number");
  }
  if (const auto whole = read_int(wire, bytes)) return static_cast<double>(*whole);
  return refuse(why, "cannot be read as a number");
}

std::optional<std::int64_t> read_whole(Wire wire, std::string_view bytes, std::string& why) {
  if (wire != Wire::kNumeric) {
    const auto number = read_int(wire, bytes);
    if (!number) why = "cannot be read as an int";
    return number;
  }
  auto text = numeric_to_text(bytes);
  if (!text) return refuse(why, "cannot be read as an int");
  if (const auto point = text->find('.');
      point != std::string::npos && text->find_first_not_of('0', point + 1) == std::string::npos)
    text->resize(point);
  const auto number = int_from_text(*text);
  if (!number) return refuse(why, *text + " is no int of 64 bits");
  return number;
}

std::optional<std::int64_t> ns_from_us(std::int64_t us_since_1970, std::string& why) {
  std::int64_t ns = 0;
  if (__builtin_mul_overflow(us_since_1970, kNsPerUs, &ns))
    return refuse(why, "lies outside of the years 1677 to 2262 that datetimes here can be in");
  return ns;
}

// Timestamps and dates, as nanoseconds since 1970.
std::optional<std::int64_t> read_moment(Wire wire, std::string_view bytes, std::string& why) {
  if (wire == Wire::kDate) {
    if (!has<std::int32_t>(bytes)) return refuse(why, "cannot be read as a date");
    const auto days = load_be<std::int32_t>(bytes.data());
    if (days == std::numeric_limits<std::int32_t>::max() || days == std::numeric_limits<std::int32_t>::min())
      return refuse(why, "is infinite, which dates here cannot be");
    return ns_from_us((days + kEpochDays) * kUsPerDay, why);
  }
  if (!has<std::int64_t>(bytes)) return refuse(why, "cannot be read as a timestamp");
  const auto us = load_be<std::int64_t>(bytes.data());
  if (us == std::numeric_limits<std::int64_t>::max() || us == std::numeric_limits<std::int64_t>::min())
    return refuse(why, "is infinite, which datetimes here cannot be");
  std::int64_t since_1970 = 0;
  if (__builtin_add_overflow(us, kEpochUs, &since_1970)) return refuse(why, "is too far from now");
  return ns_from_us(since_1970, why);
}

// As EXTRACT(EPOCH FROM …) counts: a day has 24 hours, a month 30 days, a year 365.25 days.
std::optional<std::int64_t> read_interval(std::string_view bytes, std::string& why) {
  if (bytes.size() != 16) return refuse(why, "cannot be read as an interval");
  const auto us = load_be<std::int64_t>(bytes.data());
  const std::int64_t days = load_be<std::int32_t>(bytes.data() + 8);
  const std::int64_t months = load_be<std::int32_t>(bytes.data() + 12);
  std::int64_t sum = (months / 12) * (kUsPerDay / 4 * 1461) + (months % 12) * 30 * kUsPerDay + days * kUsPerDay;
  std::int64_t ns = 0;
  if (__builtin_add_overflow(sum, us, &sum) || __builtin_mul_overflow(sum, kNsPerUs, &ns))
    return refuse(why, "is longer than durations here can be (292 years)");
  return ns;
}

std::optional<std::int64_t> read_duration(Wire wire, std::string_view bytes, std::string& why) {
  if (wire == Wire::kInterval) return read_interval(bytes, why);
  if (!has<std::int64_t>(bytes)) return refuse(why, "cannot be read as a time");
  return load_be<std::int64_t>(bytes.data()) * kNsPerUs;
}

Key read_uuid(std::string_view bytes) {
  return {static_cast<std::uint64_t>(load_be<std::int64_t>(bytes.data())),
          static_cast<std::uint64_t>(load_be<std::int64_t>(bytes.data() + 8))};
}

std::string_view json_text(Wire wire, std::string_view bytes) {
  return wire == Wire::kJsonb && !bytes.empty() ? bytes.substr(1) : bytes;  // a version in front
}

// Reads big-endian numbers one after another.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : left_(bytes) {}
  std::optional<std::int32_t> number() {
    if (left_.size() < 4) return std::nullopt;
    const auto value = load_be<std::int32_t>(left_.data());
    left_.remove_prefix(4);
    return value;
  }
  std::optional<std::string_view> take(std::int32_t bytes) {
    if (bytes < 0 || left_.size() < static_cast<std::size_t>(bytes)) return std::nullopt;
    const auto out = left_.substr(0, static_cast<std::size_t>(bytes));
    left_.remove_prefix(static_cast<std::size_t>(bytes));
    return out;
  }

 private:
  std::string_view left_;
};

struct RawArray {
  std::vector<std::int64_t> shape;
  std::vector<std::optional<std::string_view>> elements;
};

std::optional<RawArray> read_array(const WireType& wire, std::string_view bytes) {
  Cursor at(bytes);
  RawArray out;
  const auto dims = at.number();
  const auto has_nulls = at.number();
  const auto oid = at.number();
  if (!dims || !has_nulls || !oid || *dims < 0 || *dims > kArrayDimsMax) return std::nullopt;
  if (static_cast<Oid>(*oid) != wire.element_oid) return std::nullopt;
  std::size_t count = *dims > 0 ? 1 : 0;
  for (int i = 0; i < *dims; ++i) {
    const auto size = at.number();
    const auto lower = at.number();
    if (!size || !lower || *size < 0) return std::nullopt;
    out.shape.push_back(*size);
    count *= static_cast<std::size_t>(*size);
    if (count > bytes.size()) return std::nullopt;
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto length = at.number();
    if (!length) return std::nullopt;
    if (*length == -1) {
      out.elements.emplace_back();
      continue;
    }
    const auto element = at.take(*length);
    if (!element) return std::nullopt;
    out.elements.emplace_back(element);
  }
  return out;
}

// Lists in lists, by the array's shape.
std::optional<Value> nested(const RawArray& array, const WireType& element, const Type& type, std::size_t depth,
                            std::size_t& next, std::string& why) {
  if (depth == array.shape.size()) {
    const auto& raw = array.elements[next++];
    if (!raw) {
      if (!type.admits_none())
        return refuse(why, fmt::format("has a NULL element, and `{}` admits none", type.to_text()));
      return Value::none();
    }
    return decode_value(element, type, *raw, why);
  }
  if (!type.is(Kind::kList) && !type.is(Kind::kTuple) && !type.is(Kind::kAny))
    return refuse(why, fmt::format("has {} dimensions, more than the type here", array.shape.size()));
  const Type inner = type.is(Kind::kAny) ? type : type.element();
  std::vector<Value> values;
  for (std::int64_t i = 0; i < array.shape[depth]; ++i) {
    auto value = nested(array, element, inner, depth + 1, next, why);
    if (!value) return std::nullopt;
    values.push_back(std::move(*value));
  }
  if (type.is(Kind::kTuple) && type.args().size() != values.size())
    return refuse(why,
                  fmt::format("has {} elements, and `{}` has {}", values.size(), type.to_text(), type.args().size()));
  return Value::tuple(std::move(values));
}

std::optional<Value> nd_array(const RawArray& array, const WireType& element, const Type& type, std::string& why) {
  NdArray out;
  out.shape = array.shape;
  if (out.shape.empty()) out.shape.push_back(0);
  if (type.dims() >= 0 && !array.elements.empty() && static_cast<int>(out.shape.size()) != type.dims())
    return refuse(why, fmt::format("has {} dimensions, and `{}` is declared", out.shape.size(), type.to_text()));
  const bool whole = type.element().is(Kind::kInt) || (!type.element().is(Kind::kFloat) && is_whole(element.wire));
  std::vector<std::int64_t> ints;
  std::vector<double> floats;
  for (const auto& raw : array.elements) {
    if (!raw) return refuse(why, "has a NULL element, which arrays of numbers cannot");
    if (whole) {
      const auto number = read_whole(element.wire, *raw, why);
      if (!number) return std::nullopt;
      ints.push_back(*number);
    } else {
      const auto number = read_float(element.wire, *raw, why);
      if (!number) return std::nullopt;
      floats.push_back(*number);
    }
  }
  if (whole)
    out.data = std::move(ints);
  else
    out.data = std::move(floats);
  return Value::array(std::move(out));
}

std::optional<Value> read_vector(const Type& type, std::string_view bytes, std::string& why) {
  if (bytes.size() < 4) return refuse(why, "cannot be read as a vector");
  const std::int64_t count = load_be<std::int16_t>(bytes.data());
  if (count < 0 || bytes.size() != 4 + 4 * static_cast<std::size_t>(count))
    return refuse(why, "cannot be read as a vector");
  std::vector<double> numbers;
  for (std::int64_t i = 0; i < count; ++i)
    numbers.push_back(std::bit_cast<float>(load_be<std::int32_t>(bytes.data() + 4 + 4 * i)));
  if (type.is(Kind::kArray)) return Value::array({{count}, std::move(numbers)});
  std::vector<Value> values;
  for (const double number : numbers) values.push_back(Value::of(number));
  return Value::tuple(std::move(values));
}

template <class T, class Make>
std::optional<Value> made(const std::optional<T>& from, Make make) {
  return from ? std::optional<Value>(make(*from)) : std::nullopt;
}

Type natural_or(const WireType& wire, const Type& type) {
  return type.is(Kind::kAny) ? natural_type(wire).value_or(Type(Kind::kStr)) : type;
}

}  // namespace

std::optional<Value> decode_value(const WireType& wire, const Type& declared, std::string_view bytes,
                                  std::string& why) {
  const Type type = natural_or(wire, declared);
  if (wire.wire == Wire::kVector) return read_vector(type, bytes, why);
  if (wire.wire == Wire::kArray) {
    const auto array = read_array(wire, bytes);
    if (!array) return refuse(why, "cannot be read as an array");
    const WireType element{.wire = wire.element, .oid = wire.element_oid};
    if (type.is(Kind::kArray)) return nd_array(*array, element, type, why);
    if (array->shape.empty()) return Value::tuple({});
    std::size_t next = 0;
    return nested(*array, element, declared.is(Kind::kAny) ? declared : type, 0, next, why);
  }
  switch (type.kind()) {
    case Kind::kBool:
      if (bytes.size() != 1) return refuse(why, "cannot be read as a bool");
      return Value::of(bytes[0] != '\0');
    case Kind::kInt: return made(read_whole(wire.wire, bytes, why), [](std::int64_t v) { return Value::of(v); });
    case Kind::kFloat: return made(read_float(wire.wire, bytes, why), [](double v) { return Value::of(v); });
    case Kind::kBytes: return Value::bytes(std::string(bytes));
    case Kind::kJson: return Value::json(with_unique_names(json::without_blanks(json_text(wire.wire, bytes))));
    case Kind::kDateTimeNaive: return made(read_moment(wire.wire, bytes, why), &Value::datetime_naive);
    case Kind::kDateTimeUtc: return made(read_moment(wire.wire, bytes, why), &Value::datetime_utc);
    case Kind::kDuration: return made(read_duration(wire.wire, bytes, why), &Value::duration);
    case Kind::kUuid:
      if (bytes.size() != 16) return refuse(why, "cannot be read as a uuid");
      return Value::uuid(read_uuid(bytes));
    case Kind::kPointer: {
      const auto key = key_from_text(bytes);
      if (!key) return refuse(why, "is no pointer");
      return Value::of(*key);
    }
    case Kind::kStr:
      if (wire.wire == Wire::kNumeric) {
        auto text = numeric_to_text(bytes);
        if (!text) return refuse(why, "cannot be read as a number");
        return Value::str(std::move(*text));
      }
      if (wire.wire == Wire::kUuid) {
        if (bytes.size() != 16) return refuse(why, "cannot be read as a uuid");
        return Value::str(Value::uuid(read_uuid(bytes)).to_text());
      }
      return Value::str(std::string(json_text(wire.wire, bytes)));
    default: return refuse(why, "has a type that cannot be read");
  }
}

Result<RowShape> RowShape::of(const plan::Source& source, const TableInfo& table, const TableName& name) {
  RowShape out;
  out.layout = TRY(RecordLayout::of(source));
  out.position = name.text();
  for (const RecordField& field : out.layout.fields) {
    const TableColumn* column = table.find(field.external_name);
    if (column == nullptr) {
      std::string have;
      for (const TableColumn& c : table.columns) have += (have.empty() ? "`" : ", `") + c.name + "`";
      return fail(Error{Code::kInvalidPipeline,
                        fmt::format("table `{}` of the database has no column `{}`", name.text(), field.external_name),
                        source.args.span,
                        {{"it has " + have, {}}}});
    }
    if (!readable_as(column->type, field.type)) {
      const auto natural = natural_type(column->type);
      return fail(
          Error{Code::kInvalidPipeline,
                fmt::format("column `{}` is declared as `{}`, and `{}` has it as `{}`", field.name,
                            field.type.to_text(), name.text(), column->type_text),
                source.args.span,
                {{natural ? "it can be read as `" + natural->to_text() + "`" : "it can be read as `str`", {}}}});
    }
    out.wires.push_back(column->type);
  }
  return out;
}

std::string RowShape::select_list() const {
  std::string out;
  for (std::size_t i = 0; i < layout.fields.size(); ++i) {
    if (i > 0) out += ", ";
    out += quoted_name(layout.fields[i].external_name);
    if (wires[i].wire == Wire::kUnsupported) out += "::text";
  }
  return out;
}

RowDecoder::RowDecoder(const RowShape& shape, std::shared_ptr<const void> bytes_owner, Reporter& report)
    : shape_(shape), owner_(std::move(bytes_owner)), report_(report) {
  start();
}

void RowDecoder::generate_keys(std::uint64_t source, std::uint64_t first) {
  key_source_ = source;
  next_key_ = first;
}

void RowDecoder::start() {
  columns_.clear();
  for (const Type& type : shape_.layout.column_types) columns_.emplace_back(type, kChunkRows);
  keys_.clear();
  diffs_.clear();
  any_deletion_ = false;
  rows_ = 0;
}

void RowDecoder::bad(std::size_t field, const std::string& what, const RawField& raw) {
  const RecordField& f = shape_.layout.fields[field];
  BadRecord record;
  record.message = fmt::format("column `{}` {}", f.name, what);
  record.raw = raw.bytes.substr(0, BadRecord::kRawBytesMax);
  record.position = shape_.position;
  record.kind = BadRecord::Kind::kValue;
  report_.bad(std::move(record));
}

// The usual types without a detour. False: `why_` says what is wrong.
bool RowDecoder::put(std::size_t field, ColumnBuilder& column, std::string_view bytes) {
  const WireType& wire = shape_.wires[field];
  const Type& type = shape_.layout.fields[field].type;
  switch (type.kind()) {
    case Kind::kBool:
      if (bytes.size() != 1) break;
      column.push_bool(bytes[0] != '\0');
      return true;
    case Kind::kInt: {
      const auto number = read_whole(wire.wire, bytes, why_);
      if (!number) return false;
      column.push_int(*number);
      return true;
    }
    case Kind::kFloat: {
      const auto number = read_float(wire.wire, bytes, why_);
      if (!number) return false;
      column.push_float(*number);
      return true;
    }
    case Kind::kStr:
      if (wire.wire != Wire::kText && wire.wire != Wire::kUnsupported) break;
      column.push_view(StrView(bytes));
      return true;
    case Kind::kBytes: column.push_view(StrView(bytes)); return true;
    case Kind::kDateTimeNaive:
    case Kind::kDateTimeUtc: {
      const auto ns = read_moment(wire.wire, bytes, why_);
      if (!ns) return false;
      column.push_int(*ns);
      return true;
    }
    default: break;
  }
  const auto value = decode_value(wire, type, bytes, why_);
  if (!value) return false;
  column.push_value(type, *value);
  return true;
}

void RowDecoder::cell(std::size_t field, const RawField& raw, bool only_key) {
  const RecordField& f = shape_.layout.fields[field];
  if (f.column < 0) return;
  ColumnBuilder& column = columns_[static_cast<std::size_t>(f.column)];
  if (only_key && !f.primary_key) return column.push_none();
  switch (raw.state) {
    case RawField::State::kBytes:
      if (put(field, column, raw.bytes)) return;
      bad(field, why_, raw);
      return column.push_error();
    case RawField::State::kUnchanged: return column.push_tagged(CellTag::kPending);
    case RawField::State::kNull: break;
  }
  if (f.type.admits_none()) return column.push_none();
  if (f.default_value) return column.push_value(f.type, *f.default_value);
  bad(field, fmt::format("is NULL, and `{}` admits none", f.type.to_text()), raw);
  column.push_error();
}

// Equal rows share a key: nothing tells them apart.
Key RowDecoder::content_key(const std::vector<RawField>& fields) {
  key_bytes_ = shape_.position;
  for (const RawField& field : fields) {
    append_be<std::int32_t>(field.state == RawField::State::kBytes ? static_cast<std::int32_t>(field.bytes.size()) : -1,
                            key_bytes_);
    key_bytes_ += field.bytes;
  }
  return key_of_bytes(key_bytes_);
}

std::optional<Key> RowDecoder::key_of(const std::vector<RawField>& fields) {
  key_bytes_.clear();
  std::optional<Key> pointer;
  for (const std::uint32_t part : shape_.layout.key_fields) {
    const RecordField& field = shape_.layout.fields[part];
    const RawField& raw = fields[part];
    std::string_view bytes = raw.bytes;
    if (raw.state != RawField::State::kBytes) {
      if (!field.type.admits_none()) return std::nullopt;
      encode_none(key_bytes_);
      continue;
    }
    if (field.type.is(Kind::kInt) && shape_.wires[part].wire != Wire::kNumeric) {
      const auto number = read_int(shape_.wires[part].wire, bytes);
      if (!number) return std::nullopt;
      encode_int(*number, key_bytes_);
      continue;
    }
    if (field.type.is(Kind::kStr) && shape_.wires[part].wire == Wire::kText) {
      encode_str(bytes, key_bytes_);
      continue;
    }
    const auto value = decode_value(shape_.wires[part], field.type, bytes, why_);
    if (!value) return std::nullopt;
    if (value->tag() == Value::Tag::kPointer) pointer = value->as_key();
    encode(*value, key_bytes_);
  }
  if (pointer && shape_.layout.key_fields.size() == 1) return pointer;
  return key_of_bytes(key_bytes_);
}

void RowDecoder::end_row(std::optional<Key> key, Diff diff) {
  if (key) keys_.push_back(*key);
  diffs_.push_back(diff);
  any_deletion_ = any_deletion_ || diff != 1;
  if (++rows_ >= kChunkRows) flush();
}

void RowDecoder::row(const std::vector<RawField>& fields, Diff diff, bool only_key) {
  std::optional<Key> key;
  if (shape_.layout.needs_keys && shape_.layout.has_primary_key) {
    key = key_of(fields);
    if (!key) {
      BadRecord record;
      record.message = "a part of the primary key cannot be read; the row is dropped";
      record.position = shape_.position;
      return report_.bad(std::move(record));
    }
  }
  if (shape_.content_keys) key = content_key(fields);
  for (std::size_t i = 0; i < fields.size(); ++i) cell(i, fields[i], only_key);
  end_row(key, diff);
}

void RowDecoder::row(const std::vector<RawField>& fields, const Key& key, Diff diff) {
  for (std::size_t i = 0; i < fields.size(); ++i) cell(i, fields[i], false);
  end_row(key, diff);
}

void RowDecoder::flush() {
  if (rows_ == 0) return;
  Batch batch;
  batch.num_rows = rows_;
  batch.order = order_;
  for (ColumnBuilder& column : columns_) {
    column.add_heap(owner_);
    batch.columns.push_back(column.finish());
  }
  if (shape_.layout.metadata) {
    const std::uint32_t at = *shape_.layout.metadata;
    batch.columns[at] = Column::constant(shape_.layout.column_types[at], Value::json("{}"), rows_);
  }
  if (!keys_.empty())
    batch.keys = KeyColumn(std::exchange(keys_, {}));
  else if (shape_.layout.needs_keys)
    batch.keys = KeyColumn::sequence(key_source_, next_key_);
  next_key_ += rows_;
  if (any_deletion_) batch.set_diffs(std::exchange(diffs_, {}));
  report_.rows(std::move(batch));
  start();
}

bool next_copy_row(std::string_view& at, std::vector<RawField>& fields) {
  if (at.size() < 2) return false;
  const auto count = load_be<std::int16_t>(at.data());
  if (count < 0) return false;  // the trailer
  at.remove_prefix(2);
  fields.resize(static_cast<std::size_t>(count));
  for (RawField& field : fields) {
    if (at.size() < 4) return false;
    const auto length = load_be<std::int32_t>(at.data());
    at.remove_prefix(4);
    field = {};
    if (length < 0) continue;
    if (at.size() < static_cast<std::size_t>(length)) return false;
    field = {RawField::State::kBytes, at.substr(0, static_cast<std::size_t>(length))};
    at.remove_prefix(static_cast<std::size_t>(length));
  }
  return true;
}

}  // namespace thalweg::postgres
