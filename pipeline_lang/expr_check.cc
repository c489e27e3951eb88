#include "pipeline_lang/expr_check.h"

#include <algorithm>

#include "engine/base/edit_distance.h"
#include "pipeline_lang/expr_checker.h"

namespace thalweg::lang {
namespace {

constexpr std::size_t kNamesShown = 12;

std::string article(const Type& type) { return "`" + type.to_text() + "`"; }

// Which sides of a join an expression names: qualified names only, bare ones are told by the caller.
void sides_of(const Syntax& syntax, const NameScope& left, const NameScope& right, bool& names_left,
              bool& names_right) {
  if (syntax.kind == SyntaxKind::kMember) {
    const Syntax& owner = *syntax.children[0];
    const std::string text =
        owner.kind == SyntaxKind::kVariable ? "$" + owner.text : without_package(dotted_path(owner));
    const auto has = [&](const NameScope& scope) {
      const auto& names = scope.sides().front().qualifiers;
      return std::find(names.begin(), names.end(), text) != names.end();
    };
    if (!text.empty() && (has(left) || has(right))) {
      // A table joined with itself has one `$name` for both: then only the position tells.
      if (has(left) != has(right)) (has(left) ? names_left : names_right) = true;
      return;
    }
  }
  for (const auto& child : syntax.children) sides_of(*child, left, right, names_left, names_right);
}

}  // namespace

Type type_of_literal(const Value& value) {
  switch (value.tag()) {
    case Value::Tag::kNone: return {};
    case Value::Tag::kBool: return Kind::kBool;
    case Value::Tag::kInt: return Kind::kInt;
    case Value::Tag::kFloat: return Kind::kFloat;
    case Value::Tag::kPointer: return Kind::kPointer;
    case Value::Tag::kStr: return Kind::kStr;
    case Value::Tag::kBytes: return Kind::kBytes;
    case Value::Tag::kTuple: {
      std::vector<Type> elements;
      for (const auto& element : value.as_tuple()) elements.push_back(type_of_literal(element));
      return Type::tuple(std::move(elements));
    }
    case Value::Tag::kArray:
      return Type::array(std::holds_alternative<std::vector<double>>(value.as_array().data) ? Kind::kFloat : Kind::kInt,
                         static_cast<int>(value.as_array().shape.size()));
    case Value::Tag::kDateTimeNaive: return Kind::kDateTimeNaive;
    case Value::Tag::kDateTimeUtc: return Kind::kDateTimeUtc;
    case Value::Tag::kDuration: return Kind::kDuration;
    case Value::Tag::kJson: return Kind::kJson;
    case Value::Tag::kUuid: return Kind::kUuid;
    case Value::Tag::kError:
    case Value::Tag::kPending: return Kind::kAny;
  }
  return Kind::kAny;
}

NameScope NameScope::of_table(const Schema& schema, std::vector<std::string> qualifiers) {
  Side side;
  side.qualifiers = {"this"};
  for (auto& qualifier : qualifiers) side.qualifiers.push_back(std::move(qualifier));
  for (std::size_t i = 0; i < schema.size(); ++i)
    side.names.push_back(
        {schema.columns[i].name, plan::column(static_cast<std::uint32_t>(i), schema.columns[i].type), {}});
  side.key = plan::key();
  NameScope scope;
  scope.add_side(std::move(side));
  return scope;
}

Result<plan::ExprPtr> check_expression(const ExprInput& input, const NameScope& scope) {
  return Checker(input, scope).run();
}

Result<plan::ExprPtr> check_condition(const ExprInput& input, const NameScope& scope, std::string_view what) {
  auto expr = TRY(check_expression(input, scope));
  if (expr->type.is_plain(Kind::kBool)) return expr;
  const std::string name = "`" + std::string(what) + "`";
  if (!expr->type.is(Kind::kBool))
    return fail(Code::kInvalidPipeline, name + " must be a bool, the expression is " + article(expr->type), input.span);
  return fail(Error{
      Code::kInvalidPipeline,
      name + " may be None: the expression is " + article(expr->type),
      input.span,
      {}}.with_note("use `coalesce(…, False)` or compare with `== True`"));
}

Result<plan::ExprPtr> check_as(const ExprInput& input, const NameScope& scope, const Type& type,
                               std::string_view what) {
  auto expr = TRY(check_expression(input, scope));
  if (is_subtype(expr->type, type)) return plan::coerce(std::move(expr), type);
  return fail(Code::kInvalidPipeline,
              "`" + std::string(what) + "` must be " + article(type) + ", the expression is " + article(expr->type),
              input.span);
}

std::optional<ColumnName> as_column_name(const ExprInput& input) {
  if (input.literal) return std::nullopt;
  const auto syntax = parse_expression(input.text);
  if (!syntax) return std::nullopt;
  const Syntax& root = **syntax;
  if (root.kind == SyntaxKind::kName) return ColumnName{"", root.text};
  if (root.kind != SyntaxKind::kMember) return std::nullopt;
  const Syntax& owner = *root.children[0];
  if (owner.kind == SyntaxKind::kVariable) return ColumnName{"$" + owner.text, root.text};
  std::string path = without_package(dotted_path(owner));
  if (path.empty()) return std::nullopt;
  return ColumnName{std::move(path), root.text};
}

std::optional<std::string> as_star(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  if (text == "*") return "";
  for (const std::string_view tail : {".*", ".star"}) {
    if (!text.ends_with(tail)) continue;
    std::string head = without_package(std::string(text.substr(0, text.size() - tail.size())));
    if (head.starts_with("*")) head.erase(0, 1);
    if (head == "left_table") head = "left";
    if (head == "right_table") head = "right";
    return head;
  }
  if (text == "*this" || text == "*pw.this") return "this";
  return std::nullopt;
}

Error unknown_column(std::string_view name, const std::vector<std::string>& known, SourceSpan span) {
  Error out{Code::kInvalidPipeline, "unknown column `" + std::string(name) + "`", span, {}};
  if (name == "_time_attribute") {
    out.notes.push_back({"the time of a row's change is no column; `!add_update_timestamp_utc` adds one", {}});
    return out;
  }
  if (const auto near = nearest_name(name, known)) {
    out.notes.push_back({"did you mean `" + *near + "`?", {}});
  } else if (!known.empty()) {
    std::string list;
    for (std::size_t i = 0; i < known.size() && i < kNamesShown; ++i) list += (i == 0 ? "`" : ", `") + known[i] + "`";
    if (known.size() > kNamesShown) list += ", …";
    out.notes.push_back({"there are: " + list, {}});
  }
  return out;
}

std::set<std::uint32_t> not_none_where(const plan::Expr& condition) {
  std::set<std::uint32_t> out;
  for (const auto& fact : facts_where(condition, true)) {
    if (!fact.starts_with('#')) continue;
    std::uint32_t index = 0;
    bool number = fact.size() > 1 && fact.size() < 10;
    for (const char c : std::string_view(fact).substr(1)) {
      number = number && c >= '0' && c <= '9';
      index = index * 10 + static_cast<std::uint32_t>(c - '0');
    }
    if (number) out.insert(index);
  }
  return out;
}

Result<JoinPair> check_join_condition(const ExprInput& input, const NameScope& left, const NameScope& right) {
  if (input.literal)
    return fail(Error{
        Code::kInvalidPipeline,
        "`on` takes comparisons `left.a == right.b` or names that both sides have",
        input.span,
        {}}.with_note("leave `on` out, or write `how: cross`, to join every row with every row"));
  Checker on_left(input, left), on_right(input, right);
  const SyntaxPtr syntax = TRY(on_left.parse());
  const bool equality = syntax->kind == SyntaxKind::kCompare && syntax->text == "==";
  const Syntax* first = equality ? syntax->children[0].get() : syntax.get();
  const Syntax* second = equality ? syntax->children[1].get() : syntax.get();
  const bool name = syntax->kind == SyntaxKind::kName;
  if (!equality && !name)
    return on_left.error(*syntax, "`on` takes only equalities between the two sides: `left.a == right.b`",
                         "any other condition goes into `where:`");
  bool first_left = false, first_right = false, second_left = false, second_right = false;
  if (equality) {
    sides_of(*first, left, right, first_left, first_right);
    sides_of(*second, left, right, second_left, second_right);
    if ((first_left && first_right) || (second_left && second_right))
      return on_left.error(*syntax, "each side of `==` in `on` is about one table",
                           "any other condition goes into `where:`");
    if ((first_left && second_left) || (first_right && second_right))
      return on_left.error(
          *syntax, std::string("both sides of `==` are about the ") + (first_left ? "left" : "right") + " table",
          "a condition on one table goes into `where:`");
    if (first_right || second_left) std::swap(first, second);
  }
  JoinPair out;
  out.left = TRY(on_left.check(*first));
  out.right = TRY(on_right.check(*second));
  const auto column = [](const Syntax& side) -> std::string {
    if (side.kind == SyntaxKind::kName || side.kind == SyntaxKind::kMember) return side.text;
    return {};
  };
  const bool plain = out.left->kind == plan::ExprKind::kColumn && out.right->kind == plan::ExprKind::kColumn;
  if (plain && column(*first) == column(*second)) out.shared = column(*first);
  const Type left_type = out.left->type, right_type = out.right->type;
  const auto common = common_supertype(left_type, right_type);
  if (!common || (common->is(Kind::kAny) && !left_type.is(Kind::kAny) && !right_type.is(Kind::kAny)))
    return on_left.error(*syntax,
                         "the sides of `" + on_left.source(*syntax) + "` cannot be equal: " + article(left_type) +
                             " and " + article(right_type),
                         "cast one of them before the join");
  out.left = plan::coerce(out.left, *common);
  out.right = plan::coerce(out.right, *common);
  return out;
}

}  // namespace thalweg::lang
