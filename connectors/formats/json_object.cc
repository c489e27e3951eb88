#include "connectors/formats/json_object.h"

#include "connectors/formats/format.h"
#include "connectors/formats/json_scan.h"

namespace thalweg::json {

std::optional<JsonObject> JsonObject::parse(std::string_view text) {
  if (!is_utf8(text)) return std::nullopt;
  std::string line(text);
  line += '\n';  // the scanners want a line of a sealed block
  line.append(kBlockPadding, '\0');
  bool ignored = false;
  const char* p = skip_blanks(line.data());
  if (*p != '{') return std::nullopt;
  const char* end = skip_value(p, ignored);
  if (end == nullptr || static_cast<std::size_t>(skip_blanks(end) - line.data()) != text.size()) return std::nullopt;
  JsonObject out;
  p = skip_blanks(p + 1);
  while (*p == '"') {
    bool escaped = false;
    const char* key_end = string_end(p + 1, escaped);
    std::string key(p + 1, key_end);
    if (std::string plain; escaped) {
      if (!unescape(key, plain)) return std::nullopt;
      key = std::move(plain);
    }
    p = skip_blanks(skip_blanks(key_end + 1) + 1);
    const char* value_end = skip_value(p, ignored);
    out.members_.emplace_back(std::move(key), std::string(p, value_end));
    p = skip_blanks(value_end);
    if (*p == ',') p = skip_blanks(p + 1);
  }
  return out;
}

std::string_view JsonObject::find(std::string_view name) const {
  for (auto member = members_.rbegin(); member != members_.rend(); ++member)
    if (member->first == name) return member->second;
  return {};
}

}  // namespace thalweg::json
