// connectors/file/scan.h
//
// Which files a path means: itself, all files below a directory, or those that a pattern matches.
//
// Patterns: `*` and `?` within a name, `[a-z]`, `[!a]`, and `**` for any number of directories. Names that begin with a
// dot are left out of directories and wildcards (writers use them for what is not finished), unless the pattern spells
// the dot.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/env.h"

namespace thalweg {

struct FoundFile {
  std::string path;
  FileStat stat;
};

struct ScanResult {
  std::vector<FoundFile> files;          // by mtime, then path
  std::vector<std::string> directories;  // that were listed, for watching
  std::vector<std::string> warnings;     // below the root: what could not be looked at
  bool root_missing = false;
};

struct FileSelection {
  std::string path;                  // as given
  std::string object_pattern = "*";  // of names below a directory
  // Where files do not lie in directories: finds them instead.
  std::function<Result<ScanResult>()> find;
};

// Errors are those of the root: kPermission, kIo. A root that is not there gives root_missing.
[[nodiscard]] Result<ScanResult> scan_files(Disk& disk, const FileSelection& selection);
[[nodiscard]] bool is_pattern(std::string_view path);
// One name against one pattern component (no `/`).
[[nodiscard]] bool matches_name(std::string_view pattern, std::string_view name);
// A path against all of a pattern; what lies below a directory that matches does, too.
[[nodiscard]] bool matches_path(std::string_view pattern, std::string_view path);
// The directory above, `.` or `/` at the top.
[[nodiscard]] std::string parent_directory(std::string_view path);

}  // namespace thalweg
