// connectors/process/line_process.h
//
// A program that is spoken to in lines: its stdin and stdout are pipes, what it writes to stderr goes to our log with
// its name in front. The program leads a process group of its own, which ends with this object.
//
// P1  No call blocks for longer than it is told, nor for a program that neither reads nor writes.
// P2  A line is at most kLineMax bytes; longer ones end the conversation.
// Threads  one at a time; wake_fd and pid may be read by others.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace thalweg::process {

struct Command {
  std::vector<std::string> words;                                // program and arguments
  std::string directory;                                         // where it runs; empty: where we do
  std::vector<std::pair<std::string, std::string>> environment;  // beside ours
  std::string name;                                              // in messages and the log
};
// One text is a line for /bin/sh; a list is a program with its arguments.
[[nodiscard]] Command command_of(const std::vector<std::string>& words, bool shell);

class LineProcess {
 public:
  static constexpr std::size_t kLineMax = 64U << 20;

  // kUnavailable: it cannot be started.
  [[nodiscard]] static Result<std::unique_ptr<LineProcess>> start(const Command& command);
  ~LineProcess();  // TERM, a moment later KILL; waits for it
  LineProcess(const LineProcess&) = delete;
  LineProcess& operator=(const LineProcess&) = delete;

  // Puts a line behind what is still to be written; nothing is sent before the next pump.
  void send(std::string_view line);
  [[nodiscard]] std::size_t unsent() const { return out_.size() - out_done_; }
  void close_input();  // as soon as everything is sent

  // Moves bytes for at most `timeout_ms`, until a line is there, the program has closed its output, or everything is
  // sent and `until_sent`. `wake_fd`: returns early when it is readable.
  [[nodiscard]] Result<void> pump(std::int64_t timeout_ms, bool until_sent = false, int wake_fd = -1);
  // The next line of the program, if there is one.
  [[nodiscard]] std::optional<std::string> take_line();
  [[nodiscard]] bool input_closed() const { return in_fd_ < 0; }  // by us, or by the program
  [[nodiscard]] bool output_ended() const { return out_fd_ < 0; }

  // Waits for its end. Nothing: it still runs. `exited with status 1: last line of stderr`.
  [[nodiscard]] std::optional<std::string> wait_end(std::int64_t timeout_ms);
  [[nodiscard]] bool succeeded() const { return ended_ && status_ == 0; }
  void kill();  // the whole group, at once
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  LineProcess() = default;
  bool read_output();
  void read_errors();
  void log_line(std::string_view line);
  [[nodiscard]] bool write_input();
  [[nodiscard]] std::string end_text() const;

  std::string name_;
  pid_t pid_ = -1;
  int in_fd_ = -1, out_fd_ = -1, err_fd_ = -1;
  std::string out_;  // to be written from out_done_ on
  std::size_t out_done_ = 0;
  bool close_when_sent_ = false;
  std::string in_;  // read, from in_done_ on not yet taken
  std::size_t in_done_ = 0, in_searched_ = 0;
  std::string err_, last_error_;
  bool too_long_ = false;
  bool ended_ = false;
  int status_ = 0;
};

}  // namespace thalweg::process
