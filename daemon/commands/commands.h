// daemon/commands/commands.h
//
// One function per command; each returns the exit code. Results go to stdout, diagnostics to stderr.
#pragma once

#include "daemon/args.h"

namespace thalweg::daemon {

int run_command(const RunArgs& args);
int run_command(const CheckArgs& args);
int run_command(const ExplainArgs& args);
int run_command(const ListArgs& args);
int run_command(const RunArgs& args);
int run_command(const DocsArgs& args);
int run_command(const JsonSchemaArgs& args);
int run_command(const SchemaInferArgs& args);
int run_command(const CompletionArgs& args);
int run_command(const TestArgs& args);
int run_command(const VersionArgs& args);

}  // namespace thalweg::daemon
