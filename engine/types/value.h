// engine/types/value.h
//
// One cell, for edges, literals and messages; never on the data path (columns are).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "engine/types/key.h"
#include "engine/types/type.h"

namespace thalweg {

class Value;

struct NdArray {
  std::vector<std::int64_t> shape;
  std::variant<std::vector<std::int64_t>, std::vector<double>> data;  // row-major
  friend bool operator==(const NdArray&, const NdArray&) = default;
};

// The kinds a cell can have at run time, in the value order of the language: None < Bool < Int < …
class Value {
 public:
  enum class Tag : std::uint8_t {
    kNone,
    kBool,
    kInt,
    kFloat,
    kPointer,
    kStr,
    kBytes,
    kTuple,
    kArray,
    kDateTimeNaive,
    kDateTimeUtc,
    kDuration,
    kJson,
    kUuid,
    kError,
    kPending,
  };

  Value() = default;  // None
  static Value none() { return {}; }
  static Value error() { return Value(Tag::kError, std::monostate{}); }
  static Value pending() { return Value(Tag::kPending, std::monostate{}); }
  static Value of(bool v) { return Value(Tag::kBool, v); }
  static Value of(std::int64_t v) { return Value(Tag::kInt, v); }
  static Value of(double v) { return Value(Tag::kFloat, v); }
  static Value of(Key v) { return Value(Tag::kPointer, v); }
  static Value str(std::string v) { return Value(Tag::kStr, std::move(v)); }
  static Value bytes(std::string v) { return Value(Tag::kBytes, std::move(v)); }
  static Value json(std::string compact_text) { return Value(Tag::kJson, std::move(compact_text)); }
  static Value uuid(Key v) { return Value(Tag::kUuid, v); }
  static Value datetime_naive(std::int64_t ns) { return Value(Tag::kDateTimeNaive, ns); }
  static Value datetime_utc(std::int64_t ns) { return Value(Tag::kDateTimeUtc, ns); }
  static Value duration(std::int64_t ns) { return Value(Tag::kDuration, ns); }
  static Value tuple(std::vector<Value> elements);  // lists too
  static Value array(NdArray array);

  [[nodiscard]] Tag tag() const { return tag_; }
  [[nodiscard]] bool is_none() const { return tag_ == Tag::kNone; }
  [[nodiscard]] bool is_error() const { return tag_ == Tag::kError; }
  [[nodiscard]] bool as_bool() const { return std::get<bool>(v_); }
  [[nodiscard]] std::int64_t as_int() const { return std::get<std::int64_t>(v_); }  // also datetimes, durations
  [[nodiscard]] double as_float() const { return std::get<double>(v_); }
  [[nodiscard]] const Key& as_key() const { return std::get<Key>(v_); }                   // also uuid
  [[nodiscard]] const std::string& as_text() const { return std::get<std::string>(v_); }  // str, bytes, json
  [[nodiscard]] const std::vector<Value>& as_tuple() const {
    return *std::get<std::shared_ptr<const std::vector<Value>>>(v_);
  }
  [[nodiscard]] const NdArray& as_array() const { return *std::get<std::shared_ptr<const NdArray>>(v_); }

  // Python-like text: `True`, `1.0`, `None`, ISO datetimes with nine digits. This is to_string() of the language.
  [[nodiscard]] std::string to_text() const;
  // Equal as cells: NaN equals NaN, 1 differs from 1.0 and True, ERROR equals ERROR.
  friend bool operator==(const Value& a, const Value& b);

 private:
  using Storage = std::variant<std::monostate, bool, std::int64_t, double, Key, std::string,
                               std::shared_ptr<const std::vector<Value>>, std::shared_ptr<const NdArray>>;
  Value(Tag tag, Storage v) : tag_(tag), v_(std::move(v)) {}
  Tag tag_ = Tag::kNone;
  Storage v_;
};

// The total order of the language: by tag, then by value; floats total with NaN largest; arrays and json by hash.
[[nodiscard]] int compare(const Value& a, const Value& b);
// Key over values: pointer_from(values…).
[[nodiscard]] Key key_of_values(const std::vector<Value>& values);

}  // namespace thalweg
