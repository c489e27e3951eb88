// connectors/net/http_parser.h
//
// HTTP/1.1 messages from bytes, without any input or output: bytes go in, a whole message comes out. Beast's parser
// does the reading; it ends in the .cc file.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "connectors/net/http_message.h"

namespace thalweg::net {

struct HttpLimits {
  std::uint32_t header_bytes = 16 * 1024;
  std::uint64_t body_bytes = 8ULL << 20;
};

enum class ParseState : std::uint8_t { kHead, kBody, kDone, kFailed };

struct ParseFailure {
  unsigned status = 400;  // what a server answers
  std::string message;
};

class HttpParser {
 public:
  enum class Role : std::uint8_t { kRequest, kResponse };
  HttpParser(Role role, const HttpLimits& limits);
  ~HttpParser();

  // Bytes taken of `bytes`. A finished message takes no more: what is left belongs to the next one (pipelining).
  std::size_t feed(std::string_view bytes);
  void end_of_input();  // the peer closed its side: ends a response without length
  void skip_body();     // the answer to a HEAD request has none; call before feeding

  [[nodiscard]] ParseState state() const;
  [[nodiscard]] bool started() const;  // any byte of a message was seen
  [[nodiscard]] bool expects_continue() const;
  [[nodiscard]] const ParseFailure& failure() const;
  // Requires: state() is kDone. Call once, then reset.
  [[nodiscard]] HttpRequest take_request();
  [[nodiscard]] HttpResponse take_response(bool& keep_alive);
  // Bytes of a response body that have arrived so far, for streams; empties them.
  [[nodiscard]] std::string take_partial_body();
  // Requires: past the head. Status and header fields of a response whose body is still coming.
  [[nodiscard]] HttpResponse response_head() const;
  void reset();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace thalweg::net
