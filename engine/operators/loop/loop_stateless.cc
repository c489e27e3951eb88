#include "engine/operators/loop/loop_node.h"

namespace thalweg {

namespace {

class Stateless : public LoopNode {
 public:
  explicit Stateless(std::unique_ptr<Operator> op) : op_(std::move(op)) {}
  void push(std::size_t port, Batch batch) override { input_.emplace_back(port, std::move(batch)); }
  void run(std::uint64_t, OperatorContext& context, std::vector<Batch>& out) override {
    CollectingContext inner(context);
    for (auto& [port, batch] : std::exchange(input_, {})) op_->push(port, std::move(batch), inner);
    for (Batch& batch : inner.take()) out.push_back(std::move(batch));
  }

 private:
  std::unique_ptr<Operator> op_;
  std::vector<std::pair<std::size_t, Batch>> input_;
};

}  // namespace

std::unique_ptr<LoopNode> make_loop_stateless(std::unique_ptr<Operator> op) { return std::make_unique<Stateless>(std::move(op)); }

}  // namespace thalweg
