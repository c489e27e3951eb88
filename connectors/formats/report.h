// connectors/formats/report.h
//
// What happens to records and fields that cannot be read: one policy per source, shared by all workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "engine/base/env.h"
#include "engine/io/source.h"

namespace thalweg {

// Threads  any.
class BadRowPolicy {
 public:
  enum class Action : std::uint8_t { kLog, kSkip, kDeadLetter, kFail };
  BadRowPolicy(Action action, std::string source) : action_(action), source_(std::move(source)) {}
  // Bad rows are appended to `path` as JSON lines {raw, reason, source, position, kind}.
  Result<void> open_dead_letters(Env& env, const std::string& path);
  // Decides about the record: writes the dead letter, marks it fatal.
  void apply(BadRecord& record);
  [[nodiscard]] bool failed() const { return failed_.load(std::memory_order_relaxed); }
  // The first error of writing dead letters, once.
  [[nodiscard]] std::string take_write_error();

 private:
  void write_dead_letter(const BadRecord& record);

  const Action action_;
  const std::string source_;
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  std::unique_ptr<WriteFile> dead_letters_;  // guarded by mutex_
  std::string write_error_;                  // guarded by mutex_
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
