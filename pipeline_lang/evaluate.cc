#include "pipeline_lang/evaluate.h"

#include <algorithm>

#include "pipeline_lang/rejecting.h"
#include "pipeline_lang/scalar.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {
namespace {

// Counts how deep evaluation is, for V2.
class Depth {
 public:
  explicit Depth(std::size_t& depth) : depth_(depth) { ++depth_; }
  ~Depth() { --depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  std::size_t& depth_;
};

template <class T>
class Restore {
 public:
  Restore(T& place, T value) : place_(place), old_(std::move(place)) { place_ = std::move(value); }
  ~Restore() { place_ = std::move(old_); }
  Restore(const Restore&) = delete;
  Restore& operator=(const Restore&) = delete;

 private:
  T& place_;
  T old_;
};

ObjectPtr scalar_object(Scalar scalar, SourceSpan span) { return make_object({std::move(scalar), span}); }

}  // namespace

Definition& Scope::define(Definition definition, bool is_plain) {
  auto& into = is_plain ? plain : variables;
  const std::string name = definition.name;
  auto& slot = into[name];
  slot = std::make_unique<Definition>(std::move(definition));
  return *slot;
}

Evaluator::Evaluator(const Registry& registry, const CompileOptions& options, FileTable& files,
                     Diagnostics& diagnostics, plan::Plan& plan)
    : registry_(registry), options_(options), files_(files), diagnostics_(diagnostics) {
  frames_.push_back({.id = 0, .parent = nullptr, .plan = &plan, .num_inputs = 0, .captured = {}, .captured_here = {}});
  frame_ = &frames_.front();
}

Evaluator::~Evaluator() = default;

Diagnostic& Evaluator::error(SourceSpan span, std::string message) {
  return diagnostics_.error(span, std::move(message));
}

Diagnostic& Evaluator::warning(SourceSpan span, std::string message) {
  return diagnostics_.warning(span, std::move(message));
}

// ---------------------------------------------------------------- scopes

Scope* Evaluator::open_file(const ast::Node& root) {
  Scope& scope = scopes_.emplace_back(nullptr, frame_);
  entered_[{&root, nullptr}] = &scope;
  for (const ast::Entry& entry : root.entries) {
    const bool variable = entry.is_definition();
    Definition definition;
    definition.name = variable ? entry.key.substr(1) : entry.key;
    definition.variable = variable;
    definition.span = entry.span;
    definition.where = {entry.value.get(), &scope};
    scope.define(std::move(definition), !variable);
  }
  return &scope;
}

Scope* Evaluator::enter(const ast::Node& mapping, Scope* scope) {
  if (!mapping.is_mapping()) return scope;
  const bool defines = std::any_of(mapping.entries.begin(), mapping.entries.end(),
                                   [](const ast::Entry& entry) { return entry.is_definition(); });
  if (!defines) return scope;
  Scope*& inner = entered_[{&mapping, scope}];
  if (inner != nullptr) return inner;
  Scope& fresh = scopes_.emplace_back(scope, scope->frame());
  for (const ast::Entry& entry : mapping.entries) {
    if (!entry.is_definition()) continue;
    Definition definition;
    definition.name = entry.key.substr(1);
    definition.span = entry.span;
    definition.where = {entry.value.get(), &fresh};
    fresh.define(std::move(definition), false);
  }
  return entered_[{&mapping, scope}] = &fresh;
}

Definition* Evaluator::find(std::string_view name, Scope* scope) {
  Scope* root = scope;
  for (Scope* s = scope; s != nullptr; s = s->parent()) {
    if (const auto found = s->variables.find(name); found != s->variables.end()) return found->second.get();
    root = s;
  }
  if (root == nullptr) return nullptr;
  for (Scope* import : root->imports)
    if (const auto found = import->variables.find(name); found != import->variables.end()) return found->second.get();
  // A plain key is never a candidate for its own value.
  const auto candidate = [&](Scope* s) -> Definition* {
    const auto found = s->plain.find(name);
    if (found == s->plain.end() || found->second->state == Definition::State::kRunning) return nullptr;
    return found->second.get();
  };
  if (Definition* own = candidate(root)) return own;
  for (Scope* import : root->imports)
    if (Definition* other = candidate(import)) return other;
  return nullptr;
}

std::vector<std::string> Evaluator::variable_names(Scope* scope) const {
  std::vector<std::string> out;
  const Scope* root = scope;
  for (const Scope* s = scope; s != nullptr; s = s->parent()) {
    for (const auto& [name, definition] : s->variables) out.push_back(name);
    root = s;
  }
  if (root == nullptr) return out;
  for (const auto& [name, definition] : root->plain) out.push_back(name);
  for (const Scope* import : root->imports) {
    for (const auto& [name, definition] : import->variables) out.push_back(name);
    for (const auto& [name, definition] : import->plain) out.push_back(name);
  }
  return out;
}

ObjectPtr Evaluator::outside(std::string_view name) {
  if (!options_.environment) return nullptr;
  auto value = options_.environment(std::string(name));
  if (!value) return nullptr;
  return scalar_object(environment_scalar(std::move(*value)), {});
}

ObjectPtr Evaluator::reference(std::string_view name, Scope* scope, SourceSpan at, bool report) {
  if (Definition* definition = find(name, scope)) {
    definition->used = true;
    if (definition->state == Definition::State::kRunning) return cycle(*definition, at);
    return value_of(*definition);
  }
  if (Definition* rejecting = find_rejecting(scope, name)) {
    rejecting->used = true;
    if (rejecting->state == Definition::State::kRunning) return cycle(*rejecting, at);
    const ObjectPtr made = value_of(*rejecting);
    for (const auto& [known, table] : exports_)
      if (known.name == name) return table_object(table);
    // A test gives its rows in the place of the source: then there is nothing that it could not read.
    if (made->as_table() == nullptr || !options_.inputs.contains(rejecting->name)) return error_object();
    Restore<Frame*> frame(frame_, &frames_.front());
    const Table none =
        add(plan::ErrorLog{.operators = {}, .all = false, .rejected_records = true}, {}, rejected_records_schema(),
            {.span = at, .label = "$" + std::string(name), .append_only = true, .universe = std::nullopt});
    exports_.emplace_back(Named{std::string(name), at}, none);
    return table_object(none);
  }
  if (!error_table_.empty() && name == error_table_) return table_object(error_log(at));
  if (const ObjectPtr value = outside(name)) {  // it stands where it is asked for
    Object placed = *value;
    placed.span = at;
    return make_object(std::move(placed));
  }
  if (report) undefined(name, scope, at);
  return nullptr;
}

ObjectPtr Evaluator::variable(std::string_view name, Scope* scope) { return reference(name, scope, {}, false); }

void Evaluator::undefined(std::string_view name, Scope* scope, SourceSpan at) {
  Diagnostic& diagnostic = error(at, "`$" + std::string(name) + "` is not defined");
  std::vector<std::string> names = variable_names(scope);
  for (std::string& known : names) known.insert(0, "$");
  suggest(diagnostic, "$" + std::string(name), names);
  if (name == "schema") diagnostic.note("leave out `schema:` to infer");
  for (Definition* running : running_)
    if (!running->variable && running->name == name)
      diagnostic.note("the key `" + running->name + "` is being built here; it cannot be part of its own value");
}

ObjectPtr Evaluator::cycle(const Definition& definition, SourceSpan at) {
  std::string path;
  bool inside = false;
  for (const Definition* running : running_) {
    if (running == &definition) inside = true;
    if (inside) path += (running->variable ? "$" : "") + running->name + " -> ";
  }
  path += (definition.variable ? "$" : "") + definition.name;
  error(at.known() ? at : definition.span, "`$" + definition.name + "` needs itself: " + path)
      .note("defined here", definition.span);
  return error_object();
}

// Plain references in a definition, in file order. The body of a loop has names of its own and is left alone.
void Evaluator::collect_references(const ast::Node& node, Scope* scope, std::vector<Definition*>& out) {
  if (node.is_reference()) {
    Definition* definition = find(std::string_view(node.text).substr(1), scope);
    if (definition != nullptr && definition->state == Definition::State::kNew) out.push_back(definition);
    return;
  }
  Scope* inner = enter(node, scope);
  for (const ast::NodePtr& item : node.items) collect_references(*item, scope, out);
  for (const ast::Entry& entry : node.entries)
    if (!entry.is_definition() && entry.key != "body") collect_references(*entry.value, inner, out);
}

// Builds what a definition refers to before itself, so that long chains of tables need no deep recursion.
void Evaluator::build_references_of(Definition& root) {
  struct Visit {
    Definition* definition;
    std::vector<Definition*> children;
    std::size_t next = 0;
  };
  std::set<const Definition*> seen = {&root};
  std::vector<Visit> path;
  const auto open = [&](Definition& definition) {
    Visit visit{&definition, {}, 0};
    const bool is_replaced = options_.inputs.contains(definition.name) && definition.where.scope->parent() == nullptr;
    if (definition.where.node != nullptr && !is_replaced)
      collect_references(*definition.where.node, definition.where.scope, visit.children);
    path.push_back(std::move(visit));
  };
  open(root);
  while (!path.empty()) {
    Visit& visit = path.back();
    if (visit.next < visit.children.size()) {
      Definition* child = visit.children[visit.next++];
      if (seen.insert(child).second) open(*child);
      continue;
    }
    Definition* finished = visit.definition;
    path.pop_back();
    if (finished != &root && finished->state == Definition::State::kNew) value_of(*finished);
  }
}

ObjectPtr Evaluator::value_of(Definition& definition) {
  if (definition.state == Definition::State::kDone) return definition.value;
  if (definition.state == Definition::State::kRunning) return cycle(definition, definition.span);
  if (!prebuilding_) {
    prebuilding_ = true;
    build_references_of(definition);
    prebuilding_ = false;
    if (definition.state == Definition::State::kDone) return definition.value;
  }
  definition.state = Definition::State::kRunning;
  running_.push_back(&definition);
  {
    Restore<Frame*> frame(frame_, definition.where.scope->frame());
    Restore<std::string> label(label_, (definition.variable ? "$" : "") + definition.name);
    if (options_.inputs.contains(definition.name) && definition.where.scope->parent() == nullptr)
      definition.value = replaced(definition);
    else
      definition.value = evaluate(definition.where);
  }
  running_.pop_back();
  definition.state = Definition::State::kDone;
  return definition.value;
}

Located Evaluator::follow(Located where) {
  for (std::size_t hops = 0; where.node != nullptr && where.node->is_reference(); ++hops) {
    Definition* definition = find(std::string_view(where.node->text).substr(1), where.scope);
    if (definition == nullptr || definition->where.node == nullptr) return where;
    if (definition->state == Definition::State::kRunning || hops > kNestedMax) return where;
    definition->used = true;
    where = definition->where;
  }
  return where;
}

// ---------------------------------------------------------------- values

ObjectPtr Evaluator::evaluate(Located where) {
  Depth depth(nested_);
  if (nested_ > kNestedMax) {
    error(where.span(), "definitions depend on each other more than " + std::to_string(kNestedMax) + " levels deep");
    return error_object();
  }
  Restore<Frame*> frame(frame_, where.scope->frame());
  const ast::Node& node = *where.node;
  if (node.is_scalar() && node.tag.empty()) return scalar(where);
  if (const auto known = values_.find({&node, where.scope}); known != values_.end()) {
    if (known->second != nullptr) return known->second;
    error(where.span(), "this value needs itself");
    return error_object();
  }
  values_[{&node, where.scope}] = nullptr;
  ObjectPtr value = evaluate_new(where);
  values_[{&node, where.scope}] = value;
  return value;
}

ObjectPtr Evaluator::evaluate_new(Located where) {
  if (!where.node->tag.empty()) return tagged(where);
  label_.clear();
  return where.node->is_sequence() ? list(where) : mapping(where);
}

ObjectPtr Evaluator::scalar(Located where) {
  const ast::Node& node = *where.node;
  if (node.is_reference()) {
    label_.clear();
    ObjectPtr value = reference(std::string_view(node.text).substr(1), where.scope, node.span, true);
    return value != nullptr ? value : error_object();
  }
  // A block scalar is data (a table, a query): nothing is replaced in it.
  const bool block = node.quoted && !node.span.known()
                         ? false
                         : node.quoted && node.span.begin < files_.text(node.span.file).size() &&
                               (files_.text(node.span.file)[node.span.begin] == '|' ||
                                files_.text(node.span.file)[node.span.begin] == '>');
  if (!block && has_interpolation(node.text)) {
    bool secret = false;
    const Interpolated result = interpolate(node.text, [&](std::string_view name) -> std::optional<std::string> {
      const ObjectPtr value = reference(name, where.scope, node.span, false);
      if (value == nullptr || value->as_scalar() == nullptr) return std::nullopt;
      secret = secret || value->as_scalar()->secret;
      return value->as_scalar()->spelling;
    });
    if (!result.error.empty()) {
      error(node.sub_span(result.error_begin, result.error_end), result.error);
      return error_object();
    }
    Scalar out = node.quoted ? text_scalar(result.text) : environment_scalar(result.text);
    out.secret = secret;
    return scalar_object(std::move(out), node.span);
  }
  if (!node.quoted && node.text.starts_with('$')) {
    // `$orders.customer`: a column of a table, by its name.
    const std::size_t dot = node.text.find('.');
    const std::string name = node.text.substr(1, dot == std::string::npos ? std::string::npos : dot - 1);
    if (dot != std::string::npos && ast::is_identifier(name)) {
      const ObjectPtr value = reference(name, where.scope, node.span, true);
      if (value == nullptr || value->is_error()) return error_object();
      if (value->as_table() != nullptr) return scalar_object(text_scalar(node.text.substr(dot + 1)), node.span);
    }
    error(node.span, "`" + node.text + "` is neither a variable nor a text")
        .note("a variable is `$` and a name; quote it if it is a text");
    return error_object();
  }
  return scalar_object(node.quoted ? text_scalar(node.text) : plain_scalar(node.text), node.span);
}

ObjectPtr Evaluator::list(Located where) {
  ListObject out;
  for (const ast::NodePtr& item : where.node->items) out.items.push_back(evaluate({item.get(), where.scope}));
  return make_object({std::move(out), where.node->span});
}

ObjectPtr Evaluator::mapping(Located where) {
  Scope* scope = enter(*where.node, where.scope);
  MapObject out;
  for (const ast::Entry& entry : where.node->entries)
    if (!entry.is_definition()) out.entries.emplace_back(entry.key, evaluate({entry.value.get(), scope}));
  return make_object({std::move(out), where.node->span});
}

// ---------------------------------------------------------------- tags

void Evaluator::unknown_tag(const ast::Node& node, bool as_error) {
  const SourceSpan at = node.tag_span;
  const std::string message = "unknown tag `!" + node.tag + "`";
  Diagnostic& diagnostic = as_error ? error(at, message) : warning(at, message);
  const std::string name = short_tag(node.tag);
  if (name.starts_with("io.python.")) {
    diagnostic.note("there is no Python here; a custom connector is a program behind `!io.exec.read`");
    return;
  }
  suggest(diagnostic, name, registry_.names());
  if (!diagnostic.notes.empty()) return;
  // Perhaps the family is wrong, and the last part is right.
  const std::size_t dot = name.rfind('.');
  const std::string last = dot == std::string::npos ? name : name.substr(dot + 1);
  for (const std::string& known : registry_.names())
    if (known == last || (known.size() > last.size() && known.ends_with("." + last))) {
      diagnostic.note("did you mean `" + known + "`?");
      return;
    }
}

// `!int`, `!pw.Type.STR`, `!PersistenceMode.PERSISTING`: constants without a row of their own.
ObjectPtr Evaluator::bare_tag(Located where) {
  std::string name = short_tag(where.node->tag);
  if (auto type = type_from_text(name)) return make_object({*type, where.node->tag_span});
  if (auto type = type_from_text(where.node->tag)) return make_object({*type, where.node->tag_span});
  const std::size_t dot = name.rfind('.');
  const std::string last = dot == std::string::npos ? name : name.substr(dot + 1);
  if (name.starts_with("Type.") || name.starts_with("PathwayType."))
    if (auto type = type_from_text(last)) return make_object({*type, where.node->tag_span});
  return nullptr;
}

ObjectPtr Evaluator::tagged(Located where) {
  const ast::Node& node = *where.node;
  std::string label = std::move(label_);
  label_.clear();
  const Component* component = registry_.find(node.tag);
  if (component == nullptr) {
    if (node.is_scalar() && node.text.empty() && !node.quoted)
      if (ObjectPtr constant = bare_tag(where)) return constant;
    unknown_tag(node);
    if (node.is_mapping()) {  // what its arguments say is still looked at
      Scope* scope = enter(node, where.scope);
      for (const ast::Entry& entry : node.entries)
        if (!entry.is_definition() && (!entry.value->tag.empty() || entry.value->is_reference()))
          evaluate({entry.value.get(), scope});
      mark_used(node, where.scope);
    }
    return error_object();
  }
  if (component->kind == ComponentKind::kKnown) {
    mark_used(node, where.scope);
    error(node.tag_span, "`" + component->name + "` is known, not built into this version");
    return error_object();
  }
  Scope* scope = enter(node, where.scope);
  const std::string tag_label = "!" + component->name;
  auto call = std::make_shared<TagCall>(*this, *component, node.tag_span, label.empty() ? tag_label : label, scope);
  all_calls_.push_back(call);
  if (node.is_mapping()) {
    call->take_arguments(node, scope);
  } else if (node.is_sequence()) {
    error(node.span, "`!" + component->name + "` takes named arguments (a mapping), found a list");
    return error_object();
  } else if (node.quoted || !node.text.empty()) {
    if (component->text_arg.empty()) {
      if (component->kind == ComponentKind::kConstant)
        error(node.span, "`!" + component->name + "` is a constant and takes nothing");
      else
        error(node.span, "`!" + component->name + "` takes named arguments (a mapping), found the text `" +
                             node.text.substr(0, 40) + "`");
      return error_object();
    }
    // The text alone, without the tag, is the argument.
    auto text = std::make_shared<ast::Node>(node);
    text->tag.clear();
    text->tag_span = {};
    kept_.push_back(text);
    call->take_argument(component->text_arg, node.span, {text.get(), scope});
  }
  call->check_required();
  return run(call);
}

ObjectPtr Evaluator::run(const std::shared_ptr<TagCall>& call) {
  const Component& component = call->component();
  if (!component.build) return make_object({Instance{&component, call}, call->span()});
  calls_.push_back(call.get());
  ObjectPtr value = component.build(*this, *call);
  calls_.pop_back();
  if (value == nullptr || value->is_error()) {
    call->set_failed();
    return error_object();
  }
  return with_export_settings(std::move(value), *call);
}

ObjectPtr Evaluator::with_export_settings(ObjectPtr object, const TagCall& call) {
  const Table* table = object->as_table();
  if (table == nullptr || (!call.has("export") && !call.has("index") && !call.has("retain"))) return object;
  if (call.component().kind != ComponentKind::kTable && call.component().kind != ComponentKind::kSource) return object;
  Table out = *table;
  if (const auto flag = call.boolean("export")) out.may_export = *flag;
  if (const auto columns = call.names("index")) {
    std::vector<std::string> index;
    for (const Named& column : *columns) {
      if (out.schema.find(column.name)) {
        index.push_back(column.name);
        continue;
      }
      suggest(error(column.span, "unknown column `" + column.name + "`"), column.name, out.column_names());
    }
    out.indexes.push_back(std::move(index));
  }
  out.retain_ns = call.duration("retain");
  if (out.retain_ns && *out.retain_ns < 0) error(call.at("retain").span(), "`retain` is not negative");
  return make_object({std::move(out), object->span});
}

ObjectPtr Evaluator::construct(std::string_view name, const Call& like,
                               std::vector<std::pair<std::string, Located>> args) {
  const Component* component = registry_.find(name);
  if (component == nullptr) {
    error(like.span(), "`!" + std::string(name) + "` is not built into this version");
    return error_object();
  }
  const auto& origin = static_cast<const TagCall&>(like);
  auto call = std::make_shared<TagCall>(*this, *component, like.span(), like.label(), origin.scope());
  all_calls_.push_back(call);
  for (auto& [arg, where] : args) {
    if (where.node == nullptr) continue;
    call->take_argument(arg, where.span(), where);
    for (const auto& argument : origin.arguments())
      if (argument.value.node == where.node) argument.asked = true;
  }
  call->check_required();
  return run(call);
}

}  // namespace thalweg::lang
