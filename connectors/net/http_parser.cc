#include "connectors/net/http_parser.h"

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <optional>
#include <variant>

#include "engine/base/ensure.h"

namespace thalweg::net {

namespace http = boost::beast::http;

namespace {

constexpr std::size_t kChunkHeadBytesMax = 16 * 1024;  // beyond that, nobody honest sends extensions

using RequestParser = http::request_parser<http::string_body>;
using ResponseParser = http::response_parser<http::string_body>;

ParseFailure describe(const boost::system::error_code& error) {
  if (error == http::error::header_limit) return {431, "the header is too large"};
  if (error == http::error::body_limit) return {413, "the body is too large"};
  if (error == http::error::bad_version) return {505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
  if (error == http::error::bad_method) return {400, "the method is malformed"};
  if (error == http::error::partial_message) return {400, "the message ended early"};
  return {400, error.message()};
}

template <class Message>
HttpFields fields_of(const Message& message) {
  HttpFields out;
  for (const auto& field : message)
    out.add(std::string(field.name_string().data(), field.name_string().size()),
            std::string(field.value().data(), field.value().size()));
  return out;
}

}  // namespace

struct HttpParser::Impl {
  Role role;
  HttpLimits limits;
  bool skip = false;
  std::variant<std::monostate, RequestParser, ResponseParser> parser;
  std::optional<ParseFailure> failure;
  bool started = false;
  std::string pending;  // the beginning of a head that is not complete yet

  void make() {
    if (role == Role::kRequest) {
      prepare(parser.emplace<RequestParser>());
    } else {
      prepare(parser.emplace<ResponseParser>());
    }
  }
  template <class Parser>
  void prepare(Parser& p) {
    p.header_limit(limits.header_bytes);
    p.body_limit(limits.body_bytes);
    p.eager(true);
    p.skip(skip);
    started = false;
    pending.clear();
  }
  template <class Function>
  auto with(Function function) {
    if (auto* request = std::get_if<RequestParser>(&parser)) return function(*request);
    return function(std::get<ResponseParser>(parser));
  }
  // How many bytes at the end were not taken.
  std::size_t parse(std::string_view bytes) {
    while (!bytes.empty()) {
      boost::system::error_code error;
      bytes.remove_prefix(with([&](auto& p) { return p.put(boost::asio::buffer(bytes.data(), bytes.size()), error); }));
      if (error == http::error::need_more) break;
      if (error) failure = describe(error);
      if (error || with([](auto& p) { return p.is_done(); })) break;
    }
    return bytes.size();
  }
};

HttpParser::HttpParser(Role role, const HttpLimits& limits) : impl_(std::make_unique<Impl>()) {
  impl_->role = role;
  impl_->limits = limits;
  impl_->make();
}
HttpParser::~HttpParser() = default;

void HttpParser::skip_body() {
  impl_->skip = true;
  impl_->with([](auto& parser) { parser.skip(true); });
}

std::size_t HttpParser::feed(std::string_view bytes) {
  std::size_t skipped = 0;
  // RFC 9112 2.2: a server should skip at least one empty line before the request line.
  if (!impl_->started && impl_->role == Role::kRequest)
    while (skipped < bytes.size() && (bytes[skipped] == '\r' || bytes[skipped] == '\n')) ++skipped;
  bytes.remove_prefix(skipped);
  if (bytes.empty() || state() == ParseState::kDone || state() == ParseState::kFailed) return skipped;
  impl_->started = true;
  // Beast takes a head (or a chunk's head) only as a whole, so its beginning waits here for the rest.
  bool buffered = !impl_->pending.empty();
  if (buffered) impl_->pending += bytes;
  std::size_t left = impl_->parse(buffered ? std::string_view(impl_->pending) : bytes);
  if (state() == ParseState::kDone || state() == ParseState::kFailed) {
    impl_->pending.clear();
    return skipped + bytes.size() - std::min(left, bytes.size());
  }
  if (buffered)
    impl_->pending.erase(0, impl_->pending.size() - left);
  else
    impl_->pending.assign(bytes.substr(bytes.size() - left));
  if (impl_->pending.size() > impl_->limits.header_bytes + kChunkHeadBytesMax)
    impl_->failure = ParseFailure{400, "a chunk's head is too large"};
  return skipped + bytes.size();
}

void HttpParser::end_of_input() {
  if (state() == ParseState::kDone || state() == ParseState::kFailed) return;
  // Beast takes an end before the first byte for a message; an answer that did not come is none.
  if (impl_->role == Role::kResponse && !impl_->started) {
    impl_->failure = ParseFailure{400, "the server closed the connection"};
    return;
  }
  boost::system::error_code error;
  impl_->with([&](auto& parser) { parser.put_eof(error); });
  if (error) impl_->failure = describe(error);
}

ParseState HttpParser::state() const {
  if (impl_->failure) return ParseState::kFailed;
  return impl_->with([](auto& parser) {
    if (parser.is_done()) return ParseState::kDone;
    return parser.is_header_done() ? ParseState::kBody : ParseState::kHead;
  });
}

bool HttpParser::started() const { return impl_->started; }

bool HttpParser::expects_continue() const {
  auto* request = std::get_if<RequestParser>(&impl_->parser);
  return request && request->is_header_done() && !request->is_done() && request->get().version() >= 11 &&
         same_field_name({request->get()[http::field::expect].data(), request->get()[http::field::expect].size()},
                         "100-continue");
}

const ParseFailure& HttpParser::failure() const { return *impl_->failure; }

HttpRequest HttpParser::take_request() {
  auto& message = std::get<RequestParser>(impl_->parser).get();
  HttpRequest out;
  out.method = std::string(message.method_string().data(), message.method_string().size());
  out.target = std::string(message.target().data(), message.target().size());
  out.headers = fields_of(message);
  out.keep_alive = message.keep_alive();
  out.http_1_0 = message.version() < 11;
  out.body = std::move(message.body());
  return out;
}

HttpResponse HttpParser::response_head() const {
  auto& message = std::get<ResponseParser>(impl_->parser).get();
  HttpResponse out;
  out.status = message.result_int();
  out.headers = fields_of(message);
  return out;
}

HttpResponse HttpParser::take_response(bool& keep_alive) {
  auto& message = std::get<ResponseParser>(impl_->parser).get();
  HttpResponse out = response_head();
  keep_alive = message.keep_alive();
  out.body = std::move(message.body());
  return out;
}

std::string HttpParser::take_partial_body() {
  std::string out;
  std::swap(out, std::get<ResponseParser>(impl_->parser).get().body());
  return out;
}

void HttpParser::reset() {
  impl_->failure.reset();
  impl_->make();
}

}  // namespace thalweg::net
