#include "pipeline_lang/compile.h"

#include <algorithm>
#include <set>

#include "config/decode.h"
#include "engine/plan/rewrite/rewrite.h"
#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/llm/store.h"
#include "pipeline_lang/registry.h"
#include "pipeline_lang/scalar.h"
#include "pipeline_lang/settings.h"
#include "pipeline_lang/yaml_reader.h"

namespace thalweg::lang {
namespace {

constexpr std::size_t kImportsMax = 100;

// One compilation of one file.
class Compilation {
 public:
  Compilation(CompileResult& result, const CompileOptions& options)
      : result_(result),
        options_(options),
        registry_(options.catalog),
        evaluator_(registry_, options, *result.files, result.diagnostics, result.plan) {}

  void run() {
    const ast::Node& root = *result_.root;
    if (!root.is_mapping() || !root.tag.empty()) {
      result_.diagnostics.error(root.whole_span(), "a pipeline file is a mapping of names to values");
      return;
    }
    scope_ = evaluator_.open_file(root);
    apply_overrides();
    import_files(root, *scope_);
    check_inputs();
    read_settings(root);
    for (const ast::Entry& entry : root.entries)
      if (!entry.is_definition()) top_level(entry);
    serve_components();
    evaluator_.finish_calls();
    for (const auto& [entry, value] : undecided_) judge(*entry, *value);
    export_error_table();
    for (const auto& [name, table] : evaluator_.further_exports()) export_one(name, table);
    // An error may have ended a way to a definition early: what the text refers to counts as used then.
    if (!result_.ok())
      for (const ast::Entry& entry : root.entries)
        if (!entry.is_definition() && !(entry.key == "tests" && is_setting(entry)))
          evaluator_.mark_used(*entry.value, scope_);
    check_overrides();
    evaluator_.report_unused();
    result_.inferred = evaluator_.inferred();
    result_.plan.name = result_.settings.name.value_or("");
    result_.plan.terminate_on_error = result_.settings.terminate_on_error.value_or(false);
    result_.plan.autocommit_ms = result_.settings.autocommit_duration_ms.value_or(0);
    result_.plan.workers = static_cast<std::uint32_t>(result_.settings.workers.value_or(0));
    result_.diagnostics.sort();
    if (result_.ok()) rewrite();
  }

 private:
  void rewrite() {
    const std::vector<NodeId> now = plan::rewrite(result_.plan, options_.running);
    for (ExportInfo& info : result_.exports) {
      info.node = now[info.node.value];
      info.table = now[info.table.value];
    }
  }

  // `--set name=value` is a definition that wins.
  void apply_overrides() {
    for (const auto& [name, value] : options_.overrides) {
      if (scope_->variables.contains(name)) defined_.insert(name);
      Definition definition;
      definition.name = name;
      definition.where = {nullptr, scope_};
      definition.state = Definition::State::kDone;
      definition.value = make_object({environment_scalar(value), {}});
      scope_->define(std::move(definition), false);
    }
  }

  // A `--set` that nothing reads is a slip of the pen, unless it is for another file of the same run.
  void check_overrides() {
    for (const auto& [name, value] : options_.overrides) {
      Definition& definition = *scope_->variables.find(name)->second;
      if (!definition.used && !defined_.contains(name) && !is_setting_name(name)) {
        std::vector<std::string> names = setting_names();
        for (const auto& [known, other] : scope_->variables)
          if (other.get() != &definition) names.push_back(known);
        for (const auto& [known, other] : scope_->plain)
          if (other->used) names.push_back(known);
        suggest(result_.diagnostics.warning({}, "`--set " + name + "`: nothing in the pipeline refers to `$" + name +
                                                    "`, and no setting has that name"),
                name, names);
      }
      definition.used = true;
    }
  }

  [[nodiscard]] const std::string* override_of(std::string_view name) const {
    for (const auto& [known, value] : options_.overrides)
      if (known == name) return &value;
    return nullptr;
  }

  // ---- imports

  void import_files(const ast::Node& root, Scope& into) {
    const ast::Entry* entry = root.find("imports");
    if (entry == nullptr || entry->is_definition()) return;
    std::vector<std::pair<std::string, SourceSpan>> paths;
    const Located where = evaluator_.follow({entry->value.get(), &into});
    if (where.node->is_sequence()) {
      for (const ast::NodePtr& item : where.node->items)
        if (auto text = evaluator_.text({item.get(), where.scope})) paths.emplace_back(*text, item->span);
    } else if (!where.node->is_null()) {
      if (auto text = evaluator_.text(where)) paths.emplace_back(*text, where.node->span);
    }
    for (const auto& [path, span] : paths)
      if (Scope* imported = import_file(evaluator_.resolve_path(path, span), span)) into.imports.push_back(imported);
  }

  Scope* import_file(const std::string& path, SourceSpan at) {
    if (const auto known = imported_.find(path); known != imported_.end()) return known->second;
    if (imported_.size() >= kImportsMax) {
      result_.diagnostics.error(at, "more than " + std::to_string(kImportsMax) + " imported files");
      return nullptr;
    }
    imported_[path] = nullptr;  // a file that imports itself sees nothing of itself
    auto text = evaluator_.read_file(path);
    if (!text) {
      result_.diagnostics.error(at, "cannot read `" + path + "`: " + text.error().message);
      return nullptr;
    }
    const FileId file = result_.files->add(path, std::move(*text));
    const ast::NodePtr root = read_yaml(*result_.files, file, result_.diagnostics);
    if (root == nullptr) return nullptr;
    if (!root->is_mapping()) {
      result_.diagnostics.error(root->whole_span(), "an imported file is a mapping of names to values");
      return nullptr;
    }
    roots_.push_back(root);
    Scope* scope = evaluator_.open_file(*root);
    scope->quiet = true;
    imported_[path] = scope;
    import_files(*root, *scope);
    return scope;
  }

  void check_inputs() {
    for (const auto& [name, input] : options_.inputs) {
      if (scope_->variables.contains(name) || scope_->plain.contains(name)) continue;
      std::vector<std::string> names;
      for (const auto& [known, definition] : scope_->variables) names.push_back(known);
      for (const auto& [known, definition] : scope_->plain) names.push_back(known);
      suggest(result_.diagnostics.error(
                  input.span, "the pipeline has no variable or key `" + name + "` that an input could replace"),
              name, names);
    }
  }

  // ---- settings

  // A table or an output under the name of a setting is what its value says.
  [[nodiscard]] bool is_setting(const ast::Entry& entry) const {
    if (!is_setting_name(entry.key)) return false;
    if (entry.value->tag.empty()) return true;
    const Component* component = registry_.find(entry.value->tag);
    return component == nullptr ||
           (component->kind != ComponentKind::kTable && component->kind != ComponentKind::kSource &&
            component->kind != ComponentKind::kSink);
  }

  void read_settings(const ast::Node& root) {
    for (const char* name : {"persistence_config", "persistence_backend", "snapshot_path"})
      if (const ast::Entry* entry = root.find(name); entry != nullptr && !entry->value->is_null())
        evaluator_.set_keeps_state();
    SettingsReader reader(evaluator_, result_.settings);
    for (const ast::Entry& entry : root.entries) {
      if (entry.is_definition() || !is_setting(entry)) continue;
      if (entry.key == "tests") {
        result_.tests = entry.value.get();
      } else if (entry.key != "imports" && override_of(entry.key) == nullptr) {
        if (auto served = reader.read(entry, *scope_)) result_.served.push_back(std::move(*served));
      }
    }
    for (const auto& [name, value] : options_.overrides)
      if (is_setting_name(name)) reader.take(name, Setting(value), {});
    components_ = reader.components();
    if (result_.settings.error_table) evaluator_.set_error_table(*result_.settings.error_table);
  }

  // ---- plain keys

  void top_level(const ast::Entry& entry) {
    const auto found = scope_->plain.find(entry.key);
    if (found == scope_->plain.end()) return;
    if (is_setting(entry)) {  // unless its value, by way of a `$name`, is a table or an output after all
      const ObjectPtr& known = found->second->value;
      if (known == nullptr || (known->as_table() == nullptr && known->as_sink() == nullptr)) return;
    }
    const ObjectPtr value = evaluator_.value_of(*found->second);
    if (value->is_error() || value->as_sink() != nullptr) return;
    if (const Table* table = value->as_table()) {
      if (table->may_export) export_one({entry.key, entry.span}, *table);
      return;
    }
    undecided_.emplace_back(&entry, value);
  }

  static bool only_outputs(const Object& object) {
    if (object.as_sink() != nullptr || object.is_error()) return true;
    if (const ListObject* list = object.as_list())
      return !list->items.empty() &&
             std::all_of(list->items.begin(), list->items.end(), [](const ObjectPtr& o) { return only_outputs(*o); });
    if (const MapObject* map = object.as_map())
      return !map->entries.empty() && std::all_of(map->entries.begin(), map->entries.end(),
                                                  [](const auto& e) { return only_outputs(*e.second); });
    return false;
  }

  // What is neither a sink nor a table: served, a definition, or wrong.
  void judge(const ast::Entry& entry, const Object& value) {
    const Definition& definition = *scope_->plain.find(entry.key)->second;
    if (definition.used || only_outputs(value)) return;
    const Instance* instance = value.as_instance();
    if (instance != nullptr && instance->made != nullptr) return;  // served
    if (instance != nullptr && instance->component->kind == ComponentKind::kServer) {
      if (auto component = evaluator_.to_setting(value, entry.value->whole_span()))
        result_.served.push_back({entry.key, std::move(*component)});
      return;
    }
    Diagnostic& diagnostic = result_.diagnostics.error(
        entry.span, "`" + entry.key + "` is " + describe(value) +
                        ": neither an output, a table, a server nor a setting, and nothing refers to `$" + entry.key +
                        "`");
    std::vector<std::string> names = setting_names();
    suggest(diagnostic, entry.key, names);
  }

  // The peer's application of slides says what it is made of, and not how: `sources`, `retriever_factory` and
  // `search_topk` are a store of slides that is searched.
  void find_slides() {
    const ast::Entry* sources = result_.root->find("sources");
    const ast::Entry* factory = result_.root->find("retriever_factory");
    if (sources == nullptr || factory == nullptr || result_.diagnostics.has_errors()) return;
    std::string text =
        "!xpacks.llm.question_answering.DeckRetriever\n"
        "indexer: !xpacks.llm.document_store.SlidesDocumentStore\n"
        "  docs: $sources\n"
        "  parser: !xpacks.llm.parsers.SlideParser {}\n"
        "  retriever_factory: $retriever_factory\n";
    if (result_.root->find("search_topk") != nullptr) text += "search_topk: $search_topk\n";
    const FileId file = result_.files->add("the application of slides", std::move(text));
    ast::NodePtr node = read_yaml(*result_.files, file, result_.diagnostics);
    if (node == nullptr) return;
    const ObjectPtr made = evaluator_.evaluate({node.get(), scope_});
    roots_.push_back(std::move(node));
    if (const Instance* instance = made->as_instance(); instance != nullptr && instance->made != nullptr)
      components_.emplace_back(sources, made);
  }

  // Routes of document stores and question answering. Where both are there the store is part of the other.
  void serve_components() {
    for (const auto& [entry, value] : undecided_)
      if (const Instance* instance = value->as_instance(); instance != nullptr && instance->made != nullptr)
        components_.emplace_back(entry, value);
    if (components_.empty()) find_slides();
    if (result_.diagnostics.has_errors()) return;
    std::vector<ObjectPtr> components;
    for (const auto& [entry, value] : components_) components.push_back(value);
    lang::serve_components(evaluator_, components, {result_.settings.host, result_.settings.port});
  }

  void export_one(const Named& name, const Table& table) {
    for (const ExportInfo& known : result_.exports)
      if (known.name == name.name) {
        result_.diagnostics.error(name.span, "the table `" + name.name + "` is exported twice")
            .note("first here", known.span);
        return;
      }
    plan::Export node;
    node.name = name.name;
    node.retain_ns = table.retain_ns;
    for (const auto& index : table.indexes) {
      plan::Columns columns;
      for (const std::string& column : index)
        if (const auto at = table.schema.find(column)) columns.push_back(static_cast<std::uint32_t>(*at));
      node.indexes.push_back(std::move(columns));
    }
    const Table made = evaluator_.add(
        std::move(node), {table}, {},
        {.span = name.span, .label = name.name, .append_only = table.append_only, .universe = std::nullopt});
    ExportInfo info;
    info.name = name.name;
    info.node = made.node;
    info.table = table.node;
    info.schema = table.schema;
    info.append_only = table.append_only;
    info.primary_key = table.primary_key;
    info.span = name.span;
    result_.exports.push_back(std::move(info));
  }

  void export_error_table() {
    if (!result_.settings.error_table) return;
    const ast::Entry* entry = result_.root->find("error_table");
    const SourceSpan span = entry != nullptr ? entry->span : SourceSpan{};
    export_one({*result_.settings.error_table, span}, evaluator_.error_log(span));
  }

  CompileResult& result_;
  const CompileOptions& options_;
  Registry registry_;
  Evaluator evaluator_;
  Scope* scope_ = nullptr;
  std::map<std::string, Scope*> imported_;
  std::set<std::string> defined_;  // by the file, of what `--set` names
  std::vector<ast::NodePtr> roots_;
  std::vector<std::pair<const ast::Entry*, ObjectPtr>> undecided_;
  std::vector<std::pair<const ast::Entry*, ObjectPtr>> components_;
};

}  // namespace

CompileResult compile_tree(const ast::NodePtr& root, std::shared_ptr<FileTable> files, const CompileOptions& options) {
  CompileResult result;
  result.files = std::move(files);
  result.root = root;
  if (root != nullptr) Compilation(result, options).run();
  return result;
}

CompileResult compile_text(const std::string& name, std::string text, const CompileOptions& options) {
  auto files = std::make_shared<FileTable>();
  const FileId file = files->add(name, std::move(text));
  Diagnostics reading;
  const ast::NodePtr root = read_yaml(*files, file, reading);
  CompileResult result;
  result.files = std::move(files);
  result.root = root;
  result.diagnostics = std::move(reading);
  if (root != nullptr) Compilation(result, options).run();
  return result;
}

CompileResult compile_file(const std::string& path, const CompileOptions& options) {
  CompileResult result;
  const auto read = [&]() -> Result<std::string> {
    if (options.disk == nullptr) return fail(Code::kPermission, "files cannot be read here");
    auto file = TRY(options.disk->open_read(path));
    std::string out;
    char buffer[64 * 1024];
    while (out.size() <= kYamlBytesMax) {
      const std::size_t n = TRY(file->read_at(out.size(), buffer, sizeof buffer));
      if (n == 0) break;
      out.append(buffer, n);
    }
    return out;
  };
  auto text = read();
  if (text) return compile_text(path, std::move(*text), options);
  result.files = std::make_shared<FileTable>();
  result.diagnostics.error({}, "cannot read `" + path + "`: " + text.error().message);
  return result;
}

}  // namespace thalweg::lang
