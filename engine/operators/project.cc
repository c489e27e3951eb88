// engine/operators/project.cc
//
// Row by row: columns computed from columns. Keys and diffs pass through untouched; no state.
#include "engine/operators/registry.h"

namespace thalweg::operators {

namespace {

class Project : public Operator {
 public:
  explicit Project(std::shared_ptr<const expr::Program> program) : program_(std::move(program)) {}

  void push(std::size_t, Batch batch, OperatorContext& context) override {
    if (program_->uses_key()) batch.materialise_keys();
    ExpressionErrors errors(batch, context);
    std::vector<Column> columns = program_->run(batch, errors);
    batch.columns = std::move(columns);
    context.emit(std::move(batch));
  }

 private:
  std::shared_ptr<const expr::Program> program_;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan&) {
  std::vector<plan::ExprPtr> exprs = std::get<plan::Project>(node.params).exprs;
  for (std::size_t c = 0; c < exprs.size() && c < node.used.size(); ++c)  // what nobody reads is not computed
    if (!node.used[c]) exprs[c] = plan::literal(Value::none(), exprs[c]->type.as_optional());
  return std::make_unique<Project>(TRY(expr::Program::compile(std::move(exprs))));
}

}  // namespace

const OperatorDescriptor kProject{
    .name = "project", .routes = route_any, .output_route = spread_unknown, .make = make, .stateless = true};

}  // namespace thalweg::operators
