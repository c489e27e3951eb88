// llm/filter/jmespath.h
//
// JMESPath over JSON: the whole language with its functions, and what filters on documents add: `globmatch(pattern,
// path)`, numbers without backticks, and texts in backticks that are no JSON.
//
// J1  No input crashes or recurses without bound: 64 KiB of text, 100 levels.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

#include "engine/base/result.h"

namespace thalweg::llm {

struct JmesNode;

class JmesPath {
 public:
  [[nodiscard]] static Result<JmesPath> parse(std::string_view text);
  [[nodiscard]] Result<nlohmann::json> search(const nlohmann::json& document) const;

 private:
  explicit JmesPath(std::shared_ptr<const JmesNode> root) : root_(std::move(root)) {}
  std::shared_ptr<const JmesNode> root_;
};

// Whether a path matches: `*` and `?` stand for any characters, `/` included, `**` for any folders, `[…]` for one of a
// set; `{a,b}` for either.
[[nodiscard]] bool glob_match(std::string_view pattern, std::string_view path);

// `filter` and `glob` as one filter; either may be empty. An error if the filter is no JMESPath.
[[nodiscard]] Result<std::string> merge_filters(std::string_view filter, std::string_view glob);

}  // namespace thalweg::llm
