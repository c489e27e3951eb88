#include "daemon/serve/traces.h"

#include <fmt/format.h>

#include <chrono>

#include "daemon/json_writer.h"
#include "daemon/log.h"
#include "daemon/version.h"

namespace thalweg::daemon {
namespace {

constexpr auto kSendEvery = std::chrono::seconds(1);
constexpr std::size_t kSpansPerRequest = 512;
constexpr std::int64_t kTimeoutMs = 5'000;

void append_attribute(std::string_view name, std::string_view kind, std::string_view value, JsonWriter& json) {
  json.begin_object().field("key", name).key("value").begin_object().field(kind, value).end_object().end_object();
}

// Never zero: an id of zeros is no id.
std::string hex_id(Rng& rng) { return fmt::format("{:016x}", rng.next() | 1); }

void append_span(const CommitSpan& span, Rng& rng, JsonWriter& json) {
  json.begin_object().field("traceId", hex_id(rng) + hex_id(rng)).field("spanId", hex_id(rng));
  json.field("name", "commit").field("kind", std::int64_t{1});  // internal
  json.field("startTimeUnixNano", std::to_string(span.begun_ns));
  json.field("endTimeUnixNano", std::to_string(span.ended_ns));
  json.key("attributes").begin_array();
  append_attribute("thalweg.pipeline", "stringValue", span.pipeline, json);
  append_attribute("thalweg.commit", "intValue", std::to_string(span.commit), json);
  json.end_array().end_object();
}

net::Url traces_url(const std::string& endpoint) {
  net::Url url = net::parse_url(endpoint).value_or(net::Url{});  // the configuration has checked it
  if (url.target.empty() || url.target == "/") url.target = "/v1/traces";
  return url;
}

}  // namespace

std::string otlp_json(const std::vector<CommitSpan>& spans, Rng& rng) {
  std::string out;
  JsonWriter json(out);
  json.begin_object().key("resourceSpans").begin_array().begin_object();
  json.key("resource").begin_object().key("attributes").begin_array();
  append_attribute("service.name", "stringValue", "thalweg", json);
  append_attribute("service.version", "stringValue", version_text(), json);
  json.end_array().end_object();
  json.key("scopeSpans").begin_array().begin_object();
  json.key("scope").begin_object().field("name", "thalweg").end_object();
  json.key("spans").begin_array();
  for (const CommitSpan& span : spans) append_span(span, rng, json);
  json.end_array().end_object().end_array().end_object().end_array().end_object();
  return out;
}

TraceExporter::TraceExporter(const std::string& endpoint, Env env)
    : env_(std::move(env)), url_(traces_url(endpoint)), thread_([this] { loop(); }) {}

TraceExporter::~TraceExporter() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void TraceExporter::add(CommitSpan span) {
  std::lock_guard lock(mutex_);
  if (waiting_.size() >= kWaitingMax)
    ++dropped_;
  else
    waiting_.push_back(std::move(span));
}

std::uint64_t TraceExporter::dropped() const {
  std::lock_guard lock(mutex_);
  return dropped_;
}

void TraceExporter::loop() {
  for (bool last = false; !last;) {
    std::vector<CommitSpan> spans;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kSendEvery, [this] { return stopping_; });
      last = stopping_;
      spans.swap(waiting_);
    }
    for (std::size_t begin = 0; begin < spans.size(); begin += kSpansPerRequest) {
      const std::size_t end = std::min(spans.size(), begin + kSpansPerRequest);
      const auto at = [&](std::size_t i) { return spans.begin() + static_cast<std::ptrdiff_t>(i); };
      send({at(begin), at(end)});
    }
  }
}

void TraceExporter::send(const std::vector<CommitSpan>& spans) {
  net::HttpRequest request;
  request.method = "POST";
  request.headers.add("Content-Type", "application/json");
  request.body = otlp_json(spans, *env_.rng);
  auto answer = pool_.request(url_, std::move(request), kTimeoutMs);
  if (answer && answer->status / 100 == 2) {
    complained_ = false;
    return;
  }
  count_dropped(spans.size(),
                answer ? fmt::format("the collector answered {}", answer->status) : answer.error().message);
}

void TraceExporter::count_dropped(std::size_t spans, const std::string& why) {
  {
    std::lock_guard lock(mutex_);
    dropped_ += spans;
  }
  if (!complained_) log(LogLevel::kWarning, "traces are dropped", {{"endpoint", url_.host}, {"reason", why}});
  complained_ = true;
}

}  // namespace thalweg::daemon
