#include <cmath>

#include <fmt/format.h>

#include "llm/filter/jmes_node.h"

namespace thalweg::llm {

using nlohmann::json;

bool is_true(const json& value) {
  if (value.is_null()) return false;
  if (value.is_boolean()) return value.get<bool>();
  if (value.is_string()) return !value.get_ref<const std::string&>().empty();
  if (value.is_array() || value.is_object()) return !value.empty();
  return true;
}

namespace {

json index_of(const json& value, std::int64_t index) {
  if (!value.is_array()) return nullptr;
  const auto size = static_cast<std::int64_t>(value.size());
  if (index < 0) index += size;
  return index >= 0 && index < size ? value[static_cast<std::size_t>(index)] : json(nullptr);
}

Result<json> slice_of(const JmesNode& node, const json& value) {
  if (!value.is_array()) return json(nullptr);
  const auto size = static_cast<std::int64_t>(value.size());
  const std::int64_t step = node.number[2].value_or(1);
  if (step == 0) return fail(Code::kInvalidArgument, "the step of a slice is not 0");
  const auto bound = [&](std::int64_t at) {
    if (at < 0) at = std::max<std::int64_t>(at + size, step < 0 ? -1 : 0);
    return std::min(at, step < 0 ? size - 1 : size);
  };
  const std::int64_t begin = node.number[0] ? bound(*node.number[0]) : step < 0 ? size - 1 : 0;
  const std::int64_t end = node.number[1] ? bound(*node.number[1]) : step < 0 ? -1 : size;
  json out = json::array();
  for (std::int64_t at = begin; step < 0 ? at > end : at < end; at += step)
    out.push_back(value[static_cast<std::size_t>(at)]);
  return out;
}

json compared(const std::string& sign, const json& a, const json& b) {
  if (sign == "==") return a == b;
  if (sign == "!=") return a != b;
  if (!a.is_number() || !b.is_number()) return nullptr;
  if (sign == "<") return a < b;
  if (sign == "<=") return a <= b;
  if (sign == ">") return a > b;
  return a >= b;
}

Result<json> projection(const JmesNode& node, const json& value) {
  const json of = TRY(evaluate_jmes(*node.kids[0], value));
  const bool by_value = node.kind == JmesKind::kValueProjection;
  if (by_value ? !of.is_object() : !of.is_array()) return json(nullptr);
  json out = json::array();
  for (const json& item : of) {
    if (node.kind == JmesKind::kFilterProjection && !is_true(TRY(evaluate_jmes(*node.kids[2], item)))) continue;
    json one = TRY(evaluate_jmes(*node.kids[1], item));
    if (!one.is_null()) out.push_back(std::move(one));
  }
  return out;
}

Result<json> call(const JmesNode& node, const json& value) {
  std::vector<json> args;
  const JmesNode* by = nullptr;
  for (const JmesNodePtr& kid : node.kids) {
    if (kid->kind == JmesKind::kExpression) {
      by = kid->kids[0].get();
      args.emplace_back(nullptr);
    } else {
      args.push_back(TRY(evaluate_jmes(*kid, value)));
    }
  }
  return call_jmes(node.text, std::move(args), by);
}

}  // namespace

Result<json> evaluate_jmes(const JmesNode& node, const json& value) {
  switch (node.kind) {
    case JmesKind::kCurrent: return value;
    case JmesKind::kField: {
      if (!value.is_object()) return json(nullptr);
      const auto it = value.find(node.text);
      return it == value.end() ? json(nullptr) : *it;
    }
    case JmesKind::kLiteral: return node.literal;
    case JmesKind::kSub:
    case JmesKind::kPipe: {
      const json left = TRY(evaluate_jmes(*node.kids[0], value));
      if (node.kind == JmesKind::kSub && left.is_null()) return json(nullptr);
      return evaluate_jmes(*node.kids[1], left);
    }
    case JmesKind::kIndex: return index_of(value, *node.number[0]);
    case JmesKind::kSlice: return slice_of(node, value);
    case JmesKind::kProjection:
    case JmesKind::kValueProjection:
    case JmesKind::kFilterProjection: return projection(node, value);
    case JmesKind::kFlatten: {
      const json of = TRY(evaluate_jmes(*node.kids[0], value));
      if (!of.is_array()) return json(nullptr);
      json out = json::array();
      for (const json& item : of) {
        if (item.is_array())
          out.insert(out.end(), item.begin(), item.end());
        else
          out.push_back(item);
      }
      return out;
    }
    case JmesKind::kOr:
    case JmesKind::kAnd: {
      json left = TRY(evaluate_jmes(*node.kids[0], value));
      if (is_true(left) == (node.kind == JmesKind::kOr)) return left;
      return evaluate_jmes(*node.kids[1], value);
    }
    case JmesKind::kNot: return json(!is_true(TRY(evaluate_jmes(*node.kids[0], value))));
    case JmesKind::kCompare: {
      const json left = TRY(evaluate_jmes(*node.kids[0], value));
      return compared(node.text, left, TRY(evaluate_jmes(*node.kids[1], value)));
    }
    case JmesKind::kList: {
      if (value.is_null()) return json(nullptr);
      json out = json::array();
      for (const JmesNodePtr& kid : node.kids) out.push_back(TRY(evaluate_jmes(*kid, value)));
      return out;
    }
    case JmesKind::kHash: {
      if (value.is_null()) return json(nullptr);
      json out = json::object();
      for (std::size_t i = 0; i < node.kids.size(); ++i) out[node.names[i]] = TRY(evaluate_jmes(*node.kids[i], value));
      return out;
    }
    case JmesKind::kCall: return call(node, value);
    case JmesKind::kExpression: return fail(Code::kInvalidArgument, "`&` stands before an argument of a function");
  }
  return json(nullptr);
}

}  // namespace thalweg::llm
