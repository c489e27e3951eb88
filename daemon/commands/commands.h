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
int run_command(const QueryArgs& args);
int run_command(const TailArgs& args);
int run_command(const SnapshotArgs& args);
int run_command(const StatusArgs& args);
int run_command(const TopArgs& args);
int run_command(const ServeArgs& args);
int run_command(const ReloadArgs& args);
int run_command(const LifecycleArgs& args);
int run_command(const ApplyArgs& args);
int run_command(const DlqArgs& args);
int run_command(const ReplayArgs& args);
int run_command(const InitArgs& args);
int run_command(const ManArgs& args);

}  // namespace thalweg::daemon
