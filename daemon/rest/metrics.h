// daemon/rest/metrics.h
//
// Prometheus text: thalweg_<noun>_<unit>[_total], labels pipeline, operator, connector, table; never ids in names.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "daemon/rest/api.h"
#include "llm/providers/usage.h"

namespace thalweg::daemon {

// Writes families: help and type once, then samples.
class MetricsText {
 public:
  explicit MetricsText(std::string& out) : out_(out) {}
  void family(std::string_view name, std::string_view type, std::string_view help);
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;
  void sample(const Labels& labels, std::uint64_t value);
  void sample(const Labels& labels, double value);
  void histogram(Labels labels, const Histogram::Counts& counts);  // of the family just begun

 private:
  void name_and_labels(const Labels& labels);
  std::string& out_;
  std::string_view family_;
};

[[nodiscard]] std::uint64_t resident_bytes(Disk& disk);  // of this process

void append_process_metrics(MetricsText& text, Disk& disk);
void append_pipeline_metrics(const std::vector<std::shared_ptr<ServedPipeline>>& pipelines, MetricsText& text);
void append_model_metrics(const std::vector<llm::ModelUsage>& models, MetricsText& text);
void append_reload_metrics(const PipelineControl::ChangeCounts& counts, MetricsText& text);
void append_daemon_metrics(const std::vector<PipelineStatus>& pipelines, MetricsText& text);
void append_http_metrics(const std::vector<Route>& routes, const Api::RouteCount* counts,
                         const net::HttpServerStats& server, MetricsText& text);

}  // namespace thalweg::daemon
