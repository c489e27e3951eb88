// The HTTP layer by itself: what goes over the wire, and what happens at each limit.
#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

#include <unistd.h>

#include "connectors/net/http_client.h"
#include "connectors/net/http_server.h"
#include "tests/daemon/raw_socket.h"

namespace thalweg::tests {
namespace {

using net::BodyStream;
using net::HttpClient;
using net::HttpReply;
using net::HttpRequest;
using net::HttpResponse;
using net::HttpServer;
using net::HttpServerOptions;

// Pieces of 32 KB of one letter for ever; counts how many were asked for.
class Endless : public BodyStream {
 public:
  explicit Endless(std::atomic<int>& pieces) : pieces_(pieces) {}
  More next(std::string& piece, bool) override {
    ++pieces_;
    piece.assign(32 * 1024, 'x');
    return More::kYes;
  }

 private:
  std::atomic<int>& pieces_;
};

// Says `tick` each time it is woken, and `beat` when it is asked for a sign of life.
class Ticker : public BodyStream {
 public:
  More next(std::string& piece, bool heartbeat) override {
    piece = heartbeat ? "beat" : first_ ? "" : "tick";
    first_ = false;
    return More::kWait;
  }

 private:
  bool first_ = true;
};

struct Fixture {
  explicit Fixture(HttpServerOptions options = {}) {
    net::Address address;
    auto listening = HttpServer::listen(
        loop, address, options, [this](HttpRequest request, HttpReply reply) { handle(std::move(request), reply); });
    REQUIRE(listening);
    server = std::move(*listening);
  }

  void handle(HttpRequest request, const HttpReply& reply) {
    HttpResponse response;
    if (request.target == "/echo")
      response.body = request.method + " " + request.body;
    else if (request.target == "/big")
      response.body = std::string(3 << 20, 'b');
    else if (request.target == "/silent")
      return;  // the reply goes away without an answer
    else if (request.target == "/endless") {
      response.stream = [this](auto) { return std::make_unique<Endless>(pieces); };
    } else if (request.target == "/ticks") {
      response.stream = [this](std::shared_ptr<net::Waker> w) {
        waker = std::move(w);
        streaming = true;
        return std::make_unique<Ticker>();
      };
    } else {
      response.status = 404;
    }
    reply.send(std::move(response));
  }

  [[nodiscard]] std::uint16_t port() const { return server->address().port; }

  std::atomic<int> pieces{0};
  std::atomic<bool> streaming{false};
  std::shared_ptr<net::Waker> waker;
  net::EventLoop loop{2};
  std::unique_ptr<HttpServer> server;
};

std::string post(std::string_view path, std::string_view body, std::string_view extra = "") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(extra) + "\r\n" + std::string(body);
}

template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace

TEST_CASE("a connection serves many requests, one after another") {
  Fixture f;
  HttpClient client(f.server->address());
  for (int i = 0; i < 20; ++i) {
    HttpRequest request;
    request.method = "POST";
    request.target = "/echo";
    request.body = "n" + std::to_string(i);
    auto response = client.request(request);
    REQUIRE(response);
    CHECK(response->body == "POST n" + std::to_string(i));
  }
  CHECK(f.server->stats().accepted_connections == 1);
}

TEST_CASE("pipelined requests are answered in order") {
  Fixture f;
  RawSocket socket(f.port());
  socket.send(post("/echo", "one") + post("/echo", "two") + post("/echo", "three", "Connection: close\r\n"));
  std::string all = socket.read_all();
  auto one = all.find("POST one");
  auto two = all.find("POST two");
  auto three = all.find("POST three");
  CHECK(one < two);
  CHECK(two < three);
  CHECK(three != std::string::npos);
}

TEST_CASE("a request may come byte by byte") {
  Fixture f;
  RawSocket socket(f.port());
  for (char c : post("/echo", "slow")) socket.send({&c, 1});
  CHECK(socket.read_until("POST slow").find("200 OK") != std::string::npos);
}

TEST_CASE("chunked request bodies are put together, also when a chunk's head is cut") {
  Fixture f;
  RawSocket socket(f.port());
  socket.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n1");
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  socket.send("0\r\n0123456789abcdef\r\n0\r\n\r\n");
  CHECK(socket.read_until("abcdef").find("POST abcd0123456789abcdef") != std::string::npos);
}

TEST_CASE("malformed requests get 400 and the connection ends") {
  Fixture f;
  const char* bad = GENERATE(
      "GARBAGE\r\n\r\n", "GET /echo HTTP/1.1\r\nHost x\r\n\r\n", "GET  HTTP/1.1\r\n\r\n",
      "GET /echo HTTP/1.1\r\n\r\n" /* no Host */, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "\x16\x03\x01\x02"
      "TLS hello\r\n\r\n");
  RawSocket socket(f.port());
  socket.send(bad);
  std::string answer = socket.read_all();
  INFO(bad);
  CHECK(answer.find("HTTP/1.1 400") == 0);
  CHECK(answer.find("application/problem+json") != std::string::npos);
  CHECK(socket.closed());
}

TEST_CASE("other versions of HTTP get 505") {
  Fixture f;
  RawSocket socket(f.port());
  socket.send("GET /echo HTTP/2.0\r\nHost: x\r\n\r\n");
  std::string answer = socket.read_all();
  CHECK((answer.find("HTTP/1.1 505") == 0 || answer.find("HTTP/1.1 400") == 0));
}

TEST_CASE("a head over the limit gets 431, a body 413, before they are read") {
  Fixture f(HttpServerOptions{.limits = {.header_bytes = 2048, .body_bytes = 1000}});
  RawSocket head(f.port());
  head.send("GET /echo HTTP/1.1\r\nHost: x\r\nX: " + std::string(4000, 'x') + "\r\n\r\n");
  CHECK(head.read_all().find("HTTP/1.1 431") == 0);
  RawSocket body(f.port());
  body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
  CHECK(body.read_all().find("HTTP/1.1 413") == 0);
  RawSocket chunked(f.port());
  chunked.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 3; ++i) chunked.send("200\r\n" + std::string(512, 'y') + "\r\n");
  CHECK(chunked.read_all().find("HTTP/1.1 413") == 0);
}

TEST_CASE("who sends a head too slowly gets 408, who sends nothing is dropped") {
  Fixture f(HttpServerOptions{.header_ms_max = 100, .idle_ms_max = 100});
  RawSocket slow(f.port());
  slow.send("GET /echo HT");
  CHECK(slow.read_all().find("HTTP/1.1 408") == 0);
  RawSocket silent(f.port());
  CHECK(silent.read_all().empty());
  CHECK(silent.closed());
}

TEST_CASE("Expect: 100-continue is answered before the body") {
  Fixture f;
  RawSocket socket(f.port());
  socket.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  CHECK(socket.read_until("\r\n\r\n").find("HTTP/1.1 100 Continue") == 0);
  socket.send("body");
  CHECK(socket.read_until("POST body").find("200 OK") != std::string::npos);
}

TEST_CASE("HEAD has the head of GET and no body; HTTP/1.0 closes") {
  Fixture f;
  RawSocket head(f.port());
  head.send("HEAD /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  std::string answer = head.read_all();
  CHECK(answer.find("Content-Length: 5\r\n") != std::string::npos);
  CHECK(answer.ends_with("\r\n\r\n"));
  RawSocket old(f.port());
  old.send("GET /echo HTTP/1.0\r\n\r\n");
  CHECK(old.read_all().ends_with("GET "));
  CHECK(old.closed());
}

TEST_CASE("a handler that lets its reply go answers 500") {
  Fixture f;
  HttpClient client(f.server->address());
  auto response = client.get("/silent");
  REQUIRE(response);
  CHECK(response->status == 500);
}

TEST_CASE("connections over the limit are answered 503") {
  Fixture f(HttpServerOptions{.connections_max = 2});
  RawSocket a(f.port());
  RawSocket b(f.port());
  REQUIRE(eventually([&] { return f.server->stats().open_connections == 2; }));
  RawSocket c(f.port());
  CHECK(c.read_all().find("HTTP/1.1 503") == 0);
  CHECK(f.server->stats().refused_connections == 1);
}

TEST_CASE("big answers arrive whole") {
  Fixture f;
  HttpClient client(f.server->address());
  auto response = client.get("/big");
  REQUIRE(response);
  CHECK(response->body.size() == 3U << 20);
}

TEST_CASE("H2, H3: a reader that takes nothing is not written for, and is dropped") {
  Fixture f(HttpServerOptions{.stall_ms_max = 300});
  RawSocket socket(f.port(), 4096);
  socket.send("GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  CHECK(eventually([&] { return f.server->stats().stalled_readers == 1; }));
  int made = f.pieces;
  CHECK(made < 400);  // what fits into socket buffers, not more
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  CHECK(f.pieces == made);
  CHECK(f.server->stats().open_connections == 0);
  HttpClient other(f.server->address());
  CHECK(other.get("/echo"));
}

TEST_CASE("a waiting stream writes when it is woken, and gives signs of life") {
  Fixture f(HttpServerOptions{.heartbeat_ms = 100});
  RawSocket socket(f.port());
  socket.send("GET /ticks HTTP/1.1\r\nHost: x\r\n\r\n");
  REQUIRE(eventually([&] { return f.streaming.load(); }));
  CHECK(socket.read_until("beat").find("Transfer-Encoding: chunked") != std::string::npos);
  f.waker->wake();
  CHECK(socket.read_until("tick").find("4\r\ntick\r\n") != std::string::npos);
}

TEST_CASE("a stream ends when its reader goes away, and waking it later does nothing") {
  Fixture f;
  {
    RawSocket socket(f.port());
    socket.send("GET /ticks HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(eventually([&] { return f.streaming.load(); }));
  }
  CHECK(eventually([&] { return f.server->stats().open_connections == 0; }));
  f.waker->wake();
  HttpClient client(f.server->address());
  CHECK(client.get("/echo"));
}

TEST_CASE("a server listens on a unix socket and takes over a stale one") {
  net::EventLoop loop(1);
  net::Address address;
  address.unix_path = "/tmp/thalweg_test_" + std::to_string(::getpid()) + ".sock";
  auto handler = [](HttpRequest request, HttpReply reply) {
    HttpResponse response;
    response.body = request.remote;
    reply.send(std::move(response));
  };
  auto first = HttpServer::listen(loop, address, {}, handler);
  REQUIRE(first);
  auto second = HttpServer::listen(loop, address, {}, handler);
  REQUIRE_FALSE(second);
  CHECK(second.error().message.find("cannot listen on unix:") == 0);
  HttpClient client(address);
  auto response = client.get("/");
  REQUIRE(response);
  CHECK(response->body == "unix");
}

TEST_CASE("a taken port is an error that names it") {
  Fixture f;
  auto again = HttpServer::listen(f.loop, f.server->address(), {}, [](HttpRequest, HttpReply) {});
  REQUIRE_FALSE(again);
  CHECK(again.error().message.find(f.server->address().to_text()) != std::string::npos);
}

TEST_CASE("the client says when nobody listens, and when a server is silent") {
  HttpClient nobody({.host = "127.0.0.1", .port = 1});
  auto refused = nobody.get("/");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kUnavailable);
  Fixture f;
  HttpClient hasty(f.server->address(), {.request_ms_max = 100});
  HttpRequest request{.method = "GET", .target = "/ticks"};
  auto late = hasty.request(request);
  REQUIRE_FALSE(late);
  CHECK(late.error().code == Code::kCancelled);
}

TEST_CASE("targets are taken apart and decoded; broken ones are refused") {
  auto target = net::parse_target("/a%20b//c?x=1+2&y=%26&z");
  REQUIRE(target);
  CHECK(target->segments == std::vector<std::string>{"a b", "c"});
  CHECK(target->query == std::vector<std::pair<std::string, std::string>>{{"x", "1 2"}, {"y", "&"}, {"z", ""}});
  CHECK_FALSE(net::parse_target("/a%2"));
  CHECK_FALSE(net::parse_target("/a%00b"));
  CHECK_FALSE(net::parse_target("a"));
  CHECK(net::parse_target("http://host/x")->segments == std::vector<std::string>{"x"});
}

TEST_CASE("addresses") {
  CHECK(net::parse_address("127.0.0.1:80")->port == 80);
  CHECK(net::parse_address(":8080")->to_text() == "127.0.0.1:8080");
  CHECK(net::parse_address("[::1]:9")->host == "::1");
  CHECK(net::parse_address("unix:/run/t.sock")->unix_path == "/run/t.sock");
  CHECK_FALSE(net::parse_address("host"));
  CHECK_FALSE(net::parse_address("host:70000"));
  CHECK_FALSE(net::parse_address("unix:"));
  CHECK_FALSE(net::parse_address("0.0.0.0:80")->is_loopback());
}

}  // namespace thalweg::tests
