#include "tests/support/restarted_run.h"

#include <algorithm>

#include "engine/runtime/saved_state.h"

namespace thalweg::testing {
namespace {

constexpr std::int64_t kRunNsMax = 60'000'000'000;

class NoConnectors : public ConnectorFactory {
 public:
  Result<std::unique_ptr<Source>> make_source(const plan::Source&, Env&) override {
    return fail(Code::kInternal, "no sources here");
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "no sinks here");
  }
};

Result<void> take_changes(const Run& run, Frontier from, RestartedRun& out) {
  for (const auto& reader : run.exports()) {
    std::vector<ExportReader::Change> changes = TRY(reader->diff(from, Frontier{0, true}));
    std::ranges::move(changes, std::back_inserter(out.changes[reader->name()]));
  }
  return {};
}

// What says that it holds nothing must hold nothing.
Result<void> check_stateless(const plan::Plan& plan, const Run& run) {
  for (const OperatorStatus& status : run.operators()) {
    std::string_view name = plan::operator_name(plan.node(status.node).params);
    const OperatorDescriptor* descriptor = find_operator(name);
    if (descriptor && descriptor->stateless && status.state.rows > 0)
      return fail(Code::kInternal, std::string(name) + " is stateless, and has state");
  }
  return {};
}

}  // namespace

Result<RestartedRun> run_with_restarts(const plan::Plan& plan, RunOptions options,
                                       const std::vector<Restart>& restarts) {
  RestartedRun out;
  NoConnectors connectors;
  Frontier from;
  for (const Restart& restart : restarts) {
    options.pause_before = restart.before;
    std::unique_ptr<Run> run = TRY(Run::start(plan, options, connectors, real_env()));
    if (!run->pause()) {
      if (run->failure()) return fail(*run->failure());
      return fail(Code::kInternal, "the run ended before it was to be saved");
    }
    options.restore = std::make_shared<const SavedRun>(TRY(run->save_state()));
    options.workers = restart.workers;
    TRY(check_stateless(plan, *run));
    TRY(take_changes(*run, from, out));
    from = run->frontier();
  }
  options.pause_before = 0;
  out.last = TRY(Run::start(plan, options, connectors, real_env()));
  if (!out.last->wait(kRunNsMax)) return fail(Code::kInternal, "the run did not end");
  if (out.last->failure()) return fail(*out.last->failure());
  TRY(take_changes(*out.last, from, out));
  return out;
}

std::vector<Restart> random_restarts(Random& random, const std::vector<std::uint64_t>& times) {
  std::vector<Restart> out;
  std::vector<std::uint64_t> points;
  for (std::uint64_t time : times) points.push_back(time & ~std::uint64_t{1});
  points.push_back(kEndCommit);
  for (std::size_t n = 1 + random.below(3); n > 0; --n)
    out.push_back({random.one_of(points), static_cast<std::uint32_t>(1 + random.below(3))});
  std::ranges::sort(out, {}, &Restart::before);
  auto [end, last] = std::ranges::unique(out, {}, &Restart::before);
  out.erase(end, last);
  return out;
}

std::string to_text(const std::vector<Restart>& restarts) {
  std::string out;
  for (const Restart& restart : restarts)
    out += (out.empty() ? "" : ", ") + std::string("restored before ") + std::to_string(restart.before) + " with " +
           std::to_string(restart.workers) + " workers";
  return out;
}

}  // namespace thalweg::testing
