#include "daemon/args.h"

#include <CLI/CLI.hpp>
#include <cstdio>

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
  std::vector<std::string> sets;
  std::string check_format = "text";
  std::string explain_format = "text";
  std::string list_format = "text";
  double until_idle_s = 0;
  bool version_flag = false;
};

void add_sets(CLI::App& command, Parsed& parsed) {
  command.add_option("--set", parsed.sets, "Sets a variable or a setting of the file: name=value; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false)
      ->check([](const std::string& text) {
        return text.find('=') == std::string::npos || text.front() == '=' ? "expected name=value" : "";
      });
}

void add_run(CLI::App& app, Parsed& parsed) {
  CLI::App* run = app.add_subcommand("run", "Run a pipeline in the foreground");
  run->add_option("file", parsed.run.files, "Pipeline files; several are merged as scopes")->required()->type_name("FILE");
  run->add_option("--workers", parsed.run.workers, "Worker threads")->check(CLI::Range(1U, kWorkersMax));
  run->add_option("--listen", parsed.run.listen, "Serve REST for this pipeline: HOST:PORT, :PORT or unix:PATH");
  run->add_option("--until-idle", parsed.until_idle_s, "Stop after this many seconds without new rows")
      ->check(CLI::PositiveNumber)
      ->type_name("SECONDS");
  run->add_flag("--quiet,-q", parsed.run.quiet, "No progress, no summary");
  add_sets(*run, parsed);
}

void add_check(CLI::App& app, Parsed& parsed) {
  CLI::App* check = app.add_subcommand("check", "Check pipelines without moving data; prints every error");
  check->add_option("file", parsed.check.files, "Pipeline files")->required()->type_name("FILE");
  check->add_option("--format", parsed.check_format, "text or json")->check(CLI::IsMember({"text", "json"}));
  add_sets(*check, parsed);
}

void add_explain(CLI::App& app, Parsed& parsed) {
  CLI::App* explain = app.add_subcommand("explain", "Print the operator graph of a pipeline");
  explain->add_option("file", parsed.explain.file, "Pipeline file")->required()->type_name("FILE");
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
  test->add_option("--workers", parsed.test.workers, "Run with these numbers of workers only")
      ->check(CLI::Range(1U, kWorkersMax))
      ->delimiter(',');
}

void add_reference(CLI::App& app, Parsed& parsed) {
  CLI::App* list = app.add_subcommand("list", "List connectors, operators, functions, reducers");
  list->add_option("what", parsed.list.what, "connectors, operators, functions, reducers, …");
  list->add_option("--format", parsed.list_format, "text or json")->check(CLI::IsMember({"text", "json"}));
  CLI::App* docs = app.add_subcommand("docs", "Show the reference of a tag or function");
  docs->add_option("tag", parsed.docs.tag, "A tag (io.csv.read, join) or a function (str.lower)")->required();
  docs->add_flag("--json", parsed.docs.json, "As JSON");
  app.add_subcommand("json-schema", "Print the JSON schema of pipeline files, for editors");
  CLI::App* schema = app.add_subcommand("schema", "Work with schemas");
  schema->require_subcommand(1);
  CLI::App* infer = schema->add_subcommand("infer", "Print a schema for a file, to paste into a pipeline");
  infer->add_option("path", parsed.schema_infer.path, "A csv or JSON lines file")->required();
  infer->add_option("--format", parsed.schema_infer.format, "csv or json, if the name does not say")
      ->check(CLI::IsMember({"csv", "json", "jsonlines"}));
}

void add_rest(CLI::App& app, Parsed& parsed) {
  CLI::App* completion = app.add_subcommand("completion", "Print a completion script for a shell");
  completion->add_option("shell", parsed.completion.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  CLI::App* version = app.add_subcommand("version", "Print the version");
  version->add_flag("--json", parsed.version.json, "As JSON");
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

std::variant<Command, int> chosen(const CLI::App& app, Parsed& parsed) {
  Overrides overrides = split_sets(parsed.sets);
  if (app.got_subcommand("run")) {
    parsed.run.overrides = std::move(overrides);
    if (app.get_subcommand("run")->count("--until-idle") > 0) parsed.run.until_idle_s = parsed.until_idle_s;
    return Command(parsed.run);
  }
  if (app.got_subcommand("check")) {
    parsed.check.overrides = std::move(overrides);
    parsed.check.json = parsed.check_format == "json";
    return Command(parsed.check);
  }
  if (app.got_subcommand("explain")) {
    parsed.explain.overrides = std::move(overrides);
    parsed.explain.format = explain_format(parsed.explain_format);
    return Command(parsed.explain);
  }
  if (app.got_subcommand("test")) return Command(parsed.test);
  if (app.got_subcommand("list")) {
    parsed.list.json = parsed.list_format == "json";
    return Command(parsed.list);
  }
  if (app.got_subcommand("docs")) return Command(parsed.docs);
  if (app.got_subcommand("json-schema")) return Command(parsed.json_schema);
  if (app.got_subcommand("schema")) return Command(parsed.schema_infer);
  if (app.got_subcommand("completion")) return Command(parsed.completion);
  if (app.got_subcommand("version") || parsed.version_flag) return Command(parsed.version);
  std::fputs(app.help().c_str(), stderr);
  return kExitUsage;
}

void collect_docs(const CLI::App& app, const std::string& prefix, std::vector<CommandDoc>& out) {
  for (const CLI::App* command : app.get_subcommands(nullptr)) {
    CommandDoc doc{prefix + command->get_name(), command->get_description(), {}};
    for (const CLI::Option* option : command->get_options())
      if (!option->get_lnames().empty()) doc.options.push_back("--" + option->get_lnames().front());
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
  return chosen(*app, parsed);
}

std::vector<CommandDoc> command_docs() {
  Parsed parsed;
  std::unique_ptr<CLI::App> app = make_app(parsed);
  std::vector<CommandDoc> out;
  collect_docs(*app, "", out);
  return out;
}

}  // namespace thalweg::daemon
