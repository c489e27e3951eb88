// connectors/http/query_server.h
//
// A route whose requests become rows and are answered through the dataflow. Two sides that meet at the row's key:
//
//   request ─► QueryServer ─► take() ─► a table of queries ─► … ─► a table of results ─► PendingQueries::answer(key)
//
// In a pipeline the first side is `io.http.rest_connector` (rest_source.h), the second `io.http.rest_response`
// (rest_sink.h). Whoever builds plans uses those two: a plan::Source and a plan::Output with these names; the
// output has two columns, the answer and one that is None where the answer is an ERROR.
//
// Q1  Every query is answered once: by the dataflow (200, or 500 for an ERROR), after `timeout` (504), or because its
//     pipeline has ended (503).
// Q2  With `delete_completed` a query's row is taken back once it is answered, however.
// Q3  At most `pending_max` queries of a route wait at a time; more are told to come again (503).
// Q4  A request that asks for a stream (`Accept: text/event-stream`, or `stream: true`) is a row like any other; column
//     `stream_field` has the name of its AnswerStream, and None in all other rows, whatever the request says.
// Threads  any.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "connectors/http/web_host.h"
#include "engine/base/env.h"
#include "engine/types/batch.h"

namespace thalweg::web {

class QueryServer;

// The queries of a process that wait for their answers, by row key.
class PendingQueries {
 public:
  // The body of a 200 answer, JSON. False: nobody waits for it (any more).
  bool answer(const Key& key, std::string body);
  bool refuse(const Key& key, net::HttpResponse response);

 private:
  friend class QueryServer;
  struct Waiting {
    net::HttpReply reply;
    std::shared_ptr<QueryServer> server;
  };
  // The open server with the same identity and columns, other than this one.
  [[nodiscard]] std::shared_ptr<QueryServer> successor_of(const QueryServer& server);

  std::mutex mutex_;
  std::unordered_map<Key, Waiting> waiting_;         // guarded by mutex_
  std::vector<std::weak_ptr<QueryServer>> servers_;  // guarded by mutex_
};

// The one that connectors of a process share.
[[nodiscard]] PendingQueries& pending_queries();

class QueryServer : public std::enable_shared_from_this<QueryServer> {
 public:
  struct Options {
    std::string identity;  // pipeline, place and path: the next run's server of the same goes on with what is open
    std::vector<plan::SourceField> fields;
    std::shared_ptr<Rng> rng;
    bool raw_body = false;  // no schema: the body is column `query`
    bool delete_completed = true;
    std::int64_t timeout_ns = 120'000'000'000;
    std::size_t pending_max = 1024;
    std::optional<std::size_t> stream_field;  // none: no streams
    std::size_t cached_max = 0;               // answers kept for requests that are the same; 0: none
  };
  [[nodiscard]] static std::shared_ptr<QueryServer> make(Options options, const std::shared_ptr<WebHost>& host);
  ~QueryServer();
  QueryServer(const QueryServer&) = delete;
  QueryServer& operator=(const QueryServer&) = delete;

  void handle(Exchange exchange);  // of the route

  struct Change {
    Key key;
    std::vector<Value> cells;
    Diff diff = 1;
  };
  // What the table of queries is to get: new queries, and those that are completed.
  [[nodiscard]] std::vector<Change> take();
  [[nodiscard]] int wake_fd() const { return wake_fd_; }  // readable while there is something to take
  // Nobody will take any more. The successor goes on with what is open; without one whoever waits gets 503 after
  // `grace_ns`, in which answers on their way still arrive.
  void close(std::int64_t grace_ns);

 private:
  friend class PendingQueries;
  QueryServer(Options options, const std::shared_ptr<WebHost>& host);
  void ask(const Key& key, std::vector<Value> cells, std::string request, net::HttpReply reply);
  void completed(const Key& key, const std::string* body);
  void wake() const;
  // Requires: mutex_ is held. True: the caller has to arm the timer.
  [[nodiscard]] bool add_deadline(const Key& key);
  void arm_timer(std::int64_t ns);
  void expire();
  void adopt(const Key& key, std::vector<Value> cells, std::string request);
  [[nodiscard]] bool same_columns(const QueryServer& other) const;

  const Options options_;
  const std::weak_ptr<WebHost> host_;
  const int wake_fd_;
  mutable std::mutex mutex_;
  struct Query {
    std::vector<Value> cells;
    std::string request;  // for the cache
  };
  std::unordered_map<Key, Query> open_;                 // guarded by mutex_: in the table, or on their way
  std::vector<Change> changes_;                         // guarded by mutex_
  bool closed_ = false;                                 // guarded by mutex_
  std::deque<std::pair<std::int64_t, Key>> deadlines_;  // guarded by mutex_: rising; one timer for all
  bool timer_armed_ = false;                            // guarded by mutex_
  std::unordered_map<std::string, std::string> cache_;  // guarded by mutex_: request → body
};

}  // namespace thalweg::web
