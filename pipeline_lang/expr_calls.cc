// Calls: functions, methods, and the forms that evaluate only what they need.
#include <algorithm>

#include "engine/base/edit_distance.h"
#include "engine/expr/function_table.h"
#include "pipeline_lang/expr_checker.h"
#include "pipeline_lang/object.h"

namespace thalweg::lang {
namespace {

constexpr std::string_view kNamespaces[] = {"str", "num", "dt", "json"};

bool is_namespace(std::string_view name) {
  return std::find(std::begin(kNamespaces), std::end(kNamespaces), name) != std::end(kNamespaces);
}

std::optional<plan::ExprKind> special_form(std::string_view function) {
  using plan::ExprKind;
  if (function == "if_else") return ExprKind::kIf;
  if (function == "and") return ExprKind::kAnd;
  if (function == "or") return ExprKind::kOr;
  if (function == "coalesce") return ExprKind::kCoalesce;
  if (function == "require") return ExprKind::kRequire;
  if (function == "fill_error") return ExprKind::kFillError;
  return std::nullopt;
}

std::vector<std::string> function_names(bool methods) {
  std::vector<std::string> out;
  for (const auto& doc : expr::all_functions()) {
    if (methods && !doc.is_method) continue;
    out.push_back(doc.name);
    out.insert(out.end(), doc.aliases.begin(), doc.aliases.end());
  }
  if (!methods)
    for (auto& name : reducer_names()) out.push_back(std::move(name));
  return out;
}

// A constant pattern, format, zone or unit that is none is found before anything runs.
Result<void> check_constants(const std::string& function, const std::vector<plan::ExprPtr>& args, const Type& result,
                             SourceSpan at) {
  std::vector<Type> types;
  std::vector<const Value*> constants;
  for (const auto& arg : args) {
    types.push_back(arg->type);
    constants.push_back(arg->kind == plan::ExprKind::kLiteral ? &arg->literal : nullptr);
  }
  const expr::KernelInfo* kernel = expr::find_kernel(function, types, result);
  if (kernel == nullptr || !kernel->prepare) return {};
  auto prepared = kernel->prepare(constants);
  if (prepared) return {};
  if (std::ranges::any_of(args, [](const plan::ExprPtr& arg) { return plan::holds_secret(*arg); }))
    return fail(Code::kInvalidPipeline, "`" + function + "` does not take this secret", at);
  return fail(std::move(prepared).error().at(at));
}

}  // namespace

Result<std::vector<Checker::Argument>> Checker::arguments(const Syntax* receiver, const Syntax& call) {
  std::vector<Argument> out;
  if (receiver != nullptr) out.push_back({TRY(check(*receiver)), {}});
  for (std::size_t i = 1; i < call.children.size(); ++i) {
    const Syntax& arg = *call.children[i];
    if (arg.kind == SyntaxKind::kType)
      out.push_back({plan::literal(Value::str(arg.text), Kind::kStr, span(arg)), call.names[i - 1]});
    else
      out.push_back({TRY(check(arg)), call.names[i - 1]});
  }
  return out;
}

Result<plan::ExprPtr> Checker::apply(const std::string& function, std::vector<Argument> args,
                                     const Syntax& syntax) const {
  std::vector<expr::Argument> shapes;
  for (const auto& arg : args) {
    const bool constant = arg.expr->kind == plan::ExprKind::kLiteral && !arg.expr->secret;
    shapes.push_back({arg.expr->type, constant ? &arg.expr->literal : nullptr, arg.name});
  }
  auto resolved = expr::resolve(function, shapes);
  if (!resolved) return fail(std::move(resolved).error().at(span(syntax)));
  std::vector<plan::ExprPtr> coerced;
  for (std::size_t i = 0; i < resolved->order.size(); ++i) {
    const int from = resolved->order[i];
    const Type& type = resolved->params[i];
    coerced.push_back(from < 0 ? plan::literal(resolved->defaults[i], type, span(syntax))
                               : plan::coerce(args[static_cast<std::size_t>(from)].expr, type));
  }
  if (const auto kind = special_form(resolved->function))
    return plan::special(*kind, std::move(coerced), resolved->result, span(syntax));
  TRY(check_constants(resolved->function, coerced, resolved->result, span(syntax)));
  return plan::call(resolved->function, std::move(coerced), resolved->result, span(syntax));
}

Result<plan::ExprPtr> Checker::call(const Syntax& syntax) {
  const Syntax& callee = *syntax.children[0];
  if (callee.kind == SyntaxKind::kName) return named_call(callee.text, nullptr, syntax);
  if (callee.kind != SyntaxKind::kMember) return error(callee, "`" + source(callee) + "` cannot be called");
  const Syntax& owner = *callee.children[0];
  const std::string path = dotted_path(callee);
  const std::string plain = without_package(path);
  // `pw.coalesce(…)`, `json.parse(x)`, `reducers.sum(x)`: a path whose head is no column is a function's name.
  if (!plain.empty()) {
    const std::string head = plain.substr(0, plain.find('.'));
    const bool rooted = plain.size() == path.size() && (is_column(head) || side_of(owner) != nullptr);
    if (!rooted) {
      if (plain.find('.') == std::string::npos || expr::is_function(plain)) {
        const bool is_value = plain.find('.') != std::string::npos && is_column(head);
        if (!is_value) return named_call(plain, nullptr, syntax);
      }
      if (auto other = other_call(plain, syntax)) return std::move(*other);
      const bool prefixed = head == "reducers" || head == "tools";
      if (prefixed && is_reducer_name(plain.substr(plain.rfind('.') + 1)))
        return named_call(plain.substr(plain.rfind('.') + 1), nullptr, syntax);
    }
  }
  if (owner.kind == SyntaxKind::kMember && !owner.quoted && is_namespace(owner.text)) {
    const Syntax& receiver = *owner.children[0];
    const std::string name = owner.text + "." + callee.text;
    if (side_of(receiver) == nullptr) return named_call(name, &receiver, syntax);
  }
  return named_call(callee.text, &owner, syntax);
}

Result<plan::ExprPtr> Checker::named_call(const std::string& name, const Syntax* receiver, const Syntax& syntax) {
  if (receiver == nullptr) {
    if (auto other = other_call(name, syntax)) return std::move(*other);
    if (name == "now" || name == "utc_now")
      return error(syntax, "`" + name + "()` would change without any input changing",
                   "join with a clock table: `!temporal.utc_now {refresh_rate: 1m}`");
    if (name == "call") return user_call(syntax);
    if (name == "require") return require(syntax);
    if (name == "if_else" && syntax.children.size() == 4 &&
        std::all_of(syntax.names.begin(), syntax.names.end(), [](const auto& n) { return n.empty(); }))
      return if_else(syntax, *syntax.children[1], *syntax.children[2], *syntax.children[3]);
    if ((is_reducer_name(name) && !expr::is_function(name)) || name == "reduce_with")
      return error(syntax,
                   "`" + name + "` is a reducer; it belongs to `reduce:` of `!groupby`, `!reduce` or `!windowby`");
  }
  if (!expr::is_function(name)) return unknown_function(name, receiver != nullptr, syntax);
  return typed_call(name, receiver, syntax);
}

Result<plan::ExprPtr> Checker::typed_call(const std::string& name, const Syntax* receiver, const Syntax& syntax) {
  const bool to_json = (name == "json" || name == "json.dump" || name == "json.dumps") && receiver == nullptr;
  if (to_json && syntax.children.size() == 2)
    return apply(name, {{TRY(json_value(*syntax.children[1])), syntax.names[0]}}, syntax);
  auto args = TRY(arguments(receiver, syntax));
  auto out = apply(name, args, syntax);
  if (out) return out;
  // A method on what may be None: say which column, and how to go on.
  Error failure = std::move(out).error();
  if (receiver != nullptr && !args.empty() && args[0].expr->type.optional()) {
    std::vector<Argument> plain = args;
    plan::Expr copy = *plain[0].expr;
    copy.type = copy.type.without_optional();
    plain[0].expr = std::make_shared<const plan::Expr>(std::move(copy));
    if (apply(name, std::move(plain), syntax)) {
      const auto refused = refuse_none(*args[0].expr, *receiver, "." + name + "()");
      if (!refused) return fail(refused.error());
    }
  }
  failure.message += " (in `" + source(syntax) + "`)";
  return fail(std::move(failure));
}

Result<std::shared_ptr<const FunctionObject>> Checker::called_function(const Syntax& call,
                                                                       std::string_view form) const {
  const std::string usage = "`" + std::string(form) + "($fn, …)` takes a function, `$fn: !udf.lua {…}`";
  if (call.children.size() < 2) return error(call, usage);
  const Syntax& first = *call.children[1];
  if (first.kind != SyntaxKind::kVariable) return error(first, usage + ", not `" + source(first) + "`");
  ExprVariable found;
  if (scope_.variables()) found = scope_.variables()(first.text);
  switch (found.kind) {
    case ExprVariable::Kind::kFunction: return found.function;
    case ExprVariable::Kind::kUnknown: return error(first, "`$" + first.text + "` is not defined", found.what);
    case ExprVariable::Kind::kLiteral: return error(first, "`$" + first.text + "` is no function", usage);
    case ExprVariable::Kind::kOther:
      return error(first, "`$" + first.text + "` is " + found.what + ", no function", usage);
  }
  return error(first, usage);
}

Result<plan::ExprPtr> Checker::call_function(const FunctionObject& function, std::vector<plan::ExprPtr> args,
                                             const std::vector<std::string>& names, const Syntax& call) const {
  if (!function.function) return plan::literal(Value::none(), function.returns, span(call));  // its error is reported
  const std::string shown = "`" + function.name + "`";
  std::vector<plan::ExprPtr> ordered;
  const std::size_t count = function.args ? function.args->size() : args.size();
  if (args.size() != count)
    return error(call, shown + " takes " + std::to_string(count) + (count == 1 ? " argument" : " arguments") +
                           ", not " + std::to_string(args.size()));
  ordered.resize(count);
  for (std::size_t i = 0; i < args.size(); ++i) {
    std::size_t to = i;
    if (!names[i].empty()) {
      const auto known = std::find(function.arg_names.begin(), function.arg_names.end(), names[i]);
      if (known == function.arg_names.end()) return error(call, shown + " has no argument named `" + names[i] + "`");
      to = static_cast<std::size_t>(known - function.arg_names.begin());
    }
    if (ordered[to]) return error(call, "argument " + std::to_string(to + 1) + " of " + shown + " is given twice");
    ordered[to] = std::move(args[i]);
  }
  bool none = false;
  for (std::size_t i = 0; i < count; ++i) {
    const Type& given = ordered[i]->type;
    Type wanted = function.args ? (*function.args)[i] : given;
    const bool skips = function.function->propagates_none() && given.optional();
    none = none || skips;
    if (skips) wanted = wanted.as_optional();
    if (!is_subtype(given, wanted)) {
      const std::string name = function.arg_names.empty() ? std::to_string(i + 1) : "`" + function.arg_names[i] + "`";
      const bool only_none = given.optional() && is_subtype(given.without_optional(), wanted);
      return error(
          call, "argument " + name + " of " + shown + " is `" + wanted.to_text() + "`, not `" + given.to_text() + "`",
          only_none ? "use `coalesce` or `unwrap`, or set `propagate_none: true` on the function" : "");
    }
    ordered[i] = plan::coerce(std::move(ordered[i]), wanted);
  }
  const Type result = none ? function.returns.as_optional() : function.returns;
  return plan::user_call(function.function, std::move(ordered), result, span(call));
}

Result<plan::ExprPtr> Checker::user_call(const Syntax& syntax) {
  const auto function = TRY(called_function(syntax, "call"));
  std::vector<plan::ExprPtr> args;
  std::vector<std::string> names;
  for (std::size_t i = 2; i < syntax.children.size(); ++i) {
    args.push_back(TRY(check(*syntax.children[i])));
    names.push_back(syntax.names[i - 1]);
  }
  return call_function(*function, std::move(args), names, syntax);
}

Result<plan::ExprPtr> Checker::require(const Syntax& syntax) {
  if (syntax.children.size() < 2) return error(syntax, "`require(value, dependency, …)` needs a value");
  for (const auto& name : syntax.names)
    if (!name.empty() && name != "val") return error(syntax, "`require` takes no argument named `" + name + "`");
  // The dependencies first: inside the value they are not None.
  std::vector<Argument> dependencies;
  Facts facts;
  for (std::size_t i = 2; i < syntax.children.size(); ++i) {
    dependencies.push_back({TRY(check(*syntax.children[i])), {}});
    const plan::Expr& expr = *dependencies.back().expr;
    if (expr.kind == plan::ExprKind::kColumn || expr.kind == plan::ExprKind::kCoalesce)
      facts.insert(plan::identity(expr));
  }
  std::vector<Argument> args;
  args.push_back({TRY(checked_with(*syntax.children[1], facts)), {}});
  args.insert(args.end(), dependencies.begin(), dependencies.end());
  return apply("require", std::move(args), syntax);
}

Result<plan::ExprPtr> Checker::unknown_function(const std::string& name, bool method, const Syntax& syntax) const {
  const Syntax& callee = *syntax.children[0];
  Error out{Code::kInvalidPipeline,
            std::string("unknown ") + (method ? "method" : "function") + " `" + name + "`",
            span(callee),
            {}};
  const auto names = function_names(method);
  if (method) {
    for (const std::string_view space : kNamespaces) {
      const std::string full = std::string(space) + "." + name;
      if (expr::is_function(full)) out.notes.push_back({"it is written `." + full + "(…)`", {}});
    }
    if (out.notes.empty() && expr::is_function(name.substr(name.find('.') + 1)))
      out.notes.push_back({"it is written `" + name.substr(name.find('.') + 1) + "(x)` or `x." +
                               name.substr(name.find('.') + 1) + "()`",
                           {}});
  }
  if (out.notes.empty())
    if (const auto near = nearest_name(name, names)) out.notes.push_back({"did you mean `" + *near + "`?", {}});
  return fail(std::move(out));
}

}  // namespace thalweg::lang
