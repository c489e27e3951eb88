// llm/filter/jmes_node.h
//
// A JMESPath expression as a tree, and the functions it may call.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "engine/base/result.h"

namespace thalweg::llm {

enum class JmesKind : std::uint8_t {
  kCurrent,
  kField,             // text
  kLiteral,           // literal
  kSub,               // kids: left, right
  kIndex,             // number[0]
  kSlice,             // number[0..2]: start, stop, step
  kProjection,        // kids: list, what of each
  kValueProjection,   // kids: object, what of each
  kFilterProjection,  // kids: list, what of each, condition
  kFlatten,           // kids: list of lists
  kOr,
  kAnd,
  kNot,
  kCompare,     // text: `==` …
  kPipe,        // kids: left, right
  kList,        // kids
  kHash,        // kids, names
  kCall,        // text, kids
  kExpression,  // `&expr`, an argument
};

struct JmesNode {
  JmesKind kind = JmesKind::kCurrent;
  std::string text;
  nlohmann::json literal;
  std::vector<std::shared_ptr<const JmesNode>> kids;
  std::vector<std::string> names;
  std::optional<std::int64_t> number[3];
};
using JmesNodePtr = std::shared_ptr<const JmesNode>;

[[nodiscard]] Result<JmesNodePtr> parse_jmes(std::string_view text);
[[nodiscard]] Result<nlohmann::json> evaluate_jmes(const JmesNode& node, const nlohmann::json& value);
[[nodiscard]] bool is_true(const nlohmann::json& value);  // JMESPath's truth

// How many arguments a function takes; nothing: there is no such function.
struct JmesArity {
  std::size_t min = 0, max = 0;
};
[[nodiscard]] std::optional<JmesArity> jmes_arity(std::string_view function);
// `by`: the expression behind `&`, if there was one among the arguments; its place in `args` is null.
[[nodiscard]] Result<nlohmann::json> call_jmes(const std::string& function, std::vector<nlohmann::json> args,
                                               const JmesNode* by);

}  // namespace thalweg::llm
