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
inline constexpr int kExitFailed = 1;       // a failed run, failed tests
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
  bool quiet = false;
};

struct CheckArgs {
  std::vector<std::string> files;
  Overrides overrides;
  bool json = false;
};

enum class ExplainFormat : std::uint8_t { kText, kJson, kDot, kMermaid };
struct ExplainArgs {
  std::string file;
  Overrides overrides;
  ExplainFormat format = ExplainFormat::kText;
};

struct TestArgs {
  std::vector<std::string> paths;
  std::string format = "text";  // text, junit, json
  std::string filter;           // a regular expression searched in test names
  std::vector<std::uint32_t> workers;
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
  std::string format;  // empty: by the file's name
};

struct CompletionArgs {
  std::string shell;
};

struct VersionArgs {
  bool json = false;
};

using Command = std::variant<RunArgs, CheckArgs, ExplainArgs, TestArgs, ListArgs, DocsArgs, JsonSchemaArgs,
                             SchemaInferArgs, CompletionArgs, VersionArgs>;

// What was asked, or the exit code after help or a usage error was printed.
[[nodiscard]] std::variant<Command, int> parse_args(int argc, const char* const* argv);

// Names of all subcommands with their one-line descriptions: completion and `thalweg docs` use it.
struct CommandDoc {
  std::string name;
  std::string doc;
  std::vector<std::string> options;
};
[[nodiscard]] std::vector<CommandDoc> command_docs();

}  // namespace thalweg::daemon
