// engine/base/file_births.h
//
// When files were made: an ability of disks that know it. Not part of FileStat, because only metadata asks for it and
// the answer costs a call of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/env.h"

namespace thalweg {

class FileBirths {
 public:
  virtual ~FileBirths() = default;
  // Nothing: the file system does not keep it, or the file is gone.
  virtual std::optional<std::int64_t> birth_ns(const std::string& path) = 0;
};

// Nothing, too, if the disk does not have the ability.
[[nodiscard]] std::optional<std::int64_t> birth_ns(Disk& disk, const std::string& path);

}  // namespace thalweg
