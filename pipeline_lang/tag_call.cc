#include "pipeline_lang/tag_call.h"

#include <algorithm>
#include <cmath>

#include "config/decode.h"
#include "pipeline_lang/scalar.h"

namespace thalweg::lang {
namespace {

bool takes_table_args(const Component& component) {
  return component.kind == ComponentKind::kTable || component.kind == ComponentKind::kSource;
}

// A scalar as a setting whose text can be read as any type. A quoted number stays readable: `"6000"`.
Setting spelled(const Scalar& scalar) {
  if (scalar.value.tag() == Value::Tag::kBool) return Setting(scalar.value.as_bool());
  if (scalar.value.tag() == Value::Tag::kInt) return Setting(scalar.value.as_int());
  if (scalar.value.tag() == Value::Tag::kFloat) return Setting(scalar.value.as_float());
  return Setting(scalar.spelling);
}

}  // namespace

// ---------------------------------------------------------------- taking arguments

const ArgSpec* TagCall::spec_of(std::string_view name) const {
  const auto search = [&](const std::vector<ArgSpec>& specs) -> const ArgSpec* {
    for (const ArgSpec& spec : specs) {
      if (spec.name == name) return &spec;
      if (std::find(spec.aliases.begin(), spec.aliases.end(), name) != spec.aliases.end()) return &spec;
    }
    return nullptr;
  };
  if (const ArgSpec* own = search(component_.args)) return own;
  return takes_table_args(component_) ? search(common_table_args()) : nullptr;
}

void TagCall::take_arguments(const ast::Node& mapping, Scope* scope) {
  for (const ast::Entry& entry : mapping.entries)
    if (!entry.is_definition()) take_argument(entry.key, entry.span, {entry.value.get(), scope});
}

void TagCall::take_argument(const std::string& name, SourceSpan name_span, Located value) {
  const ArgSpec* spec = spec_of(name);
  if (spec == nullptr && !component_.open) {
    Diagnostic& diagnostic = evaluator_.error(name_span, "`!" + component_.name + "` has no argument `" + name + "`");
    std::vector<std::string> names;
    for (const ArgSpec& known : component_.args) {
      names.push_back(known.name);
      names.insert(names.end(), known.aliases.begin(), known.aliases.end());
    }
    suggest(diagnostic, name, names);
    if (diagnostic.notes.empty() && !component_.args.empty()) {
      std::string list;
      for (const ArgSpec& known : component_.args) list += (list.empty() ? "`" : ", `") + known.name + "`";
      diagnostic.note("it takes " + list);
    }
    arguments_.push_back({nullptr, name, name_span, value, false});
    return;
  }
  if (spec != nullptr)
    for (const Argument& known : arguments_)
      if (known.spec == spec && !known.value.node->is_null()) {
        evaluator_.error(name_span, "`" + name + "` and `" + known.written + "` are the same argument; give it once")
            .note("first given here", known.name_span);
        return;
      }
  arguments_.push_back({spec, name, name_span, value, false});
}

void TagCall::check_required() {
  for (const ArgSpec& spec : component_.args) {
    if (!spec.required) continue;
    const bool given =
        std::any_of(arguments_.begin(), arguments_.end(), [&](const Argument& a) { return a.spec == &spec; });
    if (given && has(spec.name)) continue;
    Diagnostic& diagnostic =
        evaluator_.error(span_, "`!" + component_.name + "` needs the argument `" + spec.name + "`");
    if (!spec.doc.empty()) diagnostic.note("`" + spec.name + "`: " + spec.doc);
  }
}

void TagCall::check_value(const Argument& argument) const {
  if (argument.spec == nullptr) return;
  const std::string& name = argument.spec->name;
  switch (argument.spec->kind) {
    case ArgKind::kEnum: (void)choice(name); return;
    case ArgKind::kInt: (void)integer(name); return;
    case ArgKind::kFloat:
    case ArgKind::kNumber: (void)number(name); return;
    case ArgKind::kBool: (void)boolean(name); return;
    case ArgKind::kDuration: (void)duration(name); return;
    case ArgKind::kDurationOrNumber: (void)duration_or_number(name); return;
    case ArgKind::kComponent:
      if (argument.value.node->is_scalar() && argument.value.node->tag.empty()) (void)instance(name);
      return;
    default: return;
  }
}

// ---------------------------------------------------------------- looking at arguments

const TagCall::Argument* TagCall::find(std::string_view name) const {
  for (const Argument& argument : arguments_)
    if (argument.spec != nullptr ? argument.spec->name == name : argument.written == name) return &argument;
  // A row may be asked for by an alias.
  if (const ArgSpec* spec = spec_of(name))
    for (const Argument& argument : arguments_)
      if (argument.spec == spec) return &argument;
  return nullptr;
}

bool TagCall::has(std::string_view name) const {
  const Argument* argument = find(name);
  if (argument == nullptr) return false;
  const Located where = evaluator_.follow(argument->value);
  return !where.node->is_null();
}

SourceSpan TagCall::span_of(std::string_view name) const {
  const Argument* argument = find(name);
  if (argument == nullptr) return span_;
  const SourceSpan span = argument->value.node->whole_span();
  return span.known() && span.end > span.begin ? span : argument->name_span;
}

Located TagCall::at(std::string_view name) const {
  const Argument* argument = find(name);
  if (argument == nullptr) return {};
  argument->asked = true;
  // A reference to a scalar stays one: its value is data where an expression is expected, and is never parsed.
  const Located target = evaluator_.follow(argument->value);
  return target.node->is_scalar() && target.node->tag.empty() ? argument->value : target;
}

std::vector<NamedNode> TagCall::others() const {
  std::vector<NamedNode> out;
  for (const Argument& argument : arguments_) {
    if (argument.spec != nullptr) continue;
    argument.asked = true;
    out.push_back({argument.written, argument.name_span, argument.value});
  }
  return out;
}

ObjectPtr TagCall::object(std::string_view name) const {
  const Argument* argument = find(name);
  if (argument == nullptr) return nullptr;
  argument->asked = true;
  return evaluator_.evaluate(argument->value);
}

void TagCall::wrong(std::string_view name, std::string_view expected, const Object& found) const {
  if (found.is_error()) return;
  Diagnostic& diagnostic =
      evaluator_.error(span_of(name), "`" + std::string(name) + "` of `!" + component_.name + "` takes " +
                                          std::string(expected) + ", found " + describe(found));
  const Argument* argument = find(name);
  if (argument == nullptr || !argument->value.node->is_plain()) return;
  const std::string& text = argument->value.node->text;
  const auto names = evaluator_.variable_names(argument->value.scope);
  if (std::find(names.begin(), names.end(), text) != names.end()) diagnostic.note("did you mean `$" + text + "`?");
}

// ---------------------------------------------------------------- tables and other objects

std::optional<Table> TagCall::table(std::string_view name) const {
  const ObjectPtr value = object(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (const Table* table = value->as_table()) return *table;
  wrong(name, "a table", *value);
  return std::nullopt;
}

std::optional<std::vector<Table>> TagCall::tables(std::string_view name) const {
  const ObjectPtr value = object(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (const Table* table = value->as_table()) return std::vector{*table};
  const ListObject* list = value->as_list();
  if (list == nullptr) {
    wrong(name, "a list of tables", *value);
    return std::nullopt;
  }
  std::vector<Table> out;
  bool fine = true;
  for (const ObjectPtr& item : list->items) {
    if (const Table* table = item->as_table()) {
      out.push_back(*table);
      continue;
    }
    fine = false;
    if (!item->is_error()) evaluator_.error(item->span, "a table is expected, found " + describe(*item));
  }
  if (!fine) return std::nullopt;
  return out;
}

std::optional<std::vector<std::pair<Named, Table>>> TagCall::table_map(std::string_view name) const {
  const Located where = at(name);
  if (!where || !has(name)) return std::nullopt;
  if (!where.node->is_mapping() || !where.node->tag.empty()) {
    wrong(name, "a mapping of names to tables", *evaluator_.evaluate(where));
    return std::nullopt;
  }
  Scope* scope = evaluator_.enter(*where.node, where.scope);
  std::vector<std::pair<Named, Table>> out;
  bool fine = true;
  for (const ast::Entry& entry : where.node->entries) {
    if (entry.is_definition()) continue;
    auto table = evaluator_.table({entry.value.get(), scope});
    if (table)
      out.emplace_back(Named{entry.key, entry.span}, std::move(*table));
    else
      fine = false;
  }
  if (!fine) return std::nullopt;
  return out;
}

const SchemaObject* TagCall::schema(std::string_view name) const {
  // `schema: {a: int}` without a tag is `!schema {a: int}`.
  const Located where = at(name);
  if (where && where.node->is_mapping() && where.node->tag.empty()) {
    ObjectPtr& made = untagged_schema_;
    if (made == nullptr) {
      Scope* scope = evaluator_.enter(*where.node, where.scope);
      std::vector<std::pair<std::string, Located>> columns;
      for (const ast::Entry& entry : where.node->entries)
        if (!entry.is_definition()) columns.emplace_back(entry.key, Located{entry.value.get(), scope});
      made = evaluator_.construct("schema", *this, std::move(columns));
    }
    return made->as_schema();
  }
  const ObjectPtr value = object(name);
  if (value == nullptr || value->is_null()) return nullptr;
  if (const SchemaObject* schema = value->as_schema()) return schema;  // kept alive by the evaluator's memory
  wrong(name, "a schema", *value);
  return nullptr;
}

const Instance* TagCall::instance(std::string_view name) const {
  const ObjectPtr value = object(name);
  if (value == nullptr || value->is_null()) return nullptr;
  if (const Instance* instance = value->as_instance()) return instance;
  wrong(name, "a component", *value);
  return nullptr;
}

std::optional<Setting> TagCall::setting(std::string_view name) const {
  const ObjectPtr value = object(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  auto out = evaluator_.to_setting(*value, span_of(name));
  const Argument* argument = find(name);
  if (out && argument->spec != nullptr && argument->spec->secret) out->secret = true;
  return out;
}

// ---------------------------------------------------------------- scalars

ObjectPtr TagCall::scalar_object(std::string_view name, std::string_view expected) const {
  ObjectPtr value = object(name);
  if (value == nullptr || value->is_error() || value->is_null()) return nullptr;
  if (value->as_scalar() != nullptr) return value;
  wrong(name, expected, *value);
  return nullptr;
}

std::optional<std::string> TagCall::text(std::string_view name) const {
  const ObjectPtr value = object(name);
  if (value != nullptr)
    if (const Type* type = value->as_type()) return type->to_text();
  const ObjectPtr scalar = scalar_object(name, "a text");
  if (scalar == nullptr) return std::nullopt;
  return scalar->as_scalar()->spelling;
}

std::optional<std::string> TagCall::choice(std::string_view name) const {
  const Located where = at(name);
  if (!where || !has(name)) return std::nullopt;
  const ArgSpec* spec = spec_of(name);
  std::string written;
  bool secret = false;
  // `!JoinMode.LEFT`: an enum member by its tag.
  if (!where.node->tag.empty() && where.node->is_scalar() && where.node->text.empty()) {
    written = where.node->tag;
  } else {
    const ObjectPtr value = scalar_object(name, "a text");
    if (value == nullptr) return std::nullopt;
    written = value->as_scalar()->spelling;
    secret = value->as_scalar()->secret;
  }
  if (spec == nullptr || spec->choices.empty()) return written;
  if (auto match = config::match_choice(written, spec->choices)) return match;
  std::string expected;
  for (std::size_t i = 0; i < spec->choices.size(); ++i)
    expected += (i == 0 ? "`" : i + 1 == spec->choices.size() ? " or `" : ", `") + spec->choices[i] + "`";
  Diagnostic& diagnostic =
      evaluator_.error(span_of(name), "`" + std::string(name) + "` of `!" + component_.name + "` is " + expected +
                                          ", not " + (secret ? "a secret" : "`" + written + "`"));
  if (!secret) suggest(diagnostic, written, spec->choices);
  return std::nullopt;
}

std::optional<std::int64_t> TagCall::integer(std::string_view name) const {
  const ObjectPtr value = scalar_object(name, "an int");
  if (value == nullptr) return std::nullopt;
  const auto number = config::as_int(spelled(*value->as_scalar()));
  if (!number) wrong(name, "an int", *value);
  return number;
}

std::optional<double> TagCall::number(std::string_view name) const {
  const ObjectPtr value = scalar_object(name, "a number");
  if (value == nullptr) return std::nullopt;
  const auto number = config::as_float(spelled(*value->as_scalar()));
  if (!number) wrong(name, "a number", *value);
  return number;
}

std::optional<bool> TagCall::boolean(std::string_view name) const {
  const ObjectPtr value = scalar_object(name, "true or false");
  if (value == nullptr) return std::nullopt;
  const auto flag = config::as_bool(spelled(*value->as_scalar()));
  if (!flag) wrong(name, "true or false", *value);
  return flag;
}

std::optional<std::int64_t> TagCall::duration(std::string_view name) const {
  const ObjectPtr value = scalar_object(name, "a duration such as `5m`");
  if (value == nullptr) return std::nullopt;
  if (value->as_scalar()->value.tag() == Value::Tag::kDuration) return value->as_scalar()->value.as_int();
  const auto ns = config::as_duration(spelled(*value->as_scalar()), 1'000'000'000);
  if (!ns) wrong(name, "a duration such as `5m` or `1h30m`", *value);
  return ns;
}

std::optional<Value> TagCall::duration_or_number(std::string_view name) const {
  const ObjectPtr value = scalar_object(name, "a duration such as `5m` or a number");
  if (value == nullptr) return std::nullopt;
  const Scalar& scalar = *value->as_scalar();
  if (scalar.value.tag() == Value::Tag::kDuration || scalar.value.tag() == Value::Tag::kInt ||
      scalar.value.tag() == Value::Tag::kFloat)
    return scalar.value;
  if (const auto found = value_as(*value, Kind::kDuration)) return found;
  if (!scalar.quoted)
    if (const auto number = config::as_float(Setting(scalar.spelling))) return Value::of(*number);
  wrong(name, "a duration such as `5m` or a number", *value);
  return std::nullopt;
}

// ---------------------------------------------------------------- types and names

std::optional<Type> TagCall::type(std::string_view name) const {
  const Located where = at(name);
  if (!where || (where.node->is_null() && where.node->text.empty())) return std::nullopt;
  return evaluator_.type(where);
}

std::optional<std::vector<std::pair<Named, Type>>> TagCall::type_map(std::string_view name) const {
  const Located where = at(name);
  if (!where || !has(name)) return std::nullopt;
  if (!where.node->is_mapping() || !where.node->tag.empty()) {
    wrong(name, "a mapping of columns to types", *evaluator_.evaluate(where));
    return std::nullopt;
  }
  Scope* scope = evaluator_.enter(*where.node, where.scope);
  std::vector<std::pair<Named, Type>> out;
  bool fine = true;
  for (const ast::Entry& entry : where.node->entries) {
    if (entry.is_definition()) continue;
    auto type = evaluator_.type({entry.value.get(), scope});
    if (type)
      out.emplace_back(Named{entry.key, entry.span}, *type);
    else
      fine = false;
  }
  if (!fine) return std::nullopt;
  return out;
}

std::optional<Named> TagCall::column_name(Located item) const {
  const ast::Node& node = *item.node;
  std::string text;
  if (node.is_scalar() && node.tag.empty() && !node.is_reference() && !has_interpolation(node.text)) {
    text = node.text;
    const std::size_t dot = text.find('.');
    if (!node.quoted && text.starts_with('$') && dot != std::string::npos)
      return Named{text.substr(dot + 1), node.span};
  } else {
    const ObjectPtr value = evaluator_.evaluate(item);
    if (value->is_error()) return std::nullopt;
    if (value->as_scalar() == nullptr || value->is_null()) {
      evaluator_.error(item.span(), "the name of a column is expected, found " + describe(*value));
      return std::nullopt;
    }
    return Named{value->as_scalar()->spelling, item.span()};
  }
  for (std::string_view prefix : {"pw.this.", "this."})
    if (text.starts_with(prefix)) text.erase(0, prefix.size());
  if (text.size() > 2 && text.front() == '`' && text.back() == '`') text = text.substr(1, text.size() - 2);
  return Named{text, node.span};
}

std::optional<std::vector<Named>> TagCall::names(std::string_view name) const {
  const Located where = at(name);
  if (!where || !has(name)) return std::nullopt;
  std::vector<Named> out;
  if (where.node->is_scalar()) {
    auto one = column_name(where);
    if (!one) return std::nullopt;
    out.push_back(std::move(*one));
    return out;
  }
  if (!where.node->is_sequence() || !where.node->tag.empty()) {
    wrong(name, "a list of column names", *evaluator_.evaluate(where));
    return std::nullopt;
  }
  bool fine = true;
  for (const ast::NodePtr& item : where.node->items) {
    auto one = column_name({item.get(), where.scope});
    if (one)
      out.push_back(std::move(*one));
    else
      fine = false;
  }
  if (!fine) return std::nullopt;
  return out;
}

std::optional<std::vector<NamedNode>> TagCall::expressions(std::string_view name) const {
  const Located where = at(name);
  if (!where || !has(name)) return std::nullopt;
  std::vector<NamedNode> out;
  const auto take_mapping = [&](Located mapping) {
    Scope* scope = evaluator_.enter(*mapping.node, mapping.scope);
    for (const ast::Entry& entry : mapping.node->entries)
      if (!entry.is_definition()) out.push_back({entry.key, entry.span, {entry.value.get(), scope}});
  };
  if (where.node->is_mapping() && where.node->tag.empty()) {
    take_mapping(where);
    return out;
  }
  if (where.node->is_sequence() && where.node->tag.empty()) {
    for (const ast::NodePtr& item : where.node->items) {
      Located one{item.get(), where.scope};
      const Located followed = evaluator_.follow(one);
      if (followed.node->is_mapping() && followed.node->tag.empty()) {
        take_mapping(followed);
      } else if (followed.node->is_sequence() && followed.node->tag.empty()) {
        evaluator_.error(item->span, "a name, an expression or {name: expression} is expected, found a list");
        return std::nullopt;
      } else {
        out.push_back({{}, {}, one});
      }
    }
    return out;
  }
  if (where.node->is_scalar() || !where.node->tag.empty()) {  // one item without its list
    out.push_back({{}, {}, where});
    return out;
  }
  return std::nullopt;
}

}  // namespace thalweg::lang
