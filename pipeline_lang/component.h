// pipeline_lang/component.h
//
// One component = one row: what a tag is called, what it takes, what it does. Checking, "did you mean", `thalweg
// list`, `thalweg docs TAG` and the editor schema all come from these rows.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline_lang/object.h"

namespace thalweg::lang {

class Builder;
class Call;

enum class ComponentKind : std::uint8_t {
  kTable,   // yields a table
  kSource,  // yields a table from outside
  kSink,    // yields a sink
  kSchema,
  kType,
  kWindow,
  kBehavior,
  kReducer,
  kColumn,    // !column_definition
  kFunction,  // !udf.…
  kSettings,  // a block of settings (persistence, Kafka settings, secrets)
  kConstant,  // an enum member, or another constant: a bare tag is the value
  kServer,    // served over HTTP, LLM and RAG components
  kKnown,     // known, not built into this version
};

enum class ArgKind : std::uint8_t {
  kTable,     // a table
  kTables,    // a list of tables; one table is a list of one
  kTableMap,  // name: table
  kExpr,      // an expression
  kExprMap,   // name: expression
  kExprList,  // a list of names, expressions and {name: expression}; a mapping is accepted
  kNames,     // a list of column names; one name is a list of one
  kRename,    // new: old
  kText,
  kInt,
  kFloat,
  kNumber,  // int or float
  kBool,
  kDuration,
  kDurationOrNumber,
  kType,
  kTypeMap,  // name: type
  kSchema,
  kComponent,  // an instance of one of `kinds`
  kReducers,   // a list of !reducers.…
  kEnum,       // one of `choices`
  kPath,
  kLiteral,  // a scalar, list or map of data
  kScope,    // a mapping that is evaluated as a scope of its own (the body of a loop)
  kAny,
};

struct ArgSpec {
  std::string name;
  ArgKind kind = ArgKind::kAny;
  bool required = false;
  std::string fallback;  // what an absent one means, for the docs; build functions apply it
  std::string doc;
  std::vector<std::string> aliases;
  std::vector<std::string> choices;  // kEnum
  std::string example;
  bool secret = false;
};

struct Component {
  std::string name;                  // canonical: `join`, `temporal.tumbling`, `io.csv.read`
  std::vector<std::string> aliases;  // further names, without `pw.`; `Table.` and `Transformations.` before a table
                                     // component's name, and `stdlib.` before any, need not be listed
  ComponentKind kind = ComponentKind::kTable;
  std::vector<ArgSpec> args;
  std::string doc;
  std::string example;  // YAML
  // Null: an Instance whose arguments the user of the value reads. Never returns null.
  std::function<ObjectPtr(Builder&, const Call&)> build;
  bool open = false;     // takes arguments of any further name (`!sql`: the tables)
  std::string text_arg;  // a text behind the tag is this argument: `!secret.env NAME`
};

using Components = std::vector<Component>;

// Rows by topic; registry.cc calls each of these.
void add_schema_components(Components& out);    // schema_components.cc
void add_settings_components(Components& out);  // settings_components.cc
void add_function_components(Components& out);  // function_components.cc
void add_log_components(Components& out);       // log_components.cc
void add_table_components(Components& out);     // tables of tables: tables_*.cc
void add_temporal_components(Components& out);  // windows, behaviors, temporal joins
void add_reducer_components(Components& out);
void add_sql_components(Components& out);
void add_index_components(Components& out);  // llm/index_tables.cc
void add_model_components(Components& out);  // llm/model_components.cc: functions for texts and models
void add_store_components(Components& out);  // llm/document_store.cc
void add_rag_components(Components& out);    // llm/question_answering.cc
void add_known_components(Components& out);  // known_components.cc: named, not built into this version

[[nodiscard]] std::string_view kind_text(ComponentKind kind);  // `table`, `window`, …
[[nodiscard]] std::string_view kind_text(ArgKind kind);        // `a table`, `an expression`, …

}  // namespace thalweg::lang
