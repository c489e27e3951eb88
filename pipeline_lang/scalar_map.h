// pipeline_lang/scalar_map.h
//
// From places in a decoded YAML scalar back to places in the file: quotes, escapes, folding and indentation undone.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/base/file_table.h"

namespace thalweg::lang {

class ScalarMap {
 public:
  // `scalar` is where the scalar stands, quotes or block indicator included. Without `files` every place is all of it.
  ScalarMap(std::string_view decoded, SourceSpan scalar, const FileTable* files);
  // The file's bytes behind decoded[begin, end).
  [[nodiscard]] SourceSpan at(std::size_t begin, std::size_t end) const;
  [[nodiscard]] bool exact() const { return !offsets_.empty(); }

 private:
  SourceSpan scalar_;
  std::vector<std::uint32_t> offsets_;  // one per decoded byte and one for the end; empty: unknown
};

}  // namespace thalweg::lang
