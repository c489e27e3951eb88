// daemon/args.h
//
// The command line as data. CLI11 ends in args.cc; commands see these structs only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace thalweg::daemon {

// Exit codes of every command.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;  // a failed run, failed tests
inline constexpr int kExitUsage = 2;
inline constexpr int kExitInvalid = 3;      // an invalid pipeline
inline constexpr int kExitUnreachable = 4;  // the daemon does not answer

using Overrides = std::vector<std::pair<std::string, std::string>>;  // --set name=value, in order

struct RunArgs {
  std::vector<std::string> files;
  std::uint32_t workers = 0;  // 0: what the pipeline says, else 1
  std::string listen;         // HOST:PORT or unix:PATH; empty: no listener
  Overrides overrides;
  std::optional<double> until_idle_s;
  std::string record;          // a folder that takes a recording; empty: none
  std::string replay;          // a recording that is run instead of the sources; empty: none
  std::string speed = "fast";  // of it
  bool go_on = false;          // after it
  std::string env_file;        // empty: `.env`, if there is one
  bool quiet = false;
  bool json = false;  // the summary
};

struct CheckArgs {
  std::vector<std::string> files;
  Overrides overrides;
  std::string env_file;
  bool json = false;
  bool probe = false;  // also reaches what sources and sinks name
};

// Where a client command finds the server.
struct ServerArgs {
  std::string server;  // HOST:PORT, http://HOST:PORT or unix:PATH
  std::string config;  // its `listen`
  std::string token_file;
};

enum class ExplainFormat : std::uint8_t { kText, kJson, kDot, kMermaid };
struct ExplainArgs {
  std::string file;
  std::string pipeline;  // instead of a file: one that a server runs
  ServerArgs server;
  Overrides overrides;
  std::string env_file;
  ExplainFormat format = ExplainFormat::kText;
};

struct TestArgs {
  std::vector<std::string> paths;
  std::string format = "text";  // text, junit, json
  std::string filter;           // a regular expression searched in test names
  std::vector<std::uint32_t> workers;
  bool restarts = false;  // every test is restarted after every batch
};

struct ListArgs {
  std::string what;  // empty: everything
  bool json = false;
};

struct DocsArgs {
  std::string tag;
  bool json = false;
};

struct JsonSchemaArgs {};

struct SchemaInferArgs {
  std::string path;
  std::string format;  // csv, jsonlines: how to read it; json: how to print; empty: by the file's name
};

struct CompletionArgs {
  std::string shell;
};

struct ManArgs {};

struct InitArgs {
  std::string name = "words";
  std::string directory = ".";
  bool list = false;
  bool json = false;
};

struct VersionArgs {
  bool json = false;
};

struct QueryArgs {
  ServerArgs server;
  std::string sql;
  std::string pipeline;
  std::string at;
  std::string format = "table";
  std::uint64_t limit = 0;  // 0: the server's default
};

struct TailArgs {
  ServerArgs server;
  std::string table;  // `table` or `pipeline/table`
  std::string pipeline;
  std::string from;
  std::string format = "text";
  std::uint64_t limit = 0;
  bool snapshot = false;
  bool progress = false;
};

struct SnapshotArgs {
  ServerArgs server;
  std::string table;
  std::string pipeline;
  std::string at;
  std::string diff;
  std::string format = "jsonl";
};

struct StatusArgs {
  ServerArgs server;
  std::string pipeline;
  bool json = false;
  bool fail = false;  // exit code 1 if a pipeline has failed
};

struct TopArgs {
  ServerArgs server;
  double interval_s = 1;
  std::uint64_t rounds = 0;  // 0: until interrupted
  bool json = false;         // a line of JSON per look
};

struct ServeArgs {
  std::string config;
  std::string listen;         // wins over the file
  std::string pipelines_dir;  // wins over the file
  std::string env_file;
  bool check = false;  // only says whether the configuration and all pipelines are valid
};

struct ReloadArgs {
  ServerArgs server;
  std::vector<std::string> pipelines;  // empty: everything
  bool dry_run = false;
  bool accept = false;
  bool json = false;
};

struct LifecycleArgs {
  ServerArgs server;
  std::string verb;  // pause, resume, start, stop, checkpoint, checkpoints, rm, rollback
  std::string pipeline;
  bool json = false;
};

struct DlqArgs {
  ServerArgs server;
  std::string verb;      // ls, show, replay, drop
  std::string pipeline;  // empty: the only one
  std::vector<std::uint64_t> ids;
  bool all = false;
  std::string connector;
  std::string kind;
  std::string payload_file;  // `-`: standard input
  std::uint64_t limit = 100;
  bool json = false;
};

struct ReplayArgs {
  std::string directory;
  std::vector<std::string> files;  // empty: the pipeline as it was recorded
  std::string speed = "fast";      // fast, own, batch, or a factor
  bool go_on = false;              // then the sources go on
  std::uint32_t workers = 0;
  std::string listen;
  Overrides overrides;
  std::string env_file;
  bool quiet = false;
};

struct ApplyArgs {
  ServerArgs server;
  std::string file;
  std::string name;  // empty: from the file's name
  bool dry_run = false;
  bool accept = false;
  bool json = false;
};

using Command =
    std::variant<RunArgs, CheckArgs, ExplainArgs, TestArgs, ListArgs, DocsArgs, JsonSchemaArgs, SchemaInferArgs,
                 CompletionArgs, VersionArgs, QueryArgs, TailArgs, SnapshotArgs, StatusArgs, TopArgs, ServeArgs,
                 ReloadArgs, LifecycleArgs, ApplyArgs, DlqArgs, ReplayArgs, ManArgs, InitArgs>;

// What was asked, or the exit code after help or a usage error was printed.
[[nodiscard]] std::variant<Command, int> parse_args(int argc, const char* const* argv);

// All subcommands as the parser knows them: completion and the manual page are made from it.
struct OptionDoc {
  std::string names;  // `--quiet, -q`, or the name of an argument
  std::string value;  // what it takes: `FILE`
  std::string doc;
};
struct CommandDoc {
  std::string name;
  std::string doc;
  std::vector<std::string> options;  // their long names
  std::vector<OptionDoc> details;
};
[[nodiscard]] std::vector<CommandDoc> command_docs();

}  // namespace thalweg::daemon
