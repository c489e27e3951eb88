// daemon/testing/run_case.h
//
// Runs one test: compiles its pipeline, runs it once per number of workers, compares. A test has no effect outside:
// the outputs of its pipeline are checked and opened nowhere, their rows are thrown away.
#pragma once

#include "daemon/testing/test_case.h"
#include "daemon/testing/test_report.h"
#include "engine/base/env.h"
#include "engine/io/connectors.h"
#include "pipeline_lang/catalog.h"

namespace thalweg::testing {

// What tests run in: the connectors that exist, the machine.
struct TestWorld {
  const lang::Catalog* catalog = nullptr;
  ConnectorFactory* connectors = nullptr;
  Env env;
  std::vector<std::uint32_t> workers;  // instead of those of the tests; empty: theirs
  bool restarts = false;               // each test is restarted after each of its batches
};

[[nodiscard]] CaseResult run_case(TestFile& file, const TestCase& test, const TestWorld& world);

}  // namespace thalweg::testing
