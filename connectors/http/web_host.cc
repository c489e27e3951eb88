#include "connectors/http/web_host.h"

#include <algorithm>
#include <atomic>

#include "connectors/http/openapi.h"
#include "connectors/http/problem.h"
#include "connectors/net/origin.h"

namespace thalweg::web {
namespace {

std::vector<std::string> segments_of(const std::string& path) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin < path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    if (end > begin) out.push_back(path.substr(begin, end - begin));
    begin = end + 1;
  }
  return out;
}

bool contains(const std::vector<std::string>& all, const std::string& one) {
  return std::ranges::find(all, one) != all.end();
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

// An answer on its way out of a route that pages of other sites may use.
net::HttpReply with_cors(net::HttpReply reply) {
  return net::HttpReply([reply = std::move(reply)](net::HttpResponse response) {
    response.headers.set("Access-Control-Allow-Origin", "*");
    response.headers.set("Access-Control-Expose-Headers", "*");
    reply.send(std::move(response));
  });
}

net::HttpResponse preflight(const std::vector<std::string>& methods, const net::HttpRequest& http) {
  net::HttpResponse out;
  out.status = 204;
  out.headers.add("Access-Control-Allow-Origin", "*");
  out.headers.add("Access-Control-Allow-Methods", joined(methods));
  const std::string* wanted = http.headers.find("Access-Control-Request-Headers");
  out.headers.add("Access-Control-Allow-Headers", wanted != nullptr ? *wanted : "*");
  out.headers.add("Access-Control-Max-Age", "600");
  return out;
}

}  // namespace

struct WebHost::Entry {
  RouteSpec spec;
  std::vector<std::string> segments;
  std::atomic<bool> closed{false};

  [[nodiscard]] bool is_at(const std::vector<std::string>& path) const {
    if (spec.prefix ? path.size() < segments.size() : path.size() != segments.size()) return false;
    return std::equal(segments.begin(), segments.end(), path.begin());
  }
  [[nodiscard]] bool takes(const std::string& method) const { return contains(spec.methods, method); }
};

struct WebHost::Listener {
  std::string key;
  Place place;
  std::mutex mutex;
  Entries entries;  // guarded by mutex
  std::unique_ptr<net::HttpServer> server;

  [[nodiscard]] Entries now() {
    const std::lock_guard lock(mutex);
    return entries;
  }
};

std::string Place::to_text() const { return net::Address{host, port, {}}.to_text(); }

WebHost::WebHost(Options options)
    : options_(std::move(options)), loop_(std::make_unique<net::EventLoop>(options_.handler_threads)) {}

WebHost::~WebHost() {
  std::map<std::string, std::shared_ptr<Listener>> all;
  {
    const std::lock_guard lock(mutex_);
    all.swap(listeners_);
  }
  for (const auto& [key, listener] : all) listener->server.reset();
  loop_->stop();
}

// ---------------------------------------------------------------- places

Result<void> WebHost::check_free(const Entries& entries, const Entry& wanted) {
  for (const auto& other : entries) {
    const bool overlap =
        std::ranges::any_of(wanted.spec.methods, [&](const std::string& method) { return other->takes(method); });
    if (other->segments != wanted.segments || !overlap) continue;
    const std::string what = "the route " + wanted.spec.path + " of " + wanted.spec.place.to_text() + " is ";
    if (other->spec.pipeline != wanted.spec.pipeline)
      return fail(Code::kInvalidPipeline, what + "taken by pipeline `" + other->spec.pipeline + "`");
    if (other->spec.run == wanted.spec.run) return fail(Code::kInvalidPipeline, what + "served twice");
  }
  return {};
}

Result<std::shared_ptr<WebHost::Listener>> WebHost::listener_at(const Place& place) {
  const net::Address address{place.host == "localhost" ? "127.0.0.1" : place.host, place.port, {}};
  const std::string key = address.to_text();
  if (const auto found = listeners_.find(key); found != listeners_.end()) {
    const Place& other = found->second->place;
    if (other.tls_cert != place.tls_cert || other.tls_key != place.tls_key || other.client_ca != place.client_ca)
      return fail(Code::kInvalidPipeline, "routes on " + key + " differ in their `tls`");
    return found->second;
  }
  auto made = std::make_shared<Listener>();
  made->key = key;
  made->place = place;
  net::HttpServerOptions http = options_.http;
  http.tls = {place.tls_cert, place.tls_key, place.client_ca};
  made->server = TRY(net::HttpServer::listen(
      *loop_, address, http,
      [weak = std::weak_ptr(made), local = address.is_loopback()](net::HttpRequest request, net::HttpReply reply) {
        const auto listener = weak.lock();
        if (!listener) return;
        const std::string* host = request.headers.find("Host");
        const Entries entries = listener->now();
        const bool guarded = std::ranges::all_of(entries, [](const auto& e) { return !e->spec.access.open(); });
        if (local && !guarded && host != nullptr && !net::names_this_machine(*host))
          return reply.send(
              problem(421, "unknown_host", "this listener answers for this machine only, not for `" + *host + "`"));
        auto target = net::parse_target(request.target);
        if (!target) return reply.send(problem(400, "invalid_target", "the request target is malformed"));
        serve(entries, std::move(target->segments), std::move(target->query), std::move(request), std::move(reply),
              true);
      }));
  listeners_.emplace(key, made);
  return made;
}

Result<std::unique_ptr<WebHost::Route>> WebHost::add(RouteSpec spec) {
  auto entry = std::make_shared<Entry>();
  entry->segments = segments_of(spec.path);
  entry->spec = std::move(spec);
  const RouteSpec& wanted = entry->spec;
  const std::lock_guard lock(mutex_);
  if (wanted.place.on_daemon()) {
    Entries& entries = shared_[wanted.pipeline];
    TRY(check_free(entries, *entry));
    entries.push_back(entry);
  } else {
    const auto listener = TRY(listener_at(wanted.place));
    const std::lock_guard inner(listener->mutex);
    TRY(check_free(listener->entries, *entry));
    listener->entries.push_back(entry);
  }
  return std::make_unique<Route>(shared_from_this(), std::move(entry));
}

void WebHost::remove(const std::shared_ptr<Entry>& entry) {
  std::shared_ptr<Listener> unused;  // ended outside of the lock: its handlers may be under way
  const std::lock_guard lock(mutex_);
  if (entry->spec.place.on_daemon()) {
    Entries& entries = shared_[entry->spec.pipeline];
    std::erase(entries, entry);
    if (entries.empty()) shared_.erase(entry->spec.pipeline);
    return;
  }
  for (auto it = listeners_.begin(); it != listeners_.end(); ++it) {
    const std::lock_guard inner(it->second->mutex);
    if (std::erase(it->second->entries, entry) == 0) continue;
    if (!it->second->entries.empty()) return;
    unused = it->second;
    break;
  }
  if (unused) listeners_.erase(unused->key);
}

std::vector<std::string> WebHost::reload_certificates() {
  std::vector<std::string> wrong;
  const std::lock_guard lock(mutex_);
  for (const auto& [key, listener] : listeners_)
    if (auto done = listener->server->reload_certificates(); !done) wrong.push_back(key + ": " + done.error().message);
  return wrong;
}

WebHost::Route::~Route() {
  close();
  host_->remove(entry_);
}
void WebHost::Route::close() { entry_->closed = true; }
const std::string& WebHost::Route::path() const { return entry_->spec.path; }

// ---------------------------------------------------------------- requests

void WebHost::handle_shared(const std::string& pipeline, std::vector<std::string> path,
                            std::vector<std::pair<std::string, std::string>> query, net::HttpRequest http,
                            net::HttpReply reply, bool may_write) {
  Entries entries;
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = shared_.find(pipeline); found != shared_.end()) entries = found->second;
  }
  serve(entries, std::move(path), std::move(query), std::move(http), std::move(reply), may_write);
}

void WebHost::serve(const Entries& entries, std::vector<std::string> path,
                    std::vector<std::pair<std::string, std::string>> query, net::HttpRequest http, net::HttpReply reply,
                    bool may_write) {
  std::vector<std::string> allowed;
  std::shared_ptr<Entry> found;
  bool cors = false;
  for (const auto& entry : entries) {
    if (!entry->is_at(path)) continue;
    cors = cors || entry->spec.with_cors;
    for (const std::string& method : entry->spec.methods)
      if (!contains(allowed, method)) allowed.push_back(method);
    const bool here = entry->takes(http.method) || (http.method == "HEAD" && entry->takes("GET"));
    if (here && (!found || (found->closed && !entry->closed))) found = entry;
  }
  if (cors && http.method == "OPTIONS") return reply.send(preflight(allowed, http));
  if (cors) reply = with_cors(std::move(reply));
  if (!found && path == std::vector<std::string>{"_schema"}) {
    std::vector<const RouteSpec*> specs;
    for (const auto& entry : entries)
      if (entry->spec.with_schema && !entry->closed) specs.push_back(&entry->spec);
    if (!specs.empty()) return reply.send(describe_routes(specs, http, query));
  }
  if (!found && !allowed.empty()) {
    net::HttpResponse refused = problem(405, "method_not_allowed", "allowed here: " + joined(allowed));
    refused.headers.add("Allow", joined(allowed));
    return reply.send(std::move(refused));
  }
  if (!found) return reply.send(problem(404, "no_such_path", "there is nothing at this path"));
  if (!found->spec.access.admits(http)) {
    net::HttpResponse refused = problem(401, "unauthorized", "an API key or a password is asked for");
    refused.headers.add("WWW-Authenticate", std::string(found->spec.access.challenge()));
    return reply.send(std::move(refused));
  }
  if (!may_write && !found->spec.reads_only)
    return reply.send(problem(403, "forbidden", "this takes the role `ingest`, `operate` or `admin`"));
  if (!cors && net::is_cross_origin(http))
    return reply.send(problem(403, "cross_origin", "requests that pages of another site make take `with_cors: true`"));
  if (found->closed) return reply.send(problem(503, "not_running", "the pipeline does not run"));
  Exchange exchange{std::move(http), std::move(query), {}, std::move(reply)};
  exchange.below.assign(path.begin() + static_cast<std::ptrdiff_t>(found->segments.size()), path.end());
  found->spec.handle(std::move(exchange));
}

}  // namespace thalweg::web
