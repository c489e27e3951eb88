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

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/env.h"
#include "engine/base/result.h"
#include "engine/io/source.h"
#include "engine/types/batch.h"

namespace thalweg {

// Why the outside refuses a row. Without a payload it is the row as a JSON object.
struct Rejection {
  std::string reason;
  std::string position;
  std::string payload;
};

struct SinkContext {
  Env* env = nullptr;
  Schema schema;
  std::string name;
  std::string pipeline;
  // The outside refuses this row of the commit at work: it becomes a dead letter, and the sink does not hear of its
  // retraction. Once a row, however often a commit is tried. May be empty.
  std::function<void(const Batch& batch, std::size_t row, Rejection why)> reject;

  // ---- where the pipeline keeps its state
  std::string sink_id;            // the same for the same output after a restart
  std::string state_path;         // files of its own begin with this; empty: nothing is kept
  Disk* state_disk = nullptr;     // where those files are
  bool exactly_once = false;      // `delivery: exactly_once`
  std::uint64_t generation = 0;   // rises with every start: what an older one still writes must be refused
  std::uint64_t resume_from = 0;  // commits below it were given to this output by an earlier start; 0: there was none
  std::string saved;              // what save() gave when the state that is gone on from was written
  // The rejections of the commit are durable when this returns: for sinks whose commit is a transaction, right before
  // they end it. The others need not call it. May be empty.
  std::function<Result<void>()> keep_rejected;
};

// What becomes of a commit at this output if the process ends at any moment.
enum class Delivery : std::uint8_t { kBestEffort, kAtLeastOnce, kEffectivelyOnce, kExactlyOnce };

class Sink {
 public:
  virtual ~Sink() = default;
  virtual Result<void> open(const SinkContext& context) = 0;
  virtual Result<void> begin(std::uint64_t /*commit*/) { return {}; }
  virtual Result<void> write(std::uint64_t commit, const Batch& batch) = 0;
  virtual Result<void> end(std::uint64_t commit) = 0;
  // `complete`: the input has ended or the run was stopped in order; otherwise leave what a restart can mend.
  virtual Result<void> close(bool complete) = 0;
  // The newest commit that is in the output, as the output itself says; asked after open(). Nothing: it does not know.
  // What it has is not given to it again.
  [[nodiscard]] virtual std::optional<std::uint64_t> last_commit() const { return std::nullopt; }
  // Between commits: what it needs to go on after a restart beside what the output itself holds.
  virtual Result<std::string> save() { return std::string(); }
  [[nodiscard]] virtual bool saves() const { return false; }  // save() gives something
  // With persistence.
  [[nodiscard]] virtual Delivery delivery() const { return Delivery::kAtLeastOnce; }
  // Rows are only counted: the runtime need not consolidate nor keep columns.
  [[nodiscard]] virtual bool discards() const { return false; }
  // What the outside got, in its own form: bytes of a file, of messages; 0 where that is not known. Any thread.
  [[nodiscard]] virtual std::uint64_t bytes_written() const { return bytes_written_; }

 protected:
  void count_bytes(std::uint64_t bytes) { bytes_written_.fetch_add(bytes, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> bytes_written_{0};
};

}  // namespace thalweg
