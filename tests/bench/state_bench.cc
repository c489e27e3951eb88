// tests/bench/state_bench.cc
//
// How long it takes to save and to restore the state of a run: ROWS groups with a count and a sum, or a join of ROWS
// rows with as many others. The restored run gets one more row of every kind, and its sums must be right.
//
//   state_bench groups|join [ROWS] [WORKERS] [WORKERS AFTER]
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/runtime/saved_state.h"

namespace {

using namespace thalweg;
using SteadyClock = std::chrono::steady_clock;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// Rows (i, 3 i) of [begin, end).
class Numbers : public Source {
 public:
  Numbers(std::uint64_t ids, std::int64_t begin, std::int64_t end) : ids_(ids), begin_(begin), end_(end) {}
  Result<void> run(SourceContext& context) override {
    for (std::int64_t at = begin_; at < end_; at += static_cast<std::int64_t>(kChunkRows)) {
      auto n = static_cast<std::size_t>(std::min<std::int64_t>(end_ - at, kChunkRows));
      std::vector<std::int64_t> a(n), b(n);
      for (std::size_t i = 0; i < n; ++i) {
        a[i] = at + static_cast<std::int64_t>(i);
        b[i] = 3 * a[i];
      }
      Batch batch;
      batch.num_rows = n;
      batch.columns = {Column::from_vector<std::int64_t>(Phys::kI64, std::move(a)),
                       Column::from_vector<std::int64_t>(Phys::kI64, std::move(b))};
      batch.keys = KeyColumn::sequence(ids_, static_cast<std::uint64_t>(at));
      if (!context.deliver(std::move(batch))) break;
    }
    context.commit();
    return {};
  }
  [[nodiscard]] bool is_static() const override { return true; }

 private:
  std::uint64_t ids_;
  std::int64_t begin_, end_;
};

class Connectors : public ConnectorFactory {
 public:
  Connectors(std::int64_t begin, std::int64_t end) : begin_(begin), end_(end) {}
  Result<std::unique_ptr<Source>> make_source(const plan::Source& source, Env&) override {
    return std::make_unique<Numbers>(source.name == "left" ? 1 : 2, begin_, end_);
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "no sinks here");
  }

 private:
  std::int64_t begin_, end_;
};

plan::Reducer reducer(plan::ReducerKind kind, plan::Columns args) {
  plan::Reducer out;
  out.kind = kind;
  out.args = std::move(args);
  out.type = Kind::kInt;
  return out;
}

plan::Plan make_plan(bool join) {
  plan::Plan plan;
  Schema two{{{"a", Kind::kInt}, {"b", Kind::kInt}}};
  auto source = [&](const char* name) {
    plan::Source params;
    params.connector = "numbers";
    params.name = name;
    for (const ColumnSpec& column : two.columns)
      params.fields.push_back(
          {.name = column.name, .external_name = column.name, .type = column.type, .default_value = std::nullopt});
    return plan.add({.schema = two, .params = params});
  };
  using enum plan::ReducerKind;
  NodeId table = source("left");
  if (join) {
    NodeId right = source("right");
    plan::Join params{.left_on = {0}, .right_on = {0}, .emit = {1, 3}};
    table = plan.add({.inputs = {table, right}, .schema = two, .params = params});
  } else {
    plan::GroupBy groups;
    groups.by = {0};
    groups.reducers = {reducer(kCount, {}), reducer(kSum, {1})};
    Schema schema{{{"a", Kind::kInt}, {"count", Kind::kInt}, {"sum", Kind::kInt}}};
    table = plan.add({.inputs = {table}, .schema = schema, .params = groups});
  }
  plan::GroupBy all;
  all.reducers = {reducer(kCount, {}), reducer(kSum, {1})};
  NodeId sums = plan.add({.inputs = {table}, .schema = two, .params = all});
  plan.add({.inputs = {sums}, .params = plan::Export{.name = "sums", .indexes = {}, .retain_ns = std::nullopt}});
  return plan;
}

int fail_with(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  return 1;
}

// Sums of the first `rows` numbers, as the plan has them in its second column.
bool is_right(Run& run, bool join, std::int64_t rows) {
  auto snapshot = run.find_export("sums")->snapshot(std::nullopt);
  if (!snapshot || snapshot->batches.size() != 1) return false;
  const Batch& batch = snapshot->batches[0];
  std::int64_t sum = join ? 3 * (rows * (rows - 1) / 2) : rows;
  return batch.num_rows == 1 && batch.columns[0].i64()[0] == rows && batch.columns[1].i64()[0] == sum;
}

struct Timer {
  SteadyClock::time_point start = SteadyClock::now();
  double cpu = cpu_seconds();
  void print(const char* what, std::uint64_t bytes) const {
    double wall = std::chrono::duration<double>(SteadyClock::now() - start).count();
    std::printf("%s: %.2f s, %.2f CPU s, %.0f MB\n", what, wall, cpu_seconds() - cpu, static_cast<double>(bytes) / 1e6);
  }
};

}  // namespace

int main(int argc, char** argv) {
  bool join = argc > 1 && std::strcmp(argv[1], "join") == 0;
  std::int64_t rows = argc > 2 ? std::atoll(argv[2]) : 1'000'000;
  auto workers = static_cast<std::uint32_t>(argc > 3 ? std::atoi(argv[3]) : 1);
  auto after = static_cast<std::uint32_t>(argc > 4 ? std::atoi(argv[4]) : static_cast<int>(workers));
  plan::Plan plan = make_plan(join);
  RunOptions options{.workers = workers};
  options.autocommit_ms = 3'600'000;
  options.pause_before = kEndCommit;
  std::shared_ptr<const SavedRun> saved;
  {
    Connectors connectors(0, rows);
    Timer timer;
    auto run = Run::start(plan, options, connectors, real_env());
    if (!run) return fail_with(run.error().message);
    if (!(*run)->pause()) return fail_with("it did not pause");
    timer.print("run", 0);
    if (!is_right(**run, join, rows)) return fail_with("wrong sums");
    Timer save;
    auto state = (*run)->save_state();
    if (!state) return fail_with(state.error().message);
    std::uint64_t bytes = 0;
    for (const SavedPart& part : state->parts) bytes += part.bytes;
    save.print("save", bytes);
    saved = std::make_shared<const SavedRun>(std::move(*state));
  }
  options.pause_before = 0;
  options.workers = after;
  options.restore = saved;
  Connectors connectors(rows, rows + 1);
  Timer load;
  auto run = Run::start(plan, options, connectors, real_env());
  if (!run) return fail_with(run.error().message);
  load.print("load", 0);
  if (!(*run)->wait(-1) || (*run)->failure()) return fail_with("the restored run failed");
  return is_right(**run, join, rows + 1) ? 0 : fail_with("wrong sums after the restart");
}
