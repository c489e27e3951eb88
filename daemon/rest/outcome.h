// daemon/rest/outcome.h
//
// What came of a change of a pipeline: a reload, an apply, a rollback, a dry run of one of these.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/json_writer.h"

namespace thalweg::daemon {

struct ChangeNote {
  std::string name;    // of an operator or output
  std::string detail;  // why, from where, what it will get
};

struct Outcome {
  enum class Result : std::uint8_t { kUnchanged, kStarted, kReloaded, kRemoved, kDone, kPlanned, kFailed };
  std::uint64_t id = 0;
  std::string pipeline;
  std::string trigger;  // signal, watch, request, start, …
  std::int64_t at_wall_ns = 0;
  double seconds = 0;
  Result result = Result::kUnchanged;
  std::string code;  // of a failure: `invalid_pipeline`, `needs_accept`, `not_caught_up`, …
  std::string reason;
  std::string diagnostics;  // of an invalid pipeline, with carets
  std::uint32_t line = 0;   // of its first error; 0: none
  std::uint32_t column = 0;
  std::vector<ChangeNote> kept, rebuilt, added, removed, outputs;
};

[[nodiscard]] std::string_view result_text(Outcome::Result result);
void append_outcome(const Outcome& outcome, JsonWriter& json);

}  // namespace thalweg::daemon
