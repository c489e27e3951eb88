#include "connectors/net/http_client.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <chrono>
#include <cstring>

#include "connectors/net/steady_ms.h"

namespace thalweg::net {
namespace {

std::string error_text(int error) { return std::strerror(error); }

constexpr std::int64_t kSliceMs = 100;  // how soon a cancelled request ends

using Cancelled = std::function<bool()>;

// Waits until `fd` is ready for `events`, or `deadline_ms` has come.
Result<void> wait_ready(int fd, short events, std::int64_t deadline_ms, const Cancelled& cancelled) {
  for (;;) {
    std::int64_t left = deadline_ms - now_ms();
    if (left <= 0) return fail(Code::kCancelled, "the server took too long");
    if (cancelled && cancelled()) return fail(Code::kCancelled, "the request was given up");
    if (cancelled) left = std::min(left, kSliceMs);
    pollfd poll_fd{fd, events, 0};
    int n = ::poll(&poll_fd, 1, static_cast<int>(std::min<std::int64_t>(left, INT_MAX)));
    if (n > 0) return {};
    if (n < 0 && errno != EINTR) return fail(Code::kIo, "poll: " + error_text(errno));
  }
}

Result<void> finish_connect(int fd, std::int64_t deadline_ms, const Cancelled& cancelled) {
  TRY(wait_ready(fd, POLLOUT, deadline_ms, cancelled));
  int error = 0;
  socklen_t size = sizeof error;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return fail(Code::kUnavailable, error_text(error));
  return {};
}

}  // namespace

// An open socket; closes itself.
class HttpClient::Wire {
 public:
  Wire(int fd, const HttpClientOptions& options)
      : fd_(fd), cancelled_(options.cancelled), parser(HttpParser::Role::kResponse, options.limits) {}
  ~Wire() { ::close(fd_); }

  static Result<std::unique_ptr<Wire>> open(const Address& server, const HttpClientOptions& options);

  Result<void> write(std::string_view bytes, std::int64_t deadline_ms) {
    while (tls_ && !bytes.empty()) {
      const TlsStream::Moved moved = TRY(tls_->write(bytes));
      bytes.remove_prefix(moved.bytes);
      TRY(wait_for(moved.wait, deadline_ms));
    }
    while (!bytes.empty()) {
      ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(n));
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        TRY(wait_ready(fd_, POLLOUT, deadline_ms, cancelled_));
      } else if (errno != EINTR) {
        return fail(Code::kUnavailable, "the connection broke: " + error_text(errno));
      }
    }
    return {};
  }

  // Reads once and feeds the parser. 0: the server closed.
  Result<std::size_t> read(std::int64_t deadline_ms) {
    while (tls_) {
      const TlsStream::Moved moved = TRY(tls_->read(buffer_.data(), buffer_.size()));
      if (moved.wait == TlsStream::Wait::kNone) {
        if (moved.bytes > 0)
          parser.feed({buffer_.data(), moved.bytes});
        else
          parser.end_of_input();
        return moved.bytes;
      }
      TRY(wait_for(moved.wait, deadline_ms));
    }
    for (;;) {
      ssize_t n = ::recv(fd_, buffer_.data(), buffer_.size(), 0);
      if (n > 0) {
        parser.feed({buffer_.data(), static_cast<std::size_t>(n)});
        return static_cast<std::size_t>(n);
      }
      if (n == 0) {
        parser.end_of_input();
        return std::size_t{0};
      }
      if (errno == EAGAIN || errno == EWOULDBLOCK) {
        TRY(wait_ready(fd_, POLLIN, deadline_ms, cancelled_));
      } else if (errno != EINTR) {
        return fail(Code::kUnavailable, "the connection broke: " + error_text(errno));
      }
    }
  }

  Result<void> start_tls(const Address& server, const HttpClientOptions& options, std::int64_t deadline_ms) {
    TlsOptions tls = options.tls_options;
    if (tls.host.empty()) tls.host = server.host.empty() ? "127.0.0.1" : server.host;
    tls_ = TRY(TlsStream::connect(fd_, tls, deadline_ms));
    return {};
  }

 private:
  Result<void> wait_for(TlsStream::Wait wait, std::int64_t deadline_ms) const {
    if (wait == TlsStream::Wait::kNone) return {};
    return wait_ready(fd_, wait == TlsStream::Wait::kRead ? POLLIN : POLLOUT, deadline_ms, cancelled_);
  }
  static Result<int> connect(int family, const sockaddr* address, socklen_t size, std::int64_t deadline_ms,
                             const Cancelled& cancelled);
  int fd_;
  Cancelled cancelled_;
  std::unique_ptr<TlsStream> tls_;
  std::array<char, 64 * 1024> buffer_;

 public:
  HttpParser parser;
};

Result<int> HttpClient::Wire::connect(int family, const sockaddr* address, socklen_t size, std::int64_t deadline_ms,
                                      const Cancelled& cancelled) {
  int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(Code::kIo, "socket: " + error_text(errno));
  int one = 1;
  if (family != AF_UNIX) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  Result<void> done;
  if (::connect(fd, address, size) != 0)
    done =
        errno == EINPROGRESS ? finish_connect(fd, deadline_ms, cancelled) : fail(Code::kUnavailable, error_text(errno));
  if (done) return fd;
  ::close(fd);
  return fail(std::move(done).error());
}

Result<std::unique_ptr<HttpClient::Wire>> HttpClient::Wire::open(const Address& server,
                                                                 const HttpClientOptions& options) {
  std::int64_t deadline_ms = now_ms() + options.connect_ms_max;
  auto wrap = [&](const std::string& reason) {
    return fail(Code::kUnavailable, "cannot connect to " + server.to_text() + ": " + reason);
  };
  if (!server.unix_path.empty() && options.policy)
    return fail(Code::kPermission, "sockets of this machine are not for pipelines: " + server.to_text());
  if (!server.unix_path.empty()) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (server.unix_path.size() >= sizeof address.sun_path) return wrap("the path is too long");
    std::memcpy(address.sun_path, server.unix_path.data(), server.unix_path.size());
    auto fd = connect(AF_UNIX, reinterpret_cast<sockaddr*>(&address), sizeof address, deadline_ms, options.cancelled);
    if (!fd) return wrap(fd.error().message);
    return std::make_unique<Wire>(*fd, options);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  std::string host = server.host.empty() ? "127.0.0.1" : server.host;
  if (int error = ::getaddrinfo(host.c_str(), std::to_string(server.port).c_str(), &hints, &found); error != 0)
    return wrap(::gai_strerror(error));
  std::string reason = "no address";
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
  bool refused = false;
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    if (options.policy && !options.policy->allows_name(host) && !options.policy->allows(*a->ai_addr)) {
      refused = true;
      continue;
    }
    auto fd = connect(a->ai_family, a->ai_addr, a->ai_addrlen, deadline_ms, options.cancelled);
    if (fd) {
      auto wire = std::make_unique<Wire>(*fd, options);
      Result<void> secure = options.tls ? wire->start_tls(server, options, deadline_ms) : Result<void>();
      if (secure) return wire;
      return wrap(secure.error().message);
    }
    reason = fd.error().message;
    refused = false;
  }
  if (refused)
    return fail(
        Error{Code::kPermission, server.to_text() + " is in a private network or on this machine", {}, {}}.with_note(
            "`allow_hosts` in the daemon's configuration permits it"));
  return wrap(reason);
}

HttpClient::HttpClient(Address server, HttpClientOptions options) : server_(std::move(server)), options_(options) {}
HttpClient::~HttpClient() = default;
void HttpClient::close() { wire_.reset(); }
void HttpClient::limit_time(std::int64_t ms) {
  options_.request_ms_max = ms;
  options_.connect_ms_max = std::min(options_.connect_ms_max, ms);
}

Result<void> HttpClient::send(const HttpRequest& request, bool& reused) {
  reused = wire_ != nullptr;
  if (!wire_) wire_ = TRY(Wire::open(server_, options_));
  wire_->parser.reset();
  if (request.method == "HEAD") wire_->parser.skip_body();
  std::string bytes = request.method + ' ' + request.target + " HTTP/1.1\r\n";
  if (!request.headers.find("Host"))
    bytes += "Host: " + (server_.unix_path.empty() ? server_.to_text() : std::string("localhost")) + "\r\n";
  for (const auto& [name, value] : request.headers.all()) bytes += name + ": " + value + "\r\n";
  if (!request.body.empty() || request.method == "POST" || request.method == "PUT")
    bytes += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  bytes += "\r\n";
  bytes += request.body;
  return wire_->write(bytes, now_ms() + options_.request_ms_max);
}

Result<HttpResponse> HttpClient::receive(const HttpRequest& request) {
  std::int64_t deadline_ms = now_ms() + options_.request_ms_max;
  HttpParser& parser = wire_->parser;
  while (parser.state() != ParseState::kDone) {
    if (parser.state() == ParseState::kFailed) return fail(Code::kUnavailable, parser.failure().message);
    std::size_t n = TRY(wire_->read(deadline_ms));
    if (n == 0 && parser.state() != ParseState::kDone)
      return fail(Code::kUnavailable, "the server closed the connection");
  }
  bool keep_alive = false;
  HttpResponse response = parser.take_response(keep_alive);
  if (!keep_alive || request.method == "HEAD") close();
  return response;
}

Result<HttpResponse> HttpClient::request(const HttpRequest& request) {
  for (;;) {
    bool reused = false;
    Result<void> sent = send(request, reused);
    Result<HttpResponse> response = sent ? receive(request) : Result<HttpResponse>(fail(std::move(sent).error()));
    if (response) return response;
    bool nothing_came = !wire_ || !wire_->parser.started();
    close();
    if (!reused || !nothing_came || response.error().code != Code::kUnavailable) return response;
  }
}

Result<HttpResponse> HttpClient::get(std::string target) {
  HttpRequest request;
  request.method = "GET";
  request.target = std::move(target);
  return this->request(request);
}

Result<HttpResponse> HttpClient::stream(const HttpRequest& request,
                                        const std::function<bool(std::string_view)>& on_bytes,
                                        const std::function<bool(const HttpResponse&)>& on_head) {
  bool reused = false;
  close();  // a stream has a connection of its own, so that stopping it is closing it
  TRY(send(request, reused));
  HttpParser& parser = wire_->parser;
  HttpResponse head;
  bool have_head = false;
  for (;;) {
    std::size_t n = TRY(wire_->read(now_ms() + options_.request_ms_max));
    if (parser.state() == ParseState::kFailed) return fail(Code::kUnavailable, parser.failure().message);
    if (parser.state() == ParseState::kHead && n > 0) continue;
    const bool broken = n == 0 && parser.state() != ParseState::kDone;
    if (broken && !have_head) return fail(Code::kUnavailable, "the server closed the connection");
    if (!have_head) {
      head = parser.response_head();
      have_head = true;
      if (on_head && !on_head(head)) break;
    }
    std::string bytes = parser.take_partial_body();
    bool go_on = bytes.empty() || on_bytes(bytes);
    if (!go_on || parser.state() == ParseState::kDone) break;
    if (broken) return fail(Code::kUnavailable, "the connection ended in the middle of the answer");
  }
  close();
  return head;
}

}  // namespace thalweg::net
