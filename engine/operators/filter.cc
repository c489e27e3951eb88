// engine/operators/filter.cc
//
// Rows for which a condition holds. An ERROR condition drops the row and is logged as skipped. No state.
#include "engine/operators/registry.h"

namespace thalweg::operators {

namespace {

class Filter : public Operator {
 public:
  Filter(std::shared_ptr<const expr::Program> program, SourceSpan span) : program_(std::move(program)), span_(span) {}

  void push(std::size_t, Batch batch, OperatorContext& context) override {
    if (program_->uses_key()) batch.materialise_keys();
    ExpressionErrors errors(batch, context);
    Column condition = std::move(program_->run(batch, errors)[0]);
    Cells<std::uint8_t> cells = condition.u8();
    std::vector<std::uint32_t> kept;
    kept.reserve(batch.num_rows);
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      CellTag tag = condition.tag(row);
      if (tag == CellTag::kValue && cells[row]) kept.push_back(row);
      if (tag == CellTag::kError && batch.diff(row) > 0) skip(batch, row, context);
    }
    if (kept.size() == batch.num_rows)
      context.emit(std::move(batch));
    else if (!kept.empty())
      context.emit(batch.gather(kept));
  }

 private:
  void skip(const Batch& batch, std::uint32_t row, OperatorContext& context) {
    std::optional<Key> key;
    if (batch.keys.written()) key = batch.keys[row];
    context.report(ErrorKind::kSkipped, "Error value encountered in filter condition, skipping the row", span_, key);
  }

  std::shared_ptr<const expr::Program> program_;
  SourceSpan span_;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan&) {
  const auto& params = std::get<plan::Filter>(node.params);
  return std::make_unique<Filter>(TRY(expr::Program::compile({params.condition})), node.span);
}

// ---------------------------------------------------------------- rows without ERROR cells

class RemoveErrors : public Operator {
 public:
  void push(std::size_t, Batch batch, OperatorContext& context) override {
    std::vector<std::uint32_t> kept;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row)
      if (!batch.row_has_error(row)) kept.push_back(row);
    if (kept.size() == batch.num_rows)
      context.emit(std::move(batch));
    else if (!kept.empty())
      context.emit(batch.gather(kept));
  }
};

Result<std::unique_ptr<Operator>> make_remove_errors(const plan::Node&, const plan::Plan&) {
  return std::make_unique<RemoveErrors>();
}

// ---------------------------------------------------------------- what is not forgetting

class FilterForgetting : public Operator {
 public:
  void push(std::size_t, Batch batch, OperatorContext& context) override {
    if (context.commit() % 2 == 0) context.emit(std::move(batch));
  }
};

Result<std::unique_ptr<Operator>> make_filter_forgetting(const plan::Node&, const plan::Plan&) {
  return std::make_unique<FilterForgetting>();
}

}  // namespace

const OperatorDescriptor kFilter{
    .name = "filter", .routes = route_any, .output_route = spread_unknown, .make = make, .stateless = true};
const OperatorDescriptor kRemoveErrors{.name = "remove_errors",
                                       .routes = route_any,
                                       .output_route = spread_unknown,
                                       .make = make_remove_errors,
                                       .stateless = true};
const OperatorDescriptor kFilterForgetting{.name = "filter_forgetting",
                                           .routes = route_any,
                                           .output_route = spread_unknown,
                                           .make = make_filter_forgetting,
                                           .stateless = true};

}  // namespace thalweg::operators
