// engine/io/sink.h
//
// What an output connector implements. Runs on a thread of its own behind a bounded queue.
//
//   open  (begin write* end)*  close
//
// A commit's rows are consolidated: deletions first, then insertions; no row has an ERROR cell. `end` returns when
// what was written is as durable as the sink can make it. An error from any call stops the pipeline's outputs there:
// nothing of a later commit is written.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/env.h"
#include "engine/base/result.h"
#include "engine/types/batch.h"

namespace thalweg {

struct SinkContext {
  Env* env = nullptr;
  Schema schema;
  std::string name;
};

class Sink {
 public:
  virtual ~Sink() = default;
  virtual Result<void> open(const SinkContext& context) = 0;
  virtual Result<void> begin(std::uint64_t /*commit*/) { return {}; }
  virtual Result<void> write(std::uint64_t commit, const Batch& batch) = 0;
  virtual Result<void> end(std::uint64_t commit) = 0;
  // `complete`: the input has ended or the run was stopped in order; otherwise leave what a restart can mend.
  virtual Result<void> close(bool complete) = 0;
  // Rows are only counted: the runtime need not consolidate nor keep columns.
  [[nodiscard]] virtual bool discards() const { return false; }
};

}  // namespace thalweg
