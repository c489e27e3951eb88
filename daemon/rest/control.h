// daemon/rest/control.h
//
// What a daemon lets its callers do to pipelines. Every call waits for the outcome and tells the truth about it.
// Threads  any.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/rest/outcome.h"

namespace thalweg::daemon {

struct ChangeOptions {
  bool dry_run = false;
  bool accept = false;  // outputs may go on "from now on"
  std::string trigger = "request";
  std::string caller;
};

class PipelineControl {
 public:
  virtual ~PipelineControl() = default;
  virtual Outcome reload(const std::string& name, const ChangeOptions& options) = 0;
  virtual std::vector<Outcome> reload_all(const ChangeOptions& options) = 0;
  // A new pipeline, or a new definition of one that is there.
  virtual Outcome apply(const std::string& name, const std::string& text, const ChangeOptions& options) = 0;
  virtual Outcome rollback(const std::string& name, const ChangeOptions& options) = 0;
  virtual Outcome remove(const std::string& name, const ChangeOptions& options) = 0;
  enum class Verb : std::uint8_t { kPause, kResume, kStart, kStop };
  virtual Outcome act(const std::string& name, Verb verb, const ChangeOptions& options) = 0;
  // Changes so far by result, and when the last one that was not refused ended (wall seconds; 0: none did).
  struct ChangeCounts {
    std::map<std::string, std::uint64_t> by_result;
    std::int64_t last_good = 0;
    std::string state_dir;
  };
  [[nodiscard]] virtual ChangeCounts change_counts() const = 0;
  [[nodiscard]] virtual std::vector<Outcome> outcomes() const = 0;  // newest last, bounded
  // The text a pipeline runs by.
  [[nodiscard]] virtual std::optional<std::string> definition(const std::string& name) const = 0;
};

}  // namespace thalweg::daemon
