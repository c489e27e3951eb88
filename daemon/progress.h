// daemon/progress.h
//
// What a running pipeline tells its user: a line that is rewritten on a terminal, a log line now and then elsewhere,
// and a summary at the end. All of it on stderr: stdout belongs to the pipeline.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "daemon/rest/pipelines.h"

namespace thalweg::daemon {

class Progress {
 public:
  Progress(const PipelineSet& pipelines, std::shared_ptr<Clock> clock, bool terminal);
  // Call often; it decides whether anything is due.
  void tick();
  void clear_line();
  // Rows in and out per connector, seconds, errors.
  void summary();
  [[nodiscard]] std::string summary_json() const;  // the same as JSON
  // Rows that sources have delivered so far, over all pipelines.
  [[nodiscard]] std::uint64_t rows_in() const;

 private:
  void draw(double seconds);
  void log_line();

  const PipelineSet& pipelines_;
  std::shared_ptr<Clock> clock_;
  const bool terminal_;
  const std::int64_t begun_ns_;
  std::int64_t last_ns_;
  std::uint64_t last_rows_ = 0;
  bool drawn_ = false;
};

}  // namespace thalweg::daemon
