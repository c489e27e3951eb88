#include "daemon/rest/route.h"

#include <algorithm>
#include <charconv>

#include "engine/base/ensure.h"

namespace thalweg::daemon {
namespace {

std::vector<std::string_view> split_path(std::string_view path) {
  std::vector<std::string_view> out;
  while (!path.empty()) {
    path.remove_prefix(1);
    std::size_t end = std::min(path.find('/'), path.size());
    if (end > 0) out.push_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

bool is_parameter(std::string_view part) { return part.starts_with('{'); }

bool fits(const std::vector<std::string_view>& pattern, const std::vector<std::string>& segments) {
  return std::equal(
      pattern.begin(), pattern.end(), segments.begin(), segments.end(),
      [](std::string_view part, const std::string& segment) { return is_parameter(part) || part == segment; });
}

std::size_t parameters_of(const std::vector<std::string_view>& pattern) {
  return static_cast<std::size_t>(std::ranges::count_if(pattern, is_parameter));
}

const QueryParameter* find_parameter(const Route& route, std::string_view name) {
  for (const QueryParameter& parameter : route.query) {
    if (parameter.name == name) return &parameter;
    if (parameter.name.ends_with('.') && name.starts_with(parameter.name) && name != parameter.name) return &parameter;
  }
  return nullptr;
}

}  // namespace

const std::string& Call::in_path(std::string_view name) const {
  for (const auto& [key, value] : path)
    if (key == name) return value;
  UNREACHABLE();
}

const std::string* Call::find(std::string_view name) const {
  for (const auto& [key, value] : query)
    if (key == name) return &value;
  return nullptr;
}

Checked<std::uint64_t> Call::number(std::string_view name, std::uint64_t fallback, std::uint64_t max) const {
  const std::string* text = find(name);
  if (!text) return fallback;
  std::uint64_t value = 0;
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size() || text->empty())
    return refuse(400, "invalid_parameter", "`" + std::string(name) + "` is not a whole number: `" + *text + "`");
  if (value > max)
    return refuse(400, "invalid_parameter", "`" + std::string(name) + "` is at most " + std::to_string(max));
  return value;
}

Checked<bool> Call::flag(std::string_view name) const {
  const std::string* text = find(name);
  if (!text || *text == "false" || *text == "0") return false;
  if (*text == "true" || *text == "1" || text->empty()) return true;
  return refuse(400, "invalid_parameter", "`" + std::string(name) + "` is true or false, not `" + *text + "`");
}

Match match(const std::vector<Route>& routes, std::string_view method, const std::vector<std::string>& segments) {
  Match out;
  std::string_view wanted = method == "HEAD" ? "GET" : method;
  // A path that is spelt out comes before one with a parameter in its place, whatever their methods.
  std::size_t fewest = segments.size();
  for (const Route& route : routes)
    if (std::vector<std::string_view> pattern = split_path(route.path); fits(pattern, segments))
      fewest = std::min(fewest, parameters_of(pattern));
  for (const Route& route : routes) {
    std::vector<std::string_view> pattern = split_path(route.path);
    if (!fits(pattern, segments) || parameters_of(pattern) > fewest) continue;
    if (route.method != wanted) {
      out.allow += (out.allow.empty() ? "" : ", ") + std::string(route.method);
      if (route.method == "GET") out.allow += ", HEAD";
      continue;
    }
    out.route = &route;
    for (std::size_t i = 0; i < pattern.size(); ++i)
      if (is_parameter(pattern[i])) out.path.emplace_back(pattern[i].substr(1, pattern[i].size() - 2), segments[i]);
    return out;
  }
  return out;
}

std::optional<Problem> check_query(const Route& route, const std::vector<std::pair<std::string, std::string>>& query) {
  for (std::size_t i = 0; i < query.size(); ++i) {
    const std::string& name = query[i].first;
    if (!find_parameter(route, name)) {
      std::vector<std::string> known;
      for (const QueryParameter& parameter : route.query) known.emplace_back(parameter.name);
      return Problem{400, "unknown_parameter", "unknown query parameter `" + name + "`", suggestion(name, known), 0, 0};
    }
    for (std::size_t j = 0; j < i; ++j)
      if (query[j].first == name)
        return Problem{400, "repeated_parameter", "query parameter `" + name + "` is given twice", "", 0, 0};
  }
  return std::nullopt;
}

}  // namespace thalweg::daemon
