// pipeline_lang/evaluate.h
//
// From the tree to objects and a plan: scopes, references, tags. Values are built when something that runs asks for
// them, once, in whatever order that gives.
//
// V1  A value belongs to the scope it is written in, not to the one that asks: the same definition is one object.
// V2  A definition that is reached while it is being built is a cycle. What a definition refers to is built before it,
//     so recursion is shallow; it is bounded by kNestedMax all the same.
// V3  One mistake gives one message: what depends on it is an Error object.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/base/file_table.h"
#include "pipeline_lang/builder.h"
#include "pipeline_lang/compile.h"
#include "pipeline_lang/registry.h"

namespace thalweg::lang {

// A plan under construction: the pipeline (id 0), or the body of a loop.
struct Frame {
  std::uint32_t id = 0;
  Frame* parent = nullptr;
  plan::Plan* plan = nullptr;
  std::uint32_t num_inputs = 0;  // LoopInput nodes so far
  std::vector<Table> captured;   // outer tables, in their own frames
  std::vector<Table> captured_here;
};

struct Definition {
  std::string name;      // without the dollar
  bool variable = true;  // `$name:`; else a plain key of the top level
  SourceSpan span;
  Located where;
  enum class State : std::uint8_t { kNew, kRunning, kDone } state = State::kNew;
  bool used = false;
  ObjectPtr value;
};

class Scope {
 public:
  Scope(Scope* parent, Frame* frame) : parent_(parent), frame_(frame) {}
  Definition& define(Definition definition, bool plain);
  [[nodiscard]] Scope* parent() const { return parent_; }
  [[nodiscard]] Frame* frame() const { return frame_; }

  std::map<std::string, std::unique_ptr<Definition>, std::less<>> variables;
  std::map<std::string, std::unique_ptr<Definition>, std::less<>> plain;  // of a file's top level
  std::vector<Scope*> imports;                                            // of a file's top level
  bool quiet = false;  // of an imported file: what it does not use is its own affair

 private:
  Scope* parent_;
  Frame* frame_;
};

class TagCall;

// Columns of the error log (language.md 8).
[[nodiscard]] Schema error_log_schema();

class Evaluator : public Builder {
 public:
  static constexpr std::size_t kNestedMax = 1000;

  Evaluator(const Registry& registry, const CompileOptions& options, FileTable& files, Diagnostics& diagnostics,
            plan::Plan& plan);
  ~Evaluator() override;

  // ---- Builder
  Diagnostic& error(SourceSpan span, std::string message) override;
  Diagnostic& warning(SourceSpan span, std::string message) override;
  Diagnostics& diagnostics() override { return diagnostics_; }
  [[nodiscard]] const FileTable& files() const override { return files_; }
  ObjectPtr evaluate(Located where) override;
  Located follow(Located where) override;
  ObjectPtr variable(std::string_view name, Scope* scope) override;
  [[nodiscard]] std::vector<std::string> variable_names(Scope* scope) const override;
  std::optional<Setting> setting(Located where) override;
  std::optional<Type> type(Located where) override;
  std::optional<Table> table(Located where) override;
  std::optional<std::string> text(Located where) override;
  ObjectPtr construct(std::string_view component, const Call& like,
                      std::vector<std::pair<std::string, Located>> args) override;
  Table add(plan::Params params, const std::vector<Table>& inputs, Schema schema, NodeOptions options) override;
  UniverseId new_universe() override { return ++universes_; }
  [[nodiscard]] const plan::Node& node_of(const Table& table) const override;
  [[nodiscard]] bool in_loop() const override { return frame_->id != 0; }
  std::optional<LoopBody> loop(const LoopRequest& request) override;
  void export_table(const Named& name, const Table& table) override;

  // ---- for compile.cc and the calls
  // The scope of a file's top level: its definitions and plain keys.
  Scope* open_file(const ast::Node& root);
  ObjectPtr value_of(Definition& definition);
  // Looks at arguments that no build function asked for.
  void finish_calls();
  // Whatever `node` refers to, and what that refers to, counts as used.
  void mark_used(const ast::Node& node, Scope* scope);
  // Warnings for what nothing reached, errors for unknown tags in it.
  void report_unused();
  [[nodiscard]] const Registry& registry() const { return registry_; }
  [[nodiscard]] const CompileOptions& options() const { return options_; }
  [[nodiscard]] const std::vector<std::pair<Named, Table>>& further_exports() const { return exports_; }
  void note_inferred(InferredSchema schema) { inferred_.push_back(std::move(schema)); }
  [[nodiscard]] const std::vector<InferredSchema>& inferred() const { return inferred_; }
  // The scope inside a mapping.
  Scope* enter(const ast::Node& mapping, Scope* scope);
  std::optional<Setting> to_setting(const Object& object, SourceSpan at);
  std::optional<std::string> text_of(const Object& object, SourceSpan at);
  // A path as it can be opened: relative ones are relative to the file they stand in.
  [[nodiscard]] std::string resolve_path(std::string_view path, SourceSpan at) const;
  void unknown_tag(const ast::Node& node, bool as_error = true);
  [[nodiscard]] std::string unique_source_name(const std::string& wanted);
  // The table of the error log, made once.
  Table error_log(SourceSpan at);
  void set_error_table(std::string name) { error_table_ = std::move(name); }
  // The pipeline has persistence: a later run goes on where this one ends, also with what was static then.
  void set_keeps_state() { keeps_state_ = true; }
  [[nodiscard]] bool keeps_state() const { return keeps_state_; }
  [[nodiscard]] bool path_allowed(const std::string& path) const;
  // Reads a file that the pipeline names, by a resolved path.
  Result<std::string> read_file(const std::string& path) const;

 private:
  friend class TagCall;

  Definition* find(std::string_view name, Scope* scope);
  Definition* find_running(std::string_view name, Scope* scope);
  ObjectPtr reference(std::string_view name, Scope* scope, SourceSpan at, bool report);
  void collect_references(const ast::Node& node, Scope* scope, std::vector<Definition*>& out);
  void build_references_of(Definition& root);
  ObjectPtr outside(std::string_view name);
  ObjectPtr evaluate_new(Located where);
  ObjectPtr scalar(Located where);
  ObjectPtr list(Located where);
  ObjectPtr mapping(Located where);
  ObjectPtr tagged(Located where);
  ObjectPtr bare_tag(Located where);
  ObjectPtr run(const std::shared_ptr<TagCall>& call);
  ObjectPtr with_export_settings(ObjectPtr object, const TagCall& call);
  ObjectPtr cycle(const Definition& definition, SourceSpan at);
  ObjectPtr replaced(const Definition& definition);
  std::optional<Table> as_if_built(Located where);
  void undefined(std::string_view name, Scope* scope, SourceSpan at);
  Table import(const Table& table, Frame& into);
  Table add_node(plan::Params params, const std::vector<Table>& inputs, Schema schema, NodeOptions options);
  void check_unreached(const ast::Node& node, Scope* scope, bool quiet);
  void check_shape(const ast::Node& node, Scope* scope);
  void evaluate_rest(const TagCall& call);

  const Registry& registry_;
  const CompileOptions& options_;
  FileTable& files_;
  Diagnostics& diagnostics_;

  std::deque<Frame> frames_;
  Frame* frame_;
  std::deque<Scope> scopes_;
  std::vector<Definition*> running_;
  std::vector<const TagCall*> calls_;
  struct MemoKey {
    const ast::Node* node;
    const Scope* scope;
    friend bool operator==(const MemoKey&, const MemoKey&) = default;
  };
  struct MemoHash {
    std::size_t operator()(const MemoKey& key) const {
      return std::hash<const void*>()(key.node) * 31 + std::hash<const void*>()(key.scope);
    }
  };
  std::unordered_map<MemoKey, ObjectPtr, MemoHash> values_;
  std::unordered_map<MemoKey, Scope*, MemoHash> entered_;
  std::vector<std::shared_ptr<TagCall>> all_calls_;
  std::vector<std::pair<Named, Table>> exports_;
  std::vector<InferredSchema> inferred_;
  std::set<std::string> source_names_;
  std::string error_table_;
  bool keeps_state_ = false;
  std::optional<Table> error_log_;
  std::string label_;  // for the next tag: the name it defines
  std::size_t nested_ = 0;
  bool prebuilding_ = false;
  UniverseId universes_ = 0;
  std::vector<ast::NodePtr> kept_;  // nodes made here, alive as long as the calls that read them
};

}  // namespace thalweg::lang
