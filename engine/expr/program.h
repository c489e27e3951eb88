// engine/expr/program.h
//
// Compiled expressions. One program computes several expressions over the same row: common sub-expressions once,
// constants folded, lazy branches only over the rows that need them.
// Threads  a program is immutable after compile and shared by workers; scratch lives on the caller's stack.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/base/result.h"
#include "engine/expr/function_table.h"
#include "engine/plan/expr.h"
#include "engine/types/batch.h"

namespace thalweg::expr {

// Told about every ERROR cell that an expression makes (not about those that only spread).
class RowErrors {
 public:
  virtual ~RowErrors() = default;
  virtual void report(std::size_t row, SourceSpan where, std::string_view message) = 0;
};

class Program {
 public:
  [[nodiscard]] static Result<std::shared_ptr<const Program>> compile(std::vector<plan::ExprPtr> exprs);
  // One column per expression. `batch` must have its keys written out if uses_key().
  [[nodiscard]] std::vector<Column> run(const Batch& batch, RowErrors& errors) const;
  [[nodiscard]] bool uses_key() const;
  ~Program();

 private:
  struct Impl;
  explicit Program(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace thalweg::expr
