#include "daemon/rest/pipelines.h"

#include <algorithm>
#include <optional>

namespace thalweg::daemon {
namespace {

using plan::ExprKind;
using Columns = std::vector<std::uint32_t>;

constexpr int kDepthMax = 1000;  // nodes between an export and where its keys are made

std::optional<Columns> columns_of_node(const plan::Plan& plan, NodeId id, int depth);

// Where the wanted input columns stand in the output; nothing if one of them was dropped or changed.
std::optional<Columns> through_project(const plan::Project& project, const Columns& wanted) {
  Columns out;
  for (std::uint32_t column : wanted) {
    auto at = std::find_if(project.exprs.begin(), project.exprs.end(), [&](const plan::ExprPtr& expr) {
      return expr->kind == ExprKind::kColumn && expr->column == column;
    });
    if (at == project.exprs.end()) return std::nullopt;
    out.push_back(static_cast<std::uint32_t>(at - project.exprs.begin()));
  }
  return out;
}

std::optional<Columns> of_source(const plan::Source& source) {
  Columns out;
  std::uint32_t column = 0;
  for (const plan::SourceField& field : source.fields) {
    if (field.used && field.primary_key) out.push_back(column);
    if (!field.used && field.primary_key) return std::nullopt;
    if (field.used) ++column;
  }
  return out.empty() ? std::nullopt : std::optional(out);
}

std::optional<Columns> of_group_by(const plan::GroupBy& group) {
  if (group.key_is_column || group.instance) return std::nullopt;
  Columns out;
  for (std::uint32_t i = 0; i < group.by.size(); ++i) out.push_back(i);
  return out;
}

// `with_id_from(a, b)`: the key is pointer_from over plain columns.
std::optional<Columns> of_rekey(const plan::Rekey& rekey) {
  if (rekey.key->kind != ExprKind::kCall || rekey.key->function != "pointer_from") return std::nullopt;
  Columns out;
  for (const plan::ExprPtr& arg : rekey.key->args) {
    if (arg->kind != ExprKind::kColumn) return std::nullopt;
    out.push_back(arg->column);
  }
  return out;
}

std::optional<Columns> columns_of_node(const plan::Plan& plan, NodeId id, int depth) {
  if (depth > kDepthMax) return std::nullopt;
  const plan::Node& node = plan.node(id);
  if (const auto* source = std::get_if<plan::Source>(&node.params)) return of_source(*source);
  if (const auto* group = std::get_if<plan::GroupBy>(&node.params)) return of_group_by(*group);
  if (const auto* rekey = std::get_if<plan::Rekey>(&node.params)) return of_rekey(*rekey);
  bool keeps_rows = std::holds_alternative<plan::Filter>(node.params) ||
                    std::holds_alternative<plan::Upsert>(node.params) ||
                    std::holds_alternative<plan::RemoveErrors>(node.params) ||
                    std::holds_alternative<plan::AssertAppendOnly>(node.params);
  const auto* project = std::get_if<plan::Project>(&node.params);
  if (!keeps_rows && !project) return std::nullopt;
  auto wanted = columns_of_node(plan, node.inputs.front(), depth + 1);
  if (!wanted || !project) return wanted;
  return through_project(*project, *wanted);
}

bool is_ready(const Run& run) {
  RunState state = run.state();
  if (state == RunState::kFailed || state == RunState::kStopped) return false;
  return state == RunState::kEnded || run.caught_up();
}

}  // namespace

void Succession::set(std::shared_ptr<ServedPipeline> next) {
  std::lock_guard lock(mutex_);
  next_ = std::move(next);
  for (const auto& [id, call] : waiting_) call();
}

std::shared_ptr<ServedPipeline> Succession::next() const {
  std::lock_guard lock(mutex_);
  return next_;
}

std::uint64_t Succession::subscribe(std::function<void()> on_change) {
  std::lock_guard lock(mutex_);
  waiting_.emplace(next_id_, std::move(on_change));
  return next_id_++;
}

void Succession::unsubscribe(std::uint64_t id) {
  std::lock_guard lock(mutex_);
  waiting_.erase(id);
}

std::string_view state_text(RunState state) {
  switch (state) {
    case RunState::kStarting: return "starting";
    case RunState::kRunning: return "running";
    case RunState::kEnded: return "ended";
    case RunState::kStopped: return "stopped";
    case RunState::kFailed: return "failed";
  }
  return "unknown";
}

PipelineStatus status_of(const std::shared_ptr<ServedPipeline>& pipeline) {
  PipelineStatus out;
  out.name = pipeline->name;
  out.state = state_text(pipeline->run->state());
  if (auto failure = pipeline->run->failure()) out.failure = failure->message;
  out.ready = is_ready(*pipeline->run);
  out.served = pipeline;
  return out;
}

std::vector<PipelineStatus> PipelineSet::statuses() const {
  std::vector<PipelineStatus> out;
  for (const auto& pipeline : all()) out.push_back(status_of(pipeline));
  return out;
}

std::optional<PipelineStatus> PipelineSet::status(const std::string& name) const {
  auto pipeline = find(name);
  return pipeline ? std::optional(status_of(pipeline)) : std::nullopt;
}

std::vector<std::uint32_t> key_columns(const plan::Plan& plan, std::string_view export_name) {
  for (const plan::Node& node : plan.nodes) {
    const auto* exported = std::get_if<plan::Export>(&node.params);
    if (exported && exported->name == export_name)
      return columns_of_node(plan, node.inputs.front(), 0).value_or(Columns{});
  }
  return {};
}

}  // namespace thalweg::daemon
