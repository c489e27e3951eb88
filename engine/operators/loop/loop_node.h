// engine/operators/loop/loop_node.h
//
// Operators inside a loop. Time there is (commit, round): a collection at round r is the sum of its differences at
// rounds up to r. A node gets the differences of one round of the running commit and gives those of its output.
//
// L1  Rounds of a commit come in rising order; a node is run in a round in which it has input or asked to be run.
// L2  What a node gives in round r is exactly: the difference, between this commit and the last, of the difference
//     between its output at round r and at round r - 1. So a change costs what it causes, in every later round.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/operators/operator.h"

namespace thalweg {

class LoopNode {
 public:
  virtual ~LoopNode() = default;
  virtual void push(std::size_t port, Batch batch) = 0;
  // Runs round `round`; appends to `out`.
  virtual void run(std::uint64_t round, OperatorContext& context, std::vector<Batch>& out) = 0;
  // The next round in which it must run even without input.
  [[nodiscard]] virtual std::optional<std::uint64_t> next_round() const { return std::nullopt; }
  virtual void end_commit() {}
  [[nodiscard]] virtual StateSize state() const { return {}; }
};

// Row by row: the operator as it is.
[[nodiscard]] std::unique_ptr<LoopNode> make_loop_stateless(std::unique_ptr<Operator> op);
// Inner joins, bilinear over histories.
[[nodiscard]] std::unique_ptr<LoopNode> make_loop_join(const plan::Node& node, const plan::Plan& plan);
// Anything else that is a function of its input rows, group by group (how it routes says what a group is).
[[nodiscard]] std::unique_ptr<LoopNode> make_loop_grouped(const plan::Node& node, const plan::Plan& plan,
                                                          const OperatorDescriptor& descriptor);

// A context for operators that run inside one: collects what is emitted, drops what is reported.
class CollectingContext : public OperatorContext {
 public:
  explicit CollectingContext(OperatorContext& outer) : outer_(outer) {}
  void emit(Batch batch) override {
    if (collect_ && !batch.empty()) out_.push_back(std::move(batch));
  }
  [[nodiscard]] Commit commit() const override { return outer_.commit(); }
  [[nodiscard]] bool is_end() const override { return false; }
  void report(ErrorKind, std::string, SourceSpan, std::optional<Key>) override {}
  void fail(Error error) override { outer_.fail(std::move(error)); }
  [[nodiscard]] Env& env() override { return outer_.env(); }
  [[nodiscard]] WorkerId worker() const override { return WorkerId{0}; }
  [[nodiscard]] std::uint32_t num_workers() const override { return 1; }
  [[nodiscard]] std::vector<std::string> all_to_all(std::string mine) override { return {std::move(mine)}; }
  [[nodiscard]] bool stopping() const override { return outer_.stopping(); }

  void collect(bool on) { collect_ = on; }
  [[nodiscard]] std::vector<Batch> take() { return std::exchange(out_, {}); }

 private:
  OperatorContext& outer_;
  std::vector<Batch> out_;
  bool collect_ = true;
};

}  // namespace thalweg
