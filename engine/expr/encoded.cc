#include "engine/expr/encoded.h"

#include <cstring>

#include "engine/types/encoding_marks.h"

namespace thalweg::expr {
namespace {

std::uint64_t u64_at(std::string_view bytes, std::size_t at) {
  ENSURE(at + 8 <= bytes.size());
  std::uint64_t v;
  std::memcpy(&v, bytes.data() + at, 8);
  return v;
}
template <class T>
T payload(std::string_view value) {
  ENSURE(value.size() >= 1 + sizeof(T));
  T v;
  std::memcpy(&v, value.data() + 1, sizeof v);
  return v;
}
Key payload_key(std::string_view value) { return {u64_at(value, 9), u64_at(value, 1)}; }
std::string_view payload_text(std::string_view value) { return value.substr(9); }

std::size_t encoded_size(std::string_view bytes) {
  ENSURE(!bytes.empty());
  switch (static_cast<Mark>(bytes[0])) {
    case kMarkNone:
    case kMarkError:
    case kMarkPending: return 1;
    case kMarkBool: return 2;
    case kMarkInt:
    case kMarkFloat:
    case kMarkNaive:
    case kMarkUtc:
    case kMarkDuration: return 9;
    case kMarkPointer:
    case kMarkUuid: return 17;
    case kMarkStr:
    case kMarkBytes:
    case kMarkJson: return 9 + u64_at(bytes, 1);
    case kMarkIntArray:
    case kMarkFloatArray: {
      std::uint64_t dims = u64_at(bytes, 1);
      std::uint64_t count = 1;
      for (std::uint64_t i = 0; i < dims; ++i) count *= u64_at(bytes, 9 + 8 * i);
      return 9 + 8 * dims + 8 * count;
    }
    case kMarkTuple: {
      std::uint64_t count = u64_at(bytes, 1);
      std::size_t at = 9;
      for (std::uint64_t i = 0; i < count; ++i) at += encoded_size(bytes.substr(at));
      return at;
    }
  }
  UNREACHABLE();
}

void put_u64(Mark mark, std::uint64_t v, std::string& out) {
  out += static_cast<char>(mark);
  out.append(reinterpret_cast<const char*>(&v), 8);
}
Mark mark_of_kind(Kind kind) {
  switch (kind) {
    case Kind::kBool: return kMarkBool;
    case Kind::kInt: return kMarkInt;
    case Kind::kFloat: return kMarkFloat;
    case Kind::kPointer: return kMarkPointer;
    case Kind::kStr: return kMarkStr;
    case Kind::kBytes: return kMarkBytes;
    case Kind::kTuple:
    case Kind::kList: return kMarkTuple;
    case Kind::kDateTimeNaive: return kMarkNaive;
    case Kind::kDateTimeUtc: return kMarkUtc;
    case Kind::kDuration: return kMarkDuration;
    case Kind::kUuid: return kMarkUuid;
    case Kind::kJson: return kMarkJson;
    case Kind::kArray: return kMarkIntArray;
    case Kind::kNone:
    case Kind::kAny: return kMarkNone;
  }
  UNREACHABLE();
}

}  // namespace

std::string_view take_encoded(std::string_view& bytes) {
  std::size_t size = encoded_size(bytes);
  ENSURE(size <= bytes.size());
  std::string_view one = bytes.substr(0, size);
  bytes.remove_prefix(size);
  return one;
}

std::uint64_t tuple_size(std::string_view tuple) { return u64_at(tuple, 1); }

std::string_view tuple_element(std::string_view tuple, std::uint64_t index) {
  std::string_view rest = tuple.substr(9);
  for (std::uint64_t i = 0; i < index; ++i) (void)take_encoded(rest);
  return take_encoded(rest);
}

std::vector<std::string_view> tuple_elements(std::string_view tuple) {
  std::vector<std::string_view> elements;
  std::uint64_t count = tuple_size(tuple);
  elements.reserve(count);
  std::string_view rest = tuple.substr(9);
  for (std::uint64_t i = 0; i < count; ++i) elements.push_back(take_encoded(rest));
  return elements;
}

void begin_tuple(std::uint64_t count, std::string& out) { put_u64(kMarkTuple, count, out); }

bool push_encoded(const Type& type, std::string_view value, ColumnBuilder& out) {
  Mark mark = static_cast<Mark>(value[0]);
  if (mark == kMarkNone) return out.push_none(), true;
  if (mark == kMarkError) return out.push_error(), true;
  if (mark == kMarkPending) return out.push_tagged(CellTag::kPending), true;
  if (type.is(Kind::kAny)) return out.push_text(value), true;
  if (type.is(Kind::kFloat) && mark == kMarkInt)
    return out.push_float(static_cast<double>(payload<std::int64_t>(value))), true;
  bool float_array = type.is(Kind::kArray) && mark == kMarkFloatArray;
  if (mark != mark_of_kind(type.kind()) && !float_array) return false;
  switch (mark) {
    case kMarkBool: out.push_bool(value[1] != 0); break;
    case kMarkInt:
    case kMarkNaive:
    case kMarkUtc:
    case kMarkDuration: out.push_int(payload<std::int64_t>(value)); break;
    case kMarkFloat: out.push_float(payload<double>(value)); break;
    case kMarkPointer:
    case kMarkUuid: out.push_key(payload_key(value)); break;
    case kMarkStr:
    case kMarkBytes:
    case kMarkJson: out.push_text(payload_text(value)); break;
    case kMarkTuple:
    case kMarkIntArray:
    case kMarkFloatArray: out.push_text(value); break;
    case kMarkNone:
    case kMarkError:
    case kMarkPending: return false;
  }
  return true;
}

}  // namespace thalweg::expr
