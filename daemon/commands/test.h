// daemon/commands/test.h
//
// `thalweg test PATH…`: finds the tests, runs them one after another, prints what language.md 9 says. With junit or
// json the document goes to stdout and the closing line to stderr.
#pragma once

#include "daemon/args.h"
#include "daemon/testing/run_case.h"

namespace thalweg::daemon {

[[nodiscard]] int run_tests(const TestArgs& args, testing::TestWorld world);

}  // namespace thalweg::daemon
