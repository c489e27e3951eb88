// engine/types/type.h
//
// The types of the language. A type is a small value: kind, optional flag, and shared arguments for composites.
//
// T1  INT is a subtype of FLOAT, T of T | None, NONE of every optional, tuple of list where all elements fit,
//     everything of any. BOOL is not a subtype of INT.
// T2  common_supertype is the least type both fit; none for unrelated types (an error for the caller to report).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace thalweg {

enum class Kind : std::uint8_t {
  kNone,  // only the literal None
  kBool,
  kInt,
  kFloat,
  kPointer,
  kStr,
  kBytes,
  kTuple,  // args: one type per element
  kList,   // args: the element type
  kArray,  // args: int, float or any; dims
  kDateTimeNaive,
  kDateTimeUtc,
  kDuration,
  kUuid,
  kJson,
  kAny,
};

// How a column of a kind lies in memory.
enum class Phys : std::uint8_t {
  kU8,    // bool; None-only columns
  kI64,   // int, datetimes, durations (nanoseconds)
  kF64,   // float
  kU128,  // pointer, uuid
  kView,  // str, bytes, json (compact text), tuple, list, array, any (encoded, see encoding.h)
};

class Type {
 public:
  Type() = default;                                                                                   // None
  Type(Kind kind, bool optional = false) : kind_(kind), optional_(optional && kind != Kind::kAny) {}  // NOLINT
  static Type tuple(std::vector<Type> elements);
  static Type list(Type element);
  static Type array(Kind element = Kind::kAny, int dims = -1);  // element: int, float or any; -1 dims: any number

  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool optional() const { return optional_; }
  [[nodiscard]] bool is(Kind kind) const { return kind_ == kind; }  // optional or not
  [[nodiscard]] bool is_plain(Kind kind) const { return kind_ == kind && !optional_; }
  [[nodiscard]] bool admits_none() const { return optional_ || kind_ == Kind::kNone || kind_ == Kind::kAny; }
  [[nodiscard]] Type as_optional() const;
  [[nodiscard]] Type without_optional() const;
  [[nodiscard]] const std::vector<Type>& args() const;
  [[nodiscard]] int dims() const { return dims_; }
  [[nodiscard]] Type element() const;  // of a list or array; of a tuple the common supertype of its elements, or any
  [[nodiscard]] Phys phys() const;
  [[nodiscard]] bool is_number() const { return kind_ == Kind::kInt || kind_ == Kind::kFloat; }
  [[nodiscard]] bool is_datetime() const { return kind_ == Kind::kDateTimeNaive || kind_ == Kind::kDateTimeUtc; }
  [[nodiscard]] bool is_encoded() const;  // tuple, list, array, any

  [[nodiscard]] std::string to_text() const;  // `int | None`, `list[str]`, `tuple[int, str]`, `array[float, 2]`
  friend bool operator==(const Type& a, const Type& b);

 private:
  Kind kind_ = Kind::kNone;
  bool optional_ = false;
  std::int8_t dims_ = -1;
  std::shared_ptr<const std::vector<Type>> args_;
};

[[nodiscard]] bool is_subtype(const Type& sub, const Type& super);
[[nodiscard]] std::optional<Type> common_supertype(const Type& a, const Type& b);
// Reads every accepted spelling of a type (`int | None`, `Optional[int]`, `pw.DateTimeUtc`, `VARCHAR`, …).
[[nodiscard]] std::optional<Type> type_from_text(std::string_view text);
[[nodiscard]] std::string_view kind_name(Kind kind);  // `int`, `datetime_utc`, …

}  // namespace thalweg
