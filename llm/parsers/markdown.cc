// Markdown → a part per section, with the headings that it stands under; a head of YAML is left out.
#include <vector>

#include <nlohmann/json.hpp>

#include "llm/parsers/parsers.h"

namespace thalweg::llm {

namespace {

// The level of a heading (`## …`), 0 for another line.
std::size_t level_of(std::string_view line) {
  constexpr std::size_t kLevels = 6;
  const std::size_t level = std::min(line.find_first_not_of('#'), line.size());
  if (level == 0 || level > kLevels) return 0;
  return level == line.size() || line[level] == ' ' || line[level] == '\t' ? level : 0;
}

std::string title_of(std::string_view line, std::size_t level) {
  line.remove_prefix(level);
  while (!line.empty() && (line.back() == ' ' || line.back() == '#' || line.back() == '\r')) line.remove_suffix(1);
  while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
  return std::string(line);
}

}  // namespace

Result<ParsedParts> parse_markdown(std::string_view bytes) {
  if (bytes.starts_with("\xEF\xBB\xBF")) bytes.remove_prefix(3);
  if (!is_valid_utf8(bytes)) return fail(Code::kBadData, "the document is no UTF-8 text");
  if (bytes.starts_with("---\n"))
    if (const std::size_t end = bytes.find("\n---\n", 3); end != std::string_view::npos) bytes.remove_prefix(end + 5);
  ParsedParts out;
  std::vector<std::pair<std::size_t, std::string>> headings;
  std::string text, fence;
  const auto close = [&] {
    if (text.find_first_not_of(" \t\r\n") != std::string::npos) {
      nlohmann::json names = nlohmann::json::array();
      for (const auto& [level, name] : headings) names.push_back(name);
      out.push_back({text, nlohmann::json{{"filetype", "text/markdown"}, {"headings", names}}.dump()});
    }
    text.clear();
  };
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    const std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
    const std::size_t indent = std::min(line.find_first_not_of(' '), line.size());
    const std::string_view start = line.substr(indent, 3);
    if (start == "```" || start == "~~~") {
      if (fence.empty())
        fence = start;
      else if (fence == start)
        fence.clear();
    }
    if (const std::size_t level = fence.empty() ? level_of(line) : 0; level > 0) {
      close();
      while (!headings.empty() && headings.back().first >= level) headings.pop_back();
      headings.emplace_back(level, title_of(line, level));
    }
    text += line;
    text += '\n';
  }
  close();
  return out;
}

}  // namespace thalweg::llm
