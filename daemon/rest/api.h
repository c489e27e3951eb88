// daemon/rest/api.h
//
// The REST surface (daemon.md 3): finds the route, checks the query, calls the handler, writes the answer or problem.
//
// A1  Any read answers from one frontier and says which in X-Thalweg-Frontier.
// A2  Nothing polls: who waits for a frontier or for changes is woken by the engine's callback after a commit.
// A3  Unknown paths, methods and parameters are problems, never ignored.
// Threads  any number of handler threads.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "connectors/http/web_host.h"
#include "connectors/net/event_loop.h"
#include "connectors/net/http_server.h"
#include "daemon/query/limits.h"
#include "daemon/rest/auth.h"
#include "daemon/rest/control.h"
#include "daemon/rest/pipelines.h"
#include "daemon/rest/route.h"
#include "engine/base/env.h"

namespace thalweg::daemon {

struct ApiOptions {
  bool check_host = true;  // without auth: only requests for this machine by name or address (DNS rebinding)
  std::int64_t min_frontier_ns_max = 30'000'000'000;  // how long `min_frontier=` waits
  AuthConfig auth;
  std::shared_ptr<web::WebHost> web;  // routes of pipelines, below /p/; may be null
  QueryLimits query;
  bool log_access = false;        // a line per request
  std::uint32_t queries_max = 2;  // ad-hoc queries at a time; more are told to come again
};

struct TableAt {
  std::shared_ptr<ServedPipeline> pipeline;
  std::shared_ptr<ExportReader> reader;
};

class Api {
 public:
  Api(const PipelineSet& pipelines, net::EventLoop& loop, Env env, ApiOptions options);
  ~Api();
  void handle(net::HttpRequest request, net::HttpReply reply);
  // Answers whoever still waits. Call when the server is closed and the loop still runs.
  void cancel_waits();
  void set_control(PipelineControl* control) { control_ = control; }  // must outlive the Api
  void set_server_stats(std::function<net::HttpServerStats()> stats) { server_stats_ = std::move(stats); }

  [[nodiscard]] static const std::vector<Route>& routes();
  struct RouteCount {
    std::array<std::atomic<std::uint64_t>, 6> by_class{};  // 2: answers 2xx
    std::atomic<std::uint64_t> busy_ns{0};
  };

 private:
  struct Wait;
  struct Request;
  [[nodiscard]] std::optional<Problem> check_role(Request& request) const;
  void serve_pipeline_route(const std::shared_ptr<Request>& request, net::Target target);
  void serve(const std::shared_ptr<Request>& request);
  void finish(const Request& request, Answer answer);
  void log_request(const Request& request, unsigned status, std::int64_t took_ns) const;
  void wait_for_frontier(std::shared_ptr<Request> request, std::shared_ptr<ExportReader> reader, Frontier wanted);
  void end_wait(const std::shared_ptr<Wait>& wait, bool reached);
  Checked<std::shared_ptr<ServedPipeline>> pipeline_of(const Call& call) const;
  Checked<PipelineStatus> status_of_call(const Call& call) const;
  // By name; an empty one means the only pipeline there is. It may not run.
  Checked<PipelineStatus> named_pipeline(const std::string& name) const;
  Checked<std::shared_ptr<ServedPipeline>> running_pipeline(const std::string& name) const;
  Checked<TableAt> table_of(const Call& call) const;

  Answer index(const Call& call);
  Answer ui_file(const Call& call);
  Answer health(const Call& call);
  Answer ready(const Call& call);
  Answer metrics(const Call& call);
  Answer version(const Call& call);
  Answer openapi(const Call& call);
  Answer docs(const Call& call);
  Answer list_pipelines(const Call& call);
  Answer pipeline(const Call& call);
  Answer graph(const Call& call);
  Answer frontier(const Call& call);
  Answer errors(const Call& call);
  Answer connectors(const Call& call);
  Answer guarantees(const Call& call);
  Answer dead_letters(const Call& call);
  Answer dead_letter(const Call& call);
  Answer replay_dead_letters(const Call& call);
  Answer drop_dead_letters(const Call& call);
  Answer checkpoints(const Call& call);
  Answer checkpoint(const Call& call);
  Answer tables(const Call& call);
  Answer table(const Call& call);
  Answer rows(const Call& call);
  Answer snapshot(const Call& call);
  Answer diff(const Call& call);
  Answer changes(const Call& call);
  Answer query(const Call& call);
  Answer put_pipeline(const Call& call);
  Answer delete_pipeline(const Call& call);
  Answer reload(const Call& call);
  Answer reload_all(const Call& call);
  Answer rollback(const Call& call);
  Answer pause(const Call& call);
  Answer resume(const Call& call);
  Answer start(const Call& call);
  Answer stop(const Call& call);
  Answer reloads(const Call& call);
  Answer definition(const Call& call);
  Checked<ChangeOptions> change_options(const Call& call) const;
  Answer act(const Call& call, PipelineControl::Verb verb);

  const PipelineSet& pipelines_;
  net::EventLoop& loop_;
  Env env_;
  const ApiOptions options_;
  PipelineControl* control_ = nullptr;  // null: `thalweg run`
  std::function<net::HttpServerStats()> server_stats_;
  std::atomic<std::uint32_t> queries_{0};  // running now
  std::unique_ptr<RouteCount[]> counts_;   // one per route, and one for requests that fit none

  std::mutex mutex_;
  std::unordered_set<std::shared_ptr<Wait>> waits_;  // guarded by mutex_
};

[[nodiscard]] std::string frontier_text(const Frontier& frontier);  // `12`, `done`
[[nodiscard]] bool frontier_less(const Frontier& a, const Frontier& b);
[[nodiscard]] Checked<std::optional<Frontier>> frontier_parameter(const Call& call, std::string_view name);
class JsonWriter;
void append_frontier(const Frontier& frontier, JsonWriter& json);  // {"at": 12} or {"done": true}

[[nodiscard]] net::HttpResponse json_response(std::string body);
[[nodiscard]] net::HttpResponse json_response(std::string body, const Frontier& frontier);  // says which it shows

// The part of a list that a request asks for by `limit` and `cursor`.
struct ListPage {
  std::size_t first = 0;
  std::size_t last = 0;  // exclusive
  bool more = false;
  void append_cursor(JsonWriter& json) const;  // `next_cursor`, if there is more
};
[[nodiscard]] Checked<ListPage> list_page(const Call& call, std::size_t size);

}  // namespace thalweg::daemon
