// `!udf.exec`: programs that answer a line on stdout for every line on stdin.
#include <chrono>
#include <mutex>

#include <fmt/format.h>

#include "connectors/functions/remote_function.h"
#include "connectors/process/line_process.h"
#include "connectors/setting_reader.h"

namespace thalweg::functions {

namespace {

using process::LineProcess;

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

// As many programs as calls are under way at once, started when they are needed and kept. One that failed a call is
// ended: nobody knows which answer it would give next.
class ExecTransport final : public Transport {
 public:
  explicit ExecTransport(process::Command command) : command_(std::move(command)) {}

  std::expected<std::vector<std::string>, Refusal> exchange(const std::vector<std::string>& lines,
                                                            std::int64_t timeout_ms) override {
    std::unique_ptr<LineProcess> program = take();
    if (!program) {
      auto started = LineProcess::start(command_);
      if (!started) return std::unexpected(Refusal{started.error().message, true, 0});
      program = std::move(*started);
    }
    auto answers = converse(*program, lines, timeout_ms);
    if (answers) give_back(std::move(program));
    return answers;
  }

 private:
  std::expected<std::vector<std::string>, Refusal> converse(LineProcess& program, const std::vector<std::string>& lines,
                                                            std::int64_t timeout_ms) {
    const std::int64_t deadline = now_ms() + timeout_ms;
    for (const std::string& line : lines) program.send(line);
    std::vector<std::string> answers;
    while (true) {
      while (answers.size() < lines.size()) {
        auto line = program.take_line();
        if (!line) break;
        answers.push_back(std::move(*line));
      }
      if (answers.size() == lines.size()) return answers;
      const std::int64_t left = deadline - now_ms();
      if (left <= 0)
        return std::unexpected(Refusal{fmt::format("no answer within {} ms (`timeout`)", timeout_ms), true, 0});
      if (program.output_ended()) {
        constexpr std::int64_t kEndMs = 1000;
        const auto end = program.wait_end(kEndMs);
        return std::unexpected(Refusal{"the program " + end.value_or("closed its output"), true, 0});
      }
      if (auto moved = program.pump(left); !moved) return std::unexpected(Refusal{moved.error().message, false, 0});
    }
  }

  std::unique_ptr<LineProcess> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) return nullptr;
    auto program = std::move(idle_.back());
    idle_.pop_back();
    return program;
  }
  void give_back(std::unique_ptr<LineProcess> program) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(program));
  }

  const process::Command command_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<LineProcess>> idle_;
};

}  // namespace

std::expected<plan::UserFunctionPtr, plan::FunctionError> make_exec(const plan::FunctionSpec& spec, std::string text) {
  const SettingReader read(spec.options);
  RemoteOptions defaults;
  defaults.capacity = 1;
  defaults.batch_rows = 1024;
  auto options = remote_options(spec.options, defaults);
  if (!options) return std::unexpected(std::move(options.error()));
  const Setting* given = spec.options.find("command");
  const bool shell = given != nullptr && given->as_text() != nullptr;
  process::Command command = process::command_of(shell ? std::vector{*given->as_text()} : read.texts("command"), shell);
  if (command.words.empty() || command.words.front().empty()) {
    plan::FunctionError wrong;
    wrong.message = "`command` is a program with its arguments, or a line for the shell";
    wrong.option = "command";
    return std::unexpected(std::move(wrong));
  }
  command.directory = read.text("directory");
  command.name = spec.name;
  if (const Setting* environment = read.map("env"))
    for (const auto& [name, value] : *environment->as_map())
      command.environment.emplace_back(name, value.as_text() != nullptr ? *value.as_text() : value.spelling);
  return make_remote(spec, *options, std::make_unique<ExecTransport>(std::move(command)), std::move(text));
}

}  // namespace thalweg::functions
