#include "daemon/progress.h"

#include <fmt/format.h>

#include <cstdio>

#include "daemon/console.h"
#include "daemon/json_writer.h"
#include "daemon/log.h"

namespace thalweg::daemon {
namespace {

constexpr std::int64_t kDrawEveryNs = 200'000'000;
constexpr std::int64_t kLogEveryNs = 10'000'000'000;
constexpr std::size_t kErrorsShown = 10;

struct Totals {
  std::uint64_t in = 0;
  std::uint64_t out = 0;
  std::uint64_t errors = 0;
};

Totals totals_of(const PipelineSet& pipelines) {
  Totals out;
  for (const auto& pipeline : pipelines.all()) {
    for (const ConnectorStatus& c : pipeline->run->connectors()) (c.is_source ? out.in : out.out) += c.rows;
    out.errors += pipeline->run->num_errors();
  }
  return out;
}

std::string_view kind_text(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kValue: return "value";
    case ErrorKind::kSkipped: return "skipped";
    case ErrorKind::kRecord: return "record";
  }
  return "value";
}

void print_errors(const ServedPipeline& pipeline) {
  std::vector<DataError> errors = pipeline.run->errors();
  std::size_t first = errors.size() > kErrorsShown ? errors.size() - kErrorsShown : 0;
  for (std::size_t i = first; i < errors.size(); ++i) {
    const DataError& error = errors[i];
    std::string place;
    if (pipeline.files && error.span.known()) {
      LineColumn at = pipeline.files->locate(error.span);
      place = fmt::format("{}:{}:{}: ", pipeline.files->name(error.span.file), at.line, at.column);
    }
    std::fprintf(stderr, "    %s%s (%s)\n", place.c_str(), error.message.c_str(),
                 std::string(kind_text(error.kind)).c_str());
  }
}

}  // namespace

Progress::Progress(const PipelineSet& pipelines, std::shared_ptr<Clock> clock, bool terminal)
    : pipelines_(pipelines),
      clock_(std::move(clock)),
      terminal_(terminal),
      begun_ns_(clock_->monotonic_ns()),
      last_ns_(begun_ns_) {}

std::uint64_t Progress::rows_in() const { return totals_of(pipelines_).in; }

void Progress::tick() {
  std::int64_t now_ns = clock_->monotonic_ns();
  if (now_ns - last_ns_ < (terminal_ ? kDrawEveryNs : kLogEveryNs)) return;
  double seconds = static_cast<double>(now_ns - last_ns_) / 1e9;
  last_ns_ = now_ns;
  if (terminal_)
    draw(seconds);
  else
    log_line();
}

void Progress::draw(double seconds) {
  Totals totals = totals_of(pipelines_);
  double rate = static_cast<double>(totals.in - last_rows_) / seconds;
  last_rows_ = totals.in;
  std::string line = fmt::format(
      "{}  in {} ({}/s)  out {}", short_seconds(static_cast<double>(last_ns_ - begun_ns_) / 1e9),
      short_count(static_cast<double>(totals.in)), short_count(rate), short_count(static_cast<double>(totals.out)));
  if (totals.errors > 0) line += fmt::format("  errors {}", short_count(static_cast<double>(totals.errors)));
  for (const auto& pipeline : pipelines_.all()) {
    if (!pipeline->run->caught_up()) line += "  catching up";
    if (durable::DiskWait wait = pipeline->run->disk_wait(); wait.waiting) line += "  waiting: " + wait.reason;
  }
  std::fprintf(stderr, "\r\x1b[K%.120s", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::log_line() {
  for (const auto& pipeline : pipelines_.all()) {
    Totals totals;
    for (const ConnectorStatus& c : pipeline->run->connectors()) (c.is_source ? totals.in : totals.out) += c.rows;
    log(LogLevel::kInfo, "progress",
        {{"pipeline", pipeline->name},
         {"state", std::string(state_text(pipeline->run->state()))},
         {"rows_in", std::to_string(totals.in)},
         {"rows_out", std::to_string(totals.out)},
         {"errors", std::to_string(pipeline->run->num_errors())},
         {"commits", std::to_string(pipeline->run->num_commits())}});
    if (durable::DiskWait wait = pipeline->run->disk_wait(); wait.waiting)
      log(LogLevel::kWarning, "waiting for room on a disk", {{"pipeline", pipeline->name}, {"reason", wait.reason}});
  }
}

void Progress::clear_line() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
  drawn_ = false;
}

void Progress::summary() {
  clear_line();
  double seconds = static_cast<double>(clock_->monotonic_ns() - begun_ns_) / 1e9;
  for (const auto& pipeline : pipelines_.all()) {
    Totals totals;
    const auto connectors = pipeline->run->connectors();
    for (const ConnectorStatus& c : connectors) (c.is_source ? totals.in : totals.out) += c.rows;
    std::fprintf(stderr, "%s: %s in %s, %llu rows in, %llu rows out, %llu errors\n", pipeline->name.c_str(),
                 std::string(state_text(pipeline->run->state())).c_str(), short_seconds(seconds).c_str(),
                 static_cast<unsigned long long>(totals.in), static_cast<unsigned long long>(totals.out),
                 static_cast<unsigned long long>(pipeline->run->num_errors()));
    for (const ConnectorStatus& c : connectors) {
      std::string line = fmt::format("  {} {:<28} {:>12} rows", c.is_source ? "in " : "out", c.name, c.rows);
      if (c.bytes > 0) line += fmt::format("  {:>9}", short_bytes(static_cast<double>(c.bytes)));
      if (seconds > 0) line += fmt::format("  {:>7}/s", short_count(static_cast<double>(c.rows) / seconds));
      if (c.errors > 0) line += fmt::format("  {} errors", c.errors);
      if (!c.last_error.empty()) line += "  " + c.last_error;
      std::fprintf(stderr, "%s\n", line.c_str());
    }
    print_errors(*pipeline);
  }
}

std::string Progress::summary_json() const {
  std::string out;
  JsonWriter json(out);
  json.begin_object().field("seconds", static_cast<double>(clock_->monotonic_ns() - begun_ns_) / 1e9);
  json.key("pipelines").begin_array();
  for (const auto& pipeline : pipelines_.all()) {
    Totals totals;
    const auto connectors = pipeline->run->connectors();
    for (const ConnectorStatus& c : connectors) (c.is_source ? totals.in : totals.out) += c.rows;
    json.begin_object().field("name", pipeline->name).field("state", state_text(pipeline->run->state()));
    json.field("rows_in", totals.in).field("rows_out", totals.out).field("errors", pipeline->run->num_errors());
    if (auto failure = pipeline->run->failure()) json.field("failure", failure->message);
    json.key("connectors").begin_array();
    for (const ConnectorStatus& c : connectors) {
      json.begin_object().field("name", c.name).field("connector", c.connector);
      json.field("direction", c.is_source ? "source" : "sink");
      json.field("rows", c.rows).field("bytes", c.bytes).field("errors", c.errors);
      if (!c.last_error.empty()) json.field("last_error", c.last_error);
      json.end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
  return out;
}

}  // namespace thalweg::daemon
