// connectors/formats/report.h
//
// What happens to records and fields that cannot be read: one policy per source, shared by all workers. Dead letters
// are the engine's: it writes them with the commit that the record belongs to (engine/runtime/dead_letter_desk.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "engine/base/env.h"
#include "engine/io/source.h"

namespace thalweg {

// Threads  any.
class BadRowPolicy {
 public:
  enum class Action : std::uint8_t { kLog, kSkip, kDeadLetter, kFail };
  explicit BadRowPolicy(Action action) : action_(action) {}
  // That the `dead_letter` file can be written; its folder is made.
  static Result<void> check_dead_letters(Env& env, const std::string& path);
  // Decides about the record: marks it fatal.
  void apply(BadRecord& record);
  [[nodiscard]] bool failed() const { return failed_.load(std::memory_order_relaxed); }

 private:
  const Action action_;
  std::atomic<bool> failed_{false};
};

// What one decode writes to.
class Reporter {
 public:
  Reporter(RowSink& out, BadRowPolicy& policy) : out_(out), policy_(policy) {}
  void rows(Batch batch) { out_.rows(std::move(batch)); }
  void bad(BadRecord record);

 private:
  RowSink& out_;
  BadRowPolicy& policy_;
};

}  // namespace thalweg
