// connectors/formats/json_object.h
//
// The members of one JSON object, as JSON texts: for messages of a protocol, where a few members are looked at.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace thalweg::json {

class JsonObject {
 public:
  // Nothing if the text is no JSON object (RFC 8259, 127 levels, UTF-8).
  [[nodiscard]] static std::optional<JsonObject> parse(std::string_view text);
  // The value of the last member of this name; empty if there is none. Lives as long as the object, also if that moves.
  [[nodiscard]] std::string_view find(std::string_view name) const;
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& members() const { return members_; }

 private:
  std::vector<std::pair<std::string, std::string>> members_;
};

}  // namespace thalweg::json
