#include "pipeline_lang/expr_checker.h"

#include <algorithm>
#include <limits>

#include "engine/base/edit_distance.h"
#include "engine/expr/function_table.h"
#include "pipeline_lang/object.h"

namespace thalweg::lang {
namespace {

constexpr std::size_t kSourceShown = 60;

// The same cells under another type: the evaluator sees only rows where it is true.
plan::ExprPtr retyped(const plan::ExprPtr& expr, Type type, SourceSpan at) {
  plan::Expr copy = *expr;
  copy.type = std::move(type);
  copy.span = at;
  return std::make_shared<const plan::Expr>(std::move(copy));
}

void add_fact(const plan::Expr& expr, Facts& facts) {
  if (expr.kind == plan::ExprKind::kColumn || expr.kind == plan::ExprKind::kCoalesce)
    facts.insert(plan::identity(expr));
}

void collect(const plan::Expr& condition, bool holds, Facts& facts) {
  using plan::ExprKind;
  const bool conjunction = condition.kind == ExprKind::kAnd;
  if (conjunction || condition.kind == ExprKind::kOr) {
    if (conjunction == holds)
      for (const auto& arg : condition.args) collect(*arg, holds, facts);
    return;
  }
  if (condition.kind != ExprKind::kCall || condition.args.size() != 1) return;
  if (condition.function == "not" || condition.function == "bit_not") collect(*condition.args[0], !holds, facts);
  if (condition.function == (holds ? "is_not_none" : "is_none")) add_fact(*condition.args[0], facts);
}

}  // namespace

Facts facts_where(const plan::Expr& condition, bool holds) {
  Facts facts;
  collect(condition, holds, facts);
  return facts;
}

std::string dotted_path(const Syntax& syntax) {
  if (syntax.quoted) return {};
  if (syntax.kind == SyntaxKind::kName) return syntax.text;
  if (syntax.kind != SyntaxKind::kMember) return {};
  const std::string head = dotted_path(*syntax.children[0]);
  return head.empty() ? head : head + "." + syntax.text;
}

std::string without_package(std::string path) {
  for (const std::string_view package : {"pw.", "pathway."})
    if (path.starts_with(package)) return path.substr(package.size());
  return path;
}

Result<SyntaxPtr> Checker::parse() {
  auto syntax = parse_expression(input_.text);
  if (syntax) return std::move(*syntax);
  SyntaxError& failure = syntax.error();
  Error out{Code::kInvalidPipeline, std::move(failure.message), map_.at(failure.begin, failure.end), {}};
  if (!failure.hint.empty()) out.notes.push_back({std::move(failure.hint), {}});
  return fail(std::move(out));
}

Result<plan::ExprPtr> Checker::run() {
  if (input_.literal)
    return plan::literal(*input_.literal, type_of_literal(*input_.literal), input_.span, input_.secret);
  const SyntaxPtr syntax = TRY(parse());
  return check(*syntax);
}

std::string Checker::source(const Syntax& syntax) const {
  const std::size_t end = std::min<std::size_t>(syntax.end, input_.text.size());
  std::string text =
      input_.text.substr(std::min<std::size_t>(syntax.begin, end), end - std::min<std::size_t>(syntax.begin, end));
  if (text.size() > kSourceShown) {
    std::size_t cut = kSourceShown;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) --cut;
    text = text.substr(0, cut) + "…";
  }
  return text;
}

std::unexpected<Error> Checker::error(const Syntax& syntax, std::string message, std::string hint) const {
  Error out{Code::kInvalidPipeline, std::move(message), span(syntax), {}};
  if (!hint.empty()) out.notes.push_back({std::move(hint), {}});
  return fail(std::move(out));
}

std::optional<Result<plan::ExprPtr>> Checker::other_call(const std::string& /*name*/, const Syntax& /*call*/) {
  return {};
}
std::optional<Error> Checker::explain_unknown(std::string_view /*name*/, SourceSpan /*at*/) const { return {}; }

Result<plan::ExprPtr> Checker::checked_with(const Syntax& syntax, const Facts& facts) {
  if (facts.empty()) return check(syntax);
  const Facts before = facts_;
  facts_.insert(facts.begin(), facts.end());
  auto out = check(syntax);
  facts_ = before;
  return out;
}

Result<plan::ExprPtr> Checker::check(const Syntax& syntax) {
  switch (syntax.kind) {
    case SyntaxKind::kLiteral: return plan::literal(syntax.value, type_of_literal(syntax.value), span(syntax));
    case SyntaxKind::kName: return name(syntax);
    case SyntaxKind::kVariable: return variable(syntax);
    case SyntaxKind::kMember: return member(syntax);
    case SyntaxKind::kCall: return call(syntax);
    case SyntaxKind::kIndex: return index(syntax);
    case SyntaxKind::kUnary: return unary(syntax);
    case SyntaxKind::kBinary: return binary(syntax);
    case SyntaxKind::kCompare: return compare(syntax);
    case SyntaxKind::kIsNone: {
      auto operand = TRY(check(*syntax.children[0]));
      return none_test(std::move(operand), syntax.negated, syntax);
    }
    case SyntaxKind::kIfElse: return if_else(syntax, *syntax.children[0], *syntax.children[1], *syntax.children[2]);
    case SyntaxKind::kList:
    case SyntaxKind::kTuple: return sequence(syntax);
    case SyntaxKind::kObject: return object(syntax);
    case SyntaxKind::kType: return error(syntax, "a type stands here, an expression is expected");
    case SyntaxKind::kStar: return error(syntax, "`*` is only for `count(*)`");
  }
  return error(syntax, "an expression is expected");
}

// ---------------------------------------------------------------- names

plan::ExprPtr Checker::narrowed(const NameScope::Name& name, const NameScope::Side* side, SourceSpan at) const {
  const plan::ExprPtr& expr = name.expr;
  Type type = expr->type;
  if (!facts_.empty() && type.admits_none()) {
    const bool row_exists = side != nullptr && side->key && facts_.contains(plan::identity(*side->key));
    if (row_exists && name.present) type = *name.present;
    if (facts_.contains(plan::identity(*expr))) type = type.without_optional();
  }
  if (expr->kind == plan::ExprKind::kColumn) return plan::column(expr->column, std::move(type), at);
  return retyped(expr, std::move(type), at);
}

Result<plan::ExprPtr> Checker::name(const Syntax& syntax) {
  // `this` and `left` alone are tables, not values; unless a column has the name.
  if (!syntax.quoted && !is_column(syntax.text) && side_of(syntax) != nullptr)
    return error(syntax, "`" + syntax.text + "` is a table; write `" + syntax.text + ".column`");
  return bare_name(syntax.text, syntax);
}

bool Checker::is_column(std::string_view name) const {
  const auto has = [&](const std::vector<NameScope::Name>& names) {
    return std::any_of(names.begin(), names.end(), [&](const auto& known) { return known.name == name; });
  };
  return has(scope_.bound()) || std::any_of(scope_.sides().begin(), scope_.sides().end(),
                                            [&](const auto& side) { return side.bare && has(side.names); });
}

std::vector<std::string> Checker::known_names() const {
  std::vector<std::string> out;
  const auto add = [&](const std::string& name) {
    if (std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
  };
  for (const auto& name : scope_.bound()) add(name.name);
  for (const auto& side : scope_.sides())
    for (const auto& name : side.names) add(side.bare ? name.name : side.qualifiers.front() + "." + name.name);
  return out;
}

Result<plan::ExprPtr> Checker::bare_name(const std::string& name, const Syntax& syntax) {
  for (const auto& bound : scope_.bound())
    if (bound.name == name) return narrowed(bound, nullptr, span(syntax));
  const NameScope::Name* found = nullptr;
  const NameScope::Side* found_side = nullptr;
  for (const auto& side : scope_.sides()) {
    if (!side.bare) continue;
    for (const auto& candidate : side.names) {
      if (candidate.name != name) continue;
      if (found != nullptr) {
        const std::string first = found_side->qualifiers.front(), second = side.qualifiers.front();
        return error(syntax, "`" + name + "` is a column of both `" + first + "` and `" + second + "`",
                     "write `" + first + "." + name + "` or `" + second + "." + name + "`");
      }
      found = &candidate;
      found_side = &side;
    }
  }
  if (found != nullptr) return narrowed(*found, found_side, span(syntax));
  if (name == "id" || name == "_id") {
    if (scope_.key()) return narrowed({name, scope_.key(), {}}, nullptr, span(syntax));
    const NameScope::Side* only = nullptr;
    int keys = 0;
    for (const auto& side : scope_.sides()) {
      if (!side.key) continue;
      only = &side;
      ++keys;
    }
    if (keys == 1) return narrowed({name, only->key, {}}, nullptr, span(syntax));
    if (keys > 1)
      return error(syntax, "`" + name + "` could be the key of either side",
                   "write `" + scope_.sides()[0].qualifiers.front() + ".id`");
    return error(syntax, "there is no row key here");
  }
  if (!syntax.quoted && name == "inf")
    return plan::literal(Value::of(std::numeric_limits<double>::infinity()), Kind::kFloat, span(syntax));
  if (!syntax.quoted && name == "nan")
    return plan::literal(Value::of(std::numeric_limits<double>::quiet_NaN()), Kind::kFloat, span(syntax));
  if (auto explained = explain_unknown(name, span(syntax))) return fail(std::move(*explained));
  Error out = unknown_column(name, known_names(), span(syntax));
  if (out.notes.empty() && expr::is_function(name))
    out.notes.push_back({"`" + name + "` is a function; it is called as `" + name + "(…)`", {}});
  return fail(std::move(out));
}

std::string Checker::qualifier_text(const Syntax& syntax) const {
  if (syntax.kind == SyntaxKind::kVariable) return "$" + syntax.text;
  return without_package(dotted_path(syntax));
}

const NameScope::Side* Checker::side_of(const Syntax& syntax) const {
  const std::string text = qualifier_text(syntax);
  if (text.empty()) return nullptr;
  for (const auto& side : scope_.sides())
    for (const auto& qualifier : side.qualifiers)
      if (qualifier == text) return &side;
  if (syntax.kind != SyntaxKind::kVariable || !scope_.variables()) return nullptr;
  // `$b: $a`: a further name of the same table.
  const std::string defined = scope_.variables()(syntax.text).qualifier;
  if (defined.empty()) return nullptr;
  for (const auto& side : scope_.sides())
    for (const auto& qualifier : side.qualifiers)
      if (qualifier == defined) return &side;
  return nullptr;
}

Result<plan::ExprPtr> Checker::side_name(const NameScope::Side& side, const std::string& name, const Syntax& syntax) {
  for (const auto& known : side.names)
    if (known.name == name) return narrowed(known, &side, span(syntax));
  if (name == "id" || name == "_id") {
    if (!side.key) return error(syntax, "`" + side.qualifiers.front() + "` has no row key here");
    return narrowed({name, side.key, {}}, nullptr, span(syntax));
  }
  if (auto explained = explain_unknown(name, span(syntax))) return fail(std::move(*explained));
  std::vector<std::string> names;
  for (const auto& known : side.names) names.push_back(known.name);
  Error out = unknown_column(name, names, span(syntax));
  for (const auto& other : scope_.sides())
    if (&other != &side)
      for (const auto& known : other.names)
        if (known.name == name)
          out.notes.push_back({"`" + other.qualifiers.front() + "` has a column of this name", {}});
  return fail(std::move(out));
}

Result<plan::ExprPtr> Checker::variable(const Syntax& syntax) {
  if (const auto* side = side_of(syntax))
    return error(syntax, "`$" + syntax.text + "` is a table; write `$" + syntax.text + "." +
                             (side->names.empty() ? "column" : side->names[0].name) + "`");
  ExprVariable found;
  if (scope_.variables()) found = scope_.variables()(syntax.text);
  switch (found.kind) {
    case ExprVariable::Kind::kLiteral:
      return plan::literal(found.value, type_of_literal(found.value), span(syntax), found.secret);
    case ExprVariable::Kind::kFunction:
      if (!found.function->function) return plan::literal(Value::none(), Kind::kAny, span(syntax));
      return error(syntax, "`$" + syntax.text + "` is a function", "it is called as `call($" + syntax.text + ", …)`");
    case ExprVariable::Kind::kOther:
      return error(syntax,
                   "`$" + syntax.text + "` is " + found.what + "; an expression takes columns and scalar variables");
    case ExprVariable::Kind::kUnknown: break;
  }
  std::string hint = found.what;
  if (const auto near = nearest_name(syntax.text, found.names)) hint = "did you mean `$" + *near + "`?";
  return error(syntax, "`$" + syntax.text + "` is not defined", hint);
}

Result<plan::ExprPtr> Checker::member(const Syntax& syntax) {
  const Syntax& owner = *syntax.children[0];
  const std::string path = without_package(dotted_path(syntax));
  if (!path.empty()) {
    for (const auto& bound : scope_.bound())
      if (bound.name == path) return narrowed(bound, nullptr, span(syntax));
  }
  if (const auto* side = side_of(owner)) return side_name(*side, syntax.text, syntax);
  // Over two sides `this.k` is what the bare `k` is.
  if (scope_.sides().size() == 2 && qualifier_text(owner) == "this" && !is_column("this"))
    return bare_name(syntax.text, syntax);
  if (owner.kind == SyntaxKind::kVariable) {
    ExprVariable found;
    if (scope_.variables()) found = scope_.variables()(owner.text);
    if (found.kind == ExprVariable::Kind::kUnknown) return variable(owner);
    std::vector<std::string> operands;
    for (const auto& side : scope_.sides()) operands.push_back("`" + side.qualifiers.front() + "." + syntax.text + "`");
    std::string hint = "columns are written ";
    for (std::size_t i = 0; i < operands.size(); ++i) hint += (i == 0 ? "" : " or ") + operands[i];
    return error(syntax, "`$" + owner.text + "` is not an operand here",
                 operands.empty() ? "" : hint + "; a column of another table comes in by `!join` or `!ix`");
  }
  const std::string owner_path = without_package(dotted_path(owner));
  const bool known = owner.kind == SyntaxKind::kName && is_column(owner.text);
  for (const std::string_view role : {"this", "left", "right"})
    if (owner_path == role && !known) {
      std::string names;
      for (const auto& side : scope_.sides())
        for (const auto& qualifier : side.qualifiers) names += (names.empty() ? "`" : ", `") + qualifier + "`";
      return error(owner, "there is no `" + owner_path + "` here",
                   names.empty() ? "" : "tables here are called " + names);
    }
  auto value = TRY(check(owner));
  if (value->type.is(Kind::kJson))
    return error(syntax, "json has no member `" + syntax.text + "`",
                 "write `" + source(owner) + "[\"" + syntax.text + "\"]`");
  return error(syntax, "`" + syntax.text + "` of `" + source(owner) + "` is no column and no call",
               "methods are called: `" + source(owner) + "." + syntax.text + "()`");
}

}  // namespace thalweg::lang
