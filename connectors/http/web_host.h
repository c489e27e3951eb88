// connectors/http/web_host.h
//
// The listeners that pipelines bring along, and the routes on them: one per process. Routes of several connectors share
// a listener by naming the same address.
//
//   request ─► listener ─► route (path, method) ─► access ─► handler ─► answer, with CORS headers where asked for
//
// W1  A route that is added again by the next run of its pipeline waits behind the first, and serves when that closes:
//     a reload loses no request. Two routes of one run, or of two pipelines, are never at the same place.
// W2  A closed route answers 503 until it is removed.
// Threads  any; handlers run on the host's own threads (those below /p/ on the daemon's) and must not wait for long.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "connectors/http/access.h"
#include "connectors/net/event_loop.h"
#include "connectors/net/http_server.h"
#include "engine/plan/node.h"

namespace thalweg::web {

// Where a route is served. Without a port: below /p/{pipeline}/ of the daemon's own listener.
struct Place {
  std::string host;
  std::uint16_t port = 0;
  std::string tls_cert, tls_key, client_ca;  // files; with a certificate the listener speaks TLS only
  [[nodiscard]] bool on_daemon() const { return port == 0; }
  [[nodiscard]] std::string to_text() const;
};

struct Example {
  std::string id, summary, values;  // values: a JSON object
};

// What /_schema says of a route.
struct Documentation {
  std::string summary, description;
  std::vector<std::string> tags;
  std::vector<std::string> methods;  // only these are shown; empty: all
  std::vector<Example> examples;
  std::vector<plan::SourceField> fields;
  bool raw_body = false;  // any text is a body
};

struct Exchange {
  net::HttpRequest http;
  std::vector<std::pair<std::string, std::string>> query;
  std::vector<std::string> below;  // segments of the path below the route
  net::HttpReply reply;
};

struct RouteSpec {
  std::string pipeline;
  const void* run = nullptr;  // of which run of the pipeline; two routes of one run may not collide
  Place place;
  std::string path = "/";            // a slash at its end does not count
  std::vector<std::string> methods;  // upper case
  bool prefix = false;               // and everything below it
  bool with_cors = false;
  bool with_schema = true;
  bool reads_only = false;  // below /p/: a caller with the role `read` may use it
  Access access;
  Documentation documentation;
  std::function<void(Exchange)> handle;
};

class WebHost : public std::enable_shared_from_this<WebHost> {
 public:
  struct Options {
    net::HttpServerOptions http;
    unsigned handler_threads = 4;
  };
  explicit WebHost(Options options);
  WebHost() : WebHost(Options()) {}
  ~WebHost();

  class Route;
  // Listens at once. kInvalidPipeline: the place is taken by another route; kUnavailable: the address is.
  [[nodiscard]] Result<std::unique_ptr<Route>> add(RouteSpec spec);

  // Of the daemon's listener, below /p/{pipeline}/; access by role was checked but for `reads_only`.
  void handle_shared(const std::string& pipeline, std::vector<std::string> path,
                     std::vector<std::pair<std::string, std::string>> query, net::HttpRequest http,
                     net::HttpReply reply, bool may_write);
  // What could not be read; the old ones stay in use there.
  [[nodiscard]] std::vector<std::string> reload_certificates();
  [[nodiscard]] net::EventLoop& loop() { return *loop_; }

 private:
  struct Entry;
  struct Listener;
  using Entries = std::vector<std::shared_ptr<Entry>>;
  [[nodiscard]] Result<std::shared_ptr<Listener>> listener_at(const Place& place);
  static void serve(const Entries& entries, std::vector<std::string> path,
                    std::vector<std::pair<std::string, std::string>> query, net::HttpRequest http, net::HttpReply reply,
                    bool may_write);
  [[nodiscard]] static Result<void> check_free(const Entries& entries, const Entry& wanted);
  void remove(const std::shared_ptr<Entry>& entry);

  const Options options_;
  std::unique_ptr<net::EventLoop> loop_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Listener>> listeners_;  // guarded by mutex_, by address
  std::map<std::string, Entries> shared_;                       // guarded by mutex_, by pipeline
};

// A place that is held. Going away removes the route.
class WebHost::Route {
 public:
  Route(std::shared_ptr<WebHost> host, std::shared_ptr<Entry> entry)
      : host_(std::move(host)), entry_(std::move(entry)) {}
  ~Route();
  Route(const Route&) = delete;
  Route& operator=(const Route&) = delete;
  void close();  // from now on 503, or the next run's route
  [[nodiscard]] const std::string& path() const;

 private:
  const std::shared_ptr<WebHost> host_;
  const std::shared_ptr<Entry> entry_;
};

}  // namespace thalweg::web
