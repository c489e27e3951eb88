#include "connectors/formats/avro.h"

#include <bit>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include <fmt/format.h>
#include <simdjson.h>

#include "connectors/formats/encode.h"
#include "connectors/formats/json_value.h"
#include "engine/types/from_text.h"

namespace thalweg {

namespace {

constexpr int kAvroDepthMax = 64;
using Kind_ = AvroSchema::Kind;
using Logical = AvroSchema::Logical;

std::optional<Kind_> primitive(std::string_view name) {
  static const std::map<std::string_view, Kind_> kNames = {
      {"null", Kind_::kNull},   {"boolean", Kind_::kBoolean}, {"int", Kind_::kInt},     {"long", Kind_::kLong},
      {"float", Kind_::kFloat}, {"double", Kind_::kDouble},   {"bytes", Kind_::kBytes}, {"string", Kind_::kString}};
  const auto found = kNames.find(name);
  return found == kNames.end() ? std::nullopt : std::optional(found->second);
}

Logical logical_from(std::string_view name) {
  if (name == "date") return Logical::kDate;
  if (name == "time-millis") return Logical::kTimeMillis;
  if (name == "time-micros") return Logical::kTimeMicros;
  if (name == "timestamp-millis" || name == "local-timestamp-millis") return Logical::kMillis;
  if (name == "timestamp-micros" || name == "local-timestamp-micros") return Logical::kMicros;
  if (name == "timestamp-nanos" || name == "local-timestamp-nanos") return Logical::kNanos;
  if (name == "decimal") return Logical::kDecimal;
  if (name == "uuid") return Logical::kUuid;
  return Logical::kNone;  // readers ignore what they do not know
}

}  // namespace

// ---------------------------------------------------------------- schema

class AvroSchemaParser {
 public:
  Result<std::shared_ptr<const AvroSchema>> parse(std::string_view text) {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (parser.parse(text.data(), text.size()).get(root) != simdjson::SUCCESS)
      return fail(Code::kBadData, "the Avro schema is not JSON");
    schema_->root_ = TRY(type(root, "", 0));
    return std::shared_ptr<const AvroSchema>(schema_);
  }

 private:
  using Element = simdjson::dom::element;

  static std::string text_of(const Element& object, const char* name) {
    std::string_view out;
    return object[name].get(out) == simdjson::SUCCESS ? std::string(out) : std::string();
  }

  std::uint32_t add(AvroSchema::Node node) {
    schema_->nodes_.push_back(std::move(node));
    return static_cast<std::uint32_t>(schema_->nodes_.size() - 1);
  }

  Result<std::uint32_t> type(const Element& element, const std::string& space, int depth) {
    if (depth > kAvroDepthMax) return fail(Code::kBadData, "the Avro schema is nested too deeply");
    std::string_view name;
    if (element.get(name) == simdjson::SUCCESS) return named(std::string(name), space);
    simdjson::dom::array branches;
    if (element.get(branches) == simdjson::SUCCESS) {
      AvroSchema::Node node{.kind = Kind_::kUnion};
      for (const Element branch : branches) node.inside.push_back(TRY(type(branch, space, depth + 1)));
      if (node.inside.empty()) return fail(Code::kBadData, "the Avro schema has a union of nothing");
      return add(std::move(node));
    }
    if (!element.is_object()) return fail(Code::kBadData, "the Avro schema has a type that is no type");
    Element inner;
    if (element["type"].get(inner) != simdjson::SUCCESS)
      return fail(Code::kBadData, "the Avro schema has a type without `type`");
    if (inner.get(name) != simdjson::SUCCESS) return type(inner, space, depth + 1);
    return complex(element, std::string(name), space, depth);
  }

  Result<std::uint32_t> named(const std::string& name, const std::string& space) {
    if (const auto kind = primitive(name)) return add({.kind = *kind});
    for (const std::string& full : {space.empty() ? name : space + "." + name, name})
      if (const auto found = names_.find(full); found != names_.end()) return found->second;
    return fail(Code::kBadData, fmt::format("the Avro schema names the type `{}`, which it does not define", name));
  }

  Result<std::uint32_t> complex(const Element& element, const std::string& kind, std::string space, int depth) {
    if (const auto simple = primitive(kind)) {
      AvroSchema::Node node{.kind = *simple, .logical = logical_from(text_of(element, "logicalType"))};
      node.scale = scale_of(element);
      return add(std::move(node));
    }
    if (kind == "array" || kind == "map") {
      Element items;
      if (element[kind == "array" ? "items" : "values"].get(items) != simdjson::SUCCESS)
        return fail(Code::kBadData, "the Avro schema has an array or a map of nothing");
      const std::uint32_t inside = TRY(type(items, space, depth + 1));
      return add({.kind = kind == "array" ? Kind_::kArray : Kind_::kMap, .inside = {inside}});
    }
    if (kind != "record" && kind != "error" && kind != "enum" && kind != "fixed") return named(kind, space);
    const std::string given = text_of(element, "name");
    if (const std::string own = text_of(element, "namespace"); !own.empty()) space = own;
    const std::size_t dot = given.rfind('.');
    const std::string full = dot != std::string::npos || space.empty() ? given : space + "." + given;
    if (dot != std::string::npos) space = given.substr(0, dot);
    // Known by its name before its fields are read: a record may hold itself.
    const std::uint32_t index = add({});
    names_[full] = index;
    if (kind == "fixed") {
      std::int64_t size = -1;
      if (element["size"].get(size) != simdjson::SUCCESS || size < 0)
        return fail(Code::kBadData, "the Avro schema has a fixed type without a size");
      schema_->nodes_[index] = {.kind = Kind_::kFixed,
                                .logical = logical_from(text_of(element, "logicalType")),
                                .size = static_cast<std::size_t>(size),
                                .scale = scale_of(element)};
      return index;
    }
    return kind == "enum" ? symbols(element, index) : fields(element, index, space, depth);
  }

  static int scale_of(const Element& element) {
    std::int64_t scale = 0;
    return element["scale"].get(scale) == simdjson::SUCCESS ? static_cast<int>(scale) : 0;
  }

  Result<std::uint32_t> symbols(const Element& element, std::uint32_t index) {
    simdjson::dom::array symbols;
    if (element["symbols"].get(symbols) != simdjson::SUCCESS)
      return fail(Code::kBadData, "the Avro schema has an enum without symbols");
    AvroSchema::Node node{.kind = Kind_::kEnum};
    for (const Element symbol : symbols) {
      std::string_view text;
      if (symbol.get(text) == simdjson::SUCCESS) node.names.emplace_back(text);
    }
    schema_->nodes_[index] = std::move(node);
    return index;
  }

  Result<std::uint32_t> fields(const Element& element, std::uint32_t index, const std::string& space, int depth) {
    simdjson::dom::array fields;
    if (element["fields"].get(fields) != simdjson::SUCCESS)
      return fail(Code::kBadData, "the Avro schema has a record without fields");
    AvroSchema::Node node{.kind = Kind_::kRecord};
    for (const Element field : fields) {
      Element inner;
      if (!field.is_object() || field["type"].get(inner) != simdjson::SUCCESS)
        return fail(Code::kBadData, "the Avro schema has a field without a type");
      node.names.push_back(text_of(field, "name"));
      node.inside.push_back(TRY(type(inner, space, depth + 1)));
    }
    schema_->nodes_[index] = std::move(node);
    return index;
  }

  std::shared_ptr<AvroSchema> schema_ = std::make_shared<AvroSchema>();
  std::map<std::string, std::uint32_t> names_;
};

Result<std::shared_ptr<const AvroSchema>> AvroSchema::parse(std::string_view json) {
  return AvroSchemaParser().parse(json);
}

// ---------------------------------------------------------------- reading

namespace {

class Bytes {
 public:
  explicit Bytes(std::string_view bytes) : p_(bytes.data()), end_(bytes.data() + bytes.size()) {}
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] bool at_end() const { return p_ == end_; }
  void break_off() { broken_ = true; }

  std::int64_t number() {
    std::uint64_t out = 0;
    for (int shift = 0; shift < 64 && p_ < end_; shift += 7) {
      const auto byte = static_cast<unsigned char>(*p_++);
      out |= static_cast<std::uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return static_cast<std::int64_t>((out >> 1) ^ (~(out & 1) + 1));
    }
    broken_ = true;
    return 0;
  }
  std::string_view take(std::uint64_t size) {
    if (broken_ || size > static_cast<std::uint64_t>(end_ - p_)) {
      broken_ = true;
      return {};
    }
    const char* const begin = p_;
    p_ += size;
    return {begin, size};
  }
  std::string_view text() {
    const std::int64_t size = number();
    if (size < 0) broken_ = true;
    return take(static_cast<std::uint64_t>(size));
  }
  template <class T>
  T plain() {
    const std::string_view bytes = take(sizeof(T));
    T out{};
    if (!bytes.empty()) std::memcpy(&out, bytes.data(), sizeof(T));
    return out;
  }
  // How many entries the next block of an array or map has; 0: there are no more.
  std::uint64_t block() {
    std::int64_t count = number();
    if (count < 0) {
      count = -count;
      number();  // the block's size in bytes
    }
    // Every entry but null takes a byte; a claim beyond that is broken, and would loop for long.
    if (count < 0 || count > (end_ - p_) + kEmptyEntriesMax) broken_ = true;
    return broken_ ? 0 : static_cast<std::uint64_t>(count);
  }

 private:
  static constexpr std::int64_t kEmptyEntriesMax = 1024;
  const char* p_;
  const char* end_;
  bool broken_ = false;
};

// The unscaled big-endian integer as decimal text.
std::string decimal_text(std::string_view bytes, int scale) {
  if (bytes.empty()) return "0";
  const bool negative = (static_cast<unsigned char>(bytes[0]) & 0x80) != 0;
  std::vector<std::uint32_t> digits{0};  // base 10^9, least first
  constexpr std::uint64_t kBase = 1'000'000'000;
  unsigned carry = negative ? 1 : 0;
  std::string magnitude(bytes);
  if (negative)
    for (std::size_t i = magnitude.size(); i-- > 0;) {
      const unsigned byte = static_cast<unsigned char>(~static_cast<unsigned char>(magnitude[i])) + carry;
      magnitude[i] = static_cast<char>(byte & 0xFF);
      carry = byte >> 8;
    }
  for (const char c : magnitude) {
    std::uint64_t add = static_cast<unsigned char>(c);
    for (std::uint32_t& digit : digits) {
      add += static_cast<std::uint64_t>(digit) * 256;
      digit = static_cast<std::uint32_t>(add % kBase);
      add /= kBase;
    }
    if (add > 0) digits.push_back(static_cast<std::uint32_t>(add));
  }
  std::string out = std::to_string(digits.back());
  for (std::size_t i = digits.size() - 1; i-- > 0;) out += fmt::format("{:09}", digits[i]);
  if (scale > 0) {
    if (const auto places = static_cast<std::size_t>(scale); out.size() <= places)
      out.insert(0, places + 1 - out.size(), '0');
    out.insert(out.size() - static_cast<std::size_t>(scale), ".");
  }
  return negative ? "-" + out : out;
}

class Record {
 public:
  Record(const AvroSchema& schema, std::string_view bytes) : schema_(schema), bytes_(bytes) {}
  [[nodiscard]] Bytes& bytes() { return bytes_; }

  // The branch of a union, however deep.
  const AvroSchema::Node& resolve(std::uint32_t index) {
    const AvroSchema::Node* node = &schema_.node(index);
    for (int depth = 0; node->kind == Kind_::kUnion; ++depth) {
      const std::int64_t branch = bytes_.number();
      if (branch < 0 || branch >= static_cast<std::int64_t>(node->inside.size()) || depth > kAvroDepthMax) {
        bytes_.break_off();
        return kNothing;
      }
      node = &schema_.node(node->inside[static_cast<std::size_t>(branch)]);
    }
    return *node;
  }

  void skip(std::uint32_t index, int depth = 0) {
    const AvroSchema::Node& node = resolve(index);
    if (depth > kAvroDepthMax) bytes_.break_off();
    if (bytes_.broken()) return;
    switch (node.kind) {
      case Kind_::kNull: return;
      case Kind_::kBoolean: std::ignore = bytes_.take(1); return;
      case Kind_::kInt:
      case Kind_::kLong:
      case Kind_::kEnum: bytes_.number(); return;
      case Kind_::kFloat: std::ignore = bytes_.take(4); return;
      case Kind_::kDouble: std::ignore = bytes_.take(8); return;
      case Kind_::kBytes:
      case Kind_::kString: bytes_.text(); return;
      case Kind_::kFixed: std::ignore = bytes_.take(node.size); return;
      case Kind_::kArray:
      case Kind_::kMap:
        while (std::uint64_t count = bytes_.block())
          for (; count > 0 && !bytes_.broken(); --count) {
            if (node.kind == Kind_::kMap) bytes_.text();
            skip(node.inside[0], depth + 1);
          }
        return;
      case Kind_::kRecord:
        for (const std::uint32_t field : node.inside) skip(field, depth + 1);
        return;
      case Kind_::kUnion: return;  // resolved
    }
  }

  // As JSON: bytes in base64, logical types as the numbers they are but for decimals, which are texts.
  void json(const AvroSchema::Node& node, std::string& out, int depth) {
    if (depth > kAvroDepthMax) bytes_.break_off();
    if (bytes_.broken()) return;
    switch (node.kind) {
      case Kind_::kNull: out += "null"; return;
      case Kind_::kBoolean: out += bytes_.plain<char>() != 0 ? "true" : "false"; return;
      case Kind_::kInt:
      case Kind_::kLong: out += std::to_string(bytes_.number()); return;
      case Kind_::kFloat: return append_json_value(Value::of(static_cast<double>(bytes_.plain<float>())), out);
      case Kind_::kDouble: return append_json_value(Value::of(bytes_.plain<double>()), out);
      case Kind_::kString: return append_text(bytes_.text(), out);
      case Kind_::kBytes:
      case Kind_::kFixed: {
        const std::string_view bytes = node.kind == Kind_::kFixed ? bytes_.take(node.size) : bytes_.text();
        if (node.logical == Logical::kDecimal) return append_json_string(decimal_text(bytes, node.scale), out);
        return append_json_value(Value::bytes(std::string(bytes)), out);
      }
      case Kind_::kEnum: return append_json_string(symbol(node), out);
      case Kind_::kArray:
      case Kind_::kMap: return json_entries(node, out, depth);
      case Kind_::kRecord:
        out += '{';
        for (std::size_t i = 0; i < node.inside.size(); ++i) {
          if (i > 0) out += ',';
          append_json_string(node.names[i], out);
          out += ':';
          json(resolve(node.inside[i]), out, depth + 1);
        }
        out += '}';
        return;
      case Kind_::kUnion: return;
    }
  }

  std::string symbol(const AvroSchema::Node& node) {
    const std::int64_t index = bytes_.number();
    if (index >= 0 && index < static_cast<std::int64_t>(node.names.size()))
      return node.names[static_cast<std::size_t>(index)];
    bytes_.break_off();
    return {};
  }

 private:
  void append_text(std::string_view text, std::string& out) {
    if (is_utf8(text))
      append_json_string(text, out);
    else
      bytes_.break_off();
  }
  void json_entries(const AvroSchema::Node& node, std::string& out, int depth) {
    const bool map = node.kind == Kind_::kMap;
    out += map ? '{' : '[';
    bool first = true;
    while (std::uint64_t count = bytes_.block())
      for (; count > 0 && !bytes_.broken(); --count) {
        if (!std::exchange(first, false)) out += ',';
        if (map) {
          append_text(bytes_.text(), out);
          out += ':';
        }
        json(resolve(node.inside[0]), out, depth + 1);
      }
    out += map ? '}' : ']';
  }

  static const AvroSchema::Node kNothing;
  const AvroSchema& schema_;
  Bytes bytes_;
};
const AvroSchema::Node Record::kNothing{};

// Nanoseconds of a date, time or timestamp; nothing where the number has another meaning or does not fit.
std::optional<std::int64_t> nanoseconds(Logical logical, std::int64_t number) {
  constexpr std::int64_t kDay = 86'400'000'000'000;
  std::int64_t unit = 0;
  switch (logical) {
    case Logical::kDate: unit = kDay; break;
    case Logical::kTimeMillis:
    case Logical::kMillis: unit = 1'000'000; break;
    case Logical::kTimeMicros:
    case Logical::kMicros: unit = 1'000; break;
    case Logical::kNanos: unit = 1; break;
    case Logical::kNone:
    case Logical::kDecimal:
    case Logical::kUuid: return std::nullopt;
  }
  std::int64_t out = 0;
  if (__builtin_mul_overflow(number, unit, &out)) return std::nullopt;
  return out;
}

// Cells of plain types, straight from the bytes. False: the general way is needed; nothing was taken then.
bool put_plain(Record& record, const AvroSchema::Node& node, std::size_t field, RowWriter& rows) {
  const Type& type = rows.field(field).type;
  switch (node.kind) {
    case Kind_::kBoolean:
      if (!type.is(Kind::kBool)) return false;
      rows.put_bool(field, record.bytes().plain<char>() != 0);
      return true;
    case Kind_::kInt:
    case Kind_::kLong: {
      if (type.is(Kind::kInt)) return rows.put_int(field, record.bytes().number()), true;
      if (type.is(Kind::kFloat)) return rows.put_float(field, static_cast<double>(record.bytes().number())), true;
      if (!type.is_datetime() && !type.is(Kind::kDuration)) return false;
      const std::int64_t number = record.bytes().number();
      const auto ns = node.logical == Logical::kNone && type.is(Kind::kDuration) ? std::optional(number)
                                                                                 : nanoseconds(node.logical, number);
      if (ns)
        rows.put_int(field, *ns);
      else
        rows.put_error(field, nullptr, fmt::format("is the number {}, not {}", number, type.to_text()));
      return true;
    }
    case Kind_::kFloat:
    case Kind_::kDouble:
      if (!type.is(Kind::kFloat)) return false;
      rows.put_float(field, node.kind == Kind_::kFloat ? static_cast<double>(record.bytes().plain<float>())
                                                       : record.bytes().plain<double>());
      return true;
    case Kind_::kString: {
      if (!type.is(Kind::kStr) && !type.is(Kind::kBytes)) return false;
      const std::string_view text = record.bytes().text();
      if (type.is(Kind::kStr) && !is_utf8(text))
        rows.put_error(field, nullptr, "is not valid UTF-8");
      else
        rows.put_view(field, StrView(text));
      return true;
    }
    case Kind_::kBytes:
    case Kind_::kFixed: {
      if (node.logical == Logical::kDecimal || !type.is(Kind::kBytes)) return false;
      rows.put_view(field,
                    StrView(node.kind == Kind_::kFixed ? record.bytes().take(node.size) : record.bytes().text()));
      return true;
    }
    default: return false;
  }
}

void put_any(Record& record, const AvroSchema::Node& node, std::size_t field, RowWriter& rows) {
  const Type& type = rows.field(field).type;
  std::string text;
  record.json(node, text, 0);
  if (record.bytes().broken()) return;
  std::optional<Value> value;
  if (node.logical == Logical::kDecimal && type.is(Kind::kFloat)) {
    if (const auto number = float_from_text(std::string_view(text).substr(1, text.size() - 2)))
      value = Value::of(*number);
  } else if (type.is(Kind::kJson)) {
    value = Value::json(text);
  } else {
    value = json::text_to_value(type, text);
  }
  if (value) return rows.put_value(field, *value);
  constexpr std::size_t kShownBytes = 80;
  rows.put_error(field, nullptr, fmt::format("is {}, not {}", text.substr(0, kShownBytes), type.to_text()));
}

}  // namespace

Result<std::unique_ptr<AvroReader>> AvroReader::make(const RecordLayout& layout,
                                                     std::shared_ptr<const AvroSchema> schema) {
  std::unique_ptr<AvroReader> out(new AvroReader(layout, std::move(schema)));
  const AvroSchema::Node& root = out->schema_->node(out->schema_->root());
  if (root.kind != AvroSchema::Kind::kRecord)
    return fail(Code::kBadData, "the Avro schema of the messages is not that of a record");
  std::vector<bool> present(layout.num_payload);
  for (const std::string& name : root.names) {
    std::int32_t field = -1;
    for (std::size_t i = 0; i < layout.num_payload; ++i)
      if (layout.fields[i].external_name == name) field = static_cast<std::int32_t>(i);
    if (field >= 0) present[static_cast<std::size_t>(field)] = true;
    out->fields_.push_back(field);
  }
  for (std::uint32_t i = 0; i < present.size(); ++i)
    if (!present[i]) out->absent_.push_back(i);
  return out;
}

std::string AvroReader::read(std::string_view bytes, RowWriter& rows) const {
  Record record(*schema_, bytes);
  const AvroSchema::Node& root = schema_->node(schema_->root());
  for (std::size_t i = 0; i < root.inside.size(); ++i) {
    if (fields_[i] < 0) {
      record.skip(root.inside[i]);
      continue;
    }
    const auto field = static_cast<std::size_t>(fields_[i]);
    const AvroSchema::Node& node = record.resolve(root.inside[i]);
    if (node.kind == AvroSchema::Kind::kNull && layout_.fields[field].type.admits_none())
      rows.put_none(field);
    else if (!put_plain(record, node, field, rows))
      put_any(record, node, field, rows);
    if (record.bytes().broken()) return fmt::format("field `{}` is cut off or broken", root.names[i]);
  }
  if (record.bytes().broken()) return "the record is cut off or broken";
  if (!record.bytes().at_end()) return "there are bytes behind the record: its schema is another";
  for (const std::uint32_t field : absent_) rows.fill_missing(field, nullptr);
  return {};
}

// ---------------------------------------------------------------- writing

namespace {

void append_varint(std::int64_t number, std::string& out) {
  auto bits = (static_cast<std::uint64_t>(number) << 1) ^ static_cast<std::uint64_t>(number >> 63);
  for (; bits >= 0x80; bits >>= 7) out += static_cast<char>((bits & 0x7F) | 0x80);
  out += static_cast<char>(bits);
}

void append_text(std::string_view text, std::string& out) {
  append_varint(static_cast<std::int64_t>(text.size()), out);
  out += text;
}

void append_double(double value, std::string& out) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  out.append(reinterpret_cast<const char*>(&bits), sizeof bits);
}

std::string type_json(const Type& type) {
  switch (type.kind()) {
    case Kind::kBool: return R"("boolean")";
    case Kind::kInt:
    case Kind::kDuration: return R"("long")";
    case Kind::kFloat: return R"("double")";
    case Kind::kBytes: return R"("bytes")";
    case Kind::kDateTimeUtc: return R"({"type":"long","logicalType":"timestamp-micros"})";
    case Kind::kDateTimeNaive: return R"({"type":"long","logicalType":"local-timestamp-micros"})";
    case Kind::kUuid: return R"({"type":"string","logicalType":"uuid"})";
    case Kind::kList:
      return fmt::format(R"({{"type":"array","items":{}}})",
                         type.element().optional()
                             ? fmt::format(R"(["null",{}])", type_json(type.element().without_optional()))
                             : type_json(type.element()));
    case Kind::kNone: return R"("null")";
    case Kind::kPointer:
    case Kind::kStr:
    case Kind::kTuple:
    case Kind::kArray:
    case Kind::kJson:
    case Kind::kAny: return R"("string")";  // composites as JSON
  }
  return {};
}

std::int64_t floor_micros(std::int64_t ns) { return ns / 1000 - (ns % 1000 < 0 ? 1 : 0); }

void append_value(const Type& type, const Value& value, std::string& out) {
  if (type.optional()) {
    append_varint(value.is_none() ? 0 : 1, out);
    if (value.is_none()) return;
  }
  switch (type.kind()) {
    case Kind::kBool: out += value.as_bool() ? '\1' : '\0'; return;
    case Kind::kInt:
    case Kind::kDuration: return append_varint(value.as_int(), out);
    case Kind::kFloat:
      return append_double(value.tag() == Value::Tag::kInt ? static_cast<double>(value.as_int()) : value.as_float(),
                           out);
    case Kind::kBytes:
    case Kind::kStr:
    case Kind::kJson: return append_text(value.as_text(), out);
    case Kind::kDateTimeUtc:
    case Kind::kDateTimeNaive: return append_varint(floor_micros(value.as_int()), out);
    case Kind::kList: {
      const auto& elements = value.as_tuple();
      if (!elements.empty()) append_varint(static_cast<std::int64_t>(elements.size()), out);
      for (const Value& element : elements) append_value(type.element(), element, out);
      append_varint(0, out);
      return;
    }
    case Kind::kNone: return;
    case Kind::kPointer:
    case Kind::kUuid: return append_text(value.to_text(), out);
    case Kind::kTuple:
    case Kind::kArray:
    case Kind::kAny: break;
  }
  std::string text;
  append_json_value(value, text);
  append_text(text, out);
}

// Names of Avro are letters, digits and `_`, not beginning with a digit.
std::string avro_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    const bool digit = c >= '0' && c <= '9';
    if (out.empty() && digit) out += '_';
    out += letter || digit ? c : '_';
  }
  return out.empty() ? "_" : out;
}

}  // namespace

AvroWriter::AvroWriter(Schema schema, std::string record_name, bool with_change)
    : schema_(std::move(schema)), with_change_(with_change) {
  json_ = R"({"type":"record","name":")" + avro_name(record_name) + R"(","fields":[)";
  bool first = true;
  const auto add = [&](const std::string& name, const std::string& type) {
    if (!std::exchange(first, false)) json_ += ',';
    json_ += fmt::format(R"({{"name":"{}","type":{}}})", avro_name(name), type);
  };
  for (const auto& [name, type] : schema_.columns) {
    const std::string plain = type_json(type.without_optional());
    add(name, type.optional() ? fmt::format(R"(["null",{}])", plain) : plain);
  }
  if (with_change_) {
    add("diff", R"("long")");
    add("time", R"("long")");
  }
  json_ += "]}";
}

void AvroWriter::row(const Batch& batch, std::size_t row, std::uint64_t time, std::string& out) const {
  for (std::size_t i = 0; i < schema_.size(); ++i) {
    const Type& type = schema_.columns[i].type;
    const Column& column = batch.columns[i];
    const bool some = column.is_value(row);
    // The usual types without a detour over values.
    if (some && (type.is(Kind::kStr) || type.is(Kind::kInt) || type.is(Kind::kFloat))) {
      if (type.optional()) append_varint(1, out);
      if (type.is(Kind::kStr))
        append_text(column.views()[row].view(), out);
      else if (type.is(Kind::kInt))
        append_varint(column.i64()[row], out);
      else
        append_double(column.f64()[row], out);
      continue;
    }
    append_value(type, column.value(type, row), out);
  }
  if (!with_change_) return;
  append_varint(batch.diff(row), out);
  append_varint(static_cast<std::int64_t>(time), out);
}

}  // namespace thalweg
