// tests/bench/algebra/algebra_bench.cc
//
// The jobs of jobs.h in the engine, without connectors: rows are made by the worker that takes them, the answer is an
// exported table of one row.
//
//   algebra_bench run JOB ROWS KEYS UPDATES [WORKERS]       commits follow one another; one line of JSON
//   algebra_bench wait JOB ROWS KEYS UPDATES [WORKERS]      each update is sent when the last one's answer is there
//   algebra_bench expect JOB ROWS KEYS UPDATES              the answers, computed plainly
//   algebra_bench csv JOB ROWS KEYS FOLDER                  the rows as csv
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "engine/base/huge_pages.h"
#include "engine/runtime/run.h"
#include "tests/bench/algebra/jobs.h"

namespace thalweg::bench {

std::vector<Sums> expected(const Job& job) {
  std::vector<Sums> out;
  if (job.name == Name::kJoin) {
    Sums sums{};
    for (std::int64_t i = 0; i < job.rows; ++i) {
      Row order = job.row(i);
      sums[0] += 1;
      sums[1] += order.b;
      sums[2] += Job::person(order.a).b;
    }
    out.push_back(sums);
    sums[1] += 1000 * job.updates;
    out.push_back(sums);
    return out;
  }
  std::vector<std::map<std::int64_t, std::int64_t>> groups(static_cast<std::size_t>(job.keys));
  auto change = [&](Row row, int diff) {
    auto& group = groups[static_cast<std::size_t>(row.a)];
    if ((group[row.b] += diff) == 0) group.erase(row.b);
  };
  auto sum_up = [&] {
    Sums sums{};
    for (const auto& group : groups) {
      if (group.empty()) continue;
      std::int64_t left = 10;
      for (auto [value, count] : group) {
        if (job.name == Name::kGroupby) {
          sums[0] += count;
          continue;
        }
        std::int64_t taken = std::min(left, count);
        sums[0] += taken;
        sums[1] += taken * value;
        if ((left -= taken) == 0) break;
      }
      if (job.name == Name::kGroupby) {
        sums[1] += group.begin()->first;
        sums[2] += group.rbegin()->first;
      }
    }
    out.push_back(sums);
  };
  for (std::int64_t i = 0; i < job.rows; ++i) change(job.row(i), 1);
  sum_up();
  std::vector<Change> deletions = job.deletions();
  for (const Change& one : deletions) change(one.row, one.diff);
  if (!deletions.empty()) sum_up();
  for (std::int64_t u = 0; u < job.updates; ++u)
    for (const Change& one : job.update(u)) change(one.row, one.diff);
  sum_up();
  return out;
}

namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr std::uint64_t kRowIds = 1;
constexpr std::uint64_t kPersonIds = 2;

// Rows [begin, end), made when a worker decodes the piece.
class RowsPiece : public Piece {
 public:
  RowsPiece(std::function<Row(std::int64_t)> row, std::uint64_t ids, std::int64_t begin, std::int64_t end)
      : row_(std::move(row)), ids_(ids), begin_(begin), end_(end) {}
  [[nodiscard]] std::size_t bytes() const override { return static_cast<std::size_t>(end_ - begin_) * sizeof(Row); }
  void decode(RowSink& out) override {
    auto n = static_cast<std::size_t>(end_ - begin_);
    std::vector<std::int64_t> a(n);
    std::vector<std::int64_t> b(n);
    for (std::size_t i = 0; i < n; ++i) {
      Row row = row_(begin_ + static_cast<std::int64_t>(i));
      a[i] = row.a;
      b[i] = row.b;
    }
    Batch batch;
    batch.num_rows = n;
    batch.columns = {Column::from_vector<std::int64_t>(Phys::kI64, std::move(a)),
                     Column::from_vector<std::int64_t>(Phys::kI64, std::move(b))};
    batch.keys = KeyColumn::sequence(ids_, static_cast<std::uint64_t>(begin_));
    out.rows(std::move(batch));
  }

 private:
  std::function<Row(std::int64_t)> row_;
  std::uint64_t ids_;
  std::int64_t begin_;
  std::int64_t end_;
};

class StaticSource : public Source {
 public:
  StaticSource(std::function<Row(std::int64_t)> row, std::uint64_t ids, std::int64_t rows)
      : row_(std::move(row)), ids_(ids), rows_(rows) {}
  Result<void> run(SourceContext& context) override {
    auto step = static_cast<std::int64_t>(kChunkRows);
    for (std::int64_t at = 0; at < rows_; at += step)
      if (!context.deliver(std::make_unique<RowsPiece>(row_, ids_, at, std::min(at + step, rows_)))) break;
    context.commit();
    return {};
  }
  [[nodiscard]] bool is_static() const override { return true; }

 private:
  std::function<Row(std::int64_t)> row_;
  std::uint64_t ids_;
  std::int64_t rows_;
};

// When each commit became visible.
class Visible {
 public:
  void commit(Frontier frontier) {
    std::lock_guard lock(mutex_);
    times_.push_back(SteadyClock::now());
    frontiers_.push_back(frontier);
    count_.store(times_.size(), std::memory_order_release);
  }
  void wait_for(std::size_t commits) const {
    while (count_.load(std::memory_order_acquire) < commits) std::this_thread::yield();
  }
  std::vector<SteadyClock::time_point> times_;
  std::vector<Frontier> frontiers_;

 private:
  std::mutex mutex_;
  std::atomic<std::size_t> count_{0};
};

Batch batch_of(const std::vector<Change>& changes, const Schema& schema) {
  BatchBuilder builder(schema);
  for (const Change& change : changes)
    builder.push(sequence_key(kRowIds, static_cast<std::uint64_t>(change.id)),
                 std::vector<Value>{Value::of(change.row.a), Value::of(change.row.b)}, static_cast<Diff>(change.diff));
  return builder.finish();
}

Schema two_ints(const char* a, const char* b) {
  Schema schema;
  schema.columns = {{a, Type(Kind::kInt)}, {b, Type(Kind::kInt)}};
  return schema;
}

// Sends each update when the answer of the one before is there.
class WaitingSource : public Source {
 public:
  WaitingSource(const Job& job, Visible& visible, std::vector<double>& us) : job_(job), visible_(visible), us_(us) {}
  Result<void> run(SourceContext& context) override {
    Schema schema = two_ints("a", "b");
    std::size_t seen = 1;
    visible_.wait_for(seen);
    if (std::vector<Change> deletions = job_.deletions(); !deletions.empty()) {
      context.deliver(batch_of(deletions, schema));
      context.commit();
      visible_.wait_for(++seen);
    }
    for (std::int64_t u = 0; u < job_.updates; ++u) {
      Batch batch = batch_of(job_.update(u), schema);
      auto start = SteadyClock::now();
      context.deliver(std::move(batch));
      context.commit();
      visible_.wait_for(++seen);
      us_.push_back(std::chrono::duration<double, std::micro>(SteadyClock::now() - start).count());
    }
    return {};
  }

 private:
  Job job_;
  Visible& visible_;
  std::vector<double>& us_;
};

class Connectors : public ConnectorFactory {
 public:
  Connectors(const Job& job, Visible& visible, std::vector<double>& us, std::int64_t from_source)
      : job_(job), visible_(visible), us_(us), from_source_(from_source) {}
  Result<std::unique_ptr<Source>> make_source(const plan::Source& source, Env&) override {
    if (source.name == "people") return std::make_unique<StaticSource>(Job::person, kPersonIds, job_.keys);
    if (source.name == "rows")
      return std::make_unique<StaticSource>([job = job_](std::int64_t i) { return job.row(i); }, kRowIds, from_source_);
    return std::make_unique<WaitingSource>(job_, visible_, us_);
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "no sinks here");
  }

 private:
  Job job_;
  Visible& visible_;
  std::vector<double>& us_;
  std::int64_t from_source_;
};

class PlanMaker {
 public:
  explicit PlanMaker(const Job& job) : job_(job) {}

  plan::Plan make(bool waits) {
    NodeId rows = source("rows", two_ints("a", "b"));
    NodeId changes = waits ? source("changes", two_ints("a", "b")) : script();
    plan::Node both;
    both.inputs = {rows, changes};
    both.schema = two_ints("a", "b");
    both.params = plan::Concat{};
    NodeId table = plan_.add(std::move(both));
    plan::Node out;
    out.inputs = {sums(result(table))};
    out.params = plan::Export{.name = "answer", .indexes = {}, .retain_ns = {}};
    plan_.add(std::move(out));
    return std::move(plan_);
  }

 private:
  NodeId source(const char* name, const Schema& schema) {
    plan::Source source;
    source.connector = name;
    source.name = name;
    for (const ColumnSpec& column : schema.columns) {
      plan::SourceField field;
      field.name = field.external_name = column.name;
      field.type = column.type;
      source.fields.push_back(field);
    }
    plan::Node node;
    node.schema = schema;
    node.params = std::move(source);
    return plan_.add(std::move(node));
  }

  // The last row belongs to the first commit; then the deletions, then one update per commit.
  NodeId script() {
    auto rows = std::make_shared<std::vector<plan::StaticRow>>();
    std::uint64_t time = 2;
    auto add = [&](const std::vector<Change>& changes) {
      if (changes.empty()) return;
      for (const Change& change : changes)
        rows->push_back({.time = time,
                         .diff = static_cast<Diff>(change.diff),
                         .key = sequence_key(kRowIds, static_cast<std::uint64_t>(change.id)),
                         .cells = {Value::of(change.row.a), Value::of(change.row.b)}});
      time += 2;
    };
    add({{job_.rows - 1, job_.row(job_.rows - 1), 1}});
    add(job_.deletions());
    for (std::int64_t u = 0; u < job_.updates; ++u) add(job_.update(u));
    plan::Node node;
    node.schema = two_ints("a", "b");
    node.params = plan::StaticRows{.rows = rows, .as_stream = true};
    return plan_.add(std::move(node));
  }

  NodeId result(NodeId table) {
    plan::Node node;
    node.inputs = {table};
    switch (job_.name) {
      case Name::kJoin:
        node.inputs.push_back(source("people", two_ints("person", "height")));
        node.schema = two_ints("amount", "height");
        node.params = plan::Join{.left_on = {0}, .right_on = {0}, .emit = {1, 3}};
        break;
      case Name::kGroupby: {
        plan::GroupBy groupby;
        groupby.by = {0};
        groupby.reducers = {reducer(plan::ReducerKind::kCount, {}), reducer(plan::ReducerKind::kMin, {1}),
                            reducer(plan::ReducerKind::kMax, {1})};
        for (const char* name : {"g", "count", "min", "max"}) node.schema.columns.push_back({name, Type(Kind::kInt)});
        node.params = std::move(groupby);
        break;
      }
      case Name::kTopk:
        node.schema = two_ints("g", "v");
        node.params =
            plan::TopK{.partition = {0}, .order = {{.column = 1}}, .offset = 0, .limit = 10, .rank_column = false};
        break;
    }
    return plan_.add(std::move(node));
  }

  static plan::Reducer reducer(plan::ReducerKind kind, plan::Columns args) {
    plan::Reducer reducer;
    reducer.kind = kind;
    reducer.args = std::move(args);
    reducer.type = Type(Kind::kInt);
    return reducer;
  }

  NodeId sums(NodeId table) {
    plan::GroupBy groupby;
    using enum plan::ReducerKind;
    switch (job_.name) {
      case Name::kJoin: groupby.reducers = {reducer(kCount, {}), reducer(kSum, {0}), reducer(kSum, {1})}; break;
      case Name::kGroupby: groupby.reducers = {reducer(kSum, {1}), reducer(kSum, {2}), reducer(kSum, {3})}; break;
      case Name::kTopk: groupby.reducers = {reducer(kCount, {}), reducer(kSum, {1})}; break;
    }
    plan::Node node;
    node.inputs = {table};
    for (std::size_t i = 0; i < groupby.reducers.size(); ++i)
      node.schema.columns.push_back({"sum" + std::to_string(i), Type(Kind::kInt)});
    node.params = std::move(groupby);
    return plan_.add(std::move(node));
  }

  Job job_;
  plan::Plan plan_;
};

std::string json_of(const std::vector<Sums>& all) {
  std::string out = "[";
  for (const Sums& sums : all) {
    if (out.size() > 1) out += ", ";
    out += "[" + std::to_string(sums[0]) + ", " + std::to_string(sums[1]) + ", " + std::to_string(sums[2]) + "]";
  }
  return out + "]";
}

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Result<Sums> sums_at(ExportReader& reader, Frontier at) {
  Sums sums{};
  ExportReader::Snapshot snapshot = TRY(reader.snapshot(at));
  for (const Batch& batch : snapshot.batches)
    for (std::size_t c = 0; c < batch.columns.size() && batch.num_rows > 0; ++c) sums[c] = batch.columns[c].i64()[0];
  return sums;
}

int run(const Job& job, bool waits, std::uint32_t workers) {
  Visible visible;
  std::vector<double> us;
  plan::Plan plan = PlanMaker(job).make(waits);
  Connectors connectors(job, visible, us, waits ? job.rows : job.rows - 1);
  Env env = real_env();
  RunOptions options{.workers = workers};
  options.autocommit_ms = 3'600'000;  // both sources of a join in one commit, however long the first takes
  options.history_commits = static_cast<std::uint64_t>(job.updates) + 10;
  double cpu_before = cpu_seconds();
  auto start = SteadyClock::now();
  auto run = Run::start(plan, options, connectors, env);
  if (!run) {
    std::fprintf(stderr, "%s\n", run.error().message.c_str());
    return 1;
  }
  auto reader = (*run)->find_export("answer");
  std::atomic<double> bulk_cpu{0};
  reader->subscribe([&](Frontier frontier) {
    if (bulk_cpu == 0) bulk_cpu = cpu_seconds() - cpu_before;
    visible.commit(frontier);
  });
  (*run)->wait(-1);
  if (std::optional<Error> failure = (*run)->failure()) {
    std::fprintf(stderr, "%s\n", failure->message.c_str());
    return 1;
  }
  auto between = [&](std::size_t i) {
    return std::chrono::duration<double>(visible.times_[i] - visible.times_[i - 1]).count();
  };
  bool deletes = job.name == Name::kGroupby;
  std::size_t before_updates = deletes ? 2 : 1;
  auto commits = before_updates + static_cast<std::size_t>(job.updates);
  if (visible.times_.size() < commits) {
    std::fprintf(stderr, "%zu commits, not %zu\n", visible.times_.size(), commits);
    return 1;
  }
  if (!waits)
    for (std::size_t i = before_updates; i < commits; ++i) us.push_back(between(i) * 1e6);
  std::vector<Sums> sums;
  std::vector<std::size_t> looked_at{0, commits - 1};
  if (deletes) looked_at.insert(looked_at.begin() + 1, 1);
  for (std::size_t at : looked_at) {
    Result<Sums> one = sums_at(*reader, visible.frontiers_[at]);
    if (!one) {
      std::fprintf(stderr, "%s\n", one.error().message.c_str());
      return 1;
    }
    sums.push_back(*one);
  }
  std::string list;
  for (double one : us) list += (list.empty() ? "" : ", ") + std::to_string(one);
  std::printf("{\"bulk_s\": %.6f, \"bulk_cpu_s\": %.3f, \"deletes_s\": %.6f, \"update_us\": [%s], \"sums\": %s}\n",
              std::chrono::duration<double>(visible.times_[0] - start).count(), bulk_cpu.load(),
              deletes ? between(1) : 0.0, list.c_str(), json_of(sums).c_str());
  return 0;
}

int write_csv(const Job& job, const std::string& folder) {
  auto write = [&](const char* name, const char* head, std::int64_t rows, const std::function<Row(std::int64_t)>& row) {
    std::string path = folder + "/" + name + ".csv";
    std::FILE* file = std::fopen(path.c_str(), "w");
    if (!file) return false;
    std::fprintf(file, "%s\n", head);
    for (std::int64_t i = 0; i < rows; ++i) {
      Row r = row(i);
      std::fprintf(file, "%lld,%lld\n", static_cast<long long>(r.a), static_cast<long long>(r.b));
    }
    return std::fclose(file) == 0;
  };
  bool good = write("rows", "a,b", job.rows, [&](std::int64_t i) { return job.row(i); });
  if (job.name == Name::kJoin) good = good && write("people", "person,height", job.keys, Job::person);
  if (!good) std::perror(folder.c_str());
  return good ? 0 : 1;
}

int main_of(int argc, char** argv) {
  constexpr const char* kUse =
      "algebra_bench run|wait|expect JOB ROWS KEYS UPDATES [WORKERS], or csv JOB ROWS KEYS FOLDER; JOB: join, groupby, "
      "topk\n";
  static const std::map<std::string_view, Name> kNames{
      {"join", Name::kJoin}, {"groupby", Name::kGroupby}, {"topk", Name::kTopk}};
  if (argc < 6 || !kNames.contains(argv[2])) {
    std::fputs(kUse, stderr);
    return 2;
  }
  std::string_view what = argv[1];
  Job job{.name = kNames.at(argv[2]),
          .rows = std::atoll(argv[3]),
          .keys = std::atoll(argv[4]),
          .updates = std::atoll(argv[5])};
  if (job.rows < 10 || job.keys < 1 || (job.name == Name::kGroupby && 10 * job.updates > job.rows)) {
    std::fputs("at least 10 rows and a key; groupby: at least ten rows per update\n", stderr);
    return 2;
  }
  if (what == "csv") return write_csv(job, argv[5]);
  if (what == "expect") {
    std::printf("%s\n", json_of(expected(job)).c_str());
    return 0;
  }
  if (what == "run" || what == "wait")
    return run(job, what == "wait", static_cast<std::uint32_t>(argc > 6 ? std::atoi(argv[6]) : 1));
  std::fputs(kUse, stderr);
  return 2;
}

}  // namespace

}  // namespace thalweg::bench

int main(int argc, char** argv) {
  thalweg::use_huge_pages(argv);
  return thalweg::bench::main_of(argc, argv);
}
