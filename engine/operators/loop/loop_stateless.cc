#include "engine/operators/loop/loop_node.h"

namespace thalweg {

namespace {

class Stateless : public LoopNode {
 public:
  explicit Stateless(std::unique_ptr<Operator> op) : op_(std::move(op)) {}
  void push(std::size_t port, Batch batch, std::uint64_t, OperatorContext& out) override {
    op_->push(port, std::move(batch), out);
  }

 private:
  std::unique_ptr<Operator> op_;
};

}  // namespace

std::unique_ptr<LoopNode> make_loop_stateless(std::unique_ptr<Operator> op) {
  return std::make_unique<Stateless>(std::move(op));
}

}  // namespace thalweg
