#include "engine/expr/json_elements.h"

namespace thalweg::expr {

// Cells of type json are valid compact json, so it is enough to find commas outside of texts and brackets.
bool for_each_json_element(std::string_view json, const std::function<void(std::string_view)>& visit) {
  if (json.size() < 2 || json.front() != '[' || json.back() != ']') return false;
  std::string_view inside = json.substr(1, json.size() - 2);
  if (inside.empty()) return true;
  std::size_t begin = 0;
  int depth = 0;
  bool in_text = false;
  for (std::size_t i = 0; i < inside.size(); ++i) {
    char c = inside[i];
    if (in_text) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_text = false;
    } else if (c == '"') {
      in_text = true;
    } else if (c == '[' || c == '{') {
      ++depth;
    } else if (c == ']' || c == '}') {
      --depth;
    } else if (c == ',' && depth == 0) {
      visit(inside.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  visit(inside.substr(begin));
  return true;
}

}  // namespace thalweg::expr
