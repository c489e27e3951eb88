// Functions that users bring along: the tags of `!udf.…`, and the blocks of settings that they share with the peer.
#include <algorithm>

#include "pipeline_lang/catalog.h"
#include "pipeline_lang/evaluate.h"
#include "pipeline_lang/scalar_map.h"
#include "pipeline_lang/tag_call.h"

namespace thalweg::lang {
namespace {

// Arguments that FunctionSpec has fields for; all others are handed on as they are.
constexpr std::string_view kOwnArgs[] = {"args", "returns",   "deterministic", "propagate_none",
                                         "path", "directory", "ca_file"};

std::string function_name(const Call& call) {
  std::string name = call.label();
  if (!name.empty() && (name.front() == '$' || name.front() == '!')) name.erase(0, 1);
  return name;
}

// `args: [int, str]` or `args: {a: int, b: str}`. False after an error.
bool read_args(Builder& builder, const Call& call, plan::FunctionSpec& spec) {
  const Located where = call.at("args");
  if (!where || !call.has("args")) return true;
  spec.args_declared = true;
  if (where.node->is_mapping() && where.node->tag.empty()) {
    const auto types = call.type_map("args");
    if (!types) return false;
    for (const auto& [name, type] : *types) {
      spec.arg_names.push_back(name.name);
      spec.args.push_back(type);
    }
    return true;
  }
  if (where.node->is_sequence() && where.node->tag.empty()) {
    bool fine = true;
    for (const ast::NodePtr& item : where.node->items) {
      const auto type = builder.type({item.get(), where.scope});
      fine = fine && type;
      if (type) spec.args.push_back(*type);
    }
    return fine;
  }
  builder.error(where.span(), "`args` is a list of types, `[int, str]`, or a mapping of names to types");
  return false;
}

// Where line `line` of the source stands in the file.
SourceSpan line_span(Builder& builder, const Call& call, std::uint32_t line) {
  const Located where = call.at("source");
  if (!where || !where.node->is_scalar()) return call.span_of("source");
  const std::string& text = where.node->text;
  std::size_t begin = 0;
  for (std::uint32_t at = 1; at < line; ++at) {
    const std::size_t next = text.find('\n', begin);
    if (next == std::string::npos) break;
    begin = next + 1;
  }
  if (begin >= text.size()) begin = text.empty() ? 0 : text.rfind('\n', text.size() - 2) + 1;
  begin = std::min(text.find_first_not_of(" \t", begin), text.size());
  const std::size_t end = std::min(text.find('\n', begin), text.size());
  return ScalarMap(text, where.node->span, &builder.files()).at(begin, end);
}

void report(Builder& builder, const Call& call, const plan::FunctionError& failure, const std::string& file) {
  SourceSpan span = call.span();
  std::string message = failure.message;
  if (failure.line > 0 && file.empty())
    span = line_span(builder, call, failure.line);
  else if (failure.line > 0)
    message = file + ":" + std::to_string(failure.line) + ": " + message;
  if (!failure.option.empty())
    span = call.span_of(failure.option);
  else if (!file.empty())
    span = call.span_of("path");
  Diagnostic& diagnostic = builder.error(span, message);
  if (!failure.hint.empty()) diagnostic.notes.push_back({failure.hint, {}});
}

// The text of a Lua function, from `source:` or from the file of `path:`.
bool read_source(Evaluator& evaluator, const Call& call, Setting::Map& options, std::string& file) {
  if (call.has("source") == call.has("path")) {
    evaluator.error(call.span(), call.has("source") ? "`source` and `path` exclude each other"
                                                    : "`!udf.lua` needs `source:` (the text) or `path:` (a file)");
    return false;
  }
  if (call.has("source")) return true;
  const auto path = call.text("path");
  if (!path) return false;
  file = evaluator.resolve_path(*path, call.span_of("path"));
  if (!evaluator.path_allowed(file)) {
    evaluator.error(call.span_of("path"), "`" + file + "` is outside the folder of the pipeline");
    return false;
  }
  auto text = evaluator.read_file(file);
  if (!text) {
    evaluator.error(call.span_of("path"), "cannot read `" + file + "`: " + text.error().message);
    return false;
  }
  options.emplace_back("source", Setting(std::move(*text), call.span_of("path")));
  options.emplace_back("source_name", Setting(file.substr(file.rfind('/') + 1), call.span_of("path")));
  return true;
}

ObjectPtr build_function(Builder& b, const Call& call, std::string kind, bool deterministic) {
  auto& evaluator = static_cast<Evaluator&>(b);
  plan::FunctionSpec spec;
  spec.kind = std::move(kind);
  spec.name = function_name(call);
  bool fine = read_args(b, call, spec);
  spec.returns = Kind::kAny;
  if (call.has("returns")) {
    const auto type = call.type("returns");
    fine = fine && type;
    if (type) spec.returns = *type;
  }
  spec.deterministic = call.boolean("deterministic").value_or(deterministic);
  spec.propagate_none = call.boolean("propagate_none").value_or(false);
  Setting::Map options;
  std::string file;
  if (spec.kind == "lua") fine = read_source(evaluator, call, options, file) && fine;
  for (const std::string_view path : {"directory", "ca_file"}) {
    const auto given = call.has(path) ? call.text(path) : std::nullopt;
    if (given)
      options.emplace_back(path, Setting(evaluator.resolve_path(*given, call.span_of(path)), call.span_of(path)));
  }
  if (spec.kind == "exec" && !call.has("directory"))
    options.emplace_back("directory", Setting(evaluator.resolve_path(".", call.span()), call.span()));
  for (const ArgSpec& arg : call.component().args) {
    if (!call.has(arg.name) || std::ranges::find(kOwnArgs, arg.name) != std::end(kOwnArgs)) continue;
    auto value = call.setting(arg.name);
    fine = fine && value;
    if (value) options.emplace_back(arg.name, std::move(*value));
  }
  if (!fine) return error_object();
  spec.options = Setting(std::move(options), call.span());
  const Catalog* catalog = evaluator.registry().catalog();
  if (catalog == nullptr) {
    b.error(call.span(), "functions of users are not available here");
    return error_object();
  }
  auto function = catalog->make_function(spec);
  if (!function) {
    report(b, call, function.error(), file);
    function = nullptr;  // its type is known, so that calls of it are no further errors
  }
  FunctionObject out;
  out.function = std::move(*function);
  out.name = "$" + spec.name;
  out.arg_names = std::move(spec.arg_names);
  if (spec.args_declared) out.args = std::move(spec.args);
  out.returns = spec.returns;
  return make_object({std::move(out), call.span()});
}

std::vector<ArgSpec> with_common(std::vector<ArgSpec> args, bool deterministic) {
  args.push_back({.name = "args",
                  .kind = ArgKind::kAny,
                  .doc = "The types of the arguments: a list, or names with types. Without it any are taken.",
                  .example = "[int, str]"});
  args.push_back({.name = "returns",
                  .kind = ArgKind::kType,
                  .fallback = "any",
                  .doc = "The type of the answer; another one is an ERROR.",
                  .aliases = {"return_type"}});
  args.push_back(
      {.name = "deterministic",
       .kind = ArgKind::kBool,
       .fallback = deterministic ? "true" : "false",
       .doc = "The same arguments always give the same answer. If not, answers are kept until their row goes."});
  args.push_back({.name = "propagate_none",
                  .kind = ArgKind::kBool,
                  .fallback = "false",
                  .doc = "A None argument gives None without a call."});
  args.push_back({.name = "max_batch_size", .kind = ArgKind::kInt, .doc = "Rows of one call."});
  return args;
}

void add_lua(Components& out) {
  out.push_back(
      {.name = "udf.lua",
       .kind = ComponentKind::kFunction,
       .args = with_common(
           {{.name = "source", .kind = ArgKind::kText, .doc = "Lua 5.4 text that defines the function, or returns it."},
            {.name = "path", .kind = ArgKind::kPath, .doc = "A file with that text."},
            {.name = "function",
             .kind = ArgKind::kText,
             .doc = "The name of the function in it. Default: what the source returns, the name of the variable, the "
                    "only function."},
            {.name = "instruction_limit",
             .kind = ArgKind::kInt,
             .fallback = "10000000",
             .doc = "Instructions of one call."},
            {.name = "memory_limit",
             .kind = ArgKind::kInt,
             .fallback = "64",
             .doc = "MiB of one interpreter; every worker has its own."}},
           true),
       .doc = "A function in Lua: no io, os, debug, package, load; limited in instructions and memory. Called as "
              "`call($fn, a)`, or as a "
              "reducer over the list of a group's values as `reduce_with($fn, a)`.",
       .example =
           "$score: !udf.lua\n  source: |\n    function score(n) return n * 2 end\n  args: [int]\n  returns: int",
       .build = [](Builder& b, const Call& call) { return build_function(b, call, "lua", true); }});
}

std::vector<ArgSpec> with_remote(std::vector<ArgSpec> args, const std::string& batch, const std::string& capacity) {
  args = with_common(std::move(args), false);
  args.back().fallback = batch;
  args.push_back({.name = "timeout",
                  .kind = ArgKind::kDurationOrNumber,
                  .fallback = "60",
                  .doc = "Seconds, or a duration: the time of one attempt."});
  args.push_back(
      {.name = "retries",
       .kind = ArgKind::kInt,
       .fallback = "0",
       .doc = "Further attempts of a call that did not come through, after 1 s, 2 s, 4 s, … and up to 0.3 s more."});
  args.push_back({.name = "retry_strategy",
                  .kind = ArgKind::kComponent,
                  .doc = "Instead of `retries`: how often and when.",
                  .example = "!udfs.ExponentialBackoffRetryStrategy {max_retries: 5, initial_delay: 200}"});
  args.push_back({.name = "capacity",
                  .kind = ArgKind::kInt,
                  .fallback = capacity,
                  .doc = "Calls under way at once, all workers together."});
  args.push_back({.name = "cache_strategy",
                  .kind = ArgKind::kAny,
                  .doc = "Whether and how answers are kept for equal questions.",
                  .aliases = {"cache"},
                  .example = "!udfs.InMemoryCache {max_size: 10000}"});
  args.push_back({.name = "executor",
                  .kind = ArgKind::kComponent,
                  .doc = "The peer's way to say capacity, timeout and retry_strategy.",
                  .example = "!udfs.async_executor {capacity: 8, timeout: 10}"});
  return args;
}

void add_remote(Components& out) {
  const std::string protocol =
      " A row is asked as one line of JSON, `{\"a\": 1}` where `args` has names, else `[1]`; the answer is a line "
      "`{\"value\": …}`, or "
      "`{\"error\": \"why\"}`. Answers come in the order of the questions.";
  out.push_back(
      {.name = "udf.exec",
       .kind = ComponentKind::kFunction,
       .args = with_remote({{.name = "command",
                             .kind = ArgKind::kAny,
                             .required = true,
                             .doc = "A program with its arguments as a list, or a line for the shell.",
                             .example = "[python3, score.py]"},
                            {.name = "directory",
                             .kind = ArgKind::kPath,
                             .fallback = "the folder of the pipeline",
                             .doc = "Where it runs."},
                            {.name = "env", .kind = ArgKind::kLiteral, .doc = "Environment variables beside ours."}},
                           "1024", "1"),
       .doc = "A function that is a program, which runs as long as the pipeline: it reads questions from stdin and "
              "writes answers to stdout." +
              protocol,
       .example = "$score: !udf.exec\n  command: [python3, score.py]\n  args: {text: str}\n  returns: float",
       .build = [](Builder& b, const Call& call) { return build_function(b, call, "exec", false); }});
  out.push_back(
      {.name = "udf.http",
       .kind = ComponentKind::kFunction,
       .args = with_remote(
           {{.name = "url", .kind = ArgKind::kText, .required = true, .doc = "`http://…` or `https://…`."},
            {.name = "headers", .kind = ArgKind::kLiteral, .doc = "Further header fields.", .secret = true},
            {.name = "ca_file", .kind = ArgKind::kPath, .doc = "Certificates to trust beside the system's."}},
           "1", "4"),
       .doc = "A function that is a server: questions go to it by POST." + protocol +
              " Status 408, 429 and 5xx are tried again, `Retry-After` is kept.",
       .example = "$embed: !udf.http\n  url: http://localhost:9000/embed\n  args: {text: str}\n  returns: list[float]",
       .build = [](Builder& b, const Call& call) { return build_function(b, call, "http", false); }});
}

// The peer's blocks for `executor:`, `retry_strategy:` and `cache_strategy:`.
void add_strategies(Components& out) {
  const auto settings = [&](std::string name, std::vector<ArgSpec> args, std::string doc, std::string example) {
    out.push_back({.name = "udfs." + name,
                   .aliases = {"internals.udfs." + name, "asynchronous." + name},
                   .kind = ComponentKind::kSettings,
                   .args = std::move(args),
                   .doc = std::move(doc),
                   .example = std::move(example)});
  };
  const auto number = [](std::string name, ArgKind kind, std::string fallback, std::string doc) {
    return ArgSpec{.name = std::move(name), .kind = kind, .fallback = std::move(fallback), .doc = std::move(doc)};
  };
  const ArgSpec retries = number("max_retries", ArgKind::kInt, "3", "Attempts after the first.");
  settings("ExponentialBackoffRetryStrategy",
           {retries, number("initial_delay", ArgKind::kNumber, "1000", "Milliseconds before the second attempt."),
            number("backoff_factor", ArgKind::kNumber, "2", "Each further delay is so many times the one before it."),
            number("jitter_ms", ArgKind::kNumber, "300", "Up to so many milliseconds more, at random.")},
           "Attempts further and further apart.",
           "retry_strategy: !udfs.ExponentialBackoffRetryStrategy {max_retries: 5}");
  settings("FixedDelayRetryStrategy",
           {retries, number("delay_ms", ArgKind::kNumber, "1000", "Milliseconds between attempts.")},
           "Attempts at equal distances.",
           "retry_strategy: !udfs.FixedDelayRetryStrategy {max_retries: 2, delay_ms: 500}");
  settings("NoRetryStrategy", {}, "One attempt.", "retry_strategy: !udfs.NoRetryStrategy");
  settings("InMemoryCache",
           {number("max_size", ArgKind::kInt, "1000000", "Answers kept; the one not used for longest goes first.")},
           "Answers to equal questions, as long as the pipeline runs.",
           "cache_strategy: !udfs.InMemoryCache {max_size: 10000}");
  const std::vector<ArgSpec> disk = {number("name", ArgKind::kText, "", "Accepted for files of the peer."),
                                     number("size_limit", ArgKind::kInt, "", "Accepted for files of the peer.")};
  settings("DiskCache", disk, "As InMemoryCache: this version keeps answers in memory.",
           "cache_strategy: !udfs.DiskCache {}");
  settings("DefaultCache", disk, "As InMemoryCache.", "cache_strategy: !udfs.DefaultCache {}");
  const std::vector<ArgSpec> calls = {
      number("capacity", ArgKind::kInt, "", "Calls under way at once."),
      number("timeout", ArgKind::kDurationOrNumber, "", "Seconds of one attempt."),
      number("retry_strategy", ArgKind::kComponent, "", "How often and when a call is tried again.")};
  settings("async_executor", calls, "Calls of one batch are under way together.",
           "executor: !udfs.async_executor {capacity: 8, timeout: 10}");
  std::vector<ArgSpec> later = calls;
  later.push_back(number("autocommit_duration_ms", ArgKind::kInt, "", "Accepted for files of the peer."));
  settings("fully_async_executor", later,
           "As async_executor: answers are in the commit that asked, so nothing is ever pending.",
           "executor: !udfs.fully_async_executor {capacity: 8}");
  settings("sync_executor", {}, "One call at a time.", "executor: !udfs.sync_executor");
  settings("auto_executor", {}, "What suits the function.", "executor: !udfs.auto_executor");
}

}  // namespace

void add_function_components(Components& out) {
  add_lua(out);
  add_remote(out);
  add_strategies(out);
}

}  // namespace thalweg::lang
