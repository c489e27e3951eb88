// pipeline_lang/builder.h
//
// What build functions work with: the arguments of their tag (Call) and the plan under construction (Builder).
//
// B1  A Call's getters report what is wrong with an argument, once, with its place; they return nothing then. A build
//     function that lacks something it needs returns error_object() without another word.
// B2  Arguments are evaluated when asked for and no earlier; asking twice gives the same object.
// B3  A table of an outer plan that is used inside a loop body becomes a constant of the loop by itself.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/setting.h"
#include "engine/plan/node.h"
#include "pipeline_lang/ast.h"
#include "pipeline_lang/component.h"
#include "pipeline_lang/diagnostics.h"
#include "pipeline_lang/object.h"

namespace thalweg::lang {

class Scope;

// A piece of the tree and the scope its `$names` are looked up in.
struct Located {
  const ast::Node* node = nullptr;
  Scope* scope = nullptr;
  explicit operator bool() const { return node != nullptr; }
  [[nodiscard]] SourceSpan span() const { return node != nullptr ? node->whole_span() : SourceSpan{}; }
};

struct Named {
  std::string name;
  SourceSpan span;
};

// A {name: value} entry, or an item of a list, that still has to be read as an expression.
struct NamedNode {
  std::string name;  // empty for a list item without a name
  SourceSpan name_span;
  Located value;
};

class Call {
 public:
  virtual ~Call() = default;
  [[nodiscard]] virtual const Component& component() const = 0;
  [[nodiscard]] virtual SourceSpan span() const = 0;           // of the tag
  [[nodiscard]] virtual const std::string& label() const = 0;  // `$orders` where it defines a name, else `!join`
  // Given, and not null.
  [[nodiscard]] virtual bool has(std::string_view name) const = 0;
  // Of the argument's value where it is given, else of the tag.
  [[nodiscard]] virtual SourceSpan span_of(std::string_view name) const = 0;
  // The argument as written, with references to lists, mappings and tags of the file followed; a reference to a scalar
  // stays one (where an expression is expected its value is a literal). Empty where the argument is not given.
  [[nodiscard]] virtual Located at(std::string_view name) const = 0;
  // Further arguments of an open component, in file order.
  [[nodiscard]] virtual std::vector<NamedNode> others() const = 0;

  // Evaluated; null pointer where it is not given.
  [[nodiscard]] virtual ObjectPtr object(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<Table> table(std::string_view name) const = 0;
  // Nothing after an error in any of them, and where it is not given.
  [[nodiscard]] virtual std::optional<std::vector<Table>> tables(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<std::vector<std::pair<Named, Table>>> table_map(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<std::string> text(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<std::string> choice(std::string_view name) const = 0;  // as spelt in `choices`
  [[nodiscard]] virtual std::optional<std::int64_t> integer(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<double> number(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<bool> boolean(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<std::int64_t> duration(std::string_view name) const = 0;  // nanoseconds
  // kDurationOrNumber: a value of kind duration, int or float.
  [[nodiscard]] virtual std::optional<Value> duration_or_number(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<Type> type(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<std::vector<std::pair<Named, Type>>> type_map(std::string_view name) const = 0;
  [[nodiscard]] virtual std::optional<std::vector<Named>> names(std::string_view name) const = 0;
  [[nodiscard]] virtual const SchemaObject* schema(std::string_view name) const = 0;
  [[nodiscard]] virtual const Instance* instance(std::string_view name) const = 0;
  // Data: `rows:` of table_from_rows and the like.
  [[nodiscard]] virtual std::optional<Setting> setting(std::string_view name) const = 0;
  // The parts of a kExprMap or kExprList argument, references to mappings and lists followed. Duplicate names are the
  // caller's to judge. Nothing after an error in the shape.
  [[nodiscard]] virtual std::optional<std::vector<NamedNode>> expressions(std::string_view name) const = 0;
};

struct NodeOptions {
  SourceSpan span;
  std::string label;
  bool append_only = false;
  std::optional<UniverseId> universe;  // none: a new one
};

struct LoopRequest {
  Located body;
  SourceSpan span;
  std::vector<std::pair<std::string, Table>> inputs;  // variables, by name
  std::vector<std::pair<std::string, Table>> constants;
};
struct LoopBody {
  std::shared_ptr<const plan::Plan> plan;
  std::vector<NodeId> loop_inputs;         // in the plan: one per variable, then per constant, then per captured table
  std::vector<Table> captured;             // outer tables that the body used; to be appended to the node's inputs
  std::vector<Table> variables;            // the LoopInput tables of the variables, in the body's frame
  std::vector<std::optional<Table>> next;  // value of the plain key named as the variable, in the body's frame
};

class Builder {
 public:
  virtual ~Builder() = default;

  // ---- messages
  virtual Diagnostic& error(SourceSpan span, std::string message) = 0;
  virtual Diagnostic& warning(SourceSpan span, std::string message) = 0;
  virtual Diagnostics& diagnostics() = 0;
  [[nodiscard]] virtual const FileTable& files() const = 0;

  // ---- values
  // Never null.
  virtual ObjectPtr evaluate(Located where) = 0;
  // The definition behind a plain `$name` (of a `$name` of a `$name`, …), marking it used; `where` itself where it is
  // no reference, or one to the environment.
  virtual Located follow(Located where) = 0;
  // The value of `$name` as seen from `scope`; null if there is none (nothing is reported).
  virtual ObjectPtr variable(std::string_view name, Scope* scope) = 0;
  [[nodiscard]] virtual std::vector<std::string> variable_names(Scope* scope) const = 0;  // for suggestions
  virtual std::optional<Setting> setting(Located where) = 0;
  virtual std::optional<Type> type(Located where) = 0;
  virtual std::optional<Table> table(Located where) = 0;
  virtual std::optional<std::string> text(Located where) = 0;
  // A call of another component as if its tag stood at `like`: `!temporal.tumbling_window` is windowby with a window.
  virtual ObjectPtr construct(std::string_view component, const Call& like,
                              std::vector<std::pair<std::string, Located>> args) = 0;

  // ---- plan
  virtual Table add(plan::Params params, const std::vector<Table>& inputs, Schema schema, NodeOptions options) = 0;
  virtual UniverseId new_universe() = 0;
  // The node that made the table (of the plan it is in).
  [[nodiscard]] virtual const plan::Node& node_of(const Table& table) const = 0;
  // Inside a loop body: arrival-ordered operators, I/O and the error table are refused there.
  [[nodiscard]] virtual bool in_loop() const = 0;
  // Nothing after an error.
  virtual std::optional<LoopBody> loop(const LoopRequest& request) = 0;
  // Exports a table under a name that is no key of the file (`late_rows: name`).
  virtual void export_table(const Named& name, const Table& table) = 0;
};

// A Table as an object.
[[nodiscard]] inline ObjectPtr table_object(Table table) {
  const SourceSpan span = table.span;
  return make_object({std::move(table), span});
}

}  // namespace thalweg::lang
