// connectors/postgres/wire.h
//
// The binary forms of Postgres's types: which one a column has, and whole numbers in network order.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include "engine/types/type.h"

namespace thalweg::postgres {

using Oid = std::uint32_t;

// How a value lies in the binary protocol.
enum class Wire : std::uint8_t {
  kBool,
  kInt2,
  kInt4,
  kInt8,
  kOid,
  kFloat4,
  kFloat8,
  kNumeric,
  kText,  // text, varchar, bpchar, name, xml, citext, enums
  kBytea,
  kUuid,
  kJson,
  kJsonb,
  kTimestamp,
  kTimestampTz,
  kDate,
  kTime,
  kInterval,
  kArray,
  kVector,       // pgvector
  kUnsupported,  // has a form that is not read here
};

struct WireType {
  Wire wire = Wire::kUnsupported;
  Oid oid = 0;
  Wire element = Wire::kUnsupported;  // kArray
  Oid element_oid = 0;
  std::int32_t length_max = -1;  // kText: characters, where the column limits them
};

inline constexpr std::int64_t kEpochUs = 946'684'800'000'000;  // 2000-01-01, where Postgres counts from, since 1970
inline constexpr std::int64_t kEpochDays = 10'957;

// By OID; types that extensions and users make are told by their name and kind (`e` for enums).
[[nodiscard]] Wire wire_of(Oid oid, std::string_view name, char typtype);
// The type that a column has where no schema says otherwise; none if it cannot be read.
[[nodiscard]] std::optional<Type> natural_type(const WireType& type);
// A type that a schema may declare for such a column.
[[nodiscard]] bool readable_as(const WireType& wire, const Type& type);
[[nodiscard]] bool writable_to(const Type& type, const WireType& wire);
// What CREATE TABLE says for a column of this type; empty if there is nothing.
[[nodiscard]] std::string ddl_type(const Type& type);

template <class T>
[[nodiscard]] T load_be(const char* p) {
  std::make_unsigned_t<T> v;
  std::memcpy(&v, p, sizeof v);
  if constexpr (sizeof(T) == 2) v = __builtin_bswap16(v);
  if constexpr (sizeof(T) == 4) v = __builtin_bswap32(v);
  if constexpr (sizeof(T) == 8) v = __builtin_bswap64(v);
  return static_cast<T>(v);
}

template <class T>
void append_be(T value, std::string& out) {
  auto v = static_cast<std::make_unsigned_t<T>>(value);
  if constexpr (sizeof(T) == 2) v = __builtin_bswap16(v);
  if constexpr (sizeof(T) == 4) v = __builtin_bswap32(v);
  if constexpr (sizeof(T) == 8) v = __builtin_bswap64(v);
  out.append(reinterpret_cast<const char*>(&v), sizeof v);
}

template <class T>
void store_be(T value, char* at) {
  auto v = static_cast<std::make_unsigned_t<T>>(value);
  if constexpr (sizeof(T) == 4) v = __builtin_bswap32(v);
  if constexpr (sizeof(T) == 8) v = __builtin_bswap64(v);
  std::memcpy(at, &v, sizeof v);
}

// numeric: base 10,000 digits. Text as Postgres prints it, `NaN`, `Infinity`; none if the bytes are broken.
[[nodiscard]] std::optional<std::string> numeric_to_text(std::string_view bytes);
// `text` is a decimal number, maybe with an exponent, or nan or an infinity. False if it is none.
[[nodiscard]] bool append_numeric(std::string_view text, std::string& out);

}  // namespace thalweg::postgres
