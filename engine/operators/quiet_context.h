// engine/operators/quiet_context.h
//
// The context of a commit that nobody sees: an operator that is a function of its rows is loaded by giving it the rows
// again. What it emits and reports was emitted and reported before it was saved.
#pragma once

#include "engine/operators/operator.h"

namespace thalweg::operators {

class QuietContext : public OperatorContext {
 public:
  void emit(Batch) override {}
  [[nodiscard]] Commit commit() const override { return 0; }
  [[nodiscard]] bool is_end() const override { return false; }
  void report(ErrorKind, std::string, SourceSpan, std::optional<Key>) override {}
  void fail(Error error) override {
    if (!failure_) failure_ = std::move(error);
  }
  [[nodiscard]] Env& env() override { return env_; }
  [[nodiscard]] WorkerId worker() const override { return WorkerId{0}; }
  [[nodiscard]] std::uint32_t num_workers() const override { return 1; }
  [[nodiscard]] std::vector<std::string> all_to_all(std::string mine) override { return {std::move(mine)}; }
  [[nodiscard]] bool stopping() const override { return false; }

  // Closes an operator that has been given its rows.
  Result<void> close(Operator& op) {
    op.close(*this);
    if (failure_) return ::thalweg::fail(*failure_);
    return {};
  }

 private:
  Env env_ = real_env();
  std::optional<Error> failure_;
};

// How rows of joins and groups come to a worker: by some columns, or all to one if there are none.
[[nodiscard]] inline Route columns_or_one(const plan::Columns& columns) {
  if (columns.empty()) return {Route::By::kOne, {}};
  return {Route::By::kColumns, columns};
}

}  // namespace thalweg::operators
