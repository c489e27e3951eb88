#include "daemon/rest/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "connectors/net/origin.h"
#include "daemon/json_writer.h"
#include "daemon/log.h"

namespace thalweg::daemon {

// One request on its way through; shared by those that may answer it later.
struct Api::Request {
  Request(net::HttpRequest h, net::HttpReply r) : http(std::move(h)), reply(std::move(r)) {}
  net::HttpRequest http;
  net::HttpReply reply;
  Call call;
  const Route* route = nullptr;
  std::int64_t begun_ns = 0;
};

// A request that waits for a frontier: whoever comes first of the commit, the clock and the end takes it.
struct Api::Wait {
  Wait(std::shared_ptr<Request> q, std::shared_ptr<ExportReader> r, Frontier w)
      : request(std::move(q)), reader(std::move(r)), wanted(w) {}
  std::shared_ptr<Request> request;
  std::shared_ptr<ExportReader> reader;
  Frontier wanted;
  std::uint64_t subscription = 0;
  std::atomic<bool> over{false};
};

namespace {

// What changes something, or takes work, is not for pages of other sites: a browser says where a request comes from.
std::optional<Problem> check_origin(const net::HttpRequest& http) {
  if (!net::is_cross_origin(http)) return std::nullopt;
  return Problem{403, "cross_origin", "requests that pages of another site make are refused", "", 0, 0};
}

constexpr std::size_t kWaitsMax = 512;
constexpr std::uint64_t kListMax = 1000;

}  // namespace

std::string frontier_text(const Frontier& frontier) { return frontier.done ? "done" : std::to_string(frontier.at); }

bool frontier_less(const Frontier& a, const Frontier& b) {
  if (a.done || b.done) return !a.done && b.done;
  return a.at < b.at;
}

void append_frontier(const Frontier& frontier, JsonWriter& json) {
  json.begin_object();
  if (frontier.done)
    json.field("done", true);
  else
    json.field("at", frontier.at);
  json.end_object();
}

Checked<std::optional<Frontier>> frontier_parameter(const Call& call, std::string_view name) {
  const std::string* text = call.find(name);
  if (!text) return std::nullopt;
  Frontier out;
  if (*text == "done") {
    out.done = true;
    return out;
  }
  auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), out.at);
  if (error != std::errc() || end != text->data() + text->size() || text->empty())
    return refuse(400, "invalid_parameter",
                  "`" + std::string(name) + "` is a frontier (a whole number or `done`), not `" + *text + "`");
  return out;
}

Checked<ListPage> list_page(const Call& call, std::size_t size) {
  auto limit = call.number("limit", kListMax, kListMax);
  if (!limit) return std::unexpected(limit.error());
  if (*limit == 0) return refuse(400, "invalid_parameter", "`limit` is at least 1");
  const std::string* cursor = call.find("cursor");
  std::uint64_t first = 0;
  if (cursor) {
    auto [end, error] = std::from_chars(cursor->data(), cursor->data() + cursor->size(), first);
    if (error != std::errc() || end != cursor->data() + cursor->size() || cursor->empty())
      return refuse(400, "invalid_cursor", "`cursor` is the `next_cursor` of the page before");
  }
  ListPage out;
  out.first = std::min<std::uint64_t>(first, size);
  out.last = std::min<std::uint64_t>(out.first + *limit, size);
  out.more = out.last < size;
  return out;
}

void ListPage::append_cursor(JsonWriter& json) const {
  if (more) json.field("next_cursor", std::to_string(last));
}

net::HttpResponse json_response(std::string body, const Frontier& frontier) {
  net::HttpResponse response = json_response(std::move(body));
  response.headers.add("X-Thalweg-Frontier", frontier_text(frontier));
  return response;
}

net::HttpResponse json_response(std::string body) {
  net::HttpResponse response;
  response.headers.add("Content-Type", "application/json");
  response.headers.add("Cache-Control", "no-store");
  response.body = std::move(body);
  response.body += "\n";
  return response;
}

Api::Api(const PipelineSet& pipelines, net::EventLoop& loop, Env env, ApiOptions options)
    : pipelines_(pipelines),
      loop_(loop),
      env_(std::move(env)),
      options_(options),
      counts_(std::make_unique<RouteCount[]>(routes().size() + 1)) {}

Api::~Api() = default;

void Api::handle(net::HttpRequest http, net::HttpReply reply) {
  auto request = std::make_shared<Request>(std::move(http), std::move(reply));
  request->begun_ns = env_.clock->monotonic_ns();
  request->call.request = &request->http;
  const std::string* host = request->http.headers.find("Host");
  if (options_.check_host && host && !net::names_this_machine(*host))
    return finish(*request,
                  refuse(421, "unknown_host", "this listener answers for this machine only, not for `" + *host + "`"));
  auto target = net::parse_target(request->http.target);
  if (target && options_.web && target->segments.size() >= 2 && target->segments[0] == "p")
    return serve_pipeline_route(request, std::move(*target));  // its routes say what other sites may do
  if (auto problem = check_origin(request->http)) return finish(*request, std::unexpected(std::move(*problem)));
  if (!target) return finish(*request, refuse(400, "invalid_target", "the request target is malformed"));
  Match found = match(routes(), request->http.method, target->segments);
  if (!found.route && !found.allow.empty()) {
    net::HttpResponse response = to_response({405, "method_not_allowed", "allowed here: " + found.allow, "", 0, 0});
    response.headers.add("Allow", found.allow);
    return finish(*request, std::move(response));
  }
  if (!found.route && options_.auth.enabled() && !request->http.headers.find("Authorization"))
    return finish(*request, refuse(401, "unauthorized", "a token is asked for"));
  if (!found.route)
    return finish(*request, refuse(404, "no_such_path", "there is nothing at this path", "see /openapi.json"));
  request->route = found.route;
  request->call.path = std::move(found.path);
  request->call.query = std::move(target->query);
  if (auto problem = check_role(*request)) return finish(*request, std::unexpected(std::move(*problem)));
  if (auto problem = check_query(*request->route, request->call.query))
    return finish(*request, std::unexpected(std::move(*problem)));
  if (!request->call.find("min_frontier")) return serve(request);

  auto wanted = frontier_parameter(request->call, "min_frontier");
  if (!wanted) return finish(*request, std::unexpected(wanted.error()));
  auto table = table_of(request->call);
  if (!table) return finish(*request, std::unexpected(table.error()));
  wait_for_frontier(request, table->reader, **wanted);
}

// Below /p/{pipeline}/. Preflights of browsers come without credentials.
void Api::serve_pipeline_route(const std::shared_ptr<Request>& request, net::Target target) {
  auto caller = authenticate(options_.auth, request->http);
  if (!caller) return finish(*request, std::unexpected(caller.error()));
  if (caller->role == Role::kNone && request->http.method != "OPTIONS")
    return finish(*request, refuse(401, "unauthorized", "a token is asked for"));
  std::string pipeline = target.segments[1];
  target.segments.erase(target.segments.begin(), target.segments.begin() + 2);
  net::HttpReply reply([this, request](net::HttpResponse response) { finish(*request, std::move(response)); });
  options_.web->handle_shared(pipeline, std::move(target.segments), std::move(target.query), request->http,
                              std::move(reply), may_ingest(caller->role));
}

std::optional<Problem> Api::check_role(Request& request) const {
  auto caller = authenticate(options_.auth, request.http);
  if (!caller && request.route->role != Role::kNone) return caller.error();
  if (!caller) caller = Caller{};
  request.call.role = caller->role;
  request.call.caller = caller->name;
  if (caller->role >= request.route->role) return std::nullopt;
  if (caller->role == Role::kNone) return Problem{401, "unauthorized", "a token is asked for", "", 0, 0};
  return Problem{403,
                 "forbidden",
                 "the role `" + std::string(role_text(caller->role)) + "` may not do this; it takes `" +
                     std::string(role_text(request.route->role)) + "`",
                 "",
                 0,
                 0};
}

void Api::serve(const std::shared_ptr<Request>& request) {
  finish(*request, (this->*request->route->handler)(request->call));
}

void Api::finish(const Request& request, Answer answer) {
  net::HttpResponse response = answer ? std::move(*answer) : to_response(answer.error());
  std::size_t index = request.route ? static_cast<std::size_t>(request.route - routes().data()) : routes().size();
  ++counts_[index].by_class[std::min<std::size_t>(response.status / 100, 5)];
  const std::int64_t took_ns = env_.clock->monotonic_ns() - request.begun_ns;
  counts_[index].busy_ns += static_cast<std::uint64_t>(took_ns);
  if (options_.log_access) log_request(request, response.status, took_ns);
  response.headers.add("X-Content-Type-Options", "nosniff");
  if (response.status == 401) {
    bool basic = std::ranges::any_of(options_.auth.credentials, [](const Credential& c) { return c.basic; });
    response.headers.add("WWW-Authenticate",
                         basic ? "Basic realm=\"thalweg\", charset=\"UTF-8\"" : "Bearer realm=\"thalweg\"");
  }
  request.reply.send(std::move(response));
}

// Without the query: values of rows stand in it.
void Api::log_request(const Request& request, unsigned status, std::int64_t took_ns) const {
  std::string_view path = request.http.target;
  log(LogLevel::kInfo, "request",
      {{"method", request.http.method},
       {"path", std::string(path.substr(0, path.find('?')))},
       {"status", std::to_string(status)},
       {"seconds", fmt::format("{:.6f}", static_cast<double>(took_ns) / 1e9)},
       {"caller", request.call.caller.empty() ? "-" : request.call.caller}});
}

// ---------------------------------------------------------------- waiting for a frontier

void Api::wait_for_frontier(std::shared_ptr<Request> request, std::shared_ptr<ExportReader> reader, Frontier wanted) {
  if (!frontier_less(reader->frontier(), wanted)) return serve(request);
  auto wait = std::make_shared<Wait>(std::move(request), std::move(reader), wanted);
  {
    std::lock_guard lock(mutex_);
    if (waits_.size() >= kWaitsMax)
      return finish(*wait->request, refuse(503, "too_many_waits", "too many requests wait for a frontier"));
    waits_.insert(wait);
    // The callback must not touch what it may outlive: it holds the wait weakly, and the loop is there as long as the
    // wait is in the set.
    wait->subscription = wait->reader->subscribe([this, weak = std::weak_ptr(wait)](Frontier now) {
      auto alive = weak.lock();
      if (!alive || frontier_less(now, alive->wanted) || alive->over.exchange(true)) return;
      loop_.handle([this, alive] { end_wait(alive, true); });
    });
  }
  loop_.after(options_.min_frontier_ns_max, [this, weak = std::weak_ptr(wait)] {
    auto alive = weak.lock();
    if (alive && !alive->over.exchange(true)) end_wait(alive, false);
  });
  // A commit may have come between the first look and the subscription.
  if (!frontier_less(wait->reader->frontier(), wanted) && !wait->over.exchange(true)) end_wait(wait, true);
}

void Api::end_wait(const std::shared_ptr<Wait>& wait, bool reached) {
  {
    std::lock_guard lock(mutex_);
    waits_.erase(wait);
  }
  wait->reader->unsubscribe(wait->subscription);
  // A reload may have put another table in the place of the one that was waited for.
  if (!reached)
    if (auto now = table_of(wait->request->call); now && !frontier_less(now->reader->frontier(), wait->wanted))
      reached = true;
  if (reached) return serve(wait->request);
  finish(*wait->request, refuse(504, "frontier_not_reached",
                                "the table did not reach frontier " + frontier_text(wait->wanted) +
                                    " in time; it is at " + frontier_text(wait->reader->frontier())));
}

void Api::cancel_waits() {
  std::unordered_set<std::shared_ptr<Wait>> waits;
  {
    std::lock_guard lock(mutex_);
    waits.swap(waits_);
  }
  for (const auto& wait : waits)
    if (!wait->over.exchange(true)) wait->reader->unsubscribe(wait->subscription);
}

// ---------------------------------------------------------------- names in paths

Checked<PipelineStatus> Api::named_pipeline(const std::string& name) const {
  if (auto found = name.empty() ? std::nullopt : pipelines_.status(name)) return std::move(*found);
  std::vector<PipelineStatus> all = pipelines_.statuses();
  if (name.empty() && all.size() == 1) return all.front();
  std::vector<std::string> known;
  for (const PipelineStatus& status : all) known.push_back(status.name);
  if (name.empty()) return refuse(400, "missing_parameter", "`pipeline` is missing, and there is not just one");
  return refuse(404, "no_such_pipeline", "there is no pipeline `" + name + "`", suggestion(name, known));
}

Checked<std::shared_ptr<ServedPipeline>> Api::running_pipeline(const std::string& name) const {
  if (!name.empty())
    if (auto found = pipelines_.find(name)) return found;
  auto status = named_pipeline(name);
  if (!status) return std::unexpected(status.error());
  if (status->served) return status->served;
  return refuse(409, "not_running", "pipeline `" + status->name + "` is " + status->state, status->failure);
}

Checked<std::shared_ptr<ServedPipeline>> Api::pipeline_of(const Call& call) const {
  return running_pipeline(call.in_path("p"));
}

Checked<PipelineStatus> Api::status_of_call(const Call& call) const { return named_pipeline(call.in_path("p")); }

Checked<TableAt> Api::table_of(const Call& call) const {
  auto pipeline = pipeline_of(call);
  if (!pipeline) return std::unexpected(pipeline.error());
  const std::string& name = call.in_path("t");
  if (auto reader = (*pipeline)->run->find_export(name)) return TableAt{*pipeline, std::move(reader)};
  std::vector<std::string> known;
  for (const auto& reader : (*pipeline)->run->exports()) known.push_back(reader->name());
  return refuse(404, "no_such_table", "pipeline `" + (*pipeline)->name + "` exports no table `" + name + "`",
                suggestion(name, known));
}

}  // namespace thalweg::daemon
