// connectors/http/input_server.h
//
// `io.http.read` with a route: rows that others send. POST and PUT bring one object, an array, or one object per line;
// DELETE takes rows of a primary key away.
//
//   request ─► checked whole ─► queue ─► one transaction of many requests ─► commit ─► 202
//
// S1  A request is in one commit, all of it or nothing: what does not fit the schema is refused (400) with field and
//     line.
// S2  202 comes after the commit that holds it has closed; where the pipeline keeps its state, after it is durable.
//     Whoever gets no 202 may send again.
// S3  What waits is bounded (`max_pending` requests, kQueuedBytesMax); more is told to come again (503).
// Threads  handle: any; the rest as Source.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "connectors/http/web_host.h"
#include "engine/io/source.h"

namespace thalweg::web {

class InputServer {
 public:
  enum class Format : std::uint8_t { kJson, kPlaintext, kRaw };
  struct Options {
    std::vector<plan::SourceField> fields;
    Format format = Format::kJson;
    std::size_t pending_max = 1024;
    std::shared_ptr<Rng> rng;
  };
  static constexpr std::size_t kQueuedBytesMax = 64U << 20;

  explicit InputServer(Options options);
  ~InputServer();
  InputServer(const InputServer&) = delete;
  InputServer& operator=(const InputServer&) = delete;
  void handle(Exchange exchange);

  struct Row {
    Key key;
    std::vector<Value> cells;
    Diff diff = 1;
  };
  // All rows that have come, in order; they are to be the next transaction.
  [[nodiscard]] std::vector<Row> take();
  void committed(std::uint64_t transactions);  // the first so many that take() gave
  void close(bool at_once);                    // refuses what waits; else only what take() has not given
  [[nodiscard]] int wake_fd() const { return wake_fd_; }

 private:
  struct Waiting {
    net::HttpReply reply;
    std::size_t rows = 0;
  };
  void accept(std::vector<Row> rows, std::size_t bytes, net::HttpReply reply);
  void handle_text(Exchange exchange);
  [[nodiscard]] Key key_of(const std::vector<Value>& cells) const;

  const Options options_;
  const int wake_fd_;
  std::mutex mutex_;
  bool closed_ = false;          // guarded by mutex_, as is all below
  std::vector<Row> rows_;        // not yet taken
  std::vector<Waiting> coming_;  // of rows_
  std::size_t bytes_ = 0;        // of rows_
  std::uint64_t next_transaction_ = 0;
  std::map<std::uint64_t, std::vector<Waiting>> waiting_;  // by transaction, from 1
};

class InputSource final : public Source {
 public:
  InputSource(const plan::Source& source, std::unique_ptr<WebHost::Route> route, std::shared_ptr<InputServer> server);
  ~InputSource() override;
  Result<void> run(SourceContext& context) override;
  void committed(std::uint64_t transactions) override;
  void on_durable(const std::string& position) override;

 private:
  const std::vector<plan::SourceField> fields_;
  const std::unique_ptr<WebHost::Route> route_;
  const std::shared_ptr<InputServer> server_;
  std::atomic<bool> durable_{false};     // answers wait for on_durable
  std::atomic<std::uint64_t> first_{0};  // transactions of earlier starts
};

}  // namespace thalweg::web
