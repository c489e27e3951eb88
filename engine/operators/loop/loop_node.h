// engine/operators/loop/loop_node.h
//
// Operators inside a loop. Time there is (commit, round): a collection at round r is the sum of its differences at
// rounds up to r. A node gets the differences of one round of the running commit and gives those of its output.
//
// L1  Rounds of a commit come in rising order. In a round a node gets all its input, then run(); it is run in every
//     round, and asks for those in which it must run without input (next_round).
// L2  What a node gives in round r is exactly: the difference, between this commit and the last, of the difference
//     between its output at round r and at round r - 1. So a change costs what it causes, in every later round.
// L3  It gives at any time between the first push of the round and the end of run(), in pieces of any size.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/operators/operator.h"

namespace thalweg {

class LoopNode {
 public:
  virtual ~LoopNode() = default;
  // `out.emit` is where its output goes.
  virtual void push(std::size_t port, Batch batch, std::uint64_t round, OperatorContext& out) = 0;
  virtual void run(std::uint64_t /*round*/, OperatorContext& /*out*/) {}
  // The next round in which it must run even without input.
  [[nodiscard]] virtual std::optional<std::uint64_t> next_round() const { return std::nullopt; }
  virtual void end_commit() {}
  [[nodiscard]] virtual StateSize state() const { return {}; }
};

// Row by row: the operator as it is.
[[nodiscard]] std::unique_ptr<LoopNode> make_loop_stateless(std::unique_ptr<Operator> op);
// Inner joins, bilinear over histories.
[[nodiscard]] std::unique_ptr<LoopNode> make_loop_join(const plan::Node& node, const plan::Plan& plan);
// Groups and their reducers over histories; not for `always_one_row`.
[[nodiscard]] Result<std::unique_ptr<LoopNode>> make_loop_reduce(const plan::Node& node, const plan::Plan& plan);
// Anything else that is a function of its input rows, group by group (how it routes says what a group is).
[[nodiscard]] std::unique_ptr<LoopNode> make_loop_grouped(const plan::Node& node, const plan::Plan& plan,
                                                          const OperatorDescriptor& descriptor);

// The context of what runs inside a loop: rows go where the loop says, reports nowhere (only errors of the fixpoint
// are logged), one worker.
class LoopContext : public OperatorContext {
 public:
  [[nodiscard]] Commit commit() const override { return outer_->commit(); }
  [[nodiscard]] bool is_end() const override { return false; }
  void report(ErrorKind, std::string, SourceSpan, std::optional<Key>) override {}
  void fail(Error error) override { outer_->fail(std::move(error)); }
  [[nodiscard]] Env& env() override { return outer_->env(); }
  [[nodiscard]] WorkerId worker() const override { return WorkerId{0}; }
  [[nodiscard]] std::uint32_t num_workers() const override { return 1; }
  [[nodiscard]] std::vector<std::string> all_to_all(std::string mine) override { return {std::move(mine)}; }
  [[nodiscard]] bool stopping() const override { return outer_->stopping(); }

 protected:
  OperatorContext* outer_ = nullptr;
};

}  // namespace thalweg
