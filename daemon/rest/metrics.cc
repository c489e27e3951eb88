#include "daemon/rest/metrics.h"

#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

#include "daemon/version.h"

namespace thalweg::daemon {
namespace {

void append_label_value(std::string_view value, std::string& out) {
  for (char c : value) {
    if (c == '\n') {
      out += "\\n";
      continue;
    }
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
}

// Bytes of all files below a folder; what goes away meanwhile counts nothing.
std::uint64_t bytes_below(const std::string& folder) {
  std::error_code error;
  std::uint64_t bytes = 0;
  auto at = std::filesystem::recursive_directory_iterator(
      folder, std::filesystem::directory_options::skip_permission_denied, error);
  for (; !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    std::error_code gone;
    if (!at->is_regular_file(gone) || gone) continue;
    const std::uintmax_t size = at->file_size(gone);
    if (!gone) bytes += size;
  }
  return bytes;
}

// The folder itself, or the nearest one above it that is there already.
std::string existing_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(folder, error);
  while (!std::filesystem::exists(path, error) && path.has_relative_path()) path = path.parent_path();
  return path.string();
}

struct PipelineNumbers {
  std::string name;
  std::shared_ptr<ServedPipeline> pipeline;
  std::vector<ConnectorStatus> connectors;
  std::vector<OperatorStatus> operators;
  RunTimings timings;
};

std::string metric_label(const plan::Plan& plan, NodeId id) {
  if (id.value >= plan.nodes.size()) return "unknown";
  const plan::Node& node = plan.node(id);
  // Two operators of one label are told apart by the line of their series, so the id stays in the label's value.
  return std::string(plan::operator_name(node.params)) + " " + node.label + " #" + std::to_string(id.value);
}

template <class Pick>
void connector_family(const std::vector<PipelineNumbers>& all, std::string_view name, std::string_view help,
                      bool sources, MetricsText& text, Pick pick, std::string_view type = "counter") {
  text.family(name, type, help);
  for (const PipelineNumbers& numbers : all)
    for (const ConnectorStatus& connector : numbers.connectors)
      if (connector.is_source == sources)
        text.sample({{"pipeline", numbers.name}, {"connector", connector.name}, {"kind", connector.connector}},
                    pick(connector));
}

template <class Pick>
void operator_family(const std::vector<PipelineNumbers>& all, std::string_view name, std::string_view type,
                     std::string_view help, MetricsText& text, Pick pick) {
  text.family(name, type, help);
  for (const PipelineNumbers& numbers : all)
    for (const OperatorStatus& status : numbers.operators)
      text.sample({{"pipeline", numbers.name}, {"operator", metric_label(*numbers.pipeline->plan, status.node)}},
                  pick(status));
}

void append_durability_metrics(const std::vector<PipelineNumbers>& all, MetricsText& text) {
  std::vector<std::pair<std::string, DurabilityStatus>> kept;
  for (const auto& n : all)
    if (DurabilityStatus now = n.pipeline->run->durability(); now.on) kept.emplace_back(n.name, std::move(now));
  text.family("thalweg_log_bytes", "gauge", "Bytes of the log of commits since the last checkpoint");
  for (const auto& [name, now] : kept) text.sample({{"pipeline", name}}, now.log_bytes);
  text.family("thalweg_log_syncs_total", "counter", "Times that the log of commits was synced");
  for (const auto& [name, now] : kept) text.sample({{"pipeline", name}}, now.log_syncs);
  text.family("thalweg_checkpoints_total", "counter", "Checkpoints written since the start");
  for (const auto& [name, now] : kept) text.sample({{"pipeline", name}}, now.snapshots_written);
  text.family("thalweg_checkpoint_bytes", "gauge", "Size of the newest checkpoint");
  for (const auto& [name, now] : kept)
    if (!now.snapshots.empty()) text.sample({{"pipeline", name}}, now.snapshots.front().bytes);
  text.family("thalweg_checkpoint_duration_seconds", "gauge", "How long the newest checkpoint took to write");
  for (const auto& [name, now] : kept)
    if (!now.snapshots.empty())
      text.sample({{"pipeline", name}}, static_cast<double>(now.snapshots.front().duration_ns) / 1e9);
  text.family("thalweg_checkpoint_age_seconds", "gauge", "How old the newest checkpoint is");
  const double now_s = static_cast<double>(std::time(nullptr));
  for (const auto& [name, now] : kept)
    if (!now.snapshots.empty())
      text.sample({{"pipeline", name}},
                  std::max(0.0, now_s - static_cast<double>(now.snapshots.front().wall_ns) / 1e9));
  text.family("thalweg_checkpoint_timestamp_seconds", "gauge", "When the newest checkpoint was written");
  for (const auto& [name, now] : kept)
    if (!now.snapshots.empty())
      text.sample({{"pipeline", name}}, static_cast<double>(now.snapshots.front().wall_ns) / 1e9);
}

void append_dead_letter_metrics(const std::vector<PipelineNumbers>& all, MetricsText& text) {
  std::vector<std::pair<std::string, durable::DeadLetters::Stats>> kept;
  for (const auto& n : all)
    if (auto letters = n.pipeline->run->dead_letters()) kept.emplace_back(n.name, letters->stats());
  if (kept.empty()) return;
  text.family("thalweg_dead_letters", "gauge", "Dead letters that are kept");
  for (const auto& [name, now] : kept) text.sample({{"pipeline", name}}, now.letters);
  text.family("thalweg_dead_letters_total", "counter", "Dead letters since the start, by what they are");
  for (const auto& [name, now] : kept)
    for (const auto& [what, count] : now.added)
      text.sample({{"pipeline", name}, {"connector", what.first}, {"kind", std::string(text_of(what.second))}}, count);
  text.family("thalweg_dead_letters_expired_total", "counter",
              "Dead letters that went by a limit of number, size or age");
  for (const auto& [name, now] : kept) text.sample({{"pipeline", name}}, now.expired);
  text.family("thalweg_dead_letters_lost_total", "counter", "Dead letters that could not be kept");
  for (const auto& [name, now] : kept) text.sample({{"pipeline", name}}, now.lost);
  text.family("thalweg_dead_letters_bytes", "gauge", "Disk that dead letters take");
  for (const auto& [name, now] : kept) text.sample({{"pipeline", name}}, now.bytes);
}

void append_lag_metrics(const std::vector<PipelineNumbers>& all, MetricsText& text) {
  bool begun = false;
  for (const auto& n : all)
    for (const ConnectorStatus& connector : n.connectors)
      for (const PartitionLag& one : connector.partitions) {
        if (!std::exchange(begun, true))
          text.family("thalweg_source_lag_records", "gauge", "Records of a partition that are not read yet");
        text.sample({{"pipeline", n.name}, {"connector", connector.name}, {"partition", one.partition}},
                    static_cast<std::uint64_t>(one.lag()));
      }
}

void append_run_metrics(const std::vector<PipelineNumbers>& all, MetricsText& text) {
  text.family("thalweg_pipeline_up", "gauge", "1 while the pipeline runs or has ended in order");
  for (const auto& n : all) {
    RunState state = n.pipeline->run->state();
    text.sample({{"pipeline", n.name}}, std::uint64_t{state == RunState::kRunning || state == RunState::kEnded});
  }
  text.family("thalweg_pipeline_caught_up", "gauge", "1 once everything found at the start is visible");
  for (const auto& n : all) text.sample({{"pipeline", n.name}}, std::uint64_t{n.pipeline->run->caught_up()});
  text.family("thalweg_commits_total", "counter", "Commits closed");
  for (const auto& n : all) text.sample({{"pipeline", n.name}}, n.pipeline->run->num_commits());
  text.family("thalweg_errors_total", "counter", "Errors: ERROR values, skipped rows, bad records");
  for (const auto& n : all)
    for (auto [kind, name] :
         {std::pair(ErrorKind::kValue, "value"), {ErrorKind::kSkipped, "skipped"}, {ErrorKind::kRecord, "record"}})
      text.sample({{"pipeline", n.name}, {"kind", name}}, n.pipeline->run->num_errors_of(kind));
  text.family("thalweg_latency_seconds", "histogram", "From the arrival of input until it is visible");
  for (const auto& n : all) text.histogram({{"pipeline", n.name}}, n.timings.latency);
  text.family("thalweg_commit_duration_seconds", "histogram", "From the opening of a commit until it is visible");
  for (const auto& n : all) text.histogram({{"pipeline", n.name}}, n.timings.commits);
  text.family("thalweg_frontier_lag_seconds", "gauge", "Age of the oldest input that is not visible yet");
  for (const auto& n : all) text.sample({{"pipeline", n.name}}, static_cast<double>(n.timings.lag_ns) / 1e9);
  text.family("thalweg_frontier_timestamp_seconds", "gauge", "The output frontier as a wall-clock time");
  for (const auto& n : all)
    if (Frontier f = n.pipeline->run->frontier(); !f.done)
      text.sample({{"pipeline", n.name}}, static_cast<double>(f.at) / 1e3);
  append_durability_metrics(all, text);
  text.family("thalweg_waiting_for_disk", "gauge", "1 while outputs, the log or a checkpoint wait for room on a disk");
  for (const auto& n : all) text.sample({{"pipeline", n.name}}, std::uint64_t{n.pipeline->run->disk_wait().waiting});
  text.family("thalweg_disk_waits_total", "counter", "Times that writing had to wait for room on a disk");
  for (const auto& n : all) text.sample({{"pipeline", n.name}}, n.pipeline->run->disk_wait().waits);
  append_dead_letter_metrics(all, text);
  append_lag_metrics(all, text);
  text.family("thalweg_table_rows", "gauge", "Rows of an exported table");
  for (const auto& n : all)
    for (const auto& reader : n.pipeline->run->exports())
      text.sample({{"pipeline", n.name}, {"table", reader->name()}}, reader->num_rows());
}

}  // namespace

// Resident bytes: the second number of /proc/self/statm, in pages.
std::uint64_t resident_bytes(Disk& disk) {
  auto file = disk.open_read("/proc/self/statm");
  if (!file) return 0;
  char text[128] = {};
  auto n = (*file)->read_at(0, text, sizeof text - 1);
  unsigned long long pages = 0;
  if (!n || std::sscanf(text, "%*u %llu", &pages) != 1) return 0;
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

void MetricsText::family(std::string_view name, std::string_view type, std::string_view help) {
  family_ = name;
  out_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
}

void MetricsText::name_and_labels(const Labels& labels) {
  out_ += family_;
  if (labels.empty()) return;
  char separator = '{';
  for (const auto& [name, value] : labels) {
    out_.push_back(separator);
    separator = ',';
    out_ += name;
    out_ += "=\"";
    append_label_value(value, out_);
    out_.push_back('"');
  }
  out_.push_back('}');
}

void MetricsText::sample(const Labels& labels, std::uint64_t value) {
  name_and_labels(labels);
  out_ += fmt::format(" {}\n", value);
}

void MetricsText::sample(const Labels& labels, double value) {
  name_and_labels(labels);
  out_ += fmt::format(" {}\n", value);
}

void MetricsText::histogram(Labels labels, const Histogram::Counts& counts) {
  std::string family(family_);
  std::string bucket = family + "_bucket";
  std::uint64_t total = 0;
  std::vector<std::string> ends;
  for (std::int64_t ns : Histogram::kEndsNs) ends.push_back(fmt::format("{}", static_cast<double>(ns) / 1e9));
  ends.emplace_back("+Inf");
  family_ = bucket;
  labels.emplace_back("le", "");
  for (std::size_t i = 0; i < ends.size(); ++i) {
    total += counts.by_bucket[i];
    labels.back().second = ends[i];
    sample(labels, total);
  }
  labels.pop_back();
  std::string sum = family + "_sum";
  family_ = sum;
  sample(labels, static_cast<double>(counts.sum_ns) / 1e9);
  std::string count = family + "_count";
  family_ = count;
  sample(labels, total);
  family_ = {};
}

void append_model_metrics(const std::vector<llm::ModelUsage>& models, MetricsText& text) {
  const auto family = [&](std::string_view name, std::string_view help, auto pick) {
    text.family(name, "counter", help);
    for (const llm::ModelUsage& one : models) text.sample({{"service", one.service}, {"model", one.model}}, pick(one));
  };
  family("thalweg_llm_calls_total", "Requests made to language models",
         [](const llm::ModelUsage& one) { return one.calls; });
  family("thalweg_llm_failed_calls_total", "Requests that were refused or not answered",
         [](const llm::ModelUsage& one) { return one.failures; });
  text.family("thalweg_llm_tokens_total", "counter", "Tokens that services say were used");
  for (const llm::ModelUsage& one : models) {
    text.sample({{"service", one.service}, {"model", one.model}, {"direction", "input"}}, one.input_tokens);
    text.sample({{"service", one.service}, {"model", one.model}, {"direction", "output"}}, one.output_tokens);
  }
  family("thalweg_llm_cost_dollars_total", "What that costs by the prices of the configuration",
         [](const llm::ModelUsage& one) { return one.dollars; });
  family("thalweg_llm_cache_hits_total", "Questions answered from the cache",
         [](const llm::ModelUsage& one) { return one.cache_hits; });
}

void append_reload_metrics(const PipelineControl::ChangeCounts& counts, MetricsText& text) {
  text.family("thalweg_reloads_total", "counter", "Changes of pipelines by what came of them");
  for (const auto& [result, count] : counts.by_result) text.sample({{"result", result}}, count);
  text.family("thalweg_last_reload_timestamp_seconds", "gauge", "When a change last succeeded; 0: never");
  text.sample({}, static_cast<std::uint64_t>(counts.last_good));
  if (counts.state_dir.empty()) return;
  text.family("thalweg_state_disk_used_bytes", "gauge", "Disk that the state directory takes");
  text.sample({}, bytes_below(counts.state_dir));
  struct statvfs disk{};
  if (::statvfs(existing_folder(counts.state_dir).c_str(), &disk) != 0) return;
  text.family("thalweg_state_disk_size_bytes", "gauge", "Size of the disk that holds the state directory");
  text.sample({}, std::uint64_t{disk.f_blocks} * disk.f_frsize);
  text.family("thalweg_state_disk_free_bytes", "gauge", "Free space of the disk that holds the state directory");
  text.sample({}, std::uint64_t{disk.f_bavail} * disk.f_frsize);
}

void append_daemon_metrics(const std::vector<PipelineStatus>& pipelines, MetricsText& text) {
  text.family("thalweg_pipeline_state", "gauge", "1 for the state that a pipeline is in");
  for (const PipelineStatus& status : pipelines)
    text.sample({{"pipeline", status.name}, {"state", status.state}}, std::uint64_t{1});
  text.family("thalweg_pipeline_restarts_total", "counter", "How often a failed pipeline was started again");
  for (const PipelineStatus& status : pipelines) text.sample({{"pipeline", status.name}}, status.restarts);
}

void append_process_metrics(MetricsText& text, Disk& disk) {
  text.family("thalweg_build_info", "gauge", "Version of this server");
  text.sample({{"version", version_text()}}, std::uint64_t{1});
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  text.family("thalweg_process_cpu_seconds_total", "counter", "CPU time, user and system");
  text.sample({}, seconds(usage.ru_utime) + seconds(usage.ru_stime));
  text.family("thalweg_process_resident_bytes", "gauge", "Resident memory");
  text.sample({}, resident_bytes(disk));
  text.family("thalweg_process_open_files", "gauge", "Open file descriptors");
  auto files = disk.list("/proc/self/fd");
  text.sample({}, static_cast<std::uint64_t>(files ? files->size() : 0));
}

void append_pipeline_metrics(const std::vector<std::shared_ptr<ServedPipeline>>& pipelines, MetricsText& text) {
  std::vector<PipelineNumbers> all;
  for (const auto& p : pipelines)
    all.push_back({p->name, p, p->run->connectors(), p->run->operators(), p->run->timings()});
  append_run_metrics(all, text);
  auto rows = [](const ConnectorStatus& c) { return c.rows; };
  auto bytes = [](const ConnectorStatus& c) { return c.bytes; };
  auto errors = [](const ConnectorStatus& c) { return c.errors; };
  connector_family(all, "thalweg_source_rows_total", "Rows read", true, text, rows);
  connector_family(all, "thalweg_source_bytes_total", "Bytes read", true, text, bytes);
  connector_family(all, "thalweg_source_errors_total", "Bad records read", true, text, errors);
  connector_family(
      all, "thalweg_source_queued_bytes", "Bytes read and not yet decoded", true, text,
      [](const ConnectorStatus& c) { return c.queued_bytes; }, "gauge");
  connector_family(
      all, "thalweg_source_lag_seconds", "Age of the oldest record that waits", true, text,
      [](const ConnectorStatus& c) { return static_cast<double>(c.lag_ns) / 1e9; }, "gauge");
  connector_family(all, "thalweg_source_stall_seconds_total", "Time a source was held back by a full queue", true, text,
                   [](const ConnectorStatus& c) { return static_cast<double>(c.stalled_ns) / 1e9; });
  connector_family(all, "thalweg_sink_rows_total", "Rows written", false, text, rows);
  connector_family(all, "thalweg_sink_bytes_total", "Bytes written", false, text, bytes);
  connector_family(all, "thalweg_sink_errors_total", "Failed writes", false, text, errors);
  operator_family(all, "thalweg_operator_in_rows_total", "counter", "Rows into an operator", text,
                  [](const OperatorStatus& s) { return s.rows_in; });
  operator_family(all, "thalweg_operator_out_rows_total", "counter", "Rows out of an operator", text,
                  [](const OperatorStatus& s) { return s.rows_out; });
  operator_family(all, "thalweg_operator_busy_seconds_total", "counter", "Time spent in an operator", text,
                  [](const OperatorStatus& s) { return static_cast<double>(s.busy_ns) / 1e9; });
  operator_family(all, "thalweg_operator_state_rows", "gauge", "Rows an operator holds", text,
                  [](const OperatorStatus& s) { return s.state.rows; });
  operator_family(all, "thalweg_operator_state_bytes", "gauge", "Bytes an operator holds", text,
                  [](const OperatorStatus& s) { return s.state.bytes; });
  operator_family(all, "thalweg_operator_late_rows_total", "counter", "Rows dropped behind a cutoff", text,
                  [](const OperatorStatus& s) { return s.state.late_rows; });
  operator_family(all, "thalweg_operator_rounds_total", "counter", "Rounds a loop has run", text,
                  [](const OperatorStatus& s) { return s.state.rounds; });
}

void append_http_metrics(const std::vector<Route>& routes, const Api::RouteCount* counts,
                         const net::HttpServerStats& server, MetricsText& text) {
  text.family("thalweg_http_requests_total", "counter", "Requests answered");
  for (std::size_t i = 0; i <= routes.size(); ++i)
    for (std::size_t c = 1; c < 6; ++c)
      if (std::uint64_t n = counts[i].by_class[c])
        text.sample({{"route", i < routes.size() ? routes[i].path : "none"}, {"status", std::to_string(c) + "xx"}}, n);
  text.family("thalweg_http_busy_seconds_total", "counter", "Time from request to answer");
  for (std::size_t i = 0; i < routes.size(); ++i)
    if (std::uint64_t ns = counts[i].busy_ns) text.sample({{"route", routes[i].path}}, static_cast<double>(ns) / 1e9);
  text.family("thalweg_http_open_connections", "gauge", "Connections open now");
  text.sample({}, server.open_connections);
  text.family("thalweg_http_accepted_connections_total", "counter", "Connections accepted");
  text.sample({}, server.accepted_connections);
  text.family("thalweg_http_refused_connections_total", "counter", "Connections over the limit");
  text.sample({}, server.refused_connections);
  text.family("thalweg_http_malformed_requests_total", "counter", "Requests that broke the protocol or a limit");
  text.sample({}, server.malformed_requests);
  text.family("thalweg_http_stalled_readers_total", "counter", "Readers dropped because they took nothing");
  text.sample({}, server.stalled_readers);
  text.family("thalweg_http_sent_bytes_total", "counter", "Bytes sent");
  text.sample({}, server.sent_bytes);
}

}  // namespace thalweg::daemon
