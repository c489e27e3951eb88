// Handlers about the server and its pipelines.
#include <fmt/format.h>

#include <algorithm>

#include "daemon/dashboard/dashboard.h"
#include "daemon/graph_view.h"
#include "daemon/json_writer.h"
#include "daemon/persistence.h"
#include "daemon/rest/api.h"
#include "daemon/rest/metrics.h"
#include "daemon/rest/page.h"
#include "daemon/version.h"
#include "engine/io/source.h"

namespace thalweg::daemon {
namespace {

net::HttpResponse html_response(std::string body) {
  net::HttpResponse response;
  response.headers.add("Content-Type", "text/html; charset=utf-8");
  response.headers.add("Content-Security-Policy",
                       "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
                       "form-action 'none'; frame-ancestors 'none'");
  response.body = std::move(body);
  return response;
}

void append_run(const ServedPipeline& pipeline, JsonWriter& json) {
  const Run& run = *pipeline.run;
  std::uint64_t rows_in = 0;
  std::uint64_t rows_out = 0;
  std::optional<std::int64_t> behind;
  for (const ConnectorStatus& connector : run.connectors()) {
    (connector.is_source ? rows_in : rows_out) += connector.rows;
    for (const PartitionLag& one : connector.partitions) behind = behind.value_or(0) + one.lag();
  }
  json.key("frontier");
  append_frontier(run.frontier(), json);
  json.field("lag_seconds", static_cast<double>(run.timings().lag_ns) / 1e9);
  if (behind) json.field("lag_records", *behind);
  if (auto letters = run.dead_letters()) json.field("dead_letters", letters->stats().letters);
  json.field("caught_up", run.caught_up()).field("workers", static_cast<std::uint64_t>(pipeline.workers));
  json.field("commits", run.num_commits()).field("rows_in", rows_in).field("rows_out", rows_out);
  if (durable::DiskWait wait = run.disk_wait(); wait.waiting) json.field("waiting_for_disk", wait.reason);
  json.field("errors", run.num_errors()).field("started_at", pipeline.started_wall_ns / 1'000'000'000);
}

void append_guarantees(const ServedPipeline& pipeline, JsonWriter& json) {
  json.begin_array();
  for (const OutputGuarantee& one : guarantees_of(*pipeline.plan, pipeline.run->durability().on)) {
    json.begin_object().field("name", one.name).field("connector", one.connector);
    json.field("delivery", delivery_text(one.delivery));
    if (!one.because.empty()) json.field("because", one.because);
    json.end_object();
  }
  json.end_array();
}

void append_snapshot(const durable::SnapshotInfo& snapshot, JsonWriter& json) {
  json.begin_object().field("number", snapshot.number).field("commit", snapshot.epoch);
  json.field("frontier", snapshot.epoch + 2).field("generation", snapshot.generation);
  json.field("bytes", snapshot.bytes).field("written_bytes", snapshot.written_bytes);
  json.field("time", static_cast<double>(snapshot.wall_ns) / 1e9);
  json.field("duration_seconds", static_cast<double>(snapshot.duration_ns) / 1e9).end_object();
}

void append_pipeline(const PipelineStatus& status, bool whole, JsonWriter& json) {
  json.begin_object().field("name", status.name).field("state", status.state);
  json.field("failed", status.state == "failed").field("ready", status.ready).field("restarts", status.restarts);
  if (!status.file.empty()) json.field("file", status.file);
  if (!status.failure.empty()) json.field("failure", status.failure);
  if (status.served) append_run(*status.served, json);
  if (status.served && whole) {
    json.key("guarantees");
    append_guarantees(*status.served, json);
  }
  json.end_object();
}

std::string_view error_kind(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kValue: return "value";
    case ErrorKind::kSkipped: return "skipped";
    case ErrorKind::kRecord: return "record";
  }
  return "value";
}

void append_error(const ServedPipeline& pipeline, const DataError& error, JsonWriter& json) {
  json.begin_object().field("time", error.commit).field("kind", error_kind(error.kind)).field("message", error.message);
  if (error.node.value < pipeline.plan->nodes.size()) {
    const plan::Node& node = pipeline.plan->node(error.node);
    json.field("operator", node.label.empty() ? plan::operator_name(node.params) : std::string_view(node.label));
  }
  if (pipeline.files && error.span.known()) {
    LineColumn at = pipeline.files->locate(error.span);
    json.field("file", pipeline.files->name(error.span.file));
    json.field("line", static_cast<std::uint64_t>(at.line)).field("column", static_cast<std::uint64_t>(at.column));
  }
  json.key("key");
  error.key ? json.text(to_text(*error.key)) : json.null();
  json.key("value");
  error.record ? json.text(error.record->raw) : json.null();
  if (error.record && !error.record->position.empty()) json.field("position", error.record->position);
  json.end_object();
}

}  // namespace

Answer Api::index(const Call& call) {
  if (auto file = dashboard_response(*call.request, "index.html")) return std::move(*file);
  return html_response(no_dashboard_page());
}

Answer Api::ui_file(const Call& call) {
  if (auto file = dashboard_response(*call.request, call.in_path("f"))) return std::move(*file);
  return refuse(404, "no_such_path", "the dashboard has no such file");
}

Answer Api::docs(const Call&) { return html_response(docs_page(routes())); }

Answer Api::health(const Call&) { return json_response(R"({"status":"ok"})"); }

Answer Api::version(const Call&) { return json_response(version_json()); }

Answer Api::openapi(const Call&) { return json_response(openapi_document(routes())); }

Answer Api::ready(const Call& call) {
  std::string body;
  JsonWriter json(body);
  bool ready = !pipelines_.starting();
  json.begin_object().key("pipelines").begin_array();
  for (const PipelineStatus& status : pipelines_.statuses()) {
    ready = ready && status.ready;
    if (call.role == Role::kNone) continue;  // who has no token learns nothing but the answer
    json.begin_object().field("name", status.name).field("ready", status.ready).field("state", status.state);
    if (!status.failure.empty()) json.field("failure", status.failure);
    json.end_object();
  }
  json.end_array().field("ready", ready).end_object();
  net::HttpResponse response = json_response(std::move(body));
  response.status = ready ? 200 : 503;
  return response;
}

Answer Api::metrics(const Call&) {
  net::HttpResponse response;
  response.headers.add("Content-Type", "text/plain; version=0.0.4; charset=utf-8");
  MetricsText text(response.body);
  append_process_metrics(text, *env_.disk);
  append_daemon_metrics(pipelines_.statuses(), text);
  append_pipeline_metrics(pipelines_.all(), text);
  append_model_metrics(llm::model_usage(), text);
  if (control_) append_reload_metrics(control_->change_counts(), text);
  append_http_metrics(routes(), counts_.get(), server_stats_ ? server_stats_() : net::HttpServerStats{}, text);
  return response;
}

Answer Api::list_pipelines(const Call& call) {
  std::string body;
  JsonWriter json(body);
  const std::vector<PipelineStatus> statuses = pipelines_.statuses();
  auto page = list_page(call, statuses.size());
  if (!page) return std::unexpected(page.error());
  json.begin_object().key("pipelines").begin_array();
  for (std::size_t i = page->first; i < page->last; ++i) append_pipeline(statuses[i], false, json);
  json.end_array();
  page->append_cursor(json);
  json.end_object();
  return json_response(std::move(body));
}

Answer Api::pipeline(const Call& call) {
  auto status = status_of_call(call);
  if (!status) return std::unexpected(status.error());
  std::string body;
  JsonWriter json(body);
  append_pipeline(*status, true, json);
  net::HttpResponse response = json_response(std::move(body));
  if (status->served) response.headers.add("X-Thalweg-Frontier", frontier_text(status->served->run->frontier()));
  return response;
}

Answer Api::graph(const Call& call) {
  auto pipeline = pipeline_of(call);
  if (!pipeline) return std::unexpected(pipeline.error());
  const auto live = (*pipeline)->run->operators();
  const GraphView graph =
      GraphView::of(*(*pipeline)->plan, (*pipeline)->files.get(), (*pipeline)->run->durability().on);
  return json_response(graph_json(graph, &live), (*pipeline)->run->frontier());
}

Answer Api::frontier(const Call& call) {
  auto pipeline = pipeline_of(call);
  if (!pipeline) return std::unexpected(pipeline.error());
  const Run& run = *(*pipeline)->run;
  Frontier output = run.frontier();
  for (const auto& reader : run.exports())
    if (frontier_less(reader->frontier(), output)) output = reader->frontier();
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("input");
  append_frontier(run.frontier(), json);
  json.key("output");
  append_frontier(output, json);
  json.field("failed", run.state() == RunState::kFailed).end_object();
  return json_response(std::move(body), output);
}

Answer Api::errors(const Call& call) {
  auto pipeline = pipeline_of(call);
  if (!pipeline) return std::unexpected(pipeline.error());
  auto limit = call.number("limit", 100, 1000);
  if (!limit) return std::unexpected(limit.error());
  const Run& run = *(*pipeline)->run;
  if (*limit == 0) return refuse(400, "invalid_parameter", "`limit` is at least 1");
  const Frontier frontier = run.frontier();
  const std::vector<DataError> errors = run.errors();
  const std::uint64_t count = std::max<std::uint64_t>(run.num_errors(), errors.size());
  const std::uint64_t forgotten = count - errors.size();  // errors have numbers in the order they came
  auto before = call.number("cursor", count, UINT64_MAX);
  if (!before) return std::unexpected(before.error());
  const std::uint64_t last = std::clamp<std::uint64_t>(*before, forgotten, count);
  const std::uint64_t first = std::max<std::uint64_t>(last - std::min<std::uint64_t>(*limit, last), forgotten);
  std::string body;
  JsonWriter json(body);
  json.begin_object().field("num_errors", count);
  if (auto letters = run.dead_letters()) {
    json.key("dead_letters").begin_object().field("total", letters->stats().letters);
    json.field("href", "/api/v1/pipelines/" + net::percent_encode((*pipeline)->name) + "/dead-letters").end_object();
  }
  json.key("errors").begin_array();
  for (std::uint64_t i = first; i < last; ++i) append_error(**pipeline, errors[i - forgotten], json);
  json.end_array();
  if (first > forgotten) json.field("next_cursor", std::to_string(first));
  json.end_object();
  return json_response(std::move(body), frontier);
}

Answer Api::guarantees(const Call& call) {
  auto pipeline = pipeline_of(call);
  if (!pipeline) return std::unexpected(pipeline.error());
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("outputs");
  append_guarantees(**pipeline, json);
  json.end_object();
  return json_response(std::move(body), (*pipeline)->run->frontier());
}

Answer Api::checkpoints(const Call& call) {
  auto status = status_of_call(call);
  if (!status) return std::unexpected(status.error());
  DurabilityStatus now = status->served ? status->served->run->durability() : DurabilityStatus{};
  std::string body;
  JsonWriter json(body);
  json.begin_object().field("persistence", now.on);
  if (now.on) {
    json.field("directory", now.directory).field("generation", now.generation);
    json.field("log_bytes", now.log_bytes).field("log_syncs", now.log_syncs);
    if (!now.last_error.empty()) json.field("last_error", now.last_error);
  }
  auto page = list_page(call, now.snapshots.size());
  if (!page) return std::unexpected(page.error());
  json.key("checkpoints").begin_array();
  for (std::size_t i = page->first; i < page->last; ++i) append_snapshot(now.snapshots[i], json);
  json.end_array();
  page->append_cursor(json);
  json.end_object();
  if (!status->served) return json_response(std::move(body));
  return json_response(std::move(body), status->served->run->frontier());
}

Answer Api::checkpoint(const Call& call) {
  auto status = status_of_call(call);
  if (!status) return std::unexpected(status.error());
  bool on = status->served && status->served->run->durability().on;
  if (!on && status->served)
    return refuse(409, "no_persistence",
                  "pipeline `" + status->name + "` keeps no state: it has no `persistence_config`");
  if (!on) return refuse(409, "not_running", "pipeline `" + status->name + "` does not run");
  auto snapshot = status->served->run->checkpoint();
  if (!snapshot) return refuse(503, "checkpoint_failed", snapshot.error().message);
  std::string body;
  JsonWriter json(body);
  json.begin_object().field("pipeline", status->name).field("result", "done");
  json.field("reason",
             fmt::format("snapshot {} of commit {}, {} bytes", snapshot->number, snapshot->epoch, snapshot->bytes));
  json.key("checkpoint");
  append_snapshot(*snapshot, json);
  json.end_object();
  return json_response(std::move(body));
}

namespace {

// Of a source that knows what it has not read yet: how many records those are, by partition.
void append_partitions(const ConnectorStatus& connector, JsonWriter& json) {
  if (connector.partitions.empty()) return;
  std::int64_t lag = 0;
  json.key("partitions").begin_array();
  for (const PartitionLag& one : connector.partitions) {
    lag += one.lag();
    json.begin_object().field("partition", one.partition).field("next", one.next).field("end", one.end);
    json.field("lag", one.lag()).end_object();
  }
  json.end_array().field("lag_records", lag);
}

}  // namespace

Answer Api::connectors(const Call& call) {
  auto pipeline = pipeline_of(call);
  if (!pipeline) return std::unexpected(pipeline.error());
  std::string body;
  JsonWriter json(body);
  const std::vector<ConnectorStatus> connectors = (*pipeline)->run->connectors();
  auto page = list_page(call, connectors.size());
  if (!page) return std::unexpected(page.error());
  json.begin_object().key("connectors").begin_array();
  for (std::size_t i = page->first; i < page->last; ++i) {
    const ConnectorStatus& connector = connectors[i];
    json.begin_object().field("name", connector.name).field("connector", connector.connector);
    json.field("direction", connector.is_source ? "source" : "sink");
    json.field("rows", connector.rows).field("bytes", connector.bytes).field("errors", connector.errors);
    json.field("ended", connector.ended);
    if (connector.is_source) {
      json.field("queued_bytes", connector.queued_bytes);
      json.field("lag_seconds", static_cast<double>(connector.lag_ns) / 1e9);
      json.field("stalled_seconds", static_cast<double>(connector.stalled_ns) / 1e9);
      append_partitions(connector, json);
    }
    json.key("last_error");
    connector.last_error.empty() ? json.null() : json.text(connector.last_error);
    json.end_object();
  }
  json.end_array();
  page->append_cursor(json);
  json.end_object();
  return json_response(std::move(body), (*pipeline)->run->frontier());
}

}  // namespace thalweg::daemon
