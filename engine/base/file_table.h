// engine/base/file_table.h
//
// The texts that spans point into. Filled while files are loaded, read-only afterwards.
// Threads  adding is not synchronised; reading is free for all once loading is over.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/source_span.h"

namespace thalweg {

struct LineColumn {
  std::uint32_t line = 0;    // from 1; 0 if unknown
  std::uint32_t column = 0;  // from 1, in code points
};

class FileTable {
 public:
  // `name` is what diagnostics print, as the user gave it.
  FileId add(std::string name, std::string text);

  [[nodiscard]] std::string_view name(FileId id) const;
  [[nodiscard]] std::string_view text(FileId id) const;
  [[nodiscard]] LineColumn locate(FileId id, std::uint32_t offset) const;
  [[nodiscard]] LineColumn locate(const SourceSpan& span) const { return locate(span.file, span.begin); }
  // The whole line (without its end) that holds `offset`.
  [[nodiscard]] std::string_view line_at(FileId id, std::uint32_t offset) const;

 private:
  struct File {
    std::string name;
    std::string text;
    std::vector<std::uint32_t> line_starts;
  };
  [[nodiscard]] const File* find(FileId id) const;
  [[nodiscard]] std::size_t line_index(const File& file, std::uint32_t offset) const;

  std::deque<File> files_;
};

}  // namespace thalweg
