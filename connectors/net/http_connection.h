// connectors/net/http_connection.h
//
// One connection of the server: the state machine of http_server.h. Knows Asio; only files of this folder include it.
// Threads  everything on the loop thread, but for the parts that say otherwise.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_set>
#include <vector>

#include "connectors/net/event_loop_impl.h"
#include "connectors/net/http_server.h"

namespace thalweg::net {

using Socket = boost::asio::generic::stream_protocol::socket;

class Connection;

// What the connections of a server share.
struct ServerShared : std::enable_shared_from_this<ServerShared> {
  std::shared_ptr<EventLoop::Impl> loop;
  HttpServerOptions options;
  HttpServer::Handler handler;

  std::unordered_set<std::shared_ptr<Connection>> connections;  // loop thread only

  std::atomic<std::uint64_t> open{0};
  std::atomic<std::uint64_t> accepted{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> malformed{0};
  std::atomic<std::uint64_t> stalled{0};
  std::atomic<std::uint64_t> sent_bytes{0};

  std::mutex mutex;
  std::condition_variable idle;
  std::size_t running = 0;          // guarded by mutex: handlers and stream calls under way
  bool stopped = false;             // guarded by mutex
  std::shared_ptr<TlsContext> tls;  // guarded by mutex; null: no TLS

  // Runs `task` on a handler thread, unless the server has stopped.
  void handle(std::function<void()> task);
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<ServerShared> server, Socket socket, std::string remote);
  void start();
  void close();
  // Any thread: the answer to the request in work.
  void answer(HttpResponse response);
  void wake();  // the stream may have something

 private:
  enum class Phase : std::uint8_t { kReading, kHandling, kWriting, kStreaming, kLingering, kClosed };

  void read_message();
  void read_more();
  void on_read(const boost::system::error_code& error, std::size_t bytes);
  void consume();
  void dispatch();
  void refuse(unsigned status, const std::string& message);
  void write_continue();
  void on_answer(HttpResponse response);
  [[nodiscard]] std::string head_of(const HttpResponse& response, bool chunked) const;
  void write(std::string bytes, void (Connection::*then)());
  void write_rest();
  void read_wire();
  [[nodiscard]] bool take_plain();
  void flush_tls();
  void after_response();
  void start_stream(HttpResponse response);
  void pump();
  void on_piece(std::string piece, BodyStream::More more);
  void after_piece();
  void watch_peer();
  void linger();
  void linger_more();
  void set_deadline(std::int64_t ms, void (Connection::*then)());
  void on_reading_timeout();
  void on_stall();
  void on_heartbeat();

  const std::shared_ptr<ServerShared> server_;
  Socket socket_;
  const std::string remote_;
  boost::asio::steady_timer timer_;
  std::uint64_t timer_generation_ = 0;
  HttpParser parser_;
  Phase phase_ = Phase::kReading;

  std::array<char, 16 * 1024> in_;
  std::size_t in_begin_ = 0;  // unread bytes are [in_begin_, in_end_)
  std::size_t in_end_ = 0;
  bool reading_ = false;    // a read is pending
  bool continued_ = false;  // 100 Continue was sent for this message
  bool reading_body_ = false;

  std::unique_ptr<TlsSession> tls_;  // null: no TLS
  std::vector<char> wire_in_;
  std::string wire_out_;       // of the handshake
  bool wire_writing_ = false;  // wire_out_ is on its way; answers wait for it
  bool established_ = false;

  std::string out_;
  std::size_t out_done_ = 0;
  void (Connection::*out_then_)() = nullptr;
  bool writing_ = false;

  bool keep_alive_ = true;
  bool http_1_0_ = false;
  bool head_only_ = false;

  std::shared_ptr<BodyStream> stream_;
  bool stream_busy_ = false;
  bool woken_ = false;
  bool heartbeat_due_ = false;
  BodyStream::More more_ = BodyStream::More::kYes;
};

}  // namespace thalweg::net
