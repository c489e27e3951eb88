// llm/parsers/zip.h
//
// The files of a ZIP archive in memory: stored and deflated ones, by its directory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace thalweg::llm {

class Zip {
 public:
  [[nodiscard]] static Result<Zip> open(std::string_view bytes);
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] bool has(std::string_view name) const;
  // At most 64 MiB each, 256 MiB of one archive.
  [[nodiscard]] Result<std::string> read(std::string_view name);

 private:
  struct Entry {
    std::string name;
    std::uint16_t method = 0;
    std::uint64_t packed = 0, size = 0, at = 0;
  };
  std::string_view bytes_;
  std::vector<Entry> entries_;
  std::uint64_t left_ = 256ULL << 20;
};

}  // namespace thalweg::llm
