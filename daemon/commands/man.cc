// `man`: the manual page, from the table of commands that parses them.
#include <cstdio>
#include <string>

#include "daemon/commands/commands.h"
#include "daemon/version.h"

namespace thalweg::daemon {
namespace {

// As roff text: backslashes, dashes, and dots at the start of a line mean something there.
std::string roff(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (out.empty() && (c == '.' || c == '\'')) out += "\\&";
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

void print_option(const OptionDoc& option) {
  std::printf(".TP\n.B %s", roff(option.names).c_str());
  if (!option.value.empty()) std::printf(" \\fI%s\\fR", roff(option.value).c_str());
  std::printf("\n%s\n", roff(option.doc).c_str());
}

void print_command(const CommandDoc& command) {
  std::printf(".SS %s\n%s.\n", roff("thalweg " + command.name).c_str(), roff(command.doc).c_str());
  for (const OptionDoc& option : command.details) print_option(option);
}

constexpr const char* kExitCodes =
    ".SH EXIT STATUS\n.TP\n.B 0\nfine\n.TP\n.B 1\na failed run, failed tests\n.TP\n.B 2\nwrong usage\n"
    ".TP\n.B 3\nan invalid pipeline\n.TP\n.B 4\nthe server does not answer\n";
constexpr const char* kEnvironment =
    ".SH ENVIRONMENT\n.TP\n.B THALWEG_SERVER\nwhere client commands find the server\n"
    ".TP\n.B THALWEG_TOKEN\nthe token of client commands\n.TP\n.B THALWEG_CONFIG\nthe configuration file of serve\n"
    ".TP\n.B THALWEG_WORKERS\nworker threads of run, if \\-\\-workers does not say\n"
    ".TP\n.B NO_COLOR\nno colours in the terminal\n";
constexpr const char* kManFiles =
    ".SH FILES\n.TP\n.I /etc/thalweg/thalweg.yaml\nthe configuration of serve\n"
    ".TP\n.I .env\nNAME=VALUE lines in the working directory, as if they were in the environment, which wins\n";

}  // namespace

int run_command(const ManArgs&) {
  std::printf(".TH THALWEG 1 \"\" \"thalweg %s\" \"User Commands\"\n", roff(std::string(version_text())).c_str());
  std::printf(".SH NAME\nthalweg \\- a streaming server: declarative pipelines, always up to date\n");
  std::printf(".SH SYNOPSIS\n.B thalweg\n.I COMMAND\n[\\fIOPTIONS\\fR]\n");
  std::printf(".SH DESCRIPTION\nPipelines are YAML files: where rows come from, how they are joined, grouped and\n");
  std::printf("filtered, where results go. Results are kept right as the input changes.\n.SH COMMANDS\n");
  for (const CommandDoc& command : command_docs()) print_command(command);
  std::fputs(kExitCodes, stdout);
  std::fputs(kEnvironment, stdout);
  std::fputs(kManFiles, stdout);
  return kExitOk;
}

}  // namespace thalweg::daemon
