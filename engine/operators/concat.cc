// engine/operators/concat.cc
//
// Rows of all inputs. With reindex, keys are those of parts: (key, index of the input). No state.
#include "engine/operators/registry.h"

namespace thalweg::operators {

namespace {

class Concat : public Operator {
 public:
  explicit Concat(bool reindex) : reindex_(reindex) {}

  void push(std::size_t port, Batch batch, OperatorContext& context) override {
    if (reindex_ && !batch.keys.absent()) {  // absent: nobody reads them
      batch.materialise_keys();
      std::vector<Key> keys(batch.num_rows);
      for (std::size_t i = 0; i < batch.num_rows; ++i) keys[i] = key_of_part(batch.keys[i], port);
      batch.keys = KeyColumn(std::move(keys));
    }
    context.emit(std::move(batch));
  }

 private:
  bool reindex_;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan&) {
  return std::make_unique<Concat>(std::get<plan::Concat>(node.params).reindex);
}

}  // namespace

const OperatorDescriptor kConcat{
    .name = "concat", .routes = route_any, .output_route = spread_unknown, .make = make, .stateless = true};

}  // namespace thalweg::operators
