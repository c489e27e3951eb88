// engine/operators/project.cc
//
// Row by row: columns computed from columns. Keys and diffs pass through untouched; no state. A projection that is
// quiet over an input that is not was made by a rewrite: somebody else tells of its errors.
#include "engine/operators/registry.h"

namespace thalweg::operators {

namespace {

class Project : public Operator {
 public:
  Project(std::shared_ptr<const expr::Program> program, bool quiet) : program_(std::move(program)), quiet_(quiet) {}

  void push(std::size_t, Batch batch, OperatorContext& context) override {
    if (program_->uses_key()) batch.materialise_keys();
    batch.columns = quiet_ ? run_quietly(batch) : run(batch, context);
    context.emit(std::move(batch));
  }

 private:
  std::vector<Column> run(const Batch& batch, OperatorContext& context) const {
    ExpressionErrors errors(batch, context);
    return program_->run(batch, errors);
  }
  [[nodiscard]] std::vector<Column> run_quietly(const Batch& batch) const {
    class Nobody final : public expr::RowErrors {
     public:
      void report(std::size_t, SourceSpan, std::string_view) override {}
    } nobody;
    return program_->run(batch, nobody);
  }

  std::shared_ptr<const expr::Program> program_;
  const bool quiet_;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  std::vector<plan::ExprPtr> exprs = std::get<plan::Project>(node.params).exprs;
  for (std::size_t c = 0; c < exprs.size() && c < node.used.size(); ++c)  // what nobody reads is not computed
    if (!node.used[c]) exprs[c] = plan::literal(Value::none(), exprs[c]->type.as_optional());
  bool quiet = !node.reports_errors && plan.node(node.inputs[0]).reports_errors;
  return std::make_unique<Project>(TRY(expr::Program::compile(std::move(exprs))), quiet);
}

}  // namespace

const OperatorDescriptor kProject{
    .name = "project", .routes = route_any, .output_route = spread_unknown, .make = make, .stateless = true};

}  // namespace thalweg::operators
