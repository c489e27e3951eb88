// Commands that read tables of a running server: query, tail, snapshot.
#include <cstdio>

#include "daemon/client/client.h"
#include "daemon/commands/commands.h"
#include "daemon/console.h"

namespace thalweg::daemon {
namespace {

using Json = nlohmann::ordered_json;

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

// A number stays one, `done` and the rest are texts; the server says what it cannot read.
Json frontier_json(const std::string& text) {
  Json number = Json::parse(text, nullptr, false);
  return number.is_number_unsigned() ? number : Json(text);
}

std::string rows_text(const Json& answer) {
  std::vector<std::string> names;
  for (const Json& column : answer["columns"]) names.push_back(column["name"]);
  TextTable table(names);
  for (const Json& row : answer["rows"]) {
    std::vector<std::string> cells;
    bool has_errors = row.contains("_errors") && row["_errors"].is_array();
    for (const std::string& name : names) {
      bool is_error = has_errors && std::ranges::find(row["_errors"], Json(name)) != row["_errors"].end();
      cells.push_back(is_error ? "ERROR" : cell_text(row[name]));
    }
    table.add(std::move(cells));
  }
  return table.text();
}

std::string query_target(const std::string& format) {
  if (format == "csv") return "/api/v1/query?format=csv";
  return format == "jsonl" ? "/api/v1/query?format=jsonl" : "/api/v1/query";
}

// `a=1&b=2` with a question mark, from what is not empty.
std::string query_text(const std::vector<std::pair<std::string, std::string>>& parameters) {
  std::string out;
  for (const auto& [name, value] : parameters) {
    if (value.empty()) continue;
    out += (out.empty() ? "?" : "&") + name + "=" + net::percent_encode(value);
  }
  return out;
}

}  // namespace

int run_command(const QueryArgs& args) {
  Env env = real_env();
  auto client = Client::make(args.server, env);
  if (!client) return client.error();
  Json body;
  if (!args.pipeline.empty()) body["pipeline"] = args.pipeline;
  body["sql"] = args.sql;
  if (!args.at.empty()) body["at"] = frontier_json(args.at);
  if (args.limit > 0) body["limit"] = args.limit;
  auto response = client->request("POST", query_target(args.format), body.dump());
  if (!response) return response.error();
  if (args.format != "table") {
    print(response->body);
  } else {
    Json answer = Json::parse(response->body, nullptr, false);
    if (!answer.is_object()) return kExitUnreachable;
    print(rows_text(answer));
  }
  if (response->headers.find("X-Thalweg-Truncated")) complain("there are more rows; --limit takes up to 100000");
  return kExitOk;
}

int run_command(const SnapshotArgs& args) {
  Env env = real_env();
  auto client = Client::make(args.server, env);
  if (!client) return client.error();
  auto name = client->find_table(args.table, args.pipeline);
  if (!name) return name.error();
  std::string path = Client::table_path(*name);
  std::string target;
  if (args.diff.empty()) {
    target = path + "/snapshot" + query_text({{"at", args.at}, {"format", args.format}});
  } else if (args.at.empty()) {
    target = path + "/diff" + query_text({{"from", args.diff}, {"format", args.format}});
  } else {
    target = path + "/diff" + query_text({{"from", args.at}, {"to", args.diff}, {"format", args.format}});
  }
  // A problem comes as the body of the stream: it is short.
  std::string problem;
  bool good = true;
  bool first = true;
  auto response = client->stream(target, "", [&](std::string_view bytes) {
    if (first) good = !bytes.starts_with("{\"type\":\"about:blank\"");
    first = false;
    if (good)
      print(bytes);
    else
      problem += bytes;
    return true;
  });
  if (!response) return response.error();
  if (response->status < 400) return kExitOk;
  response->body = std::move(problem);
  return print_problem(*response);
}

namespace {

// Follows the events of a table over as many connections as it takes.
class Tail {
 public:
  Tail(const TailArgs& args, Client& client) : args_(args), client_(client) {}

  int run() {
    auto name = client_.find_table(args_.table, args_.pipeline);
    if (!name) return name.error();
    std::string path = Client::table_path(*name) + "/changes";
    while (!ended_ && !enough_) {
      std::string target =
          path + query_text({{"snapshot", args_.snapshot && last_id_.empty() ? "true" : ""}, {"from", args_.from}});
      text_.clear();
      auto response = client_.stream(target, last_id_, [this](std::string_view bytes) { return take(bytes); });
      if (!response) return enough_ ? kExitOk : response.error();
      if (response->status == 204) return kExitOk;
      if (response->status >= 400) {
        response->body = text_;
        return print_problem(*response);
      }
    }
    return failed_ ? kExitFailed : kExitOk;
  }

 private:
  bool take(std::string_view bytes) {
    text_ += bytes;
    for (std::size_t end = text_.find("\n\n"); end != std::string::npos && !enough_; end = text_.find("\n\n")) {
      event(text_.substr(0, end));
      text_.erase(0, end + 2);
    }
    std::fflush(stdout);
    return !enough_;
  }

  void event(std::string_view block) {
    std::string name;
    std::string data;
    while (!block.empty()) {
      std::size_t end = std::min(block.find('\n'), block.size());
      std::string_view line = block.substr(0, end);
      block.remove_prefix(std::min(end + 1, block.size()));
      if (line.starts_with("event: ")) name = line.substr(7);
      if (line.starts_with("data: ")) data = line.substr(6);
      if (line.starts_with("id: ")) last_id_ = line.substr(4);
    }
    Json value = Json::parse(data, nullptr, false);
    if (name.empty() || !value.is_object()) return;
    if (name == "end")
      end_with(value);
    else if (name == "reset")
      complain("the server has forgotten some changes; the rows may differ from here on");
    else if (name != "progress" || args_.progress)
      show(name, value);
  }

  void end_with(const Json& value) {
    ended_ = true;
    failed_ = value.value("state", "") == "failed";
    if (failed_) complain("the pipeline failed: " + value.value("failure", ""));
  }

  void show(const std::string& name, const Json& value) {
    if (args_.format == "json") {
      Json line = Json::object();
      if (name != "update") line["event"] = name;
      line.update(value);
      print(line.dump() + "\n");
    } else if (name == "progress") {
      print("at " + value.dump() + "\n");
    } else {
      std::string cells;
      for (const auto& [column, cell] : value["row"].items()) cells += "  " + column + "=" + cell.dump();
      std::string diff = value.contains("diff") ? value["diff"].dump() : "1";
      if (!diff.starts_with('-')) diff = "+" + diff;
      print(diff + "  " + (value.contains("time") ? value["time"].dump() : "now") + cells + "\n");
    }
    if (name != "progress" && args_.limit > 0 && ++shown_ >= args_.limit) enough_ = true;
  }

  const TailArgs& args_;
  Client& client_;
  std::string text_;
  std::string last_id_;
  std::uint64_t shown_ = 0;
  bool ended_ = false;
  bool failed_ = false;
  bool enough_ = false;
};

}  // namespace

int run_command(const TailArgs& args) {
  Env env = real_env();
  auto client = Client::make(args.server, env);
  if (!client) return client.error();
  return Tail(args, *client).run();
}

}  // namespace thalweg::daemon
