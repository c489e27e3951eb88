// The data side of the evaluator: settings, types, texts, paths; and what nothing reached.
#include <algorithm>
#include <filesystem>

#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/rejecting.h"
#include "pipeline_lang/scalar.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {
namespace {

constexpr std::size_t kNamedFileBytesMax = std::size_t{64} << 20;

// `$name` tokens of a text.
std::vector<std::string> dollar_names(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t i = text.find('$'); i != std::string_view::npos; i = text.find('$', i + 1)) {
    std::size_t begin = i + 1;
    if (begin < text.size() && text[begin] == '{') ++begin;
    std::size_t end = begin;
    while (end < text.size() && ast::is_identifier(text.substr(begin, end + 1 - begin))) ++end;
    if (end > begin) out.emplace_back(text.substr(begin, end - begin));
  }
  return out;
}

}  // namespace

std::optional<Setting> Evaluator::setting(Located where) {
  const ObjectPtr object = evaluate(where);
  return to_setting(*object, where.span());
}

std::optional<Setting> Evaluator::to_setting(const Object& object, SourceSpan at) {
  if (object.is_error()) return std::nullopt;
  const SourceSpan span = at.known() ? at : object.span;
  if (const Scalar* scalar = object.as_scalar()) {
    Setting out;
    switch (scalar->value.tag()) {
      case Value::Tag::kNone: break;
      case Value::Tag::kBool: out = Setting(scalar->value.as_bool()); break;
      case Value::Tag::kInt: out = Setting(scalar->value.as_int()); break;
      case Value::Tag::kFloat: out = Setting(scalar->value.as_float()); break;
      default: out = Setting(scalar->spelling); break;
    }
    if (out.as_text() == nullptr) out.spelling = scalar->spelling;
    out.span = span;
    out.secret = scalar->secret;
    return out;
  }
  bool fine = true;
  if (const ListObject* list = object.as_list()) {
    Setting::List out;
    for (const ObjectPtr& item : list->items) {
      auto one = to_setting(*item, item->span.known() ? item->span : span);
      fine = fine && one;
      if (one) out.push_back(std::move(*one));
    }
    if (!fine) return std::nullopt;
    return Setting(std::move(out), span);
  }
  if (const MapObject* map = object.as_map()) {
    Setting::Map out;
    for (const auto& [key, value] : map->entries) {
      auto one = to_setting(*value, value->span.known() ? value->span : span);
      fine = fine && one;
      if (one) out.emplace_back(key, std::move(*one));
    }
    if (!fine) return std::nullopt;
    return Setting(std::move(out), span);
  }
  if (const Type* type = object.as_type()) return Setting(type->to_text(), span);
  if (const Instance* instance = object.as_instance()) {
    Setting::Map out;
    const auto& call = static_cast<const TagCall&>(*instance->call);
    for (const TagCall::Argument& argument : call.arguments()) {
      argument.asked = true;
      const ObjectPtr value = evaluate(argument.value);
      auto one = to_setting(*value, argument.value.span());
      fine = fine && one;
      if (!one) continue;
      call.check_value(argument);
      if (argument.spec != nullptr && argument.spec->kind == ArgKind::kPath && one->as_text() != nullptr) {
        Setting path(resolve_path(*one->as_text(), argument.value.node->span), one->span);
        path.secret = one->secret;
        *one = std::move(path);
      }
      one->secret = one->secret || (argument.spec != nullptr && argument.spec->secret);
      out.emplace_back(argument.spec != nullptr ? argument.spec->name : argument.written, std::move(*one));
    }
    if (!fine) return std::nullopt;
    Setting result(std::move(out), span);
    result.tag = instance->component->name;
    return result;
  }
  error(span, "data is expected here, found " + describe(object));
  return std::nullopt;
}

std::optional<std::string> Evaluator::text_of(const Object& object, SourceSpan at) {
  if (object.is_error()) return std::nullopt;
  if (const Scalar* scalar = object.as_scalar()) return scalar->spelling;
  error(at, "a text is expected, found " + describe(object));
  return std::nullopt;
}

std::optional<std::string> Evaluator::text(Located where) { return text_of(*evaluate(where), where.span()); }

std::optional<Table> Evaluator::table(Located where) {
  const ObjectPtr object = evaluate(where);
  if (const Table* table = object->as_table()) return *table;
  if (!object->is_error()) {
    Diagnostic& diagnostic = error(where.span(), "a table is expected, found " + describe(*object));
    if (where.node->is_plain() && find(where.node->text, where.scope) != nullptr)
      diagnostic.note("did you mean `$" + where.node->text + "`?");
  }
  return std::nullopt;
}

std::optional<Type> Evaluator::type(Located where) {
  // `!pw.Duration` alone is the type; with arguments it makes a duration.
  const ast::Node& node = *follow(where).node;
  if (!node.tag.empty() && node.is_scalar() && node.text.empty() && !node.quoted)
    if (auto type = type_from_text(node.tag)) return type;
  const ObjectPtr object = evaluate(where);
  if (object->is_error()) return std::nullopt;
  if (const Type* type = object->as_type()) return *type;
  const Scalar* scalar = object->as_scalar();
  if (scalar != nullptr) {
    if (scalar->value.is_none() && scalar->spelling.empty()) {
      error(where.span(), "a type is missing here");
      return std::nullopt;
    }
    if (auto type = type_from_text(scalar->spelling)) return type;
  }
  static const std::vector<std::string> kNames = {
      "bool",           "int",          "float",    "str",     "bytes", "json",      "uuid",           "any",
      "datetime_naive", "datetime_utc", "duration", "pointer", "array", "list[int]", "tuple[int, str]"};
  Diagnostic& diagnostic = error(where.span(), scalar != nullptr ? "unknown type `" + scalar->spelling + "`"
                                                                 : "a type is expected, found " + describe(*object));
  if (scalar != nullptr) {
    suggest(diagnostic, scalar->spelling, kNames);
    if (diagnostic.notes.empty())
      diagnostic.note(
          "types are bool, int, float, str, bytes, json, datetime_naive, datetime_utc, duration, uuid, "
          "pointer, any, list[T], tuple[T, …], array, and `T | None`");
  }
  return std::nullopt;
}

std::string Evaluator::resolve_path(std::string_view path, SourceSpan at) const {
  std::string text(path);
  if (text.empty() || text[0] == '/' || text.find("://") != std::string::npos || !at.known()) return text;
  const std::filesystem::path file(std::string(files_.name(at.file)));
  const std::filesystem::path folder = file.parent_path();
  if (folder.empty()) return text;
  // `./data/` keeps its meaning of a folder.
  std::string joined = (folder / text).lexically_normal().string();
  if (text.ends_with('/') && !joined.ends_with('/')) joined += '/';
  return joined;
}

bool Evaluator::path_allowed(const std::string& path) const {
  return !options_.path_allowed || options_.path_allowed(path);
}

Result<std::string> Evaluator::read_file(const std::string& path) const {
  if (options_.disk == nullptr) return fail(Code::kPermission, "files cannot be read here");
  if (!path_allowed(path)) return fail(Code::kPermission, "it is outside of what `allow_paths` permits");
  auto file = TRY(options_.disk->open_read(path));
  std::string out;
  char buffer[64 * 1024];
  while (true) {
    const std::size_t n = TRY(file->read_at(out.size(), buffer, sizeof buffer));
    if (n == 0) return out;
    out.append(buffer, n);
    if (out.size() > kNamedFileBytesMax)
      return fail(Code::kTooLarge, "larger than " + std::to_string(kNamedFileBytesMax >> 20) + " MiB");
  }
}

// ---------------------------------------------------------------- what nothing reached

// Without recursion: definitions may refer to each other in long chains.
void Evaluator::mark_used(const ast::Node& start, Scope* start_scope) {
  std::vector<std::pair<const ast::Node*, Scope*>> next = {{&start, start_scope}};
  while (!next.empty()) {
    const auto [node, scope] = next.back();
    next.pop_back();
    if (node->is_scalar())
      for (const std::string& name : dollar_names(node->text))
        if (Definition* definition = find(name, scope); definition != nullptr && !definition->used) {
          definition->used = true;
          if (definition->where.node != nullptr) next.emplace_back(definition->where.node, definition->where.scope);
        }
    Scope* inner = enter(*node, scope);
    for (const ast::NodePtr& item : node->items) next.emplace_back(item.get(), scope);
    for (const ast::Entry& entry : node->entries)
      if (!entry.is_definition()) next.emplace_back(entry.value.get(), inner);
  }
}

// An argument that the build function did not get to, because something else was wrong: what it refers to is still
// looked at, so that all errors come in one run.
void Evaluator::evaluate_rest(const TagCall& call) {
  for (const TagCall::Argument& argument : call.arguments()) {
    if (argument.asked || argument.value.node == nullptr) continue;
    argument.asked = true;
    const ast::Node& node = *argument.value.node;
    const ArgKind kind = argument.spec != nullptr ? argument.spec->kind : ArgKind::kAny;
    const bool is_value = kind == ArgKind::kTable || kind == ArgKind::kTables || kind == ArgKind::kTableMap ||
                          kind == ArgKind::kSchema || kind == ArgKind::kComponent || kind == ArgKind::kType;
    if (is_value && call.failed())
      evaluate(argument.value);
    else
      mark_used(node, argument.value.scope);
    call.check_value(argument);
  }
}

// The tag of a source whose rows a test gives: its arguments have names and values that it takes, though nothing is
// connected. What comes from variables is left alone: a test need not set the environment of a source it replaces.
void Evaluator::check_shape(const ast::Node& node, Scope* scope) {
  const Component* component = registry_.find(node.tag);
  if (component == nullptr) {
    const bool bare = node.is_scalar() && node.text.empty() && !node.quoted;
    if (!bare || bare_tag({&node, scope}) == nullptr) unknown_tag(node);
    return;
  }
  if (component->kind == ComponentKind::kKnown || !node.is_mapping()) return;
  Scope* inner = enter(node, scope);
  const auto call = std::make_shared<TagCall>(*this, *component, node.tag_span, "!" + component->name, inner);
  call->take_arguments(node, inner);
  call->check_required();
  for (const TagCall::Argument& argument : call->arguments()) {
    const ast::Node& value = *argument.value.node;
    if (!value.tag.empty())
      check_shape(value, inner);
    else if (value.is_scalar() && value.text.find('$') == std::string::npos)
      call->check_value(argument);
  }
}

void Evaluator::check_unreached(const ast::Node& node, Scope* scope, bool quiet) {
  if (node.is_reference() && !quiet) {
    const std::string name = node.text.substr(1);
    if (find(name, scope) == nullptr && outside(name) == nullptr && name != error_table_ &&
        find_rejecting(scope, name) == nullptr) {
      Diagnostic& diagnostic = warning(node.span, "`$" + name + "` is not defined");
      std::vector<std::string> names = variable_names(scope);
      suggest(diagnostic, name, names);
    }
  }
  const bool bare = node.is_scalar() && node.text.empty() && !node.quoted;
  if (!node.tag.empty() && registry_.find(node.tag) == nullptr && !(bare && bare_tag({&node, scope}) != nullptr))
    unknown_tag(node);
  Scope* inner = enter(node, scope);
  for (const ast::NodePtr& item : node.items) check_unreached(*item, scope, quiet);
  for (const ast::Entry& entry : node.entries)
    if (!entry.is_definition()) check_unreached(*entry.value, inner, quiet);
}

void Evaluator::finish_calls() {
  for (std::size_t i = 0; i < all_calls_.size(); ++i) {  // more may come while these are looked at
    const std::shared_ptr<TagCall> call = all_calls_[i];
    evaluate_rest(*call);
  }
}

void Evaluator::report_unused() {
  for (std::size_t i = 0; i < scopes_.size(); ++i) {
    Scope& scope = scopes_[i];
    for (const auto& [name, definition] : scope.variables) {
      if (definition->used || definition->where.node == nullptr) continue;
      if (!scope.quiet) warning(definition->span, "`$" + name + "` is never used");
      check_unreached(*definition->where.node, definition->where.scope, scope.quiet);
    }
  }
}

}  // namespace thalweg::lang
