// tests/bench/iterate/components_bench.cc
//
// Connected components of a graph, then changes of single edges, a commit each. Prints the seconds to the first
// fixpoint and from commit to commit, wall clock and of processor (engine time with all coordination, no connector, no
// sink), and writes the final labels. Its peers: differential/ and pathway_job.py beside it; components runs and
// compares them.
//
//   components_bench PIPELINE EDGES UPDATES LABELS [WORKERS]
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <mutex>
#include <sstream>
#include <unordered_map>

#include "engine/runtime/run.h"
#include "pipeline_lang/compile.h"

namespace {

using namespace thalweg;

struct Clocks {
  double wall = 0;
  double cpu = 0;  // of the process
};

double seconds_of(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

Clocks clocks() { return {seconds_of(CLOCK_MONOTONIC), seconds_of(CLOCK_PROCESS_CPUTIME_ID)}; }

class NoConnectors : public ConnectorFactory {
 public:
  Result<std::unique_ptr<Source>> make_source(const plan::Source&, Env&) override {
    return fail(Code::kInternal, "no sources here");
  }
  Result<std::unique_ptr<Sink>> make_sink(const plan::Output&, const Schema&, Env&) override {
    return fail(Code::kInternal, "no sinks here");
  }
};

std::string text_of(const char* path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::vector<std::vector<std::int64_t>> rows_of(const char* path) {
  std::vector<std::vector<std::int64_t>> rows;
  std::istringstream in(text_of(path));
  std::string line;
  std::getline(in, line);  // names
  while (std::getline(in, line)) {
    auto& row = rows.emplace_back();
    const char* at = line.data();
    const char* end = at + line.size();
    while (at < end) {
      at = std::from_chars(at, end, row.emplace_back()).ptr;
      ++at;
    }
  }
  return rows;
}

// All edges in the first commit, then one commit an update. Edges that are there twice are two rows.
std::shared_ptr<std::vector<plan::StaticRow>> stream_of(const char* edges, const char* updates) {
  auto rows = std::make_shared<std::vector<plan::StaticRow>>();
  std::unordered_map<std::int64_t, std::int64_t> copies;  // by both nodes, which are below 2^31
  auto add = [&](std::uint64_t time, std::int64_t a, std::int64_t b, Diff diff) {
    std::int64_t& copy = copies[a << 32 | b];
    if (diff < 0) --copy;
    Key key = key_of_values({Value::of(a), Value::of(b), Value::of(copy)});
    if (diff > 0) ++copy;
    rows->push_back({.time = time, .diff = diff, .key = key, .cells = {Value::of(a), Value::of(b)}});
  };
  for (const auto& row : rows_of(edges)) add(2, row[0], row[1], 1);
  std::uint64_t time = 2;
  for (const auto& row : rows_of(updates)) add(time += 2, row[0], row[1], static_cast<Diff>(row[2]));
  return rows;
}

plan::Plan plan_of(const char* pipeline, std::shared_ptr<std::vector<plan::StaticRow>> rows) {
  lang::CompileResult compiled = lang::compile_text(pipeline, text_of(pipeline), {});
  if (!compiled.ok()) {
    std::fprintf(stderr, "%s: does not compile\n", pipeline);
    std::exit(1);
  }
  for (plan::Node& node : compiled.plan.nodes)
    if (std::holds_alternative<plan::StaticRows>(node.params))
      node.params = plan::StaticRows{.rows = std::move(rows), .as_stream = true};
  return std::move(compiled.plan);
}

void write_labels(const char* path, ExportReader& reader) {
  auto snapshot = reader.snapshot(std::nullopt);
  std::ofstream out(path);
  out << "node,label\n";
  for (const Batch& batch : snapshot->batches)
    for (std::size_t row = 0; row < batch.num_rows; ++row)
      out << batch.columns[0].i64()[row] << ',' << batch.columns[1].i64()[row] << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: components_bench PIPELINE EDGES UPDATES LABELS [WORKERS]\n");
    return 2;
  }
  plan::Plan plan = plan_of(argv[1], stream_of(argv[2], argv[3]));
  NoConnectors connectors;
  Env env = real_env();
  RunOptions options{.workers = argc > 5 ? static_cast<std::uint32_t>(std::atoi(argv[5])) : 1};
  std::mutex mutex;
  std::vector<Clocks> times;
  Clocks started = clocks();
  auto run = Run::start(plan, options, connectors, env);
  if (!run) {
    std::fprintf(stderr, "%s\n", run.error().message.c_str());
    return 1;
  }
  auto reader = (*run)->find_export("components");
  reader->subscribe([&](Frontier) {
    std::lock_guard lock(mutex);
    times.push_back(clocks());
  });
  (*run)->wait(-1);
  if ((*run)->failure() || times.empty()) {
    std::fprintf(stderr, "the run failed\n");
    return 1;
  }
  std::printf("bulk %.6f %.6f\n", times[0].wall - started.wall, times[0].cpu - started.cpu);
  for (std::size_t i = 1; i + 1 < times.size(); ++i)
    std::printf("update %.7f %.7f\n", times[i].wall - times[i - 1].wall, times[i].cpu - times[i - 1].cpu);
  write_labels(argv[4], *reader);
  return 0;
}
