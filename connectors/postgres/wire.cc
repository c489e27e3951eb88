#include "connectors/postgres/wire.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace thalweg::postgres {

namespace {

struct OidRow {
  Oid oid;
  Wire wire;
};

// The types of the server's catalogue (src/include/catalog/pg_type.dat).
constexpr OidRow kOids[] = {
    {16, Wire::kBool},      {17, Wire::kBytea},       {18, Wire::kText},          {19, Wire::kText},
    {20, Wire::kInt8},      {21, Wire::kInt2},        {23, Wire::kInt4},          {25, Wire::kText},
    {26, Wire::kOid},       {114, Wire::kJson},       {142, Wire::kText},         {700, Wire::kFloat4},
    {701, Wire::kFloat8},   {1042, Wire::kText},      {1043, Wire::kText},        {1082, Wire::kDate},
    {1083, Wire::kTime},    {1114, Wire::kTimestamp}, {1184, Wire::kTimestampTz}, {1186, Wire::kInterval},
    {1700, Wire::kNumeric}, {2950, Wire::kUuid},      {3802, Wire::kJsonb},
};

bool element_fits(const WireType& array, const Type& element, bool (*fits)(const WireType&, const Type&)) {
  const WireType inner{.wire = array.element, .oid = array.element_oid};
  return fits(inner, element);
}

// Lists may be nested: the innermost type counts.
Type innermost(Type type) {
  while (type.is(Kind::kList) || type.is(Kind::kTuple)) type = type.element();
  return type;
}

bool scalar_readable(const WireType& wire, const Type& type) {
  const Kind kind = type.kind();
  if (kind == Kind::kAny) return wire.wire != Wire::kUnsupported;
  switch (wire.wire) {
    case Wire::kBool: return kind == Kind::kBool;
    case Wire::kInt2:
    case Wire::kInt4:
    case Wire::kInt8:
    case Wire::kOid: return kind == Kind::kInt || kind == Kind::kFloat;
    case Wire::kFloat4:
    case Wire::kFloat8: return kind == Kind::kFloat;
    case Wire::kNumeric: return kind == Kind::kFloat || kind == Kind::kInt || kind == Kind::kStr;
    case Wire::kText: return kind == Kind::kStr || kind == Kind::kPointer;
    case Wire::kBytea: return kind == Kind::kBytes;
    case Wire::kUuid: return kind == Kind::kUuid || kind == Kind::kStr;
    case Wire::kJson:
    case Wire::kJsonb: return kind == Kind::kJson || kind == Kind::kStr;
    case Wire::kTimestamp:
    case Wire::kDate: return kind == Kind::kDateTimeNaive;
    case Wire::kTimestampTz: return kind == Kind::kDateTimeUtc;
    case Wire::kTime:
    case Wire::kInterval: return kind == Kind::kDuration;
    case Wire::kArray:
    case Wire::kVector:
    case Wire::kUnsupported: return false;
  }
  return false;
}

bool scalar_writable(const WireType& wire, const Type& type) {
  const Kind kind = type.kind();
  switch (wire.wire) {
    case Wire::kBool: return kind == Kind::kBool;
    case Wire::kInt2:
    case Wire::kInt4: return kind == Kind::kInt;
    case Wire::kInt8: return kind == Kind::kInt || kind == Kind::kDuration;
    case Wire::kFloat4:
    case Wire::kFloat8:
    case Wire::kNumeric: return kind == Kind::kInt || kind == Kind::kFloat;
    case Wire::kText: return kind == Kind::kStr || kind == Kind::kPointer || kind == Kind::kJson || kind == Kind::kUuid;
    case Wire::kBytea: return kind == Kind::kBytes;
    case Wire::kUuid: return kind == Kind::kUuid || kind == Kind::kStr;
    case Wire::kJson:
    case Wire::kJsonb: return kind != Kind::kStr && kind != Kind::kBytes;
    case Wire::kTimestamp: return kind == Kind::kDateTimeNaive;
    case Wire::kDate: return kind == Kind::kDateTimeNaive;
    case Wire::kTimestampTz: return kind == Kind::kDateTimeUtc;
    case Wire::kTime:
    case Wire::kInterval: return kind == Kind::kDuration;
    case Wire::kOid:
    case Wire::kArray:
    case Wire::kVector:
    case Wire::kUnsupported: return false;
  }
  return false;
}

}  // namespace

Wire wire_of(Oid oid, std::string_view name, char typtype) {
  for (const OidRow& row : kOids)
    if (row.oid == oid) return row.wire;
  if (typtype == 'e' || name == "citext") return Wire::kText;
  if (name == "vector") return Wire::kVector;
  return Wire::kUnsupported;
}

std::optional<Type> natural_type(const WireType& type) {
  switch (type.wire) {
    case Wire::kBool: return Type(Kind::kBool);
    case Wire::kInt2:
    case Wire::kInt4:
    case Wire::kInt8:
    case Wire::kOid: return Type(Kind::kInt);
    case Wire::kFloat4:
    case Wire::kFloat8:
    case Wire::kNumeric: return Type(Kind::kFloat);
    case Wire::kText: return Type(Kind::kStr);
    case Wire::kBytea: return Type(Kind::kBytes);
    case Wire::kUuid: return Type(Kind::kUuid);
    case Wire::kJson:
    case Wire::kJsonb: return Type(Kind::kJson);
    case Wire::kTimestamp:
    case Wire::kDate: return Type(Kind::kDateTimeNaive);
    case Wire::kTimestampTz: return Type(Kind::kDateTimeUtc);
    case Wire::kTime:
    case Wire::kInterval: return Type(Kind::kDuration);
    case Wire::kVector: return Type::list(Type(Kind::kFloat));
    case Wire::kArray: {
      const auto element = natural_type({.wire = type.element, .oid = type.element_oid});
      if (!element) return std::nullopt;
      return Type::list(element->as_optional());
    }
    case Wire::kUnsupported: return std::nullopt;
  }
  return std::nullopt;
}

bool readable_as(const WireType& wire, const Type& type) {
  if (type.is(Kind::kAny)) return wire.wire != Wire::kUnsupported;
  if (wire.wire == Wire::kArray || wire.wire == Wire::kVector) {
    if (type.is(Kind::kArray)) {
      const Kind element = type.element().kind();
      if (wire.wire == Wire::kVector) return element != Kind::kInt;
      return element_fits(wire, Type(element == Kind::kAny ? Kind::kFloat : element), scalar_readable);
    }
    if (!type.is(Kind::kList) && !type.is(Kind::kTuple)) return false;
    const Type element = innermost(type);
    if (wire.wire == Wire::kVector) return element.is(Kind::kFloat);
    return element_fits(wire, element, scalar_readable);
  }
  if (wire.wire == Wire::kUnsupported) return type.is(Kind::kStr);  // the server can print it
  return scalar_readable(wire, type);
}

bool writable_to(const Type& type, const WireType& wire) {
  if (type.is(Kind::kNone)) return true;
  if (wire.wire == Wire::kArray || wire.wire == Wire::kVector) {
    if (type.is(Kind::kArray)) {
      const Kind element = type.element().kind();
      if (wire.wire == Wire::kVector) return true;
      return element_fits(wire, Type(element == Kind::kAny ? Kind::kFloat : element), scalar_writable);
    }
    if (!type.is(Kind::kList) && !type.is(Kind::kTuple)) return false;
    const Type element = innermost(type);
    if (wire.wire == Wire::kVector) return element.is_number();
    return element_fits(wire, element, scalar_writable);
  }
  return scalar_writable(wire, type);
}

std::string ddl_type(const Type& type) {
  switch (type.kind()) {
    case Kind::kBool: return "BOOLEAN";
    case Kind::kInt: return "BIGINT";
    case Kind::kFloat: return "DOUBLE PRECISION";
    case Kind::kPointer:
    case Kind::kStr: return "TEXT";
    case Kind::kBytes: return "BYTEA";
    case Kind::kDateTimeNaive: return "TIMESTAMP";
    case Kind::kDateTimeUtc: return "TIMESTAMPTZ";
    case Kind::kDuration: return "BIGINT";
    case Kind::kUuid: return "UUID";
    case Kind::kJson:
    case Kind::kAny: return "JSONB";
    case Kind::kArray: return type.element().is(Kind::kInt) ? "BIGINT[]" : "DOUBLE PRECISION[]";
    case Kind::kList:
    case Kind::kTuple: {
      const Type element = innermost(type);
      if (element.is(Kind::kAny) || element.is(Kind::kNone)) return "JSONB";
      const std::string inner = ddl_type(element);
      return inner.empty() || inner.ends_with("[]") ? inner : inner + "[]";
    }
    case Kind::kNone: return "TEXT";
  }
  return "";
}

namespace {

constexpr std::int16_t kNumericNegative = 0x4000;
constexpr auto kNumericNan = static_cast<std::int16_t>(0xC000);
constexpr auto kNumericPlusInfinity = static_cast<std::int16_t>(0xD000);
constexpr auto kNumericMinusInfinity = static_cast<std::int16_t>(0xF000);

void append_group(int digits, bool leading, std::string& out) {
  char text[4];
  for (int i = 3; i >= 0; --i, digits /= 10) text[i] = static_cast<char>('0' + digits % 10);
  std::size_t from = 0;
  while (leading && from < 3 && text[from] == '0') ++from;
  out.append(text + from, 4 - from);
}

}  // namespace

std::optional<std::string> numeric_to_text(std::string_view bytes) {
  if (bytes.size() < 8) return std::nullopt;
  const auto num_digits = load_be<std::int16_t>(bytes.data());
  const int weight = load_be<std::int16_t>(bytes.data() + 2);
  const auto sign = load_be<std::int16_t>(bytes.data() + 4);
  const int scale = load_be<std::int16_t>(bytes.data() + 6);
  if (sign == kNumericNan) return "NaN";
  if (sign == kNumericPlusInfinity) return "Infinity";
  if (sign == kNumericMinusInfinity) return "-Infinity";
  if (num_digits < 0 || scale < 0 || bytes.size() != 8 + 2 * static_cast<std::size_t>(num_digits)) return std::nullopt;
  const auto group = [&](int index) -> int {
    return index >= 0 && index < num_digits ? load_be<std::int16_t>(bytes.data() + 8 + 2 * index) : 0;
  };
  std::string out = sign == kNumericNegative ? "-" : "";
  if (weight < 0) out += '0';
  for (int i = 0; i <= weight; ++i) append_group(group(i), i == 0, out);
  if (scale == 0) return out;
  out += '.';
  const std::size_t end = out.size() + static_cast<std::size_t>(scale);
  for (int i = weight + 1; out.size() < end; ++i) append_group(group(i), false, out);
  out.resize(end);
  return out;
}

namespace {

void append_special_numeric(std::int16_t sign, std::string& out) {
  append_be<std::int16_t>(0, out);
  append_be<std::int16_t>(0, out);
  append_be<std::int16_t>(sign, out);
  append_be<std::int16_t>(0, out);
}

// Digits with the place of the point: value = 0.d1d2d3… · 10^point.
struct Decimal {
  bool negative = false;
  std::string digits;
  std::int64_t point = 0;
  std::int64_t scale = 0;  // digits behind the point as written
};

constexpr std::int64_t kDecimalPointMax = 130'000;

std::optional<Decimal> parse_decimal(std::string_view text) {
  Decimal out;
  std::size_t at = 0;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) out.negative = text[at++] == '-';
  bool seen_point = false;
  bool any = false;
  for (; at < text.size() && text[at] != 'e' && text[at] != 'E'; ++at) {
    if (text[at] == '.' && !seen_point) {
      seen_point = true;
      continue;
    }
    if (text[at] < '0' || text[at] > '9') return std::nullopt;
    any = true;
    out.digits += text[at];
    (seen_point ? out.scale : out.point) += 1;
  }
  if (!any) return std::nullopt;
  if (at < text.size()) {
    std::int64_t exponent = 0;
    const char* from = text.data() + at + 1;
    if (from < text.data() + text.size() && *from == '+') ++from;
    const auto [end, error] = std::from_chars(from, text.data() + text.size(), exponent);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    if (exponent < -kDecimalPointMax || exponent > kDecimalPointMax) return std::nullopt;
    out.point += exponent;
    out.scale = std::max<std::int64_t>(0, out.scale - exponent);
  }
  if (out.point > kDecimalPointMax || out.scale > 16'383) return std::nullopt;
  return out;
}

}  // namespace

bool append_numeric(std::string_view text, std::string& out) {
  if (text == "nan") return append_special_numeric(kNumericNan, out), true;
  if (text == "inf") return append_special_numeric(kNumericPlusInfinity, out), true;
  if (text == "-inf") return append_special_numeric(kNumericMinusInfinity, out), true;
  auto decimal = parse_decimal(text);
  if (!decimal) return false;
  // Groups of four digits, counted from the point.
  const std::int64_t weight = decimal->point > 0 ? (decimal->point + 3) / 4 - 1 : -((-decimal->point) / 4) - 1;
  std::string digits(static_cast<std::size_t>((weight + 1) * 4 - decimal->point), '0');
  digits += decimal->digits;
  digits.resize((digits.size() + 3) / 4 * 4, '0');
  std::vector<std::int16_t> groups;
  for (std::size_t i = 0; i < digits.size(); i += 4)
    groups.push_back(static_cast<std::int16_t>((digits[i] - '0') * 1000 + (digits[i + 1] - '0') * 100 +
                                               (digits[i + 2] - '0') * 10 + (digits[i + 3] - '0')));
  while (!groups.empty() && groups.back() == 0) groups.pop_back();
  std::size_t first = 0;
  while (first < groups.size() && groups[first] == 0) ++first;
  groups.erase(groups.begin(), groups.begin() + static_cast<std::ptrdiff_t>(first));
  append_be<std::int16_t>(static_cast<std::int16_t>(groups.size()), out);
  append_be<std::int16_t>(static_cast<std::int16_t>(groups.empty() ? 0 : weight - static_cast<std::int64_t>(first)),
                          out);
  append_be<std::int16_t>(decimal->negative && !groups.empty() ? kNumericNegative : std::int16_t{0}, out);
  append_be<std::int16_t>(static_cast<std::int16_t>(decimal->scale), out);
  for (const std::int16_t group : groups) append_be<std::int16_t>(group, out);
  return true;
}

}  // namespace thalweg::postgres
