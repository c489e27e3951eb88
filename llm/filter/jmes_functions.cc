#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "engine/expr/unicode.h"
#include "llm/filter/jmes_node.h"
#include "llm/filter/jmespath.h"

namespace thalweg::llm {

using nlohmann::json;

namespace {

using JmesArgs = std::vector<json>;
constexpr std::size_t kAny = 1000;

// What a function wants of its arguments, one letter each: n number, s text, a list, o object, N list of numbers,
// S list of texts, L list of numbers or of texts, c text, list or object, t text or list, x anything, & an expression.
// The last one goes for all further ones.
struct Row {
  std::string_view name;
  JmesArity arity;
  std::string_view wants;
};
constexpr Row kRows[] = {
    {"abs", {1, 1}, "n"},        {"avg", {1, 1}, "N"},      {"ceil", {1, 1}, "n"},       {"contains", {2, 2}, "yx"},
    {"ends_with", {2, 2}, "ys"}, {"floor", {1, 1}, "n"},    {"join", {2, 2}, "sS"},      {"keys", {1, 1}, "o"},
    {"length", {1, 1}, "c"},     {"map", {2, 2}, "&a"},     {"max", {1, 1}, "L"},        {"max_by", {2, 2}, "a&"},
    {"merge", {1, kAny}, "o"},   {"min", {1, 1}, "L"},      {"min_by", {2, 2}, "a&"},    {"not_null", {1, kAny}, "x"},
    {"reverse", {1, 1}, "t"},    {"sort", {1, 1}, "L"},     {"sort_by", {2, 2}, "a&"},   {"starts_with", {2, 2}, "ys"},
    {"sum", {1, 1}, "N"},        {"to_array", {1, 1}, "x"}, {"to_number", {1, 1}, "x"},  {"to_string", {1, 1}, "x"},
    {"type", {1, 1}, "x"},       {"values", {1, 1}, "o"},   {"globmatch", {2, 2}, "sy"}, {"lower", {1, 1}, "s"},
    {"upper", {1, 1}, "s"},
};

const Row* find_row(std::string_view name) {
  const auto* it = std::ranges::find(kRows, name, &Row::name);
  return it == std::end(kRows) ? nullptr : it;
}

bool all_of(const json& list, bool (json::*is)() const noexcept) {
  return list.is_array() && std::ranges::all_of(list, [&](const json& item) { return (item.*is)(); });
}

bool fits(char want, const json& value) {
  switch (want) {
    case 'n': return value.is_number();
    case 's': return value.is_string();
    case 'a': return value.is_array();
    case 'o': return value.is_object();
    case 'N': return all_of(value, &json::is_number);
    case 'S': return all_of(value, &json::is_string);
    case 'L': return all_of(value, &json::is_number) || all_of(value, &json::is_string);
    case 'c': return value.is_string() || value.is_array() || value.is_object();
    case 't': return value.is_string() || value.is_array();
    case 'y': return value.is_string() || value.is_array() || value.is_null();
    default: return true;
  }
}

std::string type_name(const json& value) {
  if (value.is_null()) return "null";
  return value.type_name();
}

json to_number(const json& value) {
  if (value.is_number()) return value;
  if (!value.is_string()) return nullptr;
  json number = json::parse(value.get_ref<const std::string&>(), nullptr, false);
  return number.is_number() ? number : json(nullptr);
}

std::string in_case(const std::string& text, bool upper) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto point = expr::code_point_at(text, at);
    upper ? expr::append_upper(point.value, out) : expr::append_lower(point.value, out);
    at += point.bytes;
  }
  return out;
}

json total(const json& list) {
  double sum = 0;
  bool whole = true;
  std::int64_t exact = 0;
  for (const json& item : list) {
    sum += item.get<double>();
    whole = whole && item.is_number_integer() && !__builtin_add_overflow(exact, item.get<std::int64_t>(), &exact);
  }
  return whole ? json(exact) : json(sum);
}

Result<json> by_expression(const std::string& name, const json& list, const JmesNode* by) {
  if (by == nullptr) return fail(Code::kInvalidArgument, fmt::format("`{}` wants an `&expression`", name));
  if (name == "map") {
    json out = json::array();
    for (const json& item : list) out.push_back(TRY(evaluate_jmes(*by, item)));
    return out;
  }
  std::vector<std::pair<json, const json*>> keyed;
  for (const json& item : list) keyed.emplace_back(TRY(evaluate_jmes(*by, item)), &item);
  for (const auto& [key, item] : keyed)
    if (key.type() != keyed.front().first.type() && !(key.is_number() && keyed.front().first.is_number()))
      return fail(Code::kInvalidArgument, fmt::format("`{}` wants keys of one type", name));
  for (const auto& [key, item] : keyed)
    if (!key.is_number() && !key.is_string())
      return fail(Code::kInvalidArgument, fmt::format("`{}` wants numbers or texts as keys", name));
  const auto less = [](const auto& a, const auto& b) { return a.first < b.first; };
  if (name == "sort_by") {
    std::ranges::stable_sort(keyed, less);
    json out = json::array();
    for (const auto& [key, item] : keyed) out.push_back(*item);
    return out;
  }
  if (keyed.empty()) return json(nullptr);
  const auto it = name == "max_by" ? std::ranges::max_element(keyed, less) : std::ranges::min_element(keyed, less);
  return *it->second;
}

json on_text(const std::string& name, const JmesArgs& args) {
  const json& of = args[0];
  if (name == "contains") {
    if (of.is_array()) return std::ranges::find(of, args[1]) != of.end();
    if (!of.is_string() || !args[1].is_string()) return false;
    return of.get_ref<const std::string&>().find(args[1].get_ref<const std::string&>()) != std::string::npos;
  }
  if (name == "lower" || name == "upper") return in_case(of.get_ref<const std::string&>(), name == "upper");
  if (name == "globmatch")
    return args[1].is_string() && glob_match(of.get_ref<const std::string&>(), args[1].get_ref<const std::string&>());
  if (name == "join") {
    std::string out;
    for (std::size_t i = 0; i < args[1].size(); ++i)
      out += (i > 0 ? of.get_ref<const std::string&>() : "") + args[1][i].get<std::string>();
    return out;
  }
  if (!of.is_string()) return false;
  const auto& text = of.get_ref<const std::string&>();
  const auto& part = args[1].get_ref<const std::string&>();
  return name == "starts_with" ? text.starts_with(part) : text.ends_with(part);
}

json on_number(const std::string& name, const json& of) {
  if (name == "abs")
    return of.is_number_integer() ? json(std::abs(of.get<std::int64_t>())) : json(std::abs(of.get<double>()));
  const double value = name == "ceil" ? std::ceil(of.get<double>()) : std::floor(of.get<double>());
  if (std::abs(value) < 9e15) return static_cast<std::int64_t>(value);
  return value;
}

json on_list(const std::string& name, const json& of) {
  if (name == "sum") return total(of);
  if (name == "avg") return of.empty() ? json(nullptr) : json(total(of).get<double>() / static_cast<double>(of.size()));
  if (name == "length")
    return of.is_string() ? json(expr::count_code_points(of.get_ref<const std::string&>())) : json(of.size());
  if (name == "reverse" && of.is_string()) {
    const auto& text = of.get_ref<const std::string&>();
    std::string out;
    for (std::int64_t i = expr::count_code_points(text); i-- > 0;) out += expr::slice_text(text, i, i + 1);
    return out;
  }
  if (name == "keys" || name == "values") {
    json out = json::array();
    for (const auto& [key, value] : of.items()) out.push_back(name == "keys" ? json(key) : value);
    return out;
  }
  json out = of;
  if (name == "reverse") {
    std::ranges::reverse(out);
    return out;
  }
  if (name == "sort") {
    std::sort(out.begin(), out.end());
    return out;
  }
  if (of.empty()) return nullptr;
  return name == "max" ? *std::max_element(of.begin(), of.end()) : *std::min_element(of.begin(), of.end());
}

}  // namespace

std::optional<JmesArity> jmes_arity(std::string_view function) {
  const Row* row = find_row(function);
  if (row == nullptr) return std::nullopt;
  return row->arity;
}

Result<json> call_jmes(const std::string& function, JmesArgs args, const JmesNode* by) {
  const Row& row = *find_row(function);
  for (std::size_t i = 0; i < args.size(); ++i) {
    const char want = row.wants[std::min(i, row.wants.size() - 1)];
    if (!fits(want, args[i]))
      return fail(Code::kInvalidArgument,
                  fmt::format("`{}` does not take a {} as argument {}", function, type_name(args[i]), i + 1));
    if (want == '&') return by_expression(function, args[1 - i], by);
  }
  if (row.wants.size() == 2 && row.wants[1] == '&') return by_expression(function, args[0], by);
  if (row.wants == "n") return on_number(function, args[0]);
  if (row.wants[0] == 's' || row.wants[0] == 'y') return on_text(function, args);
  if (function == "merge") {
    json out = json::object();
    for (const json& part : args) out.update(part);
    return out;
  }
  if (function == "not_null") {
    const auto it = std::ranges::find_if(args, [](const json& value) { return !value.is_null(); });
    return it == args.end() ? json(nullptr) : *it;
  }
  if (function == "to_array") return args[0].is_array() ? args[0] : json::array({args[0]});
  if (function == "to_number") return to_number(args[0]);
  if (function == "to_string") return args[0].is_string() ? args[0] : json(args[0].dump());
  if (function == "type") return json(type_name(args[0]));
  return on_list(function, args[0]);
}

}  // namespace thalweg::llm
