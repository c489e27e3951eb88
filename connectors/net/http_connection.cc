#include "connectors/net/http_connection.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <cstdio>
#include <ctime>

namespace thalweg::net {

namespace asio = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::int64_t kLingerMs = 1000;

std::string http_date() {
  std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[40];
  std::size_t n = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text, n};
}

// Only a wish to look again; a stream that has gone meanwhile is none of its business.
class ConnectionWaker : public Waker {
 public:
  ConnectionWaker(std::shared_ptr<EventLoop::Impl> loop, std::weak_ptr<Connection> connection)
      : loop_(std::move(loop)),
        connection_(std::move(connection)),
        pending_(std::make_shared<std::atomic<bool>>(false)) {}
  void wake() override {
    if (pending_->exchange(true)) return;
    asio::post(loop_->io, [connection = connection_, pending = pending_] {
      pending->store(false);
      if (auto alive = connection.lock()) alive->wake();
    });
  }

 private:
  std::shared_ptr<EventLoop::Impl> loop_;
  std::weak_ptr<Connection> connection_;
  std::shared_ptr<std::atomic<bool>> pending_;
};

std::string json_escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out.push_back('\\');
    if (static_cast<unsigned char>(c) >= 0x20) out.push_back(c);
  }
  return out;
}

}  // namespace

void ServerShared::handle(std::function<void()> task) {
  {
    std::lock_guard lock(mutex);
    if (stopped) return;
    ++running;
  }
  asio::post(loop->handlers, [self = shared_from_this(), task = std::move(task)]() mutable {
    task();
    task = nullptr;
    std::lock_guard lock(self->mutex);
    if (--self->running == 0) self->idle.notify_all();
  });
}

Connection::Connection(std::shared_ptr<ServerShared> server, Socket socket, std::string remote)
    : server_(std::move(server)),
      socket_(std::move(socket)),
      remote_(std::move(remote)),
      timer_(server_->loop->io),
      parser_(HttpParser::Role::kRequest, server_->options.limits) {}

void Connection::start() {
  server_->connections.insert(shared_from_this());
  ++server_->open;
  {
    std::lock_guard lock(server_->mutex);
    if (server_->tls) tls_ = std::make_unique<TlsSession>(server_->tls);
  }
  read_message();
  if (tls_) set_deadline(server_->options.header_ms_max, &Connection::on_reading_timeout);  // for the handshake
}

void Connection::close() {
  if (phase_ == Phase::kClosed) return;
  phase_ = Phase::kClosed;
  error_code ignored;
  timer_.cancel();
  socket_.close(ignored);
  if (!stream_busy_) stream_.reset();
  --server_->open;
  server_->connections.erase(shared_from_this());
}

// ---------------------------------------------------------------- reading

void Connection::read_message() {
  phase_ = Phase::kReading;
  parser_.reset();
  continued_ = false;
  reading_body_ = false;
  set_deadline(server_->options.idle_ms_max, &Connection::on_reading_timeout);
  if (in_begin_ < in_end_) return consume();
  read_more();
}

void Connection::read_more() {
  if (reading_) return;
  if (in_begin_ == in_end_) in_begin_ = in_end_ = 0;
  reading_ = true;
  if (tls_) {
    if (!take_plain()) read_wire();
    return;
  }
  socket_.async_read_some(asio::buffer(in_.data() + in_end_, in_.size() - in_end_),
                          [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                            self->reading_ = false;
                            self->on_read(error, bytes);
                          });
}

// Bytes that TLS has already: they come as if they were read. Else it needs more of the wire, or has ended.
bool Connection::take_plain() {
  const TlsSession::Read got = tls_->read(in_.data() + in_end_, in_.size() - in_end_);
  flush_tls();
  if (got.bytes == 0 && got.state == TlsSession::State::kOpen) return false;
  const error_code error = got.bytes > 0 ? error_code() : error_code(asio::error::eof);
  asio::post(server_->loop->io, [self = shared_from_this(), error, bytes = got.bytes] {
    self->reading_ = false;
    self->on_read(error, bytes);
  });
  return true;
}

void Connection::read_wire() {
  if (wire_in_.empty()) wire_in_.resize(in_.size());
  socket_.async_read_some(asio::buffer(wire_in_),
                          [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                            if (self->phase_ == Phase::kClosed) return;
                            if (error) return self->close();
                            self->tls_->feed({self->wire_in_.data(), bytes});
                            if (self->take_plain()) return;
                            if (!self->established_ && self->tls_->is_established()) {
                              self->established_ = true;
                              if (self->phase_ == Phase::kReading && !self->parser_.started())
                                self->set_deadline(self->server_->options.idle_ms_max, &Connection::on_reading_timeout);
                            }
                            self->read_wire();
                          });
}

// What TLS itself has to say (handshake, tickets). An answer under way takes it along.
void Connection::flush_tls() {
  if (writing_ || wire_writing_) return;
  wire_out_ = tls_->take_output();
  if (wire_out_.empty()) return;
  wire_writing_ = true;
  asio::async_write(socket_, asio::buffer(wire_out_),
                    [self = shared_from_this()](const error_code& error, std::size_t) {
                      self->wire_writing_ = false;
                      if (self->phase_ == Phase::kClosed) return;
                      if (error) return self->close();
                      if (self->writing_) return self->write_rest();
                      self->flush_tls();
                    });
}

void Connection::on_read(const error_code& error, std::size_t bytes) {
  if (phase_ == Phase::kClosed) return;
  in_end_ += bytes;
  if (error) return close();
  if (phase_ == Phase::kStreaming) return watch_peer();
  if (phase_ == Phase::kLingering) return linger_more();
  if (phase_ == Phase::kReading) consume();
}

void Connection::consume() {
  bool was_started = parser_.started();
  in_begin_ += parser_.feed({in_.data() + in_begin_, in_end_ - in_begin_});
  switch (parser_.state()) {
    case ParseState::kFailed: return refuse(parser_.failure().status, parser_.failure().message);
    case ParseState::kDone: return dispatch();
    case ParseState::kHead:
      if (!was_started && parser_.started())
        set_deadline(server_->options.header_ms_max, &Connection::on_reading_timeout);
      break;
    case ParseState::kBody:
      if (!reading_body_) set_deadline(server_->options.body_ms_max, &Connection::on_reading_timeout);
      reading_body_ = true;
      if (parser_.expects_continue() && !continued_) return write_continue();
      break;
  }
  read_more();
}

void Connection::write_continue() {
  continued_ = true;
  write("HTTP/1.1 100 Continue\r\n\r\n", &Connection::read_more);
}

void Connection::on_reading_timeout() {
  if (!parser_.started()) return close();
  refuse(408, "the request took too long");
}

void Connection::refuse(unsigned status, const std::string& message) {
  ++server_->malformed;
  keep_alive_ = false;
  head_only_ = false;
  HttpResponse response;
  response.status = status;
  response.headers.add("Content-Type", "application/problem+json");
  response.body = "{\"type\":\"about:blank\",\"title\":\"" + std::string(reason_phrase(status)) +
                  "\",\"status\":" + std::to_string(status) + ",\"code\":\"bad_request\",\"detail\":\"" +
                  json_escaped(message) + "\"}\n";
  phase_ = Phase::kHandling;
  on_answer(std::move(response));
}

// ---------------------------------------------------------------- handling

void Connection::dispatch() {
  HttpRequest request = parser_.take_request();
  request.remote = remote_;
  keep_alive_ = request.keep_alive;
  http_1_0_ = request.http_1_0;
  head_only_ = request.method == "HEAD";
  if (!http_1_0_ && !request.headers.find("Host")) return refuse(400, "the Host header is missing");
  phase_ = Phase::kHandling;
  ++timer_generation_;  // the handler has its own limits
  timer_.cancel();
  auto self = shared_from_this();
  HttpReply reply([self](HttpResponse response) { self->answer(std::move(response)); });
  server_->handle([server = server_, request = std::move(request), reply = std::move(reply)]() mutable {
    server->handler(std::move(request), std::move(reply));
  });
}

void Connection::answer(HttpResponse response) {
  asio::post(server_->loop->io, [self = shared_from_this(), response = std::move(response)]() mutable {
    self->on_answer(std::move(response));
  });
}

void Connection::on_answer(HttpResponse response) {
  if (phase_ != Phase::kHandling) return;
  if (response.stream && !head_only_) return start_stream(std::move(response));
  phase_ = Phase::kWriting;
  std::string bytes = head_of(response, response.stream != nullptr);
  if (!head_only_) bytes += response.body;
  write(std::move(bytes), &Connection::after_response);
}

std::string Connection::head_of(const HttpResponse& response, bool chunked) const {
  std::string out = "HTTP/1.1 " + std::to_string(response.status) + ' ';
  out += reason_phrase(response.status);
  out += "\r\n";
  for (const auto& [name, value] : response.headers.all()) {
    out += name;
    out += ": ";
    for (char c : value)
      if (c != '\r' && c != '\n') out.push_back(c);
    out += "\r\n";
  }
  if (chunked && !http_1_0_) out += "Transfer-Encoding: chunked\r\n";
  bool no_body = response.status == 204 || response.status == 304 || response.status < 200;
  if (!chunked && !no_body) out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
  if (!keep_alive_ || (chunked && http_1_0_))
    out += "Connection: close\r\n";
  else if (http_1_0_)
    out += "Connection: keep-alive\r\n";
  return out + "Date: " + http_date() + "\r\n\r\n";
}

void Connection::after_response() {
  if (!keep_alive_) return linger();
  read_message();
}

// ---------------------------------------------------------------- writing

void Connection::write(std::string bytes, void (Connection::*then)()) {
  out_ = std::move(bytes);
  if (tls_) {
    if (!tls_->write(out_)) return close();
    out_ = tls_->take_output();
  }
  out_done_ = 0;
  out_then_ = then;
  writing_ = true;
  if (!wire_writing_) write_rest();
}

void Connection::write_rest() {
  if (phase_ == Phase::kClosed) return;
  if (out_done_ == out_.size()) {
    writing_ = false;
    if (tls_) flush_tls();
    if (out_.capacity() > 2 * BodyStream::kPieceBytes) out_ = std::string();
    return (this->*out_then_)();
  }
  if (phase_ != Phase::kReading) set_deadline(server_->options.stall_ms_max, &Connection::on_stall);
  socket_.async_write_some(asio::buffer(out_.data() + out_done_, out_.size() - out_done_),
                           [self = shared_from_this()](const error_code& error, std::size_t bytes) {
                             if (error) return self->close();
                             self->server_->sent_bytes += bytes;
                             self->out_done_ += bytes;
                             self->write_rest();
                           });
}

void Connection::on_stall() {
  ++server_->stalled;
  close();
}

// ---------------------------------------------------------------- streams

void Connection::start_stream(HttpResponse response) {
  phase_ = Phase::kStreaming;
  stream_busy_ = false;
  woken_ = false;
  more_ = BodyStream::More::kYes;
  if (http_1_0_) keep_alive_ = false;
  auto waker = std::make_shared<ConnectionWaker>(server_->loop, weak_from_this());
  stream_ = response.stream(std::move(waker));
  if (!stream_) return close();
  watch_peer();
  write(head_of(response, true), &Connection::after_piece);
}

// A peer that goes away while its stream waits is noticed by the read that it ends.
void Connection::watch_peer() {
  if (in_end_ < in_.size()) read_more();
}

void Connection::wake() {
  if (phase_ != Phase::kStreaming) return;
  woken_ = true;
  if (!writing_ && more_ == BodyStream::More::kWait) pump();
}

void Connection::pump() {
  if (stream_busy_) return;
  stream_busy_ = true;
  woken_ = false;
  bool heartbeat = std::exchange(heartbeat_due_, false);
  server_->handle([self = shared_from_this(), stream = stream_, heartbeat]() mutable {
    std::string piece;
    BodyStream::More more = stream->next(piece, heartbeat);
    stream.reset();
    asio::post(self->server_->loop->io,
               [self, piece = std::move(piece), more]() mutable { self->on_piece(std::move(piece), more); });
  });
}

void Connection::on_piece(std::string piece, BodyStream::More more) {
  stream_busy_ = false;
  if (phase_ != Phase::kStreaming) return stream_.reset();
  more_ = more;
  if (more == BodyStream::More::kAbort) return close();
  std::string bytes;
  if (http_1_0_) {
    bytes = std::move(piece);
  } else {
    if (!piece.empty()) {
      char size[24];
      bytes.append(size, static_cast<std::size_t>(std::snprintf(size, sizeof size, "%zx\r\n", piece.size())));
      bytes += piece;
      bytes += "\r\n";
    }
    if (more == BodyStream::More::kEnd) bytes += "0\r\n\r\n";
  }
  write(std::move(bytes), &Connection::after_piece);
}

void Connection::after_piece() {
  switch (more_) {
    case BodyStream::More::kYes: return pump();
    case BodyStream::More::kEnd: stream_.reset(); return after_response();
    case BodyStream::More::kAbort: return close();
    case BodyStream::More::kWait: break;
  }
  if (woken_) return pump();
  set_deadline(server_->options.heartbeat_ms, &Connection::on_heartbeat);
}

void Connection::on_heartbeat() {
  heartbeat_due_ = true;
  pump();
}

// ---------------------------------------------------------------- ending

// Closing with unread input would reset the connection and could destroy the answer on its way; so the peer gets a
// moment to read it and to close first.
void Connection::linger() {
  phase_ = Phase::kLingering;
  error_code ignored;
  if (tls_ && !wire_writing_) {
    tls_->close();
    const std::string goodbye = tls_->take_output();
    socket_.non_blocking(true, ignored);
    socket_.write_some(asio::buffer(goodbye), ignored);
  }
  socket_.shutdown(Socket::shutdown_send, ignored);
  set_deadline(kLingerMs, &Connection::close);
  if (!reading_) linger_more();
}

void Connection::linger_more() {
  socket_.async_read_some(asio::buffer(in_), [self = shared_from_this()](const error_code& error, std::size_t) {
    if (self->phase_ == Phase::kClosed) return;
    if (error) return self->close();
    self->linger_more();
  });
}

void Connection::set_deadline(std::int64_t ms, void (Connection::*then)()) {
  std::uint64_t generation = ++timer_generation_;
  timer_.expires_after(std::chrono::milliseconds(ms));
  timer_.async_wait([self = shared_from_this(), generation, then](const error_code& error) {
    if (error || generation != self->timer_generation_ || self->phase_ == Phase::kClosed) return;
    (self.get()->*then)();
  });
}

}  // namespace thalweg::net
