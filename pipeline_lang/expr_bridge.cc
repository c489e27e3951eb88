#include "pipeline_lang/expr_bridge.h"

#include "pipeline_lang/scalar.h"

namespace thalweg::lang {
namespace {

// `[a, b + 1]` as a YAML list: the text of a list expression.
std::optional<std::string> sequence_text(const ast::Node& node) {
  std::string out = "[";
  for (const ast::NodePtr& item : node.items) {
    if (out.size() > 1) out += ", ";
    if (!item->tag.empty()) return std::nullopt;
    if (item->is_sequence()) {
      auto inner = sequence_text(*item);
      if (!inner) return std::nullopt;
      out += *inner;
    } else if (item->is_scalar()) {
      out += item->is_null() ? "None" : item->text;
    } else {
      return std::nullopt;
    }
  }
  return out + "]";
}

std::optional<ExprInput> literal_input(Builder& builder, const Object& object, SourceSpan span) {
  if (object.is_error()) return std::nullopt;
  auto value = value_of(object);
  if (!value) {
    builder.error(span, "an expression is expected, found " + describe(object));
    return std::nullopt;
  }
  ExprInput input;
  input.span = span;
  input.files = &builder.files();
  input.literal = std::move(*value);
  input.secret = holds_secret(object);
  return input;
}

}  // namespace

std::optional<ExprInput> expr_input(Builder& builder, Located where) {
  const ast::Node& node = *where.node;
  if (!node.tag.empty() || node.is_reference()) return literal_input(builder, *builder.evaluate(where), where.span());
  ExprInput input;
  input.span = node.span;
  input.files = &builder.files();
  if (node.is_sequence()) {
    if (auto text = sequence_text(node)) {
      input.text = std::move(*text);
      input.files = nullptr;
      return input;
    }
  }
  if (!node.is_scalar()) {
    builder.error(node.span,
                  std::string("an expression is expected, found a ") + (node.is_sequence() ? "list" : "mapping"));
    return std::nullopt;
  }
  if (!node.quoted) {
    const Value value = untyped_value(node.text);
    if (value.tag() != Value::Tag::kStr) {
      input.literal = value;
      return input;
    }
  }
  if (has_interpolation(node.text)) {
    bool fine = true;
    Interpolated result = interpolate(node.text, [&](std::string_view name) -> std::optional<std::string> {
      const ObjectPtr value = builder.variable(name, where.scope);
      if (value == nullptr || value->as_scalar() == nullptr) return std::nullopt;
      if (value->as_scalar()->secret) {
        builder.error(node.span, "a secret cannot be part of an expression's text")
            .note("write `$" + std::string(name) + "` as a value of the expression");
        fine = false;
      }
      return value->as_scalar()->spelling;
    });
    if (!result.error.empty()) {
      builder.error(node.sub_span(result.error_begin, result.error_end), result.error);
      fine = false;
    }
    if (!fine) return std::nullopt;
    input.text = std::move(result.text);
    input.files = nullptr;
    return input;
  }
  input.text = node.text;
  return input;
}

VariableLookup variables_of(Builder& builder, Scope* scope) {
  return [&builder, scope](std::string_view name) {
    ExprVariable out;
    const ObjectPtr value = builder.variable(name, scope);
    if (value == nullptr) {
      out.names = builder.variable_names(scope);
      return out;
    }
    if (auto literal = value->as_scalar() != nullptr || value->as_list() != nullptr ? value_of(*value) : std::nullopt) {
      out.kind = ExprVariable::Kind::kLiteral;
      out.value = std::move(*literal);
      out.secret = holds_secret(*value);
      return out;
    }
    if (value->is_error()) {  // said already
      static const auto kBroken = std::make_shared<const FunctionObject>(FunctionObject{.returns = Kind::kAny});
      out.kind = ExprVariable::Kind::kFunction;
      out.function = kBroken;
      return out;
    }
    if (const FunctionObject* function = value->as_function()) {
      out.kind = ExprVariable::Kind::kFunction;
      out.function = std::shared_ptr<const FunctionObject>(value, function);
      return out;
    }
    out.kind = ExprVariable::Kind::kOther;
    out.what = describe(*value);
    if (const Table* table = value->as_table()) out.qualifier = table_qualifier(*table);
    return out;
  };
}

std::string table_qualifier(const Table& table) {
  if (table.name.empty() || table.name.starts_with('!')) return {};
  return table.name.starts_with('$') ? table.name : "$" + table.name;
}

NameScope scope_of(Builder& builder, const Table& table, Scope* scope, Located operand) {
  std::vector<std::string> qualifiers;
  if (operand.node != nullptr && operand.node->is_reference()) qualifiers.push_back(operand.node->text);
  NameScope out = NameScope::of_table(table.schema, std::move(qualifiers));
  out.set_variables(variables_of(builder, scope));
  return out;
}

}  // namespace thalweg::lang
