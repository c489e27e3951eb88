#include <cstdio>
#include <variant>

#include "daemon/args.h"
#include "daemon/commands/commands.h"
#include "engine/base/huge_pages.h"

int main(int argc, char** argv) {
  using namespace thalweg::daemon;
  std::variant<Command, int> parsed = parse_args(argc, argv);
  if (const int* exit_code = std::get_if<int>(&parsed)) return *exit_code;
  if (std::holds_alternative<RunArgs>(std::get<Command>(parsed)) ||
      std::holds_alternative<ServeArgs>(std::get<Command>(parsed)))
    thalweg::use_huge_pages(argv);
  return std::visit(
      [](const auto& args) {
        if constexpr (requires { run_command(args); }) return run_command(args);
        std::fputs("thalweg: this build does not have that command\n", stderr);
        return kExitUsage;
      },
      std::get<Command>(parsed));
}
