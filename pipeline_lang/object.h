// pipeline_lang/object.h
//
// What a YAML value evaluates to. Objects are immutable and shared: two uses of `$src` hold the same pointer.
//
// O1  An Error object stands where an error was reported already; whoever meets one returns one and says nothing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/base/source_span.h"
#include "engine/plan/node.h"
#include "engine/types/schema.h"
#include "engine/types/type.h"
#include "engine/types/value.h"

namespace thalweg::lang {

class Call;
struct Component;
struct Object;
using ObjectPtr = std::shared_ptr<const Object>;

struct ErrorObject {};

// A scalar keeps its spelling: where text is expected it is that text, else what the type asked for reads from it.
struct Scalar {
  Value value;  // in an untyped position: none, bool, int, float, str; also duration and datetime constants
  std::string spelling;
  bool quoted = false;  // a text in quotes, never a number
  bool from_environment = false;
  bool secret = false;
};

struct ListObject {
  std::vector<ObjectPtr> items;
};
struct MapObject {
  std::vector<std::pair<std::string, ObjectPtr>> entries;
};

// A set of row keys. Tables with the same id provably have the same keys.
using UniverseId = std::uint32_t;

struct Table {
  NodeId node;
  std::uint32_t frame = 0;  // which plan: 0 is the pipeline, others are loop bodies
  Schema schema;
  bool append_only = false;
  UniverseId universe = 0;
  std::string name;                      // for messages: `$orders`, `!join`
  SourceSpan span;                       // of the tag that made it
  std::vector<std::string> primary_key;  // of the schema it was read with; empty if generated
  bool inferred = false;                 // its columns are a guess from a sample
  // Settings of the export, from the arguments that every table tag takes.
  bool may_export = true;
  std::vector<std::vector<std::string>> indexes;
  std::optional<std::int64_t> retain_ns;

  // Keys are row keys of this schema's columns: names for "did you mean".
  [[nodiscard]] std::vector<std::string> column_names() const { return schema.names(); }
};

struct SchemaColumn {
  plan::SourceField field;
  std::string description;
  std::optional<bool> append_only;
  SourceSpan span;
};
struct SchemaObject {
  std::string name;
  std::vector<SchemaColumn> columns;
  std::optional<bool> append_only;

  [[nodiscard]] Schema schema() const {
    Schema out;
    for (const auto& column : columns) out.columns.push_back({column.field.name, column.field.type});
    return out;
  }
};

// A component that is no table: a window, a behavior, a reducer, a function, a settings block. Whoever uses it reads
// its arguments through the call.
struct Instance {
  const Component* component = nullptr;
  std::shared_ptr<const Call> call;
  std::shared_ptr<const void> made;  // what its build function made of it, for those who know what that is
};

// A user's function: what `$fn` is in `call($fn, …)`.
struct FunctionObject {
  plan::UserFunctionPtr function;
  std::string name;                       // `$score`
  std::vector<std::string> arg_names;     // empty, or one per type
  std::optional<std::vector<Type>> args;  // none: any
  Type returns;
  std::string kind;  // `lua`, `llm.chat`: what it can be used as
  Setting options;   // what the tag says
};

struct SinkObject {
  NodeId node;
};

struct Object {
  std::variant<ErrorObject, Scalar, ListObject, MapObject, Table, SchemaObject, Type, Instance, SinkObject,
               FunctionObject>
      value;
  SourceSpan span;  // where it was made

  [[nodiscard]] bool is_error() const { return std::holds_alternative<ErrorObject>(value); }
  [[nodiscard]] bool is_null() const { return as_scalar() != nullptr && as_scalar()->value.is_none(); }
  [[nodiscard]] const Scalar* as_scalar() const { return std::get_if<Scalar>(&value); }
  [[nodiscard]] const ListObject* as_list() const { return std::get_if<ListObject>(&value); }
  [[nodiscard]] const MapObject* as_map() const { return std::get_if<MapObject>(&value); }
  [[nodiscard]] const Table* as_table() const { return std::get_if<Table>(&value); }
  [[nodiscard]] const SchemaObject* as_schema() const { return std::get_if<SchemaObject>(&value); }
  [[nodiscard]] const Type* as_type() const { return std::get_if<Type>(&value); }
  [[nodiscard]] const Instance* as_instance() const { return std::get_if<Instance>(&value); }
  [[nodiscard]] const FunctionObject* as_function() const { return std::get_if<FunctionObject>(&value); }
  [[nodiscard]] const SinkObject* as_sink() const { return std::get_if<SinkObject>(&value); }
};

[[nodiscard]] inline ObjectPtr make_object(Object object) { return std::make_shared<const Object>(std::move(object)); }
[[nodiscard]] inline ObjectPtr error_object() { return make_object({ErrorObject{}, {}}); }
// `a table`, `text`, `a list`, `a window (temporal.tumbling)`: for "expected …, found …".
[[nodiscard]] std::string describe(const Object& object);
// Whether a scalar of it, however deep, is a secret.
[[nodiscard]] bool holds_secret(const Object& object);

}  // namespace thalweg::lang
