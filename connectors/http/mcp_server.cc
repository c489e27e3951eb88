#include "connectors/http/mcp_server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include <nlohmann/json.hpp>

#include "connectors/formats/encode.h"
#include "connectors/http/problem.h"

namespace thalweg::web {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 4> kVersions = {"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"};
constexpr std::size_t kLineMax = 16U << 20;
constexpr std::size_t kWaitingMax = 1024;
constexpr int kParseError = -32700, kInvalidRequest = -32600, kNoSuchMethod = -32601, kInvalidParams = -32602;

std::string dumped(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json schema_of(const Type& type) {
  if (type.optional()) return {{"anyOf", {schema_of(type.without_optional()), {{"type", "null"}}}}};
  switch (type.kind()) {
    case Kind::kInt: return {{"type", "integer"}};
    case Kind::kFloat: return {{"type", "number"}};
    case Kind::kBool: return {{"type", "boolean"}};
    case Kind::kList: return {{"type", "array"}, {"items", schema_of(type.element())}};
    case Kind::kTuple:
    case Kind::kArray: return {{"type", "array"}};
    case Kind::kJson:
    case Kind::kAny:
    case Kind::kNone: return Json::object();
    default: return {{"type", "string"}};
  }
}

// What a tool takes. Columns that begin with an underscore are nobody's to fill.
Json input_schema(const std::vector<plan::SourceField>& fields) {
  Json properties = Json::object(), required = Json::array();
  for (const plan::SourceField& field : fields) {
    const std::string& name = field.external_name.empty() ? field.name : field.external_name;
    if (name.starts_with('_')) continue;
    Json one = schema_of(field.type);
    if (field.default_value) {
      std::string text;
      append_json_value(*field.default_value, text);
      const Json fallback = Json::parse(text, nullptr, false);
      if (!fallback.is_discarded()) one["default"] = fallback;
    } else if (!field.type.admits_none()) {
      required.push_back(name);
    }
    properties[name] = std::move(one);
  }
  Json out = {{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) out["required"] = std::move(required);
  return out;
}

Json error_of(const Json& id, int code, std::string message) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"error", {{"code", code}, {"message", std::move(message)}}}};
}
Json result_of(const Json& id, Json result) { return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}}; }

// An answer of a route as the result of a tool: its text, and what it says as structure.
Json tool_result(const net::HttpResponse& response) {
  Json body = Json::parse(response.body, nullptr, false);
  Json out;
  if (response.status != 200) {
    const bool says_why = body.is_object() && body.contains("detail") && body["detail"].is_string();
    out["content"] = {{{"type", "text"}, {"text", says_why ? body["detail"] : Json("no answer")}}};
    out["isError"] = true;
    return out;
  }
  if (body.is_discarded()) body = response.body;
  out["content"] = {{{"type", "text"}, {"text", body.is_string() ? body.get<std::string>() : dumped(body)}}};
  out["structuredContent"] = body.is_object() ? std::move(body) : Json{{"result", std::move(body)}};
  out["isError"] = false;
  return out;
}

}  // namespace

class McpServer : public std::enable_shared_from_this<McpServer> {
 public:
  explicit McpServer(std::string name) : name_(std::move(name)) {}
  ~McpServer() {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(stop_fd_, &one, sizeof one);
    thread_.join();
    ::close(stop_fd_);
  }
  McpServer(const McpServer&) = delete;
  McpServer& operator=(const McpServer&) = delete;

  Result<void> listen(WebHost& host, RouteSpec route) {
    route.methods = {"POST"};
    route.with_schema = false;
    route.handle = [weak = weak_from_this()](Exchange exchange) {
      if (const auto self = weak.lock()) self->serve(std::move(exchange));
    };
    route_ = TRY(host.add(std::move(route)));
    return {};
  }
  void converse() {
    stop_fd_ = ::eventfd(0, EFD_CLOEXEC);
    thread_ = std::thread([this] { read_lines(); });
  }

  [[nodiscard]] bool add(std::shared_ptr<const McpTool> tool) {
    const std::lock_guard lock(mutex_);
    if (std::ranges::any_of(tools_, [&](const auto& known) { return known->name == tool->name; })) return false;
    tools_.push_back(std::move(tool));
    return true;
  }
  void remove(const std::shared_ptr<const McpTool>& tool) {
    const std::lock_guard lock(mutex_);
    std::erase(tools_, tool);
  }
  // All tools of the run are there: what came before is answered now.
  void open() {
    std::vector<std::function<void()>> waiting;
    {
      const std::lock_guard lock(mutex_);
      open_ = true;
      waiting.swap(waiting_);
    }
    for (const auto& one : waiting) one();
  }
  void close() {
    if (route_) route_->close();
  }

 private:
  using Done = std::function<void(std::optional<Json>)>;  // nothing: there is nothing to say

  void serve(Exchange exchange) {
    answer(exchange.http.body, [reply = exchange.reply](const std::optional<Json>& message) {
      if (message) return reply.send(json_answer(200, dumped(*message)));
      net::HttpResponse accepted;
      accepted.status = 202;
      reply.send(std::move(accepted));
    });
  }

  void answer(const std::string& text, const Done& done) {
    {
      const std::lock_guard lock(mutex_);
      if (!open_ && waiting_.size() < kWaitingMax)
        return static_cast<void>(waiting_.emplace_back([this, text, done] { answer(text, done); }));
    }
    const Json message = Json::parse(text, nullptr, false);
    if (message.is_discarded()) return done(error_of(nullptr, kParseError, "this is no JSON"));
    if (!message.is_object() || message.value("jsonrpc", Json()) != "2.0")
      return done(error_of(nullptr, kInvalidRequest, "this is no message of JSON-RPC 2.0"));
    if (!message.contains("method") || !message.contains("id")) return done(std::nullopt);  // a notification, an answer
    const Json& id = message["id"];
    if (!message["method"].is_string() || !(id.is_string() || id.is_number()))
      return done(error_of(nullptr, kInvalidRequest, "`method` is a text, `id` a text or a number"));
    const auto method = message["method"].get<std::string>();
    const Json params = message.value("params", Json::object());
    if (!params.is_object()) return done(error_of(id, kInvalidParams, "`params` is an object"));
    if (method == "initialize") return done(result_of(id, greeting(params)));
    if (method == "ping") return done(result_of(id, Json::object()));
    if (method == "tools/list") return done(result_of(id, {{"tools", list()}}));
    if (method == "tools/call") return call(id, params, done);
    done(error_of(id, kNoSuchMethod, "there is no method `" + method + "` here"));
  }

  [[nodiscard]] Json greeting(const Json& params) const {
    const Json wanted = params.value("protocolVersion", Json());
    const bool known = std::ranges::any_of(kVersions, [&](std::string_view version) { return wanted == version; });
    return {{"protocolVersion", known ? wanted : Json(kVersions[1])},
            {"capabilities", {{"tools", {{"listChanged", false}}}}},
            {"serverInfo", {{"name", name_}, {"version", "1.0.0"}}}};
  }

  [[nodiscard]] Json list() {
    Json out = Json::array();
    const std::lock_guard lock(mutex_);
    for (const auto& tool : tools_)
      out.push_back({{"name", tool->name},
                     {"title", tool->title.empty() ? tool->name : tool->title},
                     {"description", tool->description},
                     {"inputSchema", input_schema(tool->fields)},
                     {"annotations", {{"readOnlyHint", true}, {"openWorldHint", false}}}});
    return out;
  }

  void call(const Json& id, const Json& params, const Done& done) {
    const Json name = params.value("name", Json());
    const Json arguments = params.value("arguments", Json::object());
    if (!arguments.is_object()) return done(error_of(id, kInvalidParams, "`arguments` is an object"));
    std::shared_ptr<const McpTool> tool;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& known : tools_)
        if (name == known->name) tool = known;
    }
    if (!tool) return done(error_of(id, kInvalidParams, "there is no tool " + dumped(name)));
    Exchange exchange{{}, {}, {}, net::HttpReply([id, done](const net::HttpResponse& response) {
                        done(result_of(id, tool_result(response)));
                      })};
    exchange.http.method = "POST";
    exchange.http.body = dumped(arguments);
    tool->handle(std::move(exchange));
  }

  // ---- standard input and output: a message per line

  struct Output {
    std::mutex mutex;
    void write(std::string line) {
      line += '\n';
      const std::lock_guard lock(mutex);
      for (std::string_view rest = line; !rest.empty();) {
        const ssize_t wrote = ::write(STDOUT_FILENO, rest.data(), rest.size());
        if (wrote < 0 && errno != EINTR) return;
        if (wrote > 0) rest.remove_prefix(static_cast<std::size_t>(wrote));
      }
    }
  };

  void read_lines() {
    const auto output = std::make_shared<Output>();
    std::string pending;
    std::array<char, 64 * 1024> buffer;
    for (;;) {
      std::array<pollfd, 2> waits = {{{STDIN_FILENO, POLLIN, 0}, {stop_fd_, POLLIN, 0}}};
      if (::poll(waits.data(), waits.size(), -1) < 0 && errno != EINTR) return;
      if (waits[1].revents != 0) return;
      if (waits[0].revents == 0) continue;
      const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
      if (got < 0 && errno == EINTR) continue;
      // Whoever started this process to talk to it has gone: it ends as by a signal.
      if (got <= 0 || pending.size() > kLineMax) return static_cast<void>(::kill(::getpid(), SIGTERM));
      pending.append(buffer.data(), static_cast<std::size_t>(got));
      for (std::size_t end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
        const std::string line = pending.substr(0, end);
        pending.erase(0, end + 1);
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        answer(line, [output](const std::optional<Json>& message) {
          if (message) output->write(dumped(*message));
        });
      }
    }
  }

  const std::string name_;
  std::mutex mutex_;
  bool open_ = false;                                  // guarded by mutex_
  std::vector<std::function<void()>> waiting_;         // guarded by mutex_: requests from before the opening
  std::vector<std::shared_ptr<const McpTool>> tools_;  // guarded by mutex_
  std::unique_ptr<WebHost::Route> route_;
  int stop_fd_ = -1;
  std::thread thread_;
};

McpOffer::~McpOffer() {
  server_->close();
  server_->remove(tool_);
}
void McpOffer::open() { server_->open(); }
void McpOffer::close() { server_->close(); }

Result<std::unique_ptr<McpOffer>> offer_tool(const std::string& server, std::unique_ptr<RouteSpec> route, McpTool tool,
                                             const ConnectorServices& services) {
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<McpServer>> servers;  // by run, place and name
  const std::string place = route ? route->place.to_text() + " " + route->path : "stdio";
  const std::string key = std::to_string(reinterpret_cast<std::uintptr_t>(services.run)) + " " + services.pipeline +
                          " " + place + " " + server;
  const std::lock_guard lock(mutex);
  std::erase_if(servers, [](const auto& known) { return known.second.expired(); });
  std::shared_ptr<McpServer> found = servers[key].lock();
  if (!found) {
    found = std::make_shared<McpServer>(server);
    if (route) {
      TRY(found->listen(*services.web, std::move(*route)));
    } else if (std::ranges::any_of(servers, [](const auto& known) {
                 return known.first.find(" stdio ") != std::string::npos && !known.second.expired();
               })) {
      return fail(Code::kInvalidPipeline, "standard input and output are taken by another MCP server");
    } else {
      found->converse();
    }
    servers[key] = found;
  }
  auto offered = std::make_shared<const McpTool>(std::move(tool));
  if (!found->add(offered))
    return fail(Code::kInvalidPipeline, "the MCP server `" + server + "` has two tools called `" + offered->name + "`");
  return std::make_unique<McpOffer>(std::move(found), std::move(offered));
}

}  // namespace thalweg::web
