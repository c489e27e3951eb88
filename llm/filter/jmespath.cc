#include "llm/filter/jmespath.h"

#include <vector>

#include "llm/filter/jmes_node.h"

namespace thalweg::llm {

Result<JmesPath> JmesPath::parse(std::string_view text) { return JmesPath(TRY(parse_jmes(text))); }

Result<nlohmann::json> JmesPath::search(const nlohmann::json& document) const {
  return evaluate_jmes(*root_, document);
}

namespace {

// `[…]` at pattern[at]: whether `c` is in it; `at` moves behind it. A `[` without end is itself.
bool in_set(std::string_view pattern, std::size_t& at, char c) {
  std::size_t i = at + 1;
  const bool negated = i < pattern.size() && (pattern[i] == '!' || pattern[i] == '^');
  if (negated) ++i;
  const std::size_t end = pattern.find(']', i + 1);
  if (end == std::string_view::npos) {
    ++at;
    return c == '[';
  }
  bool found = false;
  for (; i < end; ++i) {
    if (i + 2 < end && pattern[i + 1] == '-') {
      found = found || (c >= pattern[i] && c <= pattern[i + 2]);
      i += 2;
    } else {
      found = found || c == pattern[i];
    }
  }
  at = end + 1;
  return found != negated;
}

// Without braces; in pattern times path.
bool plain_match(std::string_view pattern, std::string_view path) {
  // Which beginnings of the path what was read of the pattern matches, by length.
  std::vector<char> now(path.size() + 1), next;
  now[0] = 1;
  for (std::size_t at = 0; at < pattern.size();) {
    next.assign(path.size() + 1, 0);
    if (pattern.substr(at, 3) == "**/" && (at == 0 || pattern[at - 1] == '/')) {  // any folders, or none
      bool inside = false;
      for (std::size_t i = 0; i <= path.size(); ++i) {
        next[i] = static_cast<char>(now[i] != 0 || (inside && path[i - 1] == '/'));
        inside = inside || now[i] != 0;
      }
      at += 3;
    } else if (pattern[at] == '*') {
      bool reached = false;
      for (std::size_t i = 0; i <= path.size(); ++i) {
        reached = reached || now[i] != 0;
        next[i] = static_cast<char>(reached);
      }
      while (at < pattern.size() && pattern[at] == '*') ++at;
    } else {
      std::size_t behind = at + 1;
      for (std::size_t i = 0; i < path.size(); ++i) {
        if (pattern[at] == '[') behind = at;
        const bool same =
            pattern[at] == '[' ? in_set(pattern, behind, path[i]) : pattern[at] == '?' || pattern[at] == path[i];
        next[i + 1] = static_cast<char>(now[i] != 0 && same);
      }
      if (path.empty()) return false;
      at = behind;
    }
    now.swap(next);
  }
  return now[path.size()] != 0;
}

bool match(std::string_view pattern, std::string_view path, int braces_left) {
  const std::size_t open = pattern.find('{');
  const std::size_t close = open == std::string_view::npos ? open : pattern.find('}', open);
  if (close == std::string_view::npos || braces_left == 0) return plain_match(pattern, path);
  std::string_view inner = pattern.substr(open + 1, close - open - 1);
  for (;;) {
    const std::size_t comma = inner.find(',');
    const std::string one = std::string(pattern.substr(0, open)) + std::string(inner.substr(0, comma)) +
                            std::string(pattern.substr(close + 1));
    if (match(one, path, braces_left - 1)) return true;
    if (comma == std::string_view::npos) return false;
    inner.remove_prefix(comma + 1);
  }
}

}  // namespace

bool glob_match(std::string_view pattern, std::string_view path) {
  constexpr std::size_t kPatternMax = 4096;
  constexpr int kBracesMax = 4;
  return pattern.size() <= kPatternMax && match(pattern, path, kBracesMax);
}

Result<std::string> merge_filters(std::string_view filter, std::string_view glob) {
  std::string out;
  if (!filter.empty()) {
    TRY(JmesPath::parse(filter));
    if (glob.empty()) return std::string(filter);
    out = "(" + std::string(filter) + ") && ";
  }
  if (glob.empty()) return out;
  out += "globmatch('";
  for (const char c : glob) out += c == '\'' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return out + "', path)";
}

}  // namespace thalweg::llm
