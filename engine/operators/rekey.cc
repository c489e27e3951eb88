// engine/operators/rekey.cc
//
// Rows under new keys. A key that is ERROR or None drops the row. Collisions are the business of whoever uses the keys.
#include "engine/operators/registry.h"

namespace thalweg::operators {

namespace {

class Rekey : public Operator {
 public:
  Rekey(std::shared_ptr<const expr::Program> program, SourceSpan span) : program_(std::move(program)), span_(span) {}

  void push(std::size_t, Batch batch, OperatorContext& context) override {
    if (program_->uses_key()) batch.materialise_keys();
    ExpressionErrors errors(batch, context);
    Column keys = std::move(program_->run(batch, errors)[0]);
    Cells<Key> cells = keys.u128();
    std::vector<std::uint32_t> kept;
    std::vector<Key> new_keys;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      if (keys.is_value(row)) {
        kept.push_back(row);
        new_keys.push_back(cells[row]);
      } else if (batch.diff(row) > 0) {
        std::optional<Key> key;
        if (batch.keys.written()) key = batch.keys[row];
        context.report(ErrorKind::kSkipped, "Error value encountered in reindex as new id, skipping the row", span_,
                       key);
      }
    }
    if (kept.empty()) return;
    batch.keys = {};
    if (kept.size() != batch.num_rows) batch = batch.gather(kept);
    batch.keys = KeyColumn(std::move(new_keys));
    context.emit(std::move(batch));
  }

 private:
  std::shared_ptr<const expr::Program> program_;
  SourceSpan span_;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan&) {
  return std::make_unique<Rekey>(TRY(expr::Program::compile({std::get<plan::Rekey>(node.params).key})), node.span);
}

}  // namespace

const OperatorDescriptor kRekey{
    .name = "rekey", .routes = route_any, .output_route = spread_unknown, .make = make, .stateless = true};

}  // namespace thalweg::operators
