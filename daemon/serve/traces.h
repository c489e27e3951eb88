// daemon/serve/traces.h
//
// Traces of commits as OTLP (HTTP, JSON): a span per commit, from its opening until it is visible.
//
// T1  Commits never wait: what a collector does not take is dropped, and counted.
// Threads  any.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "connectors/net/http_pool.h"
#include "engine/base/env.h"

namespace thalweg::daemon {

struct CommitSpan {
  std::string pipeline;
  std::uint64_t commit = 0;
  std::int64_t begun_ns = 0;  // wall
  std::int64_t ended_ns = 0;
};

class TraceExporter {
 public:
  // `endpoint`: of the collector; `/v1/traces` is added where it names no path.
  TraceExporter(const std::string& endpoint, Env env);
  ~TraceExporter();  // sends what is left, for a moment
  void add(CommitSpan span);
  [[nodiscard]] std::uint64_t dropped() const;

 private:
  void loop();
  void send(const std::vector<CommitSpan>& spans);
  void count_dropped(std::size_t spans, const std::string& why);

  static constexpr std::size_t kWaitingMax = 8192;

  Env env_;
  net::Url url_;
  net::HttpPool pool_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<CommitSpan> waiting_;  // guarded by mutex_
  std::uint64_t dropped_ = 0;        // guarded by mutex_
  bool stopping_ = false;            // guarded by mutex_
  bool complained_ = false;          // of the thread: one line per outage
  std::thread thread_;
};

// The body of a request.
[[nodiscard]] std::string otlp_json(const std::vector<CommitSpan>& spans, Rng& rng);

}  // namespace thalweg::daemon
