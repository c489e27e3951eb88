// Commands that change what a daemon runs: reload, pause, resume, start, stop, rm, apply, rollback.
#include <cstdio>

#include "daemon/client/client.h"
#include "daemon/commands/commands.h"
#include "daemon/console.h"

namespace thalweg::daemon {
namespace {

using nlohmann::json;

constexpr std::uint64_t kFileBytesMax = 8ULL << 20;

void print_lines(const char* what, const json& list) {
  for (const json& one : list) {
    std::string line = one.is_string() ? one.get<std::string>() : one.dump();
    if (one.is_object() && one.contains("name")) {
      line = one["name"].get<std::string>();
      if (one.contains("detail")) line += ": " + one["detail"].get<std::string>();
    }
    std::printf("  %-8s %s\n", what, line.c_str());
  }
}

// One outcome as the server reports it; whether it is good.
bool print_outcome(const json& outcome) {
  std::string result = outcome.value("result", "");
  std::string line = outcome.value("pipeline", "") + ": " + result;
  if (outcome.contains("reason")) line += ": " + outcome["reason"].get<std::string>();
  std::printf("%s\n", line.c_str());
  for (const char* what : {"kept", "rebuilt", "added", "removed", "outputs", "warnings"})
    if (outcome.contains(what)) print_lines(what, outcome[what]);
  if (outcome.contains("diagnostics")) std::fputs(outcome["diagnostics"].get<std::string>().c_str(), stderr);
  return result != "failed";
}

int finish(Client& client, const net::HttpResponse& response, bool as_json) {
  auto body = client.json_of(response);
  if (!body) return body.error();
  bool good = true;
  json outcomes = body->contains("outcomes") ? (*body)["outcomes"] : json::array({*body});
  bool invalid = false;
  for (const json& outcome : outcomes) {
    bool fine = as_json ? outcome.value("result", "") != "failed" : print_outcome(outcome);
    good = good && fine;
    invalid = invalid || outcome.value("code", "") == "invalid_pipeline";
  }
  if (as_json) std::printf("%s\n", body->dump(2).c_str());
  if (good) return kExitOk;
  return invalid ? kExitInvalid : kExitFailed;
}

std::string flags(bool dry_run, bool accept) {
  std::string out = dry_run ? "?dry_run=true" : "";
  if (accept) out += std::string(out.empty() ? "?" : "&") + "accept=true";
  return out;
}

int post(const ServerArgs& server, const std::string& method, const std::string& target, bool as_json,
         const std::string& body = {}) {
  Env env = real_env();
  auto client = Client::make(server, env, true);
  if (!client) return client.error();
  auto response = client->request(method, target, body, "application/yaml");
  if (!response) return response.error();
  return finish(*client, *response, as_json);
}

int list_checkpoints(const LifecycleArgs& args) {
  Env env = real_env();
  auto client = Client::make(args.server, env);
  if (!client) return client.error();
  auto answer = client->get_json(Client::pipeline_path(args.pipeline) + "/checkpoints");
  if (!answer) return answer.error();
  if (args.json) {
    std::printf("%s\n", answer->dump(2).c_str());
    return kExitOk;
  }
  if (!answer->value("persistence", false)) {
    std::printf("%s keeps no state (it has no `persistence_config`, or does not run)\n", args.pipeline.c_str());
    return kExitOk;
  }
  TextTable table({"NUMBER", "COMMIT", "WRITTEN", "SIZE", "NEW", "TOOK"});
  for (const json& one : (*answer)["checkpoints"]) {
    auto seconds = static_cast<std::time_t>(one.value("time", 0.0));
    char when[32] = {};
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    std::strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    table.add({one["number"].dump(), one["commit"].dump(), when, short_bytes(one.value("bytes", 0.0)),
               short_bytes(one.value("written_bytes", 0.0)), short_seconds(one.value("duration_seconds", 0.0))});
  }
  std::fputs(table.text().c_str(), stdout);
  std::printf("log since then: %s\n", short_bytes((*answer).value("log_bytes", 0.0)).c_str());
  return kExitOk;
}

}  // namespace

int run_command(const ReloadArgs& args) {
  if (args.pipelines.empty())
    return post(args.server, "POST", "/api/v1/reload" + flags(args.dry_run, args.accept), args.json);
  int worst = kExitOk;
  for (const std::string& name : args.pipelines) {
    int code = post(args.server, "POST", Client::pipeline_path(name) + "/reload" + flags(args.dry_run, args.accept),
                    args.json);
    worst = std::max(worst, code);
  }
  return worst;
}

int run_command(const LifecycleArgs& args) {
  if (args.verb == "checkpoints") return list_checkpoints(args);
  std::string path = Client::pipeline_path(args.pipeline);
  if (args.verb == "rm") return post(args.server, "DELETE", path, args.json);
  return post(args.server, "POST", path + "/" + args.verb, args.json);
}

int run_command(const ApplyArgs& args) {
  Env env = real_env();
  auto file = env.disk->open_read(args.file);
  auto stat = file ? (*file)->stat() : std::unexpected(file.error());
  if (!stat) {
    complain(stat.error().message);
    return kExitUsage;
  }
  if (stat->size > kFileBytesMax) {
    complain(args.file + " is too large for a pipeline");
    return kExitUsage;
  }
  std::string text(stat->size, '\0');
  auto bytes = (*file)->read_at(0, text.data(), text.size());
  if (!bytes) {
    complain(bytes.error().message);
    return kExitUsage;
  }
  text.resize(*bytes);
  std::string name = args.name;
  if (name.empty()) {
    name = args.file.substr(args.file.rfind('/') + 1);
    if (std::size_t dot = name.rfind(".y"); dot != std::string::npos && dot > 0) name.resize(dot);
  }
  return post(args.server, "PUT", Client::pipeline_path(name) + flags(args.dry_run, args.accept), args.json, text);
}

}  // namespace thalweg::daemon
