// engine/runtime/dead_letter_desk.h
//
// The dead letters of the engine's side of a run: records that sources could not read, and rows with an ERROR cell that
// no output gets. Those of outputs are in refusals.h.
//
// DL1  Letters of a commit are kept before the commit is durable (prepare), so that the record of the commit makes both
//      true at once; those of commits that did not happen are forgotten at the next start (resume).
// DL2  Without state letters are kept when their commit has closed; one that is abandoned leaves none.
// DL3  `dead_letter` files get letters of commits that are for good (settle).
// Threads  note functions: the worker they name; prepare() the coordinating worker; settle() after it, any.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine/durable/dead_letters.h"
#include "engine/io/source.h"
#include "engine/operators/operator.h"
#include "engine/runtime/refusals.h"

namespace thalweg {

// What a source or an output says of its bad rows.
[[nodiscard]] LetterPolicy letter_policy(const plan::Node& node);

class DeadLetterDesk {
 public:
  DeadLetterDesk(const plan::Plan& plan, Env& env, std::uint32_t workers);
  // `durable`: commits may come again after a restart.
  void use(std::shared_ptr<durable::DeadLetters> store, bool durable);
  [[nodiscard]] const std::shared_ptr<durable::DeadLetters>& store() const { return store_; }
  // Commits above this one did not happen; the files of the user get what they lack.
  Result<void> resume(Commit durable_commit);

  void note_record(WorkerId worker, NodeId source, const BadRecord& record);
  void note_error_row(WorkerId worker, NodeId output, const Schema& schema, const Batch& batch, std::size_t row);
  void note_replayed(WorkerId worker, std::vector<std::uint64_t> ids);

  Result<void> prepare(Commit commit);
  Result<void> settle(Commit commit);

 private:
  struct Mine {
    std::vector<DeadLetter> letters;
    std::vector<std::uint64_t> replayed;
    std::size_t bytes = 0;
    std::uint64_t lost = 0;
  };
  void add(WorkerId worker, DeadLetter letter);
  [[nodiscard]] std::vector<std::string> files() const;

  Env& env_;
  std::vector<LetterPolicy> policies_;  // by node
  std::vector<Mine> mine_;              // by worker
  std::shared_ptr<durable::DeadLetters> store_;
  bool durable_ = false;
  std::mutex mutex_;
  std::vector<std::pair<Commit, std::vector<DeadLetter>>> unsettled_;  // guarded by mutex_; for files
};

}  // namespace thalweg
