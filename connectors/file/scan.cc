#include "connectors/file/scan.h"

#include <algorithm>
#include <set>

namespace thalweg {

namespace {

constexpr int kDepthMax = 64;

std::string join(const std::string& directory, const std::string& name) {
  if (directory.empty()) return name;
  return directory.back() == '/' ? directory + name : directory + "/" + name;
}

// Reads `[…]` at `pattern[at]` for `c`; `at` is moved past it. An unclosed bracket is itself.
bool matches_class(std::string_view pattern, std::size_t& at, char c) {
  std::size_t i = at + 1;
  bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negated) ++i;
  std::size_t close = pattern.find(']', i + 1);
  if (close == std::string_view::npos) {
    ++at;
    return c == '[';
  }
  bool found = false;
  for (; i < close; ++i) {
    if (i + 2 < close && pattern[i + 1] == '-') {
      found |= pattern[i] <= c && c <= pattern[i + 2];
      i += 2;
    } else {
      found |= pattern[i] == c;
    }
  }
  at = close + 1;
  return found != negated;
}

class Scanner {
 public:
  Scanner(Disk& disk, const FileSelection& selection) : disk_(disk), selection_(selection) {}

  Result<ScanResult> run() {
    if (is_pattern(selection_.path))
      TRY(expand(selection_.path));
    else
      TRY(plain(selection_.path));
    auto& files = result_.files;
    std::sort(files.begin(), files.end(), [](const FoundFile& a, const FoundFile& b) {
      return a.stat.mtime_ns != b.stat.mtime_ns ? a.stat.mtime_ns < b.stat.mtime_ns : a.path < b.path;
    });
    auto& directories = result_.directories;
    std::sort(directories.begin(), directories.end());
    directories.erase(std::unique(directories.begin(), directories.end()), directories.end());
    return std::move(result_);
  }

 private:
  Result<void> plain(const std::string& path) {
    auto stat = disk_.stat(path);
    if (!stat && stat.error().code == Code::kNotFound) {
      result_.root_missing = true;
      return {};
    }
    if (!stat) return fail(std::move(stat).error());
    if (!stat->is_directory) {
      if (!stat->is_regular) return fail(Code::kInvalidArgument, "'" + path + "' is not a regular file");
      add(path, *stat);
      return {};
    }
    return walk(path, *stat, 0);
  }

  // All files below a directory. Only the root's error is an error.
  Result<void> walk(const std::string& directory, const FileStat& stat, int depth) {
    if (depth > kDepthMax || !visited_.insert({stat.device, stat.inode}).second) return {};
    auto names = disk_.list(directory);
    if (!names && depth == 0) return fail(std::move(names).error());
    if (!names) {
      result_.warnings.push_back(names.error().message);
      return {};
    }
    result_.directories.push_back(directory);
    for (const std::string& name : *names) {
      if (name.starts_with('.')) continue;
      std::string path = join(directory, name);
      auto found = disk_.stat(path);
      if (!found) {
        if (found.error().code != Code::kNotFound) result_.warnings.push_back(found.error().message);
        continue;
      }
      if (found->is_directory)
        TRY(walk(path, *found, depth + 1));
      else if (found->is_regular && matches_name(selection_.object_pattern, name))
        add(path, *found);
    }
    return {};
  }

  Result<void> expand(const std::string& pattern) {
    std::vector<std::string> parts;
    std::size_t at = 0;
    while (at <= pattern.size()) {
      std::size_t slash = std::min(pattern.find('/', at), pattern.size());
      if (slash > at) parts.push_back(pattern.substr(at, slash - at));
      at = slash + 1;
    }
    return match(pattern.starts_with('/') ? "/" : "", parts, 0, 0);
  }

  // Names in `directory` against parts[at…].
  Result<void> match(const std::string& directory, const std::vector<std::string>& parts, std::size_t at, int depth) {
    if (depth > kDepthMax) return {};
    const std::string& part = parts[at];
    const bool last = at + 1 == parts.size();
    if (!is_pattern(part)) return found(join(directory, part), parts, at, last, depth);
    auto names = disk_.list(directory.empty() ? "." : directory);
    if (!names) {
      if (names.error().code == Code::kNotFound) {
        result_.root_missing |= depth == 0;
        return {};
      }
      if (first_list_) return fail(std::move(names).error());
      result_.warnings.push_back(names.error().message);
      return {};
    }
    first_list_ = false;
    result_.directories.push_back(directory.empty() ? "." : directory);
    const bool deep = part == "**";
    if (deep && !last) TRY(match(directory, parts, at + 1, depth + 1));
    for (const std::string& name : *names) {
      if (name.starts_with('.') && !part.starts_with('.')) continue;
      if (deep)
        TRY(below(join(directory, name), parts, at, last, depth));
      else if (matches_name(part, name))
        TRY(found(join(directory, name), parts, at, last, depth));
    }
    return {};
  }

  // A name that `**` takes: it goes on in directories, and as the last part it means the files too.
  Result<void> below(const std::string& path, const std::vector<std::string>& parts, std::size_t at, bool last,
                     int depth) {
    auto stat = disk_.stat(path);
    if (!stat) return {};
    if (stat->is_directory) return match(path, parts, at, depth + 1);
    if (last && stat->is_regular) add(path, *stat);
    return {};
  }

  Result<void> found(const std::string& path, const std::vector<std::string>& parts, std::size_t at, bool last,
                     int depth) {
    auto stat = disk_.stat(path);
    if (!stat) {
      if (stat.error().code != Code::kNotFound) result_.warnings.push_back(stat.error().message);
      return {};
    }
    if (!last) return stat->is_directory ? match(path, parts, at + 1, depth + 1) : Result<void>{};
    if (stat->is_directory) return walk(path, *stat, 1);
    if (stat->is_regular) add(path, *stat);
    return {};
  }

  void add(const std::string& path, const FileStat& stat) {
    if (paths_.insert(path).second) result_.files.push_back({path, stat});
  }

  Disk& disk_;
  const FileSelection& selection_;
  ScanResult result_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> visited_;  // device, inode: links may go round
  std::set<std::string> paths_;
  bool first_list_ = true;
};

}  // namespace

bool is_pattern(std::string_view path) { return path.find_first_of("*?[") != std::string_view::npos; }

bool matches_name(std::string_view pattern, std::string_view name) {
  // Greedy with one point to go back to: the last `*`.
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_name = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_name = n;
      continue;
    }
    bool hit = false;
    std::size_t next = p + 1;
    if (p < pattern.size() && pattern[p] == '[') {
      next = p;
      hit = matches_class(pattern, next, name[n]);
    } else if (p < pattern.size()) {
      hit = pattern[p] == '?' || pattern[p] == name[n];
    }
    if (hit) {
      p = next;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++star_name;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool matches_path(std::string_view pattern, std::string_view path) {
  if (pattern.empty()) return true;
  const std::size_t part_end = std::min(pattern.find('/'), pattern.size());
  const std::string_view part = pattern.substr(0, part_end);
  const std::string_view left = pattern.substr(std::min(part_end + 1, pattern.size()));
  const std::size_t name_end = std::min(path.find('/'), path.size());
  const std::string_view name = path.substr(0, name_end);
  const std::string_view below = path.substr(std::min(name_end + 1, path.size()));
  if (part == "**") {
    if (matches_path(left, path)) return true;
    return name_end < path.size() && matches_path(pattern, below);
  }
  if (!matches_name(part, name)) return false;
  return left.empty() || (name_end < path.size() && matches_path(left, below));
}

std::string parent_directory(std::string_view path) {
  std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

Result<ScanResult> scan_files(Disk& disk, const FileSelection& selection) {
  return selection.find ? selection.find() : Scanner(disk, selection).run();
}

}  // namespace thalweg
