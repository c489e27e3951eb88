#include "engine/types/encoding.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "engine/base/ensure.h"
#include "engine/types/encoding_marks.h"

namespace thalweg {

namespace {

void put_u64(std::uint64_t v, std::string& out) {
  char bytes[8];
  std::memcpy(bytes, &v, 8);
  out.append(bytes, 8);
}
void put_marked(Mark mark, std::uint64_t v, std::string& out) {
  out += static_cast<char>(mark);
  put_u64(v, out);
}
void put_text(Mark mark, std::string_view text, std::string& out) {
  put_marked(mark, text.size(), out);
  out += text;
}
void put_key(Mark mark, const Key& key, std::string& out) {
  put_marked(mark, key.lo, out);
  put_u64(key.hi, out);
}

std::uint64_t canonical_bits(double v) {
  if (std::isnan(v)) return 0x7FF8000000000000ULL;
  if (v == 0.0) return 0;  // -0.0 equals 0.0
  return std::bit_cast<std::uint64_t>(v);
}

void put_array(const NdArray& array, std::string& out) {
  bool ints = std::holds_alternative<std::vector<std::int64_t>>(array.data);
  put_marked(ints ? kMarkIntArray : kMarkFloatArray, array.shape.size(), out);
  for (std::int64_t n : array.shape) put_u64(static_cast<std::uint64_t>(n), out);
  if (ints) {
    for (std::int64_t v : std::get<std::vector<std::int64_t>>(array.data)) put_u64(static_cast<std::uint64_t>(v), out);
  } else {
    for (double v : std::get<std::vector<double>>(array.data)) put_u64(canonical_bits(v), out);
  }
}

std::uint8_t take_byte(std::string_view& bytes) {
  ENSURE(!bytes.empty());
  auto b = static_cast<std::uint8_t>(bytes.front());
  bytes.remove_prefix(1);
  return b;
}
std::uint64_t take_u64(std::string_view& bytes) {
  ENSURE(bytes.size() >= 8);
  std::uint64_t v;
  std::memcpy(&v, bytes.data(), 8);
  bytes.remove_prefix(8);
  return v;
}
std::string_view take_text(std::string_view& bytes) {
  std::uint64_t n = take_u64(bytes);
  ENSURE(n <= bytes.size());
  std::string_view text = bytes.substr(0, n);
  bytes.remove_prefix(n);
  return text;
}
Key take_key(std::string_view& bytes) {
  std::uint64_t lo = take_u64(bytes);
  return {take_u64(bytes), lo};
}
double take_float(std::string_view& bytes) { return std::bit_cast<double>(take_u64(bytes)); }

Value take_array(bool ints, std::string_view& bytes) {
  NdArray array;
  std::uint64_t dims = take_u64(bytes);
  std::uint64_t count = 1;
  for (std::uint64_t i = 0; i < dims; ++i) {
    array.shape.push_back(static_cast<std::int64_t>(take_u64(bytes)));
    count *= static_cast<std::uint64_t>(array.shape.back());
  }
  ENSURE(count * 8 <= bytes.size());
  if (ints) {
    std::vector<std::int64_t> data(count);
    for (auto& v : data) v = static_cast<std::int64_t>(take_u64(bytes));
    array.data = std::move(data);
  } else {
    std::vector<double> data(count);
    for (auto& v : data) v = take_float(bytes);
    array.data = std::move(data);
  }
  return Value::array(std::move(array));
}

// Rank of a mark in the value order of the language.
int rank(std::uint8_t mark) {
  switch (mark) {
    case kMarkNone: return 0;
    case kMarkBool: return 1;
    case kMarkInt: return 2;
    case kMarkFloat: return 3;
    case kMarkPointer: return 4;
    case kMarkStr: return 5;
    case kMarkBytes: return 6;
    case kMarkTuple: return 7;
    case kMarkIntArray: return 8;
    case kMarkFloatArray: return 9;
    case kMarkNaive: return 10;
    case kMarkUtc: return 11;
    case kMarkDuration: return 12;
    case kMarkJson: return 13;
    case kMarkUuid: return 14;
    case kMarkError: return 15;
    default: return 16;
  }
}

template <class T>
int order(const T& a, const T& b) {
  return a < b ? -1 : (b < a ? 1 : 0);
}
int order_floats(double a, double b) {
  bool a_nan = std::isnan(a);
  bool b_nan = std::isnan(b);
  if (a_nan || b_nan) return order(a_nan, b_nan);
  return order(a, b);
}
int order_text(std::string_view a, std::string_view b) { return order(a.compare(b), 0); }

int compare_next(std::string_view& a, std::string_view& b);

int compare_tuples(std::string_view& a, std::string_view& b) {
  std::uint64_t count_a = take_u64(a);
  std::uint64_t count_b = take_u64(b);
  for (std::uint64_t i = 0; i < count_a && i < count_b; ++i)
    if (int c = compare_next(a, b)) return c;
  return order(count_a, count_b);
}

// After a difference the cursors are of no use: the caller stops.
int compare_next(std::string_view& a, std::string_view& b) {
  std::uint8_t mark_a = take_byte(a);
  std::uint8_t mark_b = take_byte(b);
  if (mark_a != mark_b) return order(rank(mark_a), rank(mark_b));
  switch (mark_a) {
    case kMarkBool: {
      std::uint8_t x = take_byte(a);
      return order(x, take_byte(b));
    }
    case kMarkInt:
    case kMarkNaive:
    case kMarkUtc:
    case kMarkDuration: {
      auto x = static_cast<std::int64_t>(take_u64(a));
      return order(x, static_cast<std::int64_t>(take_u64(b)));
    }
    case kMarkFloat: {
      double x = take_float(a);
      return order_floats(x, take_float(b));
    }
    case kMarkPointer:
    case kMarkUuid: {
      Key x = take_key(a);
      return order(x, take_key(b));
    }
    case kMarkStr:
    case kMarkBytes:
    case kMarkJson: {
      std::string_view x = take_text(a);
      return order_text(x, take_text(b));
    }
    case kMarkTuple: return compare_tuples(a, b);
    case kMarkIntArray:
    case kMarkFloatArray: {
      std::string_view start_a = a;
      std::string_view start_b = b;
      take_array(mark_a == kMarkIntArray, a);
      take_array(mark_b == kMarkIntArray, b);
      return order_text(start_a.substr(0, start_a.size() - a.size()), start_b.substr(0, start_b.size() - b.size()));
    }
    default: return 0;
  }
}

}  // namespace

void encode_none(std::string& out) { out += static_cast<char>(kMarkNone); }
void encode_bool(bool v, std::string& out) {
  out += static_cast<char>(kMarkBool);
  out += static_cast<char>(v ? 1 : 0);
}
void encode_int(std::int64_t v, std::string& out) { put_marked(kMarkInt, static_cast<std::uint64_t>(v), out); }
void encode_float(double v, std::string& out) { put_marked(kMarkFloat, canonical_bits(v), out); }
void encode_key(const Key& v, std::string& out) { put_key(kMarkPointer, v, out); }
void encode_str(std::string_view v, std::string& out) { put_text(kMarkStr, v, out); }

void encode(const Value& value, std::string& out) {
  using Tag = Value::Tag;
  switch (value.tag()) {
    case Tag::kNone: return encode_none(out);
    case Tag::kBool: return encode_bool(value.as_bool(), out);
    case Tag::kInt: return encode_int(value.as_int(), out);
    case Tag::kFloat: return encode_float(value.as_float(), out);
    case Tag::kPointer: return encode_key(value.as_key(), out);
    case Tag::kStr: return encode_str(value.as_text(), out);
    case Tag::kBytes: return put_text(kMarkBytes, value.as_text(), out);
    case Tag::kTuple:
      put_marked(kMarkTuple, value.as_tuple().size(), out);
      for (const Value& element : value.as_tuple()) encode(element, out);
      return;
    case Tag::kArray: return put_array(value.as_array(), out);
    case Tag::kDateTimeNaive: return put_marked(kMarkNaive, static_cast<std::uint64_t>(value.as_int()), out);
    case Tag::kDateTimeUtc: return put_marked(kMarkUtc, static_cast<std::uint64_t>(value.as_int()), out);
    case Tag::kDuration: return put_marked(kMarkDuration, static_cast<std::uint64_t>(value.as_int()), out);
    case Tag::kJson: return put_text(kMarkJson, value.as_text(), out);
    case Tag::kUuid: return put_key(kMarkUuid, value.as_key(), out);
    case Tag::kError: out += static_cast<char>(kMarkError); return;
    case Tag::kPending: out += static_cast<char>(kMarkPending); return;
  }
}

void encode_cell(const Type& type, const Column& column, std::size_t row, std::string& out) {
  switch (column.tag(row)) {
    case CellTag::kNone: return encode_none(out);
    case CellTag::kError: out += static_cast<char>(kMarkError); return;
    case CellTag::kPending: out += static_cast<char>(kMarkPending); return;
    case CellTag::kValue: break;
  }
  auto put_int = [&](Mark mark) { put_marked(mark, static_cast<std::uint64_t>(column.i64()[row]), out); };
  switch (type.kind()) {
    case Kind::kNone: return encode_none(out);
    case Kind::kBool: return encode_bool(column.u8()[row] != 0, out);
    case Kind::kInt: return put_int(kMarkInt);
    case Kind::kFloat: return encode_float(column.f64()[row], out);
    case Kind::kPointer: return put_key(kMarkPointer, column.u128()[row], out);
    case Kind::kUuid: return put_key(kMarkUuid, column.u128()[row], out);
    case Kind::kStr: return put_text(kMarkStr, column.views()[row].view(), out);
    case Kind::kBytes: return put_text(kMarkBytes, column.views()[row].view(), out);
    case Kind::kJson: return put_text(kMarkJson, column.views()[row].view(), out);
    case Kind::kDateTimeNaive: return put_int(kMarkNaive);
    case Kind::kDateTimeUtc: return put_int(kMarkUtc);
    case Kind::kDuration: return put_int(kMarkDuration);
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray:
    case Kind::kAny: out += column.views()[row].view(); return;
  }
}

std::string encode(const Value& value) {
  std::string out;
  encode(value, out);
  return out;
}

Value decode(std::string_view& bytes) {
  std::uint8_t mark = take_byte(bytes);
  switch (mark) {
    case kMarkNone: return Value::none();
    case kMarkBool: return Value::of(take_byte(bytes) != 0);
    case kMarkInt: return Value::of(static_cast<std::int64_t>(take_u64(bytes)));
    case kMarkFloat: return Value::of(take_float(bytes));
    case kMarkPointer: return Value::of(take_key(bytes));
    case kMarkStr: return Value::str(std::string(take_text(bytes)));
    case kMarkBytes: return Value::bytes(std::string(take_text(bytes)));
    case kMarkTuple: {
      std::uint64_t count = take_u64(bytes);
      std::vector<Value> elements;
      for (std::uint64_t i = 0; i < count; ++i) elements.push_back(decode(bytes));
      return Value::tuple(std::move(elements));
    }
    case kMarkIntArray: return take_array(true, bytes);
    case kMarkFloatArray: return take_array(false, bytes);
    case kMarkNaive: return Value::datetime_naive(static_cast<std::int64_t>(take_u64(bytes)));
    case kMarkUtc: return Value::datetime_utc(static_cast<std::int64_t>(take_u64(bytes)));
    case kMarkDuration: return Value::duration(static_cast<std::int64_t>(take_u64(bytes)));
    case kMarkJson: return Value::json(std::string(take_text(bytes)));
    case kMarkUuid: return Value::uuid(take_key(bytes));
    case kMarkError: return Value::error();
    case kMarkPending: return Value::pending();
    default: UNREACHABLE();
  }
}

Value decode_all(std::string_view bytes) {
  Value value = decode(bytes);
  ENSURE(bytes.empty());
  return value;
}

namespace {

// Moves past `n` bytes; false: there are not as many.
bool skip(std::string_view& bytes, std::uint64_t n) {
  if (n > bytes.size()) return false;
  bytes.remove_prefix(n);
  return true;
}
bool skip_counted(std::string_view& bytes) {
  if (bytes.size() < 8) return false;
  return skip(bytes, take_u64(bytes));
}

bool skip_array(std::string_view& bytes) {
  if (bytes.size() < 8) return false;
  std::uint64_t dims = take_u64(bytes);
  if (dims > bytes.size() / 8) return false;
  bool empty = false;
  std::uint64_t count = 1;
  for (std::uint64_t i = 0; i < dims; ++i) {
    std::uint64_t size = take_u64(bytes);
    empty |= size == 0;
    if (size > std::uint64_t{1} << 62 || __builtin_mul_overflow(count, std::max<std::uint64_t>(size, 1), &count))
      return false;
  }
  if (empty) return true;
  return count <= bytes.size() / 8 && skip(bytes, count * 8);
}

bool skip_value(std::string_view& bytes, int depth) {
  if (bytes.empty() || depth > kEncodingDepthMax) return false;
  switch (take_byte(bytes)) {
    case kMarkNone:
    case kMarkError:
    case kMarkPending: return true;
    case kMarkBool: return skip(bytes, 1);
    case kMarkInt:
    case kMarkFloat:
    case kMarkNaive:
    case kMarkUtc:
    case kMarkDuration: return skip(bytes, 8);
    case kMarkPointer:
    case kMarkUuid: return skip(bytes, 16);
    case kMarkStr:
    case kMarkBytes:
    case kMarkJson: return skip_counted(bytes);
    case kMarkIntArray:
    case kMarkFloatArray: return skip_array(bytes);
    case kMarkTuple: {
      if (bytes.size() < 8) return false;
      std::uint64_t count = take_u64(bytes);
      if (count > bytes.size()) return false;
      for (std::uint64_t i = 0; i < count; ++i)
        if (!skip_value(bytes, depth + 1)) return false;
      return true;
    }
    default: return false;
  }
}

}  // namespace

bool is_encoding(std::string_view bytes) { return skip_value(bytes, 0) && bytes.empty(); }

int compare_encoded(std::string_view a, std::string_view b) {
  if (a == b) return 0;
  return compare_next(a, b);
}

}  // namespace thalweg
