// engine/types/encoding.h
//
// The typed encoding of values: what keys hash, and how tuples, lists, arrays and `any` cells lie in columns.
//
// A value is a kind byte and a payload, all little-endian:
//   0x00 None · 0x01 Bool u8 · 0x02 Int i64 · 0x03 Float f64 (-0.0 as 0.0, NaN canonical) · 0x04 Pointer 16 bytes
//   0x05 Str u64 length, bytes · 0x06 Bytes likewise · 0x07 Tuple u64 count, values · 0x08 Int array u64 dims,
//   u64 sizes, i64s · 0x09 Float array likewise · 0x0A DateTimeNaive i64 · 0x0B DateTimeUtc i64 · 0x0C Duration i64
//   0x0D Json u64 length, compact text · 0x0E Uuid 16 bytes · 0x0F Error · 0x10 Pending
// Canonical: equal values have equal bytes.
#pragma once

#include <string>
#include <string_view>

#include "engine/types/column.h"
#include "engine/types/value.h"

namespace thalweg {

void encode(const Value& value, std::string& out);
[[nodiscard]] std::string encode(const Value& value);
// Reads one value and advances `bytes`. The bytes are ours: broken ones are a broken invariant.
[[nodiscard]] Value decode(std::string_view& bytes);
[[nodiscard]] Value decode_all(std::string_view bytes);
// Exactly one well-formed value, of tuples no deeper than kEncodingDepthMax: bytes that `decode_all` may be given.
[[nodiscard]] bool is_encoding(std::string_view bytes);
inline constexpr int kEncodingDepthMax = 256;
// Compares two encoded values in the order of `compare` without building them.
[[nodiscard]] int compare_encoded(std::string_view a, std::string_view b);

// One cell of a column of this type; what encode(column.value(type, row)) gives, without the value.
void encode_cell(const Type& type, const Column& column, std::size_t row, std::string& out);

// Writers for the data path.
void encode_none(std::string& out);
void encode_bool(bool v, std::string& out);
void encode_int(std::int64_t v, std::string& out);
void encode_float(double v, std::string& out);
void encode_key(const Key& v, std::string& out);
void encode_str(std::string_view v, std::string& out);

}  // namespace thalweg
