// connectors/exec/sink.h
//
// `io.exec.write`: changes that a program reads. Lines of JSON, ours on stdin, its on stdout:
//
//   we        {"event": "start", "columns": […]}  once
//             {"delete": {…}, "time": t}, {"insert": {…}, "time": t}  the changes of one commit, deletions first
//             {"commit": t}      the commit is complete
//             {"event": "end"}   nothing more comes; then its stdin is closed
//   it        {"committed": t}   with `acknowledge: true`: it has kept the commit, the next one may come
//             {"error": "why"}   it cannot go on
//
// A program that ends before its input does, or with another status than 0, stops the pipeline's outputs.
#pragma once

#include <memory>
#include <string>

#include "connectors/process/line_process.h"
#include "engine/io/sink.h"

namespace thalweg {

struct ExecWriteSettings {
  process::Command command;
  bool acknowledge = false;
  std::int64_t timeout_ns = 0;  // for the program to take what is written, to acknowledge, to end
};

class ExecSink final : public Sink {
 public:
  explicit ExecSink(ExecWriteSettings settings) : settings_(std::move(settings)) {}
  Result<void> open(const SinkContext& context) override;
  Result<void> write(std::uint64_t commit, const Batch& batch) override;
  Result<void> end(std::uint64_t commit) override;
  Result<void> close(bool complete) override;

 private:
  [[nodiscard]] Result<void> flush();
  [[nodiscard]] Result<void> wait_for(std::uint64_t commit);
  [[nodiscard]] Result<void> take(const std::string& line, std::uint64_t& committed) const;
  [[nodiscard]] Error ended() const;

  const ExecWriteSettings settings_;
  Schema schema_;
  std::unique_ptr<process::LineProcess> program_;
};

}  // namespace thalweg
