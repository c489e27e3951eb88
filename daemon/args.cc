#include "daemon/args.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <optional>

namespace thalweg::daemon {
namespace {

constexpr std::uint32_t kWorkersMax = 256;

// Everything CLI11 writes into; lives as long as the App.
struct Parsed {
  RunArgs run;
  CheckArgs check;
  ExplainArgs explain;
  TestArgs test;
  ListArgs list;
  DocsArgs docs;
  JsonSchemaArgs json_schema;
  SchemaInferArgs schema_infer;
  CompletionArgs completion;
  VersionArgs version;
  ServerArgs server;
  QueryArgs query;
  TailArgs tail;
  SnapshotArgs snapshot;
  StatusArgs status;
  TopArgs top;
  ServeArgs serve;
  ReloadArgs reload;
  LifecycleArgs lifecycle;
  ApplyArgs apply;
  DlqArgs dlq;
  ReplayArgs replay;
  InitArgs init;
  bool json = false;
  std::string format = "text";
  std::vector<std::string> sets;
  std::string env_file;
  std::string explain_format = "text";
  double until_idle_s = 0;
  bool version_flag = false;
};

// `--format json`, and `--json` for short.
void add_format(CLI::App& command, Parsed& parsed) {
  command.add_option("--format", parsed.format, "text or json")->check(CLI::IsMember({"text", "json"}));
  command.add_flag("--json", parsed.json, "The same as --format json");
}

void add_sets(CLI::App& command, Parsed& parsed) {
  command.add_option("--set", parsed.sets, "Sets a variable or a setting of the file: name=value; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false)
      ->check([](const std::string& text) {
        return text.find('=') == std::string::npos || text.front() == '=' ? "expected name=value" : "";
      });
  command
      .add_option("--env-file", parsed.env_file, "NAME=VALUE lines, as if they were in the environment; default: .env")
      ->type_name("FILE");
}

void add_run(CLI::App& app, Parsed& parsed) {
  CLI::App* run = app.add_subcommand("run", "Run a pipeline in the foreground")->alias("spawn");
  run->add_option("file", parsed.run.files, "Pipeline files; several are merged as scopes")
      ->required()
      ->type_name("FILE");
  run->add_option("--workers,--threads,-t", parsed.run.workers, "Worker threads; else THALWEG_WORKERS")
      ->check(CLI::Range(1U, kWorkersMax));
  run->add_option("--listen", parsed.run.listen, "Serve REST for this pipeline: HOST:PORT, :PORT or unix:PATH");
  run->add_option("--until-idle", parsed.until_idle_s, "Stop after this many seconds without new rows")
      ->check(CLI::PositiveNumber)
      ->type_name("SECONDS");
  run->add_option("--record", parsed.run.record,
                  "Record all input in this folder, for `thalweg replay`; it must be new or empty")
      ->type_name("FOLDER");
  run->add_flag("--quiet,-q", parsed.run.quiet, "No progress, no summary");
  add_format(*run, parsed);
  add_sets(*run, parsed);
}

void add_check(CLI::App& app, Parsed& parsed) {
  CLI::App* check = app.add_subcommand("check", "Check pipelines without moving data; prints every error");
  check->add_option("file", parsed.check.files, "Pipeline files")->required()->type_name("FILE");
  check->add_flag("--probe", parsed.check.probe, "Also reach what sources and sinks name: files, programs, servers");
  add_format(*check, parsed);
  add_sets(*check, parsed);
}

// Options of every command that talks to a server.
void add_server(CLI::App& command, Parsed& parsed) {
  command.add_option("--server", parsed.server.server,
                     "HOST:PORT, http://HOST:PORT or unix:PATH; default: THALWEG_SERVER, else 127.0.0.1:8080");
  command.add_option("--config", parsed.server.config, "A configuration of the server: its `listen` is used")
      ->type_name("FILE");
  command.add_option("--token-file", parsed.server.token_file, "A file that holds the token; else THALWEG_TOKEN")
      ->type_name("FILE");
}

void add_explain(CLI::App& app, Parsed& parsed) {
  CLI::App* explain = app.add_subcommand("explain", "Print the operator graph of a pipeline");
  CLI::Option* file = explain->add_option("file", parsed.explain.file, "Pipeline file")->type_name("FILE");
  explain->add_option("--pipeline", parsed.explain.pipeline, "A pipeline of a running server, with live numbers")
      ->excludes(file);
  add_server(*explain, parsed);
  explain->add_option("--format", parsed.explain_format, "text, json, dot or mermaid")
      ->check(CLI::IsMember({"text", "json", "dot", "mermaid"}));
  add_sets(*explain, parsed);
}

void add_test(CLI::App& app, Parsed& parsed) {
  CLI::App* test = app.add_subcommand("test", "Run the tests of pipeline files and *.test.yaml files");
  test->add_option("path", parsed.test.paths, "Files and directories")->required()->type_name("PATH");
  test->add_option("--format", parsed.test.format, "text, junit or json")
      ->check(CLI::IsMember({"text", "junit", "json"}));
  test->add_option("--filter", parsed.test.filter, "Only tests whose name matches this regular expression");
  test->add_flag("--restarts", parsed.test.restarts,
                 "Restart every test after each of its batches, as `restart:` does");
  test->add_option("--workers", parsed.test.workers, "Run with these numbers of workers only")
      ->check(CLI::Range(1U, kWorkersMax))
      ->delimiter(',');
}

void add_reference(CLI::App& app, Parsed& parsed) {
  CLI::App* list = app.add_subcommand("list", "List connectors, operators, functions, reducers");
  list->add_option("what", parsed.list.what, "connectors, operators, functions, reducers, …");
  add_format(*list, parsed);
  CLI::App* docs = app.add_subcommand("docs", "Show the reference of a tag or function");
  docs->add_option("tag", parsed.docs.tag, "A tag (io.csv.read, join) or a function (str.lower)")->required();
  add_format(*docs, parsed);
  app.add_subcommand("json-schema", "Print the JSON schema of pipeline files, for editors");
  CLI::App* schema = app.add_subcommand("schema", "Work with schemas");
  schema->require_subcommand(1);
  CLI::App* infer = schema->add_subcommand("infer", "Print a schema for a file, to paste into a pipeline");
  infer->add_option("path", parsed.schema_infer.path, "A csv or JSON lines file")->required();
  infer
      ->add_option("--format", parsed.schema_infer.format,
                   "csv or jsonlines: how to read a file whose name does not say; json: print JSON")
      ->check(CLI::IsMember({"csv", "json", "jsonlines", "text"}));
}

void add_readers(CLI::App& app, Parsed& parsed) {
  CLI::App* query = app.add_subcommand("query", "Ask a running server: one SELECT over exported tables");
  query->add_option("sql", parsed.query.sql, "The query")->required()->type_name("SELECT");
  query->add_option("--pipeline", parsed.query.pipeline, "Whose tables; may be left out where there is one pipeline");
  query->add_option("--at", parsed.query.at, "The state at this frontier: a number or `done`");
  query->add_option("--limit", parsed.query.limit, "At most so many rows")->check(CLI::Range(1U, 100'000U));
  query->add_option("--format", parsed.query.format, "table, json, jsonl or csv")
      ->check(CLI::IsMember({"table", "json", "jsonl", "csv"}));
  add_server(*query, parsed);
  CLI::App* tail = app.add_subcommand("tail", "Print the changes of an exported table as they come");
  tail->add_option("table", parsed.tail.table, "TABLE or PIPELINE/TABLE")->required();
  tail->add_option("--pipeline", parsed.tail.pipeline, "Whose table");
  tail->add_option("--from", parsed.tail.from, "Begin at this frontier instead of now");
  tail->add_option("--limit", parsed.tail.limit, "End after so many rows");
  tail->add_flag("--snapshot", parsed.tail.snapshot, "Begin with the rows as they are");
  tail->add_flag("--progress", parsed.tail.progress, "Print a mark for every commit");
  tail->add_option("--format", parsed.tail.format, "text or json")->check(CLI::IsMember({"text", "json"}));
  add_server(*tail, parsed);
  CLI::App* snapshot = app.add_subcommand("snapshot", "Print an exported table as it was at a frontier");
  snapshot->add_option("table", parsed.snapshot.table, "TABLE or PIPELINE/TABLE")->required();
  snapshot->add_option("--pipeline", parsed.snapshot.pipeline, "Whose table");
  snapshot->add_option("--at", parsed.snapshot.at, "A number or `done`; default: now");
  snapshot->add_option("--diff", parsed.snapshot.diff,
                       "What changed from --at to this frontier; without --at: from this frontier to now");
  snapshot->add_option("--format", parsed.snapshot.format, "jsonl, json or csv")
      ->check(CLI::IsMember({"json", "jsonl", "csv"}));
  add_server(*snapshot, parsed);
}

void add_status(CLI::App& app, Parsed& parsed) {
  for (const char* name : {"status", "ps"}) {
    CLI::App* status = app.add_subcommand(name, "Show the pipelines of a running server, or one of them");
    status->add_option("pipeline", parsed.status.pipeline, "Only this one, with its connectors and tables");
    add_format(*status, parsed);
    status->add_flag("--fail", parsed.status.fail, "Exit code 1 if a pipeline has failed");
    add_server(*status, parsed);
  }
  CLI::App* top = app.add_subcommand("top", "Show the pipelines of a running server, again and again");
  top->add_option("--interval", parsed.top.interval_s, "Seconds between two looks")->check(CLI::Range(0.1, 3600.0));
  top->add_option("--rounds", parsed.top.rounds, "End after so many looks");
  add_format(*top, parsed);
  add_server(*top, parsed);
}

void add_serve(CLI::App& app, Parsed& parsed) {
  CLI::App* serve = app.add_subcommand("serve", "Run the daemon: every pipeline of a folder, REST, metrics");
  serve->add_option("--config", parsed.serve.config, "Default: /etc/thalweg/thalweg.yaml if it is there")
      ->type_name("FILE");
  serve->add_option("--listen", parsed.serve.listen, "HOST:PORT or unix:PATH; wins over the file");
  serve->add_option("--pipelines-dir", parsed.serve.pipelines_dir, "Wins over the file")->type_name("FOLDER");
  serve->add_option("--env-file", parsed.serve.env_file, "NAME=VALUE lines, as if they were in the environment")
      ->type_name("FILE");
  serve->add_flag("--check", parsed.serve.check, "Check the configuration and all pipelines, and end");
}

void add_lifecycle(CLI::App& app, Parsed& parsed) {
  auto common = [&](CLI::App& command) {
    add_format(command, parsed);
    add_server(command, parsed);
  };
  CLI::App* reload = app.add_subcommand("reload", "Tell the daemon to read its pipelines anew; waits for the outcome");
  reload->add_option("pipeline", parsed.reload.pipelines, "Only these; default: all, and what is new in the folder");
  reload->add_flag("--dry-run", parsed.reload.dry_run, "Only say what would be kept, rebuilt and corrected");
  reload->add_flag("--accept", parsed.reload.accept, "Also where outputs can only go on from now on");
  common(*reload);
  const std::pair<const char*, const char*> verbs[] = {
      {"pause", "Let a pipeline take no further input"},
      {"resume", "Let a paused pipeline go on"},
      {"stop", "Stop a pipeline in order; it stays stopped"},
      {"start", "Start a stopped or failed pipeline"},
      {"checkpoint", "Write the state of a pipeline down now"},
      {"checkpoints", "List what is kept of a pipeline's state"},
      {"rm", "Stop a pipeline and remove its file"},
      {"rollback", "Go back to the definition before the last change"},
  };
  for (const auto& [verb, doc] : verbs) {
    CLI::App* command = app.add_subcommand(verb, doc);
    command->add_option("pipeline", parsed.lifecycle.pipeline, "Its name")->required();
    common(*command);
  }
  CLI::App* apply = app.add_subcommand("apply", "Give the daemon a pipeline file: a new pipeline, or a new definition");
  apply->add_option("file", parsed.apply.file, "Pipeline file")->required()->type_name("FILE");
  apply->add_option("--name", parsed.apply.name, "Name of the pipeline; default: from the file's name");
  apply->add_flag("--dry-run", parsed.apply.dry_run, "Only say what would happen");
  apply->add_flag("--accept", parsed.apply.accept, "Also where outputs can only go on from now on");
  common(*apply);
}

void add_replay(CLI::App& app, Parsed& parsed) {
  CLI::App* replay =
      app.add_subcommand("replay", "Run what `run --record` has recorded once more, without its sources");
  replay->add_option("recording", parsed.replay.directory, "The folder of the recording")
      ->required()
      ->type_name("FOLDER");
  replay
      ->add_option("file", parsed.replay.files,
                   "Pipeline files instead of the recorded one; the sources must be the same")
      ->type_name("FILE");
  replay->add_option(
      "--speed,--mode", parsed.replay.speed,
      "fast: as fast as possible (default); own: with the pauses that there were; 10: ten times as fast; "
      "batch: all in one commit");
  replay->add_flag("--fast", [&parsed](std::int64_t) { parsed.replay.speed = "fast"; }, "As fast as possible");
  replay->add_flag("--continue", parsed.replay.go_on, "Then go on reading the sources where the recording ends");
  replay->add_option("--workers,--threads,-t", parsed.replay.workers, "Worker threads")
      ->check(CLI::Range(1U, kWorkersMax));
  replay->add_option("--listen", parsed.replay.listen, "Serve REST for this pipeline: HOST:PORT, :PORT or unix:PATH");
  replay->add_flag("--quiet,-q", parsed.replay.quiet, "No progress, no summary");
  add_sets(*replay, parsed);
}

void add_dlq(CLI::App& app, Parsed& parsed) {
  CLI::App* dlq = app.add_subcommand("dlq", "Dead letters: records and rows that were refused");
  dlq->require_subcommand(1);
  const std::pair<const char*, const char*> verbs[] = {
      {"ls", "List them"},
      {"show", "Show reason, position and payload"},
      {"replay", "Give records back to their source, rows to their output; for when what was wrong is mended"},
      {"drop", "Forget them"},
  };
  for (const auto& [verb, doc] : verbs) {
    CLI::App* command = dlq->add_subcommand(verb, doc);
    const std::string_view name = verb;
    command->add_option("--pipeline,-p", parsed.dlq.pipeline, "Whose; may be left out where there is one pipeline");
    if (name != "ls") command->add_option("id", parsed.dlq.ids, "Their numbers")->type_name("ID");
    if (name == "replay" || name == "drop")
      command->add_flag("--all", parsed.dlq.all, "All of them, or all of a --connector or --kind");
    if (name != "show") {
      command->add_option("--connector", parsed.dlq.connector, "Only those of this source or output");
      command->add_option("--kind", parsed.dlq.kind, "Only these: record, value, row, error")
          ->check(CLI::IsMember({"record", "value", "row", "error"}));
    }
    if (name == "ls") command->add_option("--limit", parsed.dlq.limit, "At most so many (default 100)");
    if (name == "replay")
      command->add_option("--payload", parsed.dlq.payload_file, "A file with the mended record; -: standard input")
          ->type_name("FILE");
    add_format(*command, parsed);
    add_server(*command, parsed);
  }
}

void add_rest(CLI::App& app, Parsed& parsed) {
  CLI::App* completion = app.add_subcommand("completion", "Print a completion script for a shell");
  completion->add_option("shell", parsed.completion.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  CLI::App* init = app.add_subcommand("init", "Write a pipeline to start from, with its input and tests");
  init->add_option("template", parsed.init.name, "words, join, windows, sql, …; default: words");
  init->add_option("--dir", parsed.init.directory, "The folder to write it into; default: here")->type_name("FOLDER");
  init->add_flag("--list", parsed.init.list, "Only list the templates");
  add_format(*init, parsed);
  app.add_subcommand("man", "Print the manual page (roff)");
  CLI::App* version = app.add_subcommand("version", "Print the version");
  add_format(*version, parsed);
}

std::unique_ptr<CLI::App> make_app(Parsed& parsed) {
  auto app = std::make_unique<CLI::App>("A streaming server: declarative pipelines, always up to date", "thalweg");
  app->require_subcommand(0, 1);
  app->failure_message(CLI::FailureMessage::simple);
  app->add_flag("--version", parsed.version_flag, "Print the version");
  add_run(*app, parsed);
  add_check(*app, parsed);
  add_explain(*app, parsed);
  add_test(*app, parsed);
  add_serve(*app, parsed);
  add_readers(*app, parsed);
  add_status(*app, parsed);
  add_lifecycle(*app, parsed);
  add_dlq(*app, parsed);
  add_replay(*app, parsed);
  add_reference(*app, parsed);
  add_rest(*app, parsed);
  return app;
}

Overrides split_sets(const std::vector<std::string>& sets) {
  Overrides out;
  for (const std::string& text : sets) {
    std::size_t equals = text.find('=');
    out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

ExplainFormat explain_format(const std::string& text) {
  if (text == "json") return ExplainFormat::kJson;
  if (text == "dot") return ExplainFormat::kDot;
  return text == "mermaid" ? ExplainFormat::kMermaid : ExplainFormat::kText;
}

std::optional<Command> chosen_client(const CLI::App& app, Parsed& parsed) {
  auto at = [&](auto& args) {
    args.server = parsed.server;
    return Command(args);
  };
  if (app.got_subcommand("query")) return at(parsed.query);
  if (app.got_subcommand("tail")) return at(parsed.tail);
  if (app.got_subcommand("snapshot")) return at(parsed.snapshot);
  parsed.top.json = parsed.status.json = parsed.json;
  if (app.got_subcommand("top")) return at(parsed.top);
  if (app.got_subcommand("status") || app.got_subcommand("ps")) return at(parsed.status);
  parsed.reload.json = parsed.lifecycle.json = parsed.apply.json = parsed.json;
  if (app.got_subcommand("reload")) return at(parsed.reload);
  if (app.got_subcommand("apply")) return at(parsed.apply);
  if (app.got_subcommand("dlq")) {
    parsed.dlq.verb = app.get_subcommand("dlq")->get_subcommands().front()->get_name();
    parsed.dlq.json = parsed.json;
    return at(parsed.dlq);
  }
  for (const char* verb : {"pause", "resume", "stop", "start", "checkpoint", "checkpoints", "rm", "rollback"}) {
    if (!app.got_subcommand(verb)) continue;
    parsed.lifecycle.verb = verb;
    return at(parsed.lifecycle);
  }
  return std::nullopt;
}

std::variant<Command, int> chosen_of(const CLI::App& app, Parsed& parsed) {
  Overrides overrides = split_sets(parsed.sets);
  parsed.json = parsed.json || parsed.format == "json";
  if (app.got_subcommand("run")) {
    parsed.run.overrides = std::move(overrides);
    parsed.run.env_file = parsed.env_file;
    parsed.run.json = parsed.json;
    if (app.get_subcommand("run")->count("--until-idle") > 0) parsed.run.until_idle_s = parsed.until_idle_s;
    return Command(parsed.run);
  }
  if (app.got_subcommand("replay")) {
    parsed.replay.overrides = std::move(overrides);
    parsed.replay.env_file = parsed.env_file;
    return Command(parsed.replay);
  }
  if (app.got_subcommand("check")) {
    parsed.check.overrides = std::move(overrides);
    parsed.check.env_file = parsed.env_file;
    parsed.check.json = parsed.json;
    return Command(parsed.check);
  }
  if (app.got_subcommand("explain")) {
    parsed.explain.overrides = std::move(overrides);
    parsed.explain.env_file = parsed.env_file;
    parsed.explain.format = explain_format(parsed.explain_format);
    parsed.explain.server = parsed.server;
    if (parsed.explain.file.empty() && parsed.explain.pipeline.empty()) {
      std::fputs("explain: a file or --pipeline is required\n", stderr);
      return kExitUsage;
    }
    return Command(parsed.explain);
  }
  if (app.got_subcommand("test")) return Command(parsed.test);
  if (app.got_subcommand("list")) {
    parsed.list.json = parsed.json;
    return Command(parsed.list);
  }
  if (app.got_subcommand("serve")) return Command(parsed.serve);
  if (auto client = chosen_client(app, parsed)) return std::move(*client);
  parsed.docs.json = parsed.init.json = parsed.version.json = parsed.json;
  if (app.got_subcommand("docs")) return Command(parsed.docs);
  if (app.got_subcommand("json-schema")) return Command(parsed.json_schema);
  if (app.got_subcommand("schema")) return Command(parsed.schema_infer);
  if (app.got_subcommand("init")) return Command(parsed.init);
  if (app.got_subcommand("man")) return Command(ManArgs{});
  if (app.got_subcommand("completion")) return Command(parsed.completion);
  if (app.got_subcommand("version") || parsed.version_flag) return Command(parsed.version);
  std::fputs(app.help().c_str(), stderr);
  return kExitUsage;
}

OptionDoc option_doc(const CLI::Option& option) {
  OptionDoc out{{}, option.get_items_expected_max() > 0 ? option.get_type_name() : "", option.get_description()};
  for (const std::string& name : option.get_lnames()) out.names += (out.names.empty() ? "--" : ", --") + name;
  for (const std::string& name : option.get_snames()) out.names += (out.names.empty() ? "-" : ", -") + name;
  if (out.names.empty()) out.names = option.get_name();
  return out;
}

void collect_docs(const CLI::App& app, const std::string& prefix, std::vector<CommandDoc>& out) {
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    CommandDoc doc{prefix + command->get_name(), command->get_description(), {}, {}};
    for (const CLI::Option* option : command->get_options()) {
      if (!option->get_lnames().empty()) doc.options.push_back("--" + option->get_lnames().front());
      doc.details.push_back(option_doc(*option));
    }
    out.push_back(std::move(doc));
    collect_docs(*command, prefix + command->get_name() + " ", out);
  }
}

}  // namespace

std::variant<Command, int> parse_args(int argc, const char* const* argv) {
  Parsed parsed;
  std::unique_ptr<CLI::App> app = make_app(parsed);
  try {
    app->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app->exit(error) == 0 ? kExitOk : kExitUsage;
  }
  return chosen_of(*app, parsed);
}

std::vector<CommandDoc> command_docs() {
  Parsed parsed;
  std::unique_ptr<CLI::App> app = make_app(parsed);
  std::vector<CommandDoc> out;
  collect_docs(*app, "", out);
  return out;
}

}  // namespace thalweg::daemon
