#include "connectors/exec/descriptor.h"

#include <unistd.h>

#include <algorithm>

#include "connectors/exec/sink.h"
#include "connectors/exec/source.h"
#include "connectors/setting_reader.h"

namespace thalweg {

namespace {

using config::OptionSpec;
using config::OptionType;

std::vector<OptionSpec> command_options() {
  return {{.name = "command",
           .type = OptionType::kAny,
           .required = true,
           .doc = "a program with its arguments as a list, or a line for the shell",
           .example = "[python3, scraper.py]"},
          {.name = "directory",
           .type = OptionType::kPath,
           .fallback = ".",
           .doc = "where it runs; the folder of the pipeline"},
          {.name = "env", .type = OptionType::kTextMap, .doc = "environment variables beside ours"}};
}

process::Command command_from(const Setting& args, const std::string& name) {
  const SettingReader read(args);
  const Setting* given = args.find("command");
  const bool shell = given != nullptr && given->as_text() != nullptr;
  process::Command out = process::command_of(shell ? std::vector{*given->as_text()} : read.texts("command"), shell);
  out.directory = read.text("directory");
  out.name = name.empty() ? "io.exec" : name;
  if (const Setting* environment = read.map("env"))
    for (const auto& [variable, value] : *environment->as_map())
      out.environment.emplace_back(variable, value.as_text() != nullptr ? *value.as_text() : value.spelling);
  return out;
}

// The program is there and may be run.
Result<void> probe_command(const Setting& args, Env& env) {
  const process::Command command = command_from(args, "");
  const std::string& program = command.words.front();
  if (program.find('/') != std::string::npos) {
    if (::access(program.c_str(), X_OK) == 0) return {};
    return fail(Code::kNotFound, "`" + program + "` is no program that may be run");
  }
  std::string path = env.variable("PATH").value_or("/usr/bin:/bin");
  for (std::size_t begin = 0; begin <= path.size();) {
    std::size_t end = std::min(path.find(':', begin), path.size());
    if (::access((path.substr(begin, end - begin) + "/" + program).c_str(), X_OK) == 0) return {};
    begin = end + 1;
  }
  return fail(Code::kNotFound, "there is no program `" + program + "` in PATH");
}

Result<void> check_command(const Setting& args, const Schema&) {
  const process::Command command = command_from(args, "");
  const Setting* given = args.find("command");
  const bool words_only =
      given == nullptr || given->as_list() == nullptr || command.words.size() == given->as_list()->size();
  if (command.words.empty() || command.words.front().empty() || !words_only)
    return fail(Code::kInvalidPipeline,
                "`command` is a program with its arguments, all of them texts, or a line for the shell",
                SettingReader(args).span("command"));
  return {};
}

Result<std::unique_ptr<Source>> make_reader(const plan::Source& source, Env&) {
  const SettingReader read(source.args);
  ExecReadSettings s;
  s.command = command_from(source.args, source.name);
  s.is_static = read.text("mode", "streaming") == "static";
  s.deletions = read.flag("deletions_enabled", false);
  s.commit_ns = read.integer("autocommit_duration_ms", 100) * 1'000'000;
  s.restarts_max = read.integer("restarts", 5);
  s.restart_delay_ns = read.integer("restart_delay", 1'000'000'000);
  s.end_ns = read.integer("end_timeout", 5'000'000'000);
  const std::string action = read.text("on_bad_row");
  s.dead_letters = read.text("dead_letter");
  if (action == "fail")
    s.bad_rows = BadRowPolicy::Action::kFail;
  else if (action == "skip")
    s.bad_rows = BadRowPolicy::Action::kSkip;
  else if (!s.dead_letters.empty())
    s.bad_rows = BadRowPolicy::Action::kDeadLetter;
  return std::make_unique<ExecSource>(source, std::move(s));
}

ConnectorDescriptor exec_reader() {
  ConnectorDescriptor out;
  out.spec = {.name = "io.exec.read",
              .role = config::ConnectorSpec::Role::kSource,
              .doc =
                  "Rows that a program writes as lines of JSON: `{\"insert\": {…}}`, `{\"delete\": {…}}`, "
                  "`{\"commit\": offset}`. It is told "
                  "`start`, `on_persisted_run` and `seek` (after a restart), `read` and `end` on its stdin.",
              .example =
                  "!io.exec.read {command: [python3, scraper.py], schema: !schema {url: {type: str, primary_key: "
                  "true}, text: str}}",
              .options = command_options(),
              .needs_schema = true,
              .upsert_by_default = true};
  auto& options = out.spec.options;
  options.push_back({.name = "mode",
                     .type = OptionType::kEnum,
                     .fallback = "streaming",
                     .doc = "`static`: all that the program writes until it ends is one commit",
                     .choices = {"streaming", "static"}});
  options.push_back(
      {.name = "deletions_enabled",
       .type = OptionType::kBool,
       .fallback = "false",
       .doc = "the program may delete rows of a schema without primary key, by equal content or by `key`"});
  options.push_back({.name = "autocommit_duration_ms",
                     .type = OptionType::kInt,
                     .fallback = "100",
                     .doc = "how often rows of a program that never commits are committed",
                     .min = 0});
  options.push_back({.name = "restarts",
                     .type = OptionType::kInt,
                     .fallback = "5",
                     .doc = "how often in a row a program that fails is started again (streaming)",
                     .min = 0});
  options.push_back({.name = "restart_delay",
                     .type = OptionType::kDuration,
                     .fallback = "1s",
                     .doc = "the pause before the first new start; each further one is twice as long, a minute at most",
                     .min = 0});
  options.push_back({.name = "end_timeout",
                     .type = OptionType::kDuration,
                     .fallback = "5s",
                     .doc = "how long it may take to end when told to"});
  options.push_back({.name = "on_bad_row",
                     .type = OptionType::kEnum,
                     .doc = "`dead_letter` keeps bad messages, `skip` drops them, `fail` ends the run",
                     .choices = {"dead_letter", "skip", "fail"}});
  options.push_back({.name = "dead_letter",
                     .type = OptionType::kPathOrTable,
                     .doc = "a file for bad messages (JSON lines), or the name of a table of them"});
  out.make_source = make_reader;
  out.describe = [](const Setting& args, const std::vector<plan::SourceField>& schema,
                    Env&) -> Result<plan::SourceShape> {
    TRY(check_command(args, {}));
    plan::SourceShape shape;
    shape.fields = schema;
    const bool keyed =
        std::any_of(schema.begin(), schema.end(), [](const plan::SourceField& field) { return field.primary_key; });
    shape.append_only = !keyed && !SettingReader(args).flag("deletions_enabled", false);
    return shape;
  };
  out.check = check_command;
  out.probe = probe_command;
  return out;
}

ConnectorDescriptor exec_writer() {
  ConnectorDescriptor out;
  out.spec = {.name = "io.exec.write",
              .role = config::ConnectorSpec::Role::kSink,
              .doc =
                  "Changes that a program reads as lines of JSON: `{\"delete\": {…}, \"time\": t}`, `{\"insert\": {…}, "
                  "\"time\": t}`, then "
                  "`{\"commit\": t}`; before them `start`, at last `end`.",
              .example = "!io.exec.write {table: $counts, command: [python3, notify.py]}",
              .options = command_options()};
  auto& options = out.spec.options;
  options.push_back({.name = "acknowledge",
                     .type = OptionType::kBool,
                     .fallback = "false",
                     .doc = "wait for `{\"committed\": t}` before the next commit is written"});
  options.push_back({.name = "timeout",
                     .type = OptionType::kDuration,
                     .fallback = "30s",
                     .doc = "how long the program may take to read, to acknowledge, to end"});
  out.make_sink = [](const plan::Output& output, const Schema&, Env&) -> Result<std::unique_ptr<Sink>> {
    const SettingReader read(output.args);
    ExecWriteSettings s;
    s.command = command_from(output.args, output.name);
    s.acknowledge = read.flag("acknowledge", false);
    s.timeout_ns = read.integer("timeout", 30'000'000'000);
    return std::make_unique<ExecSink>(std::move(s));
  };
  out.check = check_command;
  out.probe = probe_command;
  return out;
}

}  // namespace

std::vector<ConnectorDescriptor> exec_connectors() {
  std::vector<ConnectorDescriptor> out;
  out.push_back(exec_reader());
  out.push_back(exec_writer());
  return out;
}

}  // namespace thalweg
