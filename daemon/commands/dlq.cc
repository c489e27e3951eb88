// thalweg dlq: dead letters of the pipelines of a running server.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <thread>

#include "daemon/client/client.h"
#include "daemon/commands/commands.h"
#include "daemon/console.h"

namespace thalweg::daemon {
namespace {

using nlohmann::json;

constexpr std::uint64_t kPayloadBytesMax = 64 * 1024;
constexpr std::size_t kShown = 60;  // of a reason or a payload in a list

std::string time_of(const json& letter) {
  const auto seconds = static_cast<std::time_t>(letter.value("time", 0.0));
  char when[32] = {};
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return when;
}

// On one line, and not too long.
std::string short_text(std::string text) {
  std::ranges::replace_if(text, [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  if (text.size() <= kShown) return text;
  std::size_t end = kShown;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // not within a character
  return text.substr(0, end) + "…";
}

std::string payload_of(const json& letter) {
  return letter.contains("payload") ? letter.value("payload", "") : letter.value("payload_base64", "");
}

class DlqCommand {
 public:
  DlqCommand(const DlqArgs& args, Client client) : args_(args), client_(std::move(client)) {}

  int run() {
    if (args_.pipeline.empty()) {
      if (int exit_code = find_pipeline(); exit_code != kExitOk) return exit_code;
    }
    path_ = Client::pipeline_path(pipeline_) + "/dead-letters";
    if (args_.verb == "ls") return list();
    if (args_.verb == "show") return show();
    return args_.verb == "replay" ? replay() : drop();
  }

  void name(const std::string& pipeline) { pipeline_ = pipeline; }

 private:
  // The only one there is.
  int find_pipeline() {
    auto all = client_.get_json("/api/v1/pipelines");
    if (!all) return all.error();
    const json& pipelines = (*all)["pipelines"];
    if (pipelines.size() != 1) {
      complain(pipelines.empty() ? "the server has no pipeline" : "which pipeline? name it with --pipeline");
      return kExitUsage;
    }
    pipeline_ = pipelines[0].value("name", "");
    return kExitOk;
  }

  int list() {
    json letters = json::array();
    std::uint64_t after = 0;
    std::uint64_t total = 0;
    while (letters.size() < args_.limit) {
      std::string target =
          path_ + "?limit=" + std::to_string(std::min<std::uint64_t>(args_.limit - letters.size(), 1000));
      if (after > 0) target += "&after=" + std::to_string(after);
      if (!args_.connector.empty()) target += "&connector=" + net::percent_encode(args_.connector);
      if (!args_.kind.empty()) target += "&kind=" + args_.kind;
      auto page = client_.get_json(target);
      if (!page) return page.error();
      for (const json& letter : (*page)["dead_letters"]) letters.push_back(letter);
      total = page->value("total", std::uint64_t{0});
      if (!page->contains("next_after")) break;
      after = (*page)["next_after"].get<std::uint64_t>();
    }
    if (args_.json) {
      std::printf("%s\n", json{{"pipeline", pipeline_}, {"total", total}, {"dead_letters", letters}}.dump(2).c_str());
      return kExitOk;
    }
    TextTable table({"ID", "TIME", "KIND", "CONNECTOR", "POSITION", "REASON", "PAYLOAD"});
    for (const json& letter : letters)
      table.add({letter["id"].dump(), time_of(letter), letter.value("kind", ""), letter.value("connector", ""),
                 letter.value("position", ""), short_text(letter.value("reason", "")), short_text(payload_of(letter))});
    std::fputs(table.text().c_str(), stdout);
    if (total > letters.size())
      std::fprintf(stderr, "%zu of %llu shown\n", letters.size(), static_cast<unsigned long long>(total));
    return kExitOk;
  }

  int show() {
    json all = json::array();
    for (std::uint64_t id : args_.ids) {
      auto letter = client_.get_json(path_ + "/" + std::to_string(id));
      if (!letter) return letter.error();
      all.push_back(*letter);
    }
    if (args_.json) {
      std::printf("%s\n", (all.size() == 1 ? all[0] : all).dump(2).c_str());
      return kExitOk;
    }
    for (const json& letter : all) {
      if (letter != all[0]) std::printf("\n");
      std::printf("id:        %s\ntime:      %s\nkind:      %s\nconnector: %s (%s)\nposition:  %s\nreason:    %s\n",
                  letter["id"].dump().c_str(), time_of(letter).c_str(), letter.value("kind", "").c_str(),
                  letter.value("connector", "").c_str(), letter.value("type", "").c_str(),
                  letter.value("position", "").c_str(), letter.value("reason", "").c_str());
      const char* what = letter.contains("payload_base64") ? "payload (base64)" : "payload";
      std::printf("%s:\n%s\n", what, payload_of(letter).c_str());
      if (letter.value("payload_is_cut", false)) std::printf("(the first %llu bytes)\n", 65536ULL);
    }
    return kExitOk;
  }

  [[nodiscard]] json wanted() const {
    json body = json::object();
    if (args_.all) {
      body["all"] = true;
      if (!args_.connector.empty()) body["connector"] = args_.connector;
      if (!args_.kind.empty()) body["kind"] = args_.kind;
    } else {
      body["ids"] = args_.ids;
    }
    return body;
  }

  int replay() {
    json body = wanted();
    if (!args_.payload_file.empty()) {
      Env env = real_env();
      auto payload =
          read_all(*env.disk, args_.payload_file == "-" ? "/dev/stdin" : args_.payload_file, kPayloadBytesMax);
      if (!payload) {
        complain(payload.error().message);
        return kExitUsage;
      }
      while (payload->ends_with('\n') || payload->ends_with('\r')) payload->pop_back();
      body["payload"] = *payload;
    }
    auto response = client_.request("POST", path_ + "/replay", body.dump());
    if (!response) return response.error();
    auto answer = client_.json_of(*response);
    if (!answer) return answer.error();
    const std::uint64_t waiting = wait_until_gone((*answer)["replayed"]);
    (*answer)["waiting"] = waiting;
    const std::size_t refused = (*answer)["refused"].size();
    if (args_.json) {
      std::printf("%s\n", answer->dump(2).c_str());
    } else {
      std::printf("%zu replayed, %zu refused\n", (*answer)["replayed"].size(), refused);
      if (waiting > 0) std::printf("%llu of them wait for a commit\n", static_cast<unsigned long long>(waiting));
      for (const json& one : (*answer)["refused"])
        std::fprintf(stderr, "%s: %s\n", one["id"].dump().c_str(), one.value("reason", "").c_str());
    }
    return refused > 0 ? kExitFailed : kExitOk;
  }

  // How many are still there after a while: the commit that takes them has not closed.
  std::uint64_t wait_until_gone(const json& ids) {
    constexpr auto kPatience = std::chrono::seconds(10);
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    std::uint64_t waiting = 0;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::string target = path_ + "?limit=1&after=" + std::to_string(ids[i].get<std::uint64_t>() - 1);
      for (;;) {
        auto page = client_.get_json(target);
        if (!page) return ids.size();
        const json& letters = (*page)["dead_letters"];
        if (letters.empty() || letters[0]["id"] != ids[i]) break;
        if (std::chrono::steady_clock::now() > deadline) {
          ++waiting;
          break;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(50));
      }
    }
    return waiting;
  }

  int drop() {
    auto response = client_.request("POST", path_ + "/drop", wanted().dump());
    if (!response) return response.error();
    auto answer = client_.json_of(*response);
    if (!answer) return answer.error();
    const auto dropped = answer->value("dropped", std::uint64_t{0});
    if (args_.json)
      std::printf("%s\n", answer->dump(2).c_str());
    else
      std::printf("%llu dropped\n", static_cast<unsigned long long>(dropped));
    return dropped == 0 && !args_.all ? kExitFailed : kExitOk;
  }

  const DlqArgs& args_;
  Client client_;
  std::string pipeline_;
  std::string path_;
};

}  // namespace

int run_command(const DlqArgs& args) {
  if (args.verb != "ls" && args.ids.empty() != args.all) {
    complain("which dead letters? numbers, or --all");
    return kExitUsage;
  }
  if (!args.payload_file.empty() && args.ids.size() != 1) {
    complain("--payload takes the place of the payload of one dead letter");
    return kExitUsage;
  }
  Env env = real_env();
  auto client = Client::make(args.server, env, true);
  if (!client) return client.error();
  DlqCommand command(args, std::move(*client));
  command.name(args.pipeline);
  return command.run();
}

}  // namespace thalweg::daemon
