// engine/base/source_span.h
//
// A place in a loaded text. Offsets are bytes; line and column are computed on demand by FileTable, so a span
// costs 12 bytes on every node of every tree.
#pragma once

#include <cstdint>

namespace thalweg {

using FileId = std::uint32_t;
inline constexpr FileId kNoFile = 0;  // file ids begin at 1

struct SourceSpan {
  FileId file = kNoFile;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;

  [[nodiscard]] bool known() const { return file != kNoFile; }
  friend bool operator==(const SourceSpan&, const SourceSpan&) = default;
};

}  // namespace thalweg
