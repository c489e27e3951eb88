// Tables with what a model says of their rows: complete, extract, classify, embed.
#include <algorithm>

#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/llm/models.h"
#include "pipeline_lang/llm/store.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {
namespace {

const std::string kPrefix = "xpacks.llm.operators.";

struct Given {
  Table table;
  plan::ExprPtr text;  // str, or str | None
};

std::optional<Given> given_of(const Lowering& lower) {
  const auto table = lower.call().table("table");
  if (!table) return std::nullopt;
  plan::ExprPtr text = lower.argument("text", *table);
  if (text == nullptr) {
    if (!lower.call().has("text")) lower.wrong(lower.call().span(), "`text:` is missing: an expression over the table");
    return std::nullopt;
  }
  if (!text->type.is(Kind::kStr)) {
    lower.wrong(lower.call().span_of("text"), "`text` is a text, and this is `" + text->type.to_text() + "`");
    return std::nullopt;
  }
  return Given{*table, std::move(text)};
}

std::optional<std::string> new_column(const Lowering& lower, const Table& table, const std::string& fallback) {
  const std::string name = lower.call().has("as") ? lower.call().text("as").value_or("") : fallback;
  if (name.empty()) return std::nullopt;
  if (!table.schema.find(name)) return name;
  lower.wrong(lower.call().has("as") ? lower.call().span_of("as") : lower.call().span(),
              "the table has a column `" + name + "` already", "`as:` names the new one");
  return std::nullopt;
}

// The table with a column more: what `function` says of the text.
Table with_answer(const Lowering& lower, const Given& given, const std::string& name,
                  const plan::UserFunctionPtr& function, const Type& returns) {
  std::vector<NamedExpr> columns = all_columns(given.table.schema);
  columns.push_back({"_text", {}, given.text});
  const Table with_text = lower.project(given.table, columns);
  Writer writer(lower);
  writer.define("answer", function, returns);
  std::vector<std::pair<std::string, std::string>> out;
  std::vector<NamedExpr> exprs = all_columns(with_text.schema);
  exprs.pop_back();
  exprs.push_back({name, {}, writer.expr(with_text, "call($answer, _text)")});
  return lower.project(with_text, exprs);
}

plan::UserFunctionPtr chat_operator(const Lowering& lower, const std::string& kind, const Type& returns,
                                    Setting::Map options) {
  const FunctionObject* chat = function_argument(lower.builder(), lower.call(), "llm", "llm.chat.");
  if (chat == nullptr) {
    if (!lower.call().has("llm")) lower.wrong(lower.call().span(), "`llm:` is missing: a chat model");
    return nullptr;
  }
  if (lower.call().has("instructions"))
    if (auto text = lower.call().setting("instructions")) options.emplace_back("instructions", std::move(*text));
  return make_llm_function(lower.builder(), lower.call(), kind, returns, std::move(options), {{"llm", chat->function}});
}

Type answer_type(const Given& given, Kind kind) { return {kind, given.text->type.optional()}; }

ObjectPtr build_complete(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto given = given_of(lower);
  const auto name = given ? new_column(lower, given->table, "completion") : std::nullopt;
  if (!name) return error_object();
  const Type type = answer_type(*given, Kind::kStr);
  const auto function = chat_operator(lower, "llm.op.complete", type, {});
  if (function == nullptr) return error_object();
  return lower.result(with_answer(lower, *given, *name, function, type));
}

ObjectPtr build_classify(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto given = given_of(lower);
  const auto name = given ? new_column(lower, given->table, "label") : std::nullopt;
  if (!name) return error_object();
  Setting::Map options;
  if (call.has("labels"))
    if (auto labels = call.setting("labels")) options.emplace_back("labels", std::move(*labels));
  const Type type = answer_type(*given, Kind::kStr);
  const auto function = chat_operator(lower, "llm.op.classify", type, std::move(options));
  if (function == nullptr) return error_object();
  return lower.result(with_answer(lower, *given, *name, function, type));
}

ObjectPtr build_embed(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto given = given_of(lower);
  const auto name = given ? new_column(lower, given->table, "vector") : std::nullopt;
  if (!name) return error_object();
  if (given->text->type.optional())
    return lower.wrong(call.span_of("text"), "what is embedded is never None", "`coalesce(…, \"\")`, or a filter");
  const FunctionObject* embedder = function_argument(builder, call, "embedder", "llm.embedder.");
  if (embedder == nullptr)
    return call.has("embedder") ? error_object() : lower.wrong(call.span(), "`embedder:` is missing");
  return lower.result(with_answer(lower, *given, *name, embedder->function, embedder->returns));
}

// How a member of the object `_answer` becomes a column of its type.
std::string member_expr(const plan::SourceField& field, bool maybe_none) {
  const std::string member = (maybe_none ? "_answer.get(\"" : "_answer[\"") + field.name + (maybe_none ? "\")" : "\"]");
  const bool optional = field.type.optional() || maybe_none;
  const auto as = [&](const std::string& how) {
    return optional ? member + "." + how + "()" : "unwrap(" + member + "." + how + "())";
  };
  if (field.type.is(Kind::kInt)) return as("as_int");
  if (field.type.is(Kind::kFloat)) return as("as_float");
  if (field.type.is(Kind::kBool)) return as("as_bool");
  if (field.type.is(Kind::kStr)) return as("as_str");
  return member;
}

ObjectPtr build_extract(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto given = given_of(lower);
  if (!given) return error_object();
  const SchemaObject* schema = call.schema("schema");
  if (schema == nullptr)
    return call.has("schema") ? error_object()
                              : lower.wrong(call.span(), "`schema:` is missing: the columns that are read from a text");
  Setting::List fields;
  for (const SchemaColumn& column : schema->columns) {
    const Type& type = column.field.type;
    const bool known = type.is(Kind::kInt) || type.is(Kind::kFloat) || type.is(Kind::kBool) || type.is(Kind::kStr) ||
                       type.is(Kind::kJson);
    if (!known)
      return lower.wrong(column.span,
                         "a model fills columns of int, float, bool, str and json, not `" + type.to_text() + "`");
    if (given->table.schema.find(column.field.name))
      return lower.wrong(column.span, "the table has a column `" + column.field.name + "` already");
    Setting::Map field;
    field.emplace_back("name", Setting(column.field.name));
    field.emplace_back("type", Setting(type.without_optional().to_text()));
    field.emplace_back("description", Setting(column.description));
    field.emplace_back("optional", Setting(type.optional()));
    fields.emplace_back(std::move(field));
  }
  Setting::Map options;
  options.emplace_back("fields", Setting(std::move(fields)));
  const Type type = answer_type(*given, Kind::kJson);
  const auto function = chat_operator(lower, "llm.op.extract", type, std::move(options));
  if (function == nullptr) return error_object();
  const Table answered = with_answer(lower, *given, "_answer", function, type);
  const Writer writer(lower);
  std::vector<NamedExpr> out = all_columns(answered.schema);
  out.pop_back();
  for (const SchemaColumn& column : schema->columns)
    out.push_back({column.field.name, {}, writer.expr(answered, member_expr(column.field, type.optional()))});
  return lower.result(lower.project(answered, out));
}

std::vector<ArgSpec> operator_args(bool chat) {
  std::vector<ArgSpec> out = {
      arg("table", ArgKind::kTable, true, "the table"),
      arg("text", ArgKind::kExpr, true, "an expression over the table: the text that the model reads")};
  if (chat) {
    out.push_back(arg("llm", ArgKind::kAny, true, "a chat model"));
    out.push_back(arg("instructions", ArgKind::kText, false, "what else the model is told"));
  } else {
    out.push_back(arg("embedder", ArgKind::kAny, true, "an embedder"));
  }
  return out;
}

}  // namespace

void add_operator_components(Components& out) {
  const ArgSpec as = arg("as", ArgKind::kText, false, "the new column's name");
  std::vector<ArgSpec> args = operator_args(true);
  args.push_back(as);
  out.push_back(table_component(
      kPrefix + "complete", args, "The table with what a chat model answers to each text, in `completion`.",
      "!" + kPrefix + "complete {table: $docs, text: title, llm: $llm}", build_complete, {"xpacks.llm.complete"}));
  args.push_back(arg("labels", ArgKind::kNames, true, "the labels"));
  out.push_back(table_component(kPrefix + "classify", args,
                                "The table with one of the labels for each text, in `label`.",
                                "!" + kPrefix + "classify {table: $docs, text: text, llm: $llm, labels: [good, bad]}",
                                build_classify, {"xpacks.llm.classify"}));
  args = operator_args(true);
  args.push_back(arg("schema", ArgKind::kSchema, true, "the columns that are read, with types and descriptions"));
  out.push_back(table_component(kPrefix + "extract", args,
                                "The table with typed columns that a chat model reads from each text. An answer that "
                                "does not fit is asked for again, once.",
                                "!" + kPrefix + "extract {table: $docs, text: text, llm: $llm, schema: {price: float}}",
                                build_extract, {"xpacks.llm.extract"}));
  args = operator_args(false);
  args.push_back(as);
  out.push_back(table_component(kPrefix + "embed", args, "The table with a vector for each text, in `vector`.",
                                "!" + kPrefix + "embed {table: $docs, text: title, embedder: $embedder}", build_embed,
                                {"xpacks.llm.embed"}));
}

}  // namespace thalweg::lang
