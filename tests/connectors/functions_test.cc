#include <catch2/catch.hpp>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "connectors/functions/functions.h"
#include "connectors/net/event_loop.h"
#include "connectors/net/http_pool.h"
#include "connectors/net/http_server.h"
#include "connectors/process/line_process.h"
#include "tests/connectors/collect.h"

namespace thalweg {

using namespace testing;
using Texts = std::vector<std::string>;

namespace {

plan::FunctionSpec spec(std::string kind, Type returns, Setting options) {
  plan::FunctionSpec out;
  out.kind = std::move(kind);
  out.name = "fn";
  out.returns = std::move(returns);
  out.options = std::move(options);
  return out;
}

plan::UserFunctionPtr make(const plan::FunctionSpec& spec) {
  auto made = make_function(spec, {});
  INFO((made ? "" : made.error().message));
  REQUIRE(made);
  return *made;
}

std::string refusal(const plan::FunctionSpec& spec, FunctionPolicy policy = {}) {
  auto made = make_function(spec, policy);
  return made ? "made" : made.error().message;
}

struct Called {
  Texts cells;
  Texts errors;  // `row: why`
};

// Calls with one int column.
Called call(const plan::UserFunction& function, const Type& result, const std::vector<std::int64_t>& numbers) {
  const Column column = Column::from_vector<std::int64_t>(Phys::kI64, numbers);
  const std::vector<Column> args = {column};
  const std::vector<Type> types = {Type(Kind::kInt)};
  Called out;
  std::mutex mutex;
  const std::function<void(std::size_t, std::string_view)> failed = [&](std::size_t row, std::string_view why) {
    const std::lock_guard lock(mutex);
    out.errors.push_back(std::to_string(row) + ": " + std::string(why));
  };
  const Column answers = function.call({args, types, result, numbers.size(), nullptr, failed});
  REQUIRE(answers.size() == numbers.size());
  for (std::size_t row = 0; row < answers.size(); ++row) out.cells.push_back(answers.value(result, row).to_text());
  return out;
}

Setting list(std::initializer_list<std::string> words) {
  Setting::List out;
  for (const std::string& word : words) out.push_back(Setting(word));
  return Setting(std::move(out));
}
Setting number(std::int64_t value) { return Setting(value); }
Setting shell(const std::string& line) { return list({"/bin/sh", "-c", line}); }

Setting strategy(std::string tag, Setting::Map entries) {
  Setting out(std::move(entries));
  out.tag = std::move(tag);
  return out;
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// Answers `[n]` with n + 1, after a count of the questions so far in `file`.
const char* const kIncrement =
    "while read -r line; do n=${line#[}; n=${n%]}; echo \"{\\\"value\\\": $((n + 1))}\"; done";

// A server whose answers a test decides.
class Server {
 public:
  using Answer = std::function<net::HttpResponse(const net::HttpRequest&)>;
  explicit Server(Answer answer) {
    auto made = net::HttpServer::listen(
        loop_, {.host = "127.0.0.1", .port = 0, .unix_path = {}}, {},
        [answer = std::move(answer)](net::HttpRequest request, net::HttpReply reply) { reply.send(answer(request)); });
    REQUIRE(made);
    server_ = std::move(*made);
  }
  [[nodiscard]] std::string url(const std::string& path = "/fn") const {
    return "http://127.0.0.1:" + std::to_string(server_->address().port) + path;
  }

 private:
  net::EventLoop loop_{8};
  std::unique_ptr<net::HttpServer> server_;
};

// `[3]` lines → `{"value": 6}` lines.
std::string doubled(const std::string& body) {
  std::string out;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t end = body.find('\n', at);
    out += "{\"value\": " + std::to_string(2 * std::stoll(body.substr(at + 1, end - at - 2))) + "}\n";
    at = end + 1;
  }
  return out;
}

}  // namespace

TEST_CASE("Lua: workers that call at once do not share a state") {
  const auto function =
      make(spec("lua", Kind::kInt,
                args({{"source", text("local n = 0 return function(a) n = n + 1 local m = n for i = 1, 1000 do m = m + "
                                      "0 end assert(m == n) return a + 1 end")}})));
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        const Column column = Column::from_vector<std::int64_t>(Phys::kI64, std::vector<std::int64_t>(100, 41));
        const std::vector<Column> columns = {column};
        const std::vector<Type> types = {Type(Kind::kInt)};
        const Type result(Kind::kInt);
        const std::function<void(std::size_t, std::string_view)> failed = [&](std::size_t, std::string_view) {
          ++wrong;
        };
        const Column out = function->call({columns, types, result, 100, nullptr, failed});
        for (std::size_t row = 0; row < 100; ++row) wrong += out.i64()[row] != 42;
      }
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(wrong == 0);
}

TEST_CASE("Lua: a chunk that loops or fails while it is loaded is refused, with the line") {
  auto made = make_function(
      spec("lua", Kind::kInt,
           args({{"source", text("local a = 1\nwhile true do end")}, {"instruction_limit", number(10000)}})),
      {});
  REQUIRE_FALSE(made);
  CHECK(made.error().line == 2);
  CHECK(made.error().message.find("more than 10000 instructions") != std::string::npos);
  CHECK(refusal(spec("lua", Kind::kInt, args({{"source", text("x = = 1")}}))) == "unexpected symbol near '='");
  CHECK(refusal(spec("lua", Kind::kInt, args({{"source", text("local x = nil")}}))) ==
        "the source defines no function");
}

TEST_CASE("Lua: a state that ran out of memory is replaced") {
  const auto function = make(spec("lua", Kind::kInt,
                                  args({{"source", text("kept = {} return function(a) if a == 0 then while true do "
                                                        "kept[#kept + 1] = {a} end end return #kept end")},
                                        {"memory_limit", number(2)},
                                        {"instruction_limit", number(100'000'000)}})));
  const Called called = call(*function, Kind::kInt, {1, 0, 1});
  CHECK(called.cells == Texts{"0", "Error", "0"});
  CHECK(called.errors == Texts{"1: more than 2 MiB of memory (`memory_limit`)"});
}

TEST_CASE("exec: rows are answered in order by a program that lives on") {
  const auto function = make(spec("exec", Kind::kInt, args({{"command", shell(kIncrement)}})));
  CHECK(call(*function, Kind::kInt, {1, 5, -3}).cells == Texts{"2", "6", "-2"});
  CHECK(call(*function, Kind::kInt, {7}).cells == Texts{"8"});
}

TEST_CASE("exec: more than the pipes hold goes both ways") {
  const auto function =
      make(spec("exec", Kind::kInt,
                args({{"command", list({"sed", "-u", "s/.*/{\"value\": 1}/"})}, {"max_batch_size", number(60000)}})));
  const Called called = call(*function, Kind::kInt, std::vector<std::int64_t>(50000, 123456789));
  CHECK(called.errors.empty());
  CHECK(called.cells == Texts(50000, "1"));
}

TEST_CASE("exec: one program per call under way, up to the capacity") {
  const std::string slow = "while read -r line; do sleep 0.5; echo '{\"value\": 1}'; done";
  const auto function = make(spec(
      "exec", Kind::kInt, args({{"command", shell(slow)}, {"max_batch_size", number(1)}, {"capacity", number(4)}})));
  const std::int64_t begun = now_ms();
  CHECK(call(*function, Kind::kInt, {1, 2, 3, 4}).cells == Texts(4, "1"));
  CHECK(now_ms() - begun < 1900);  // one after another takes 2000
}

TEST_CASE("exec: what goes wrong is said, row by row") {
  const auto errors = [](const std::string& line, Setting more = number(2000)) {
    return call(*make(spec(
                    "exec", Kind::kInt,
                    args({{"command", shell(line)}, {"max_batch_size", number(1)}, {"timeout", std::move(more)}}))),
                Kind::kInt, {1})
        .errors;
  };
  CHECK(errors("read -r l; echo '{\"error\": \"not today\"}'") == Texts{"0: not today"});
  CHECK(errors("read -r l; echo nonsense") == Texts{"0: the answer is no JSON object: nonsense"});
  CHECK(errors("read -r l; echo '{\"value\": \"x\"}'") == Texts{"0: the answer is no `int`: \"x\""});
  CHECK(errors("read -r l; echo '{}'") == Texts{"0: the answer has neither `value` nor `error`: {}"});
  CHECK(errors("echo broken pipe dream >&2; exit 3") ==
        Texts{"0: the program exited with status 3: broken pipe dream"});
  CHECK(errors("sleep 20", Setting(0.2)) == Texts{"0: no answer within 200 ms (`timeout`)"});
  const auto missing = make(spec("exec", Kind::kInt, args({{"command", list({"/no/such/program"})}})));
  CHECK(call(*missing, Kind::kInt, {1}).errors ==
        Texts{"0: cannot start `/no/such/program`: No such file or directory"});
}

TEST_CASE("exec: a program that broke off is started again for the next attempt") {
  const TempDir dir;
  const std::string once = "read -r l; if [ ! -e " + dir.path("seen") + " ]; then touch " + dir.path("seen") +
                           "; exit 1; fi; echo '{\"value\": 9}'";
  const auto function =
      make(spec("exec", Kind::kInt,
                args({{"command", shell(once)},
                      {"retry_strategy", strategy("udfs.FixedDelayRetryStrategy",
                                                  {{"max_retries", number(2)}, {"delay_ms", number(10)}})}})));
  const Called called = call(*function, Kind::kInt, {1});
  CHECK(called.cells == Texts{"9"});
  CHECK(called.errors.empty());
}

TEST_CASE("exec: refused where pipelines may not start programs") {
  const auto exec = spec("exec", Kind::kInt, args({{"command", shell(kIncrement)}}));
  CHECK(refusal(exec, {.allow_exec = false}) == "pipelines may not start programs here");
  CHECK(refusal(spec("exec", Kind::kInt, args({{"command", list({})}}))).starts_with("`command` is a program"));
}

TEST_CASE("http: rows are answered in order, calls overlap up to the capacity") {
  std::atomic<int> running{0}, most{0};
  const Server server([&](const net::HttpRequest& request) {
    const int now = ++running;
    for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    --running;
    net::HttpResponse response;
    response.body = doubled(request.body);
    return response;
  });
  const auto function = make(spec("http", Kind::kInt, args({{"url", text(server.url())}, {"capacity", number(3)}})));
  CHECK(call(*function, Kind::kInt, {1, 2, 3, 4, 5, 6}).cells == Texts{"2", "4", "6", "8", "10", "12"});
  CHECK(most > 1);
  CHECK(most <= 3);
}

TEST_CASE("http: trouble of the server is retried, a refusal is not") {
  std::atomic<int> requests{0};
  const Server server([&](const net::HttpRequest& request) {
    net::HttpResponse response;
    const int n = ++requests;
    if (request.target == "/no")
      response.status = 400;
    else if (n < 3)
      response.status = 503;
    response.body = response.status == 200 ? doubled(request.body) : "reason\n";
    return response;
  });
  const Setting retry = strategy("udfs.ExponentialBackoffRetryStrategy", {{"max_retries", number(3)},
                                                                          {"initial_delay", number(5)},
                                                                          {"backoff_factor", number(2)},
                                                                          {"jitter_ms", number(1)}});
  CHECK(call(*make(spec("http", Kind::kInt, args({{"url", text(server.url())}, {"retry_strategy", retry}}))),
             Kind::kInt, {4})
            .cells == Texts{"8"});
  CHECK(requests == 3);
  requests = 10;
  CHECK(call(*make(spec("http", Kind::kInt, args({{"url", text(server.url("/no"))}, {"retry_strategy", retry}}))),
             Kind::kInt, {4})
            .errors == Texts{"0: the server answered 400 Bad Request: reason"});
  CHECK(requests == 11);
}

TEST_CASE("http: with a cache equal questions are asked once, errors are asked again") {
  std::atomic<int> lines{0};
  const Server server([&](const net::HttpRequest& request) {
    lines += static_cast<int>(std::count(request.body.begin(), request.body.end(), '\n'));
    net::HttpResponse response;
    response.body = request.body == "[13]\n" ? "{\"error\": \"unlucky\"}\n" : doubled(request.body);
    return response;
  });
  const auto function = make(spec(
      "http", Kind::kInt, args({{"url", text(server.url())}, {"cache_strategy", strategy("udfs.InMemoryCache", {})}})));
  CHECK(call(*function, Kind::kInt, {1, 1, 2}).cells == Texts{"2", "2", "4"});
  CHECK(call(*function, Kind::kInt, {2, 1}).cells == Texts{"4", "2"});
  CHECK(lines == 2);
  (void)call(*function, Kind::kInt, {13});
  (void)call(*function, Kind::kInt, {13});
  CHECK(lines == 4);
}

TEST_CASE("http: a server that is silent or away costs the time limit") {
  const Server server([&](const net::HttpRequest&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    return net::HttpResponse{};
  });
  const auto function = make(spec("http", Kind::kInt, args({{"url", text(server.url())}, {"timeout", Setting(0.1)}})));
  CHECK(call(*function, Kind::kInt, {1}).errors == Texts{"0: the server took too long"});
  const auto away = make(spec("http", Kind::kInt, args({{"url", text("http://127.0.0.1:1/")}})));
  CHECK(call(*away, Kind::kInt, {1}).errors == Texts{"0: cannot connect to 127.0.0.1:1: Connection refused"});
}

TEST_CASE("http: TLS, with a certificate that is trusted, and with one that is not") {
  const TempDir dir;
  const std::string make_certificate =
      "openssl req -x509 -newkey rsa:2048 -nodes -keyout " + dir.path("key.pem") + " -out " + dir.path("cert.pem") +
      " -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost >/dev/null 2>&1";
  REQUIRE(std::system(make_certificate.c_str()) == 0);
  dir.write("server.py", R"(
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "12")
        self.end_headers()
        self.wfile.write(b'{"value": 3}')
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("cert.pem", "key.pem")
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_address[1], flush=True)
server.serve_forever()
)");
  process::Command command = process::command_of({"python3", "server.py"}, false);
  command.directory = dir.path();
  command.name = "server";
  auto server = process::LineProcess::start(command);
  REQUIRE(server);
  REQUIRE((*server)->pump(20'000));
  const auto port = (*server)->take_line();
  REQUIRE(port);
  const auto asked = [&](const std::string& host, Setting::Map more) {
    more.emplace_back("url", text("https://" + host + ":" + *port + "/"));
    return call(*make(spec("http", Kind::kInt, Setting(std::move(more)))), Kind::kInt, {1, 2});
  };
  CHECK(asked("localhost", {{"ca_file", text(dir.path("cert.pem"))}}).cells == Texts{"3", "3"});
  CHECK(asked("localhost", {}).errors[0].find("certificate is refused") != std::string::npos);
  // The certificate is for another name.
  CHECK(asked("127.0.0.1", {{"ca_file", text(dir.path("cert.pem"))}}).errors[0].find("certificate is refused") !=
        std::string::npos);
}

TEST_CASE("http: URLs") {
  const auto shown = [](std::string_view url) {
    auto parsed = net::parse_url(url);
    if (!parsed) return parsed.error().message;
    return std::string(parsed->tls ? "tls " : "") + parsed->address.host + " " + std::to_string(parsed->address.port) +
           " " + parsed->host + " " + parsed->target;
  };
  CHECK(shown("http://a.example/x?y=1#z") == "a.example 80 a.example /x?y=1");
  CHECK(shown("HTTPS://a.example") == "tls a.example 443 a.example /");
  CHECK(shown("http://[::1]:8080?q") == "::1 8080 [::1]:8080 /?q");
  CHECK(shown("ftp://a").find("begins with http") != std::string::npos);
  CHECK(shown("http://").find("no host") != std::string::npos);
  CHECK(shown("http://u:p@a/").find("in a header") != std::string::npos);
  CHECK(shown("http://u:p@a/").find("`http://***@a/`") != std::string::npos);
  CHECK(shown("http://a b/").find("blank") != std::string::npos);
  CHECK(shown("http://a:x/").find("port is no number") != std::string::npos);
}

TEST_CASE("options that make no sense are refused, by name") {
  const auto wrong = [](std::initializer_list<std::pair<std::string, Setting>> options) {
    Setting::Map map{{"url", text("http://a/")}};
    for (const auto& [name, value] : options) map.emplace_back(name, value);
    auto made = make_function(spec("http", Kind::kInt, Setting(std::move(map))), {});
    return made ? std::string("made") : made.error().option;
  };
  CHECK(wrong({}) == "made");
  CHECK(wrong({{"capacity", number(0)}}) == "capacity");
  CHECK(wrong({{"timeout", Setting(-1.0)}}) == "timeout");
  CHECK(wrong({{"timeout", text("500ms")}}) == "made");
  CHECK(wrong({{"retries", number(-1)}}) == "retries");
  CHECK(wrong({{"retry_strategy", strategy("udfs.InMemoryCache", {})}}) == "retry_strategy");
  CHECK(wrong({{"cache_strategy", strategy("udfs.NoRetryStrategy", {})}}) == "cache_strategy");
  CHECK(wrong({{"executor", strategy("udfs.async_executor", {{"capacity", number(5000)}})}}) == "executor");
  CHECK(wrong({{"max_batch_size", number(0)}}) == "max_batch_size");
  CHECK(wrong({{"headers", strategy("", {{"X y", text("z")}})}}) == "headers");
}

}  // namespace thalweg
