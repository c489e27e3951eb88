#include "connectors/http/access.h"

#include "connectors/formats/text_value.h"
#include "connectors/setting_reader.h"

namespace thalweg::web {
namespace {

bool same_secret(std::string_view given, std::string_view wanted) {
  unsigned char differs = given.size() == wanted.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i)
    differs |= static_cast<unsigned char>(given[i] ^ (wanted.empty() ? '\1' : wanted[i % wanted.size()]));
  return differs == 0;
}

// What follows the scheme in an Authorization header; the scheme's name is case-insensitive.
std::string_view after_scheme(std::string_view header, std::string_view scheme) {
  if (header.size() <= scheme.size() || header[scheme.size()] != ' ') return {};
  if (!net::same_field_name(header.substr(0, scheme.size()), scheme)) return {};
  header.remove_prefix(scheme.size());
  while (header.starts_with(' ')) header.remove_prefix(1);
  return header;
}

std::string text_of(const Setting& value) { return value.as_text() != nullptr ? *value.as_text() : value.spelling; }

}  // namespace

bool Access::admits(const net::HttpRequest& request) const {
  if (open()) return true;
  bool admitted = false;  // all are compared: the time tells nothing
  const std::string* header = request.headers.find("Authorization");
  const std::string* key = request.headers.find("X-API-Key");
  const std::string_view bearer = header != nullptr ? after_scheme(*header, "Bearer") : std::string_view();
  for (const std::string& known : api_keys) {
    if (!bearer.empty()) admitted = same_secret(bearer, known) || admitted;
    if (key != nullptr) admitted = same_secret(*key, known) || admitted;
  }
  const std::string_view encoded = header != nullptr ? after_scheme(*header, "Basic") : std::string_view();
  if (encoded.empty()) return admitted;
  const auto decoded = base64_decode(encoded);
  if (!decoded) return admitted;
  for (const auto& [user, password] : users) admitted = same_secret(*decoded, user + ":" + password) || admitted;
  return admitted;
}

std::string_view Access::challenge() const {
  return users.empty() ? R"(Bearer realm="thalweg")" : R"(Basic realm="thalweg", charset="UTF-8")";
}

Access access_from(const Setting& auth) {
  Access out;
  const SettingReader read(auth);
  for (std::string& key : read.texts("api_keys"))
    if (!key.empty()) out.api_keys.push_back(std::move(key));
  const Setting* basic = auth.find("basic");
  if (basic == nullptr) return out;
  if (const Setting::List* list = basic->as_list()) {
    for (const Setting& one : *list)
      out.users.emplace_back(SettingReader(one).text("user"), SettingReader(one).text("password"));
  } else if (const Setting::Map* map = basic->as_map()) {
    const Setting* user = basic->find("user");
    const Setting* password = basic->find("password");
    if (map->size() == 2 && user != nullptr && password != nullptr)
      out.users.emplace_back(text_of(*user), text_of(*password));
    else
      for (const auto& [name, secret] : *map) out.users.emplace_back(name, text_of(secret));
  }
  std::erase_if(out.users, [](const auto& one) { return one.first.empty() || one.second.empty(); });
  return out;
}

}  // namespace thalweg::web
