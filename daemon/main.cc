#include <cstdio>
#include <variant>

#include "daemon/args.h"
#include "daemon/commands/commands.h"

int main(int argc, char** argv) {
  using namespace thalweg::daemon;
  std::variant<Command, int> parsed = parse_args(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  return std::visit(
      [](const auto& args) {
        if constexpr (requires { run_command(args); }) return run_command(args);
        std::fputs("thalweg: this build does not have that command\n", stderr);
        return kExitUsage;
      },
      std::get<Command>(parsed));
}
