// connectors/net/http_message.h
//
// Requests and responses as plain data, and bodies that are made while they are sent. std only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace thalweg::net {

// Header fields in their order; names compare without case.
class HttpFields {
 public:
  void add(std::string name, std::string value) { fields_.emplace_back(std::move(name), std::move(value)); }
  void set(std::string_view name, std::string value);
  // The first value of that name, or null.
  [[nodiscard]] const std::string* find(std::string_view name) const;
  [[nodiscard]] const std::vector<std::pair<std::string, std::string>>& all() const { return fields_; }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

struct HttpRequest {
  std::string method;  // `GET`
  std::string target;  // as sent: path and query
  HttpFields headers;
  std::string body;
  std::string remote;  // `127.0.0.1:40312`; `unix` for a unix socket
  bool keep_alive = true;
  bool http_1_0 = false;
};

// A body made piece by piece, only as fast as the reader takes it: `next` is called again when what it gave before
// has been sent, so a slow reader costs one piece of memory and no time of anyone else.
// Threads  one call at a time, on a handler thread.
class BodyStream {
 public:
  enum class More : std::uint8_t {
    kYes,    // call again as soon as this is sent
    kWait,   // nothing now: call again after Waker::wake, or after the heartbeat time
    kEnd,    // complete
    kAbort,  // broken off: the connection is closed so that the reader can tell
  };
  virtual ~BodyStream() = default;
  // Appends at most about kPieceBytes to `piece`. `heartbeat`: called because nothing was sent for a while.
  virtual More next(std::string& piece, bool heartbeat) = 0;
  static constexpr std::size_t kPieceBytes = 64 * 1024;
};

// Wakes a waiting stream. Any thread, any time, also after the connection is gone; cheap, never blocks.
class Waker {
 public:
  virtual ~Waker() = default;
  virtual void wake() = 0;
};

struct HttpResponse {
  unsigned status = 200;
  HttpFields headers;  // Content-Length, Transfer-Encoding, Connection and Date are written by the server
  std::string body;
  // Instead of `body`: makes the stream once the head is on its way.
  std::function<std::unique_ptr<BodyStream>(std::shared_ptr<Waker>)> stream;
};

[[nodiscard]] std::string_view reason_phrase(unsigned status);
[[nodiscard]] bool same_field_name(std::string_view a, std::string_view b);

// A target split and decoded. `+` in a query is a blank; a broken escape or a NUL makes it invalid.
struct Target {
  std::vector<std::string> segments;  // of the path, decoded: `/api/v1` is {"api", "v1"}
  std::vector<std::pair<std::string, std::string>> query;
};
[[nodiscard]] std::optional<Target> parse_target(std::string_view target);
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text, bool plus_is_blank);
[[nodiscard]] std::string percent_encode(std::string_view text);

// `HOST:PORT`, `:PORT`, `[V6]:PORT` or `unix:PATH`.
struct Address {
  std::string host;  // empty: loopback
  std::uint16_t port = 0;
  std::string unix_path;                   // not empty: a unix socket
  [[nodiscard]] bool is_loopback() const;  // or a unix socket
  [[nodiscard]] std::string to_text() const;
};
[[nodiscard]] std::optional<Address> parse_address(std::string_view text);

}  // namespace thalweg::net
