// connectors/file/byte_reader.h
//
// The bytes of a file in order, as they are or decompressed (`.gz`: any number of gzip members; `.zst`).
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/env.h"

namespace thalweg {

class ByteReader {
 public:
  virtual ~ByteReader() = default;
  // Bytes read; 0 only at the end.
  virtual Result<std::size_t> read(char* into, std::size_t bytes) = 0;
};

enum class Compression : std::uint8_t { kNone, kGzip, kZstd };

// By the extension.
[[nodiscard]] Compression compression_of(std::string_view path);
// Without `.gz` or `.zst`.
[[nodiscard]] std::string_view without_compression(std::string_view path);

// `file` must outlive the reader; `path` is for messages. `offset` must be 0 for compressed files.
[[nodiscard]] std::unique_ptr<ByteReader> open_bytes(ReadFile& file, const std::string& path, Compression compression,
                                                     std::uint64_t offset = 0);

}  // namespace thalweg
