// pipeline_lang/compile.h
//
// The way in: a pipeline file becomes a plan, or all of its errors.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/env.h"
#include "engine/base/file_table.h"
#include "engine/base/setting.h"
#include "engine/plan/node.h"
#include "engine/types/key.h"
#include "pipeline_lang/ast.h"
#include "pipeline_lang/catalog.h"
#include "pipeline_lang/diagnostics.h"

namespace thalweg::lang {

// A table that a test puts in the place of what a variable or key would read.
struct ReplacedInput {
  std::string text;  // table text
  SourceSpan span;   // of the scalar it stands in
};

struct CompileOptions {
  const Catalog* catalog = nullptr;
  // Environment variables as the pipeline may see them; null: none.
  std::function<std::optional<std::string>(const std::string& name)> environment;
  // `--set name=value`: wins over the file's `$name` or setting `name`.
  std::vector<std::pair<std::string, std::string>> overrides;
  std::map<std::string, ReplacedInput> inputs;
  // Nothing will run: what is made of columns that cannot be known yet is left alone.
  bool check_only = false;
  // Files that the pipeline names (imports, `!schema_from_csv`, `!secret.file`); null: none can be read.
  Disk* disk = nullptr;
  // Whether a path that the pipeline names may be used (`allow_paths`); null: any.
  std::function<bool(const std::string& path)> path_allowed;
  // Fingerprints of the plan that this one is to take over from: what makes it cheaper must not cost kept operators
  // their state.
  std::set<Key> running;
};

struct ExportInfo {
  std::string name;
  NodeId node;   // the Export
  NodeId table;  // what it exports
  Schema schema;
  bool append_only = false;
  std::vector<std::string> primary_key;
  SourceSpan span;
};

struct PipelineSettings {
  std::optional<std::string> name, description, host, monitoring_level, error_table, delivery, visibility;
  std::optional<bool> terminate_on_error, with_cache;
  std::optional<std::int64_t> workers, port, autocommit_duration_ms;
  Setting persistence;  // a tagged map (`persistence.Config`), or null
  Setting::Map others;  // further plain settings (`search_topk`, `auth`, …) as data
};

// The columns that were guessed for a source without `schema:`; `check` and `explain` print them.
struct InferredSchema {
  std::string name;
  Schema schema;
  SourceSpan span;
};

// Something that is served: a server or a RAG component.
struct Served {
  std::string key;
  Setting component;  // a tagged map
};

struct CompileResult {
  plan::Plan plan;  // complete only if ok()
  std::vector<ExportInfo> exports;
  std::vector<Served> served;
  std::vector<InferredSchema> inferred;
  PipelineSettings settings;
  std::shared_ptr<FileTable> files;
  Diagnostics diagnostics;
  ast::NodePtr root;                 // null if the text is no YAML
  const ast::Node* tests = nullptr;  // the value of `tests:`, if there is one

  [[nodiscard]] bool ok() const { return !diagnostics.has_errors(); }
};

// `path` is read through options.disk.
[[nodiscard]] CompileResult compile_file(const std::string& path, const CompileOptions& options);
// `name` is what diagnostics print, and what relative paths start from.
[[nodiscard]] CompileResult compile_text(const std::string& name, std::string text, const CompileOptions& options);
// A mapping inside a file that is loaded already (an inline pipeline of a test).
[[nodiscard]] CompileResult compile_tree(const ast::NodePtr& root, std::shared_ptr<FileTable> files,
                                         const CompileOptions& options);

// Names that are settings when they stand as plain keys at the top level.
[[nodiscard]] std::vector<std::string> setting_names();

}  // namespace thalweg::lang
