// Commands that look at the pipelines of a running server: status, ps, top.
#include <algorithm>
#include <cstdio>
#include <thread>

#include "daemon/client/client.h"
#include "daemon/commands/commands.h"
#include "daemon/console.h"

namespace thalweg::daemon {
namespace {

using nlohmann::json;

std::string number_of(const json& object, const char* name) {
  return object.contains(name) && object[name].is_number() ? object[name].dump() : "";
}

std::string member_text(const json& object, const char* name) {
  return object.contains(name) && object[name].is_string() ? object[name].get<std::string>() : "";
}

std::string frontier_of(const json& object) {
  if (!object.contains("frontier")) return "";
  const json& frontier = object["frontier"];
  return frontier.contains("at") ? frontier["at"].dump() : "done";
}

std::string lag_of(const json& object) {
  if (!object.contains("lag_seconds") || !object["lag_seconds"].is_number()) return "";
  return short_seconds(object["lag_seconds"].get<double>());
}

// What a source knows that it has not read yet, else how long the oldest record waits.
std::string records_behind(const json& object) {
  return object.contains("lag_records") ? object["lag_records"].dump() + " records" : lag_of(object);
}

std::string pipelines_text(const json& pipelines) {
  TextTable table({"NAME", "STATE", "READY", "FRONTIER", "LAG", "ROWS IN", "ROWS OUT", "ERRORS", "RESTARTS"});
  for (const json& one : pipelines)
    table.add({member_text(one, "name"), member_text(one, "state"), one.value("ready", false) ? "yes" : "no",
               frontier_of(one), lag_of(one), number_of(one, "rows_in"), number_of(one, "rows_out"),
               number_of(one, "errors"), number_of(one, "restarts")});
  return table.text();
}

std::string connectors_text(const json& connectors) {
  TextTable table({"CONNECTOR", "KIND", "ROWS", "BYTES", "LAG", "ERRORS", "LAST ERROR"});
  for (const json& one : connectors)
    table.add({member_text(one, "name"), member_text(one, "connector"), number_of(one, "rows"), number_of(one, "bytes"),
               records_behind(one), number_of(one, "errors"), member_text(one, "last_error")});
  std::string out = table.text();
  TextTable partitions({"PARTITION", "CONNECTOR", "NEXT", "END", "LAG"});
  bool any = false;
  for (const json& one : connectors)
    for (const json& part : one.value("partitions", json::array())) {
      any = true;
      partitions.add({member_text(part, "partition"), member_text(one, "name"), number_of(part, "next"),
                      number_of(part, "end"), number_of(part, "lag")});
    }
  return any ? out + "\n" + partitions.text() : out;
}

std::string tables_text(const json& tables) {
  TextTable table({"TABLE", "ROWS", "FRONTIER"});
  for (const json& one : tables) table.add({member_text(one, "name"), number_of(one, "num_rows"), frontier_of(one)});
  return table.text();
}

bool any_failed(const json& pipelines) {
  return std::any_of(pipelines.begin(), pipelines.end(), [](const json& one) { return one.value("failed", false); });
}

// One pipeline with its connectors and tables.
int show_pipeline(Client& client, const std::string& name, bool as_json) {
  auto one = client.get_json(Client::pipeline_path(name));
  if (!one) return one.error();
  bool runs = one->contains("frontier");
  for (const char* part : {"connectors", "tables"}) {
    if (!runs) continue;
    auto answer = client.get_list(Client::pipeline_path(name) + "/" + part, part);
    if (!answer) return answer.error();
    (*one)[part] = std::move(*answer);
  }
  if (as_json) {
    std::printf("%s\n", one->dump(2).c_str());
    return one->value("failed", false) ? kExitFailed : kExitOk;
  }
  std::fputs(pipelines_text(json::array({*one})).c_str(), stdout);
  if (one->contains("failure")) std::printf("\nfailure: %s\n", member_text(*one, "failure").c_str());
  if (runs) {
    std::printf("\n%s", connectors_text((*one)["connectors"]).c_str());
    std::printf("\n%s", tables_text((*one)["tables"]).c_str());
  }
  return one->value("failed", false) ? kExitFailed : kExitOk;
}

}  // namespace

int run_command(const StatusArgs& args) {
  Env env = real_env();
  auto client = Client::make(args.server, env);
  if (!client) return client.error();
  if (!args.pipeline.empty()) return show_pipeline(*client, args.pipeline, args.json);
  auto all = client->get_list("/api/v1/pipelines", "pipelines");
  if (!all) return all.error();
  const json& pipelines = *all;
  if (args.json)
    std::printf("%s\n", pipelines.dump(2).c_str());
  else
    std::fputs(pipelines_text(pipelines).c_str(), stdout);
  return args.fail && any_failed(pipelines) ? kExitFailed : kExitOk;
}

int run_command(const TopArgs& args) {
  Env env = real_env();
  auto client = Client::make(args.server, env);
  if (!client) return client.error();
  std::map<std::string, std::uint64_t> before;
  for (std::uint64_t round = 0; args.rounds == 0 || round < args.rounds; ++round) {
    if (round > 0) std::this_thread::sleep_for(std::chrono::duration<double>(args.interval_s));
    auto all = client->get_list("/api/v1/pipelines", "pipelines");
    if (!all) return all.error();
    TextTable table({"NAME", "STATE", "LAG", "BEHIND", "ROWS/S", "ROWS IN", "ROWS OUT", "COMMITS", "ERRORS"});
    for (json& one : *all) {
      std::uint64_t rows = one.value("rows_in", std::uint64_t{0});
      auto last = before.find(member_text(one, "name"));
      std::string rate = "";
      if (last != before.end() && rows >= last->second) {
        double per_second = static_cast<double>(rows - last->second) / args.interval_s;
        one["rows_per_second"] = per_second;
        rate = short_count(per_second);
      }
      before[member_text(one, "name")] = rows;
      table.add({member_text(one, "name"), member_text(one, "state"), lag_of(one), number_of(one, "lag_records"), rate,
                 number_of(one, "rows_in"), number_of(one, "rows_out"), number_of(one, "commits"),
                 number_of(one, "errors")});
    }
    if (args.json) {
      std::printf("%s\n", all->dump().c_str());
      std::fflush(stdout);
      continue;
    }
    if (stdout_is_terminal()) std::fputs("\x1b[H\x1b[2J", stdout);
    std::fputs(table.text().c_str(), stdout);
    std::fflush(stdout);
  }
  return kExitOk;
}

}  // namespace thalweg::daemon
