// daemon/serve/instance.h
//
// One definition of a pipeline, compiled, and the run of it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "connectors/services.h"
#include "daemon/rest/pipelines.h"
#include "daemon/serve/config.h"
#include "daemon/rest/outcome.h"
#include "daemon/serve/switch_sink.h"
#include "engine/plan/fingerprint.h"
#include "pipeline_lang/compile.h"

namespace thalweg::daemon {

struct Definition {
  std::string key;  // the file's name without its ending
  std::string path;
  std::string text;
};

// A checked definition, ready to run.
struct Prepared {
  Definition definition;
  std::string name;  // `name:` of the file, else its key
  std::shared_ptr<const plan::Plan> plan;
  std::shared_ptr<const FileTable> files;
  std::uint32_t workers = 1;
  Key fingerprint;
  std::optional<DurabilityOptions> durability;
  std::vector<std::string> imports;  // files that the definition read beside its own
};

struct Instance {
  Prepared prepared;
  std::unique_ptr<ConnectorFactory> connectors;
  std::unique_ptr<SwitchFactory> sinks;
  std::shared_ptr<ServedPipeline> served;
  ~Instance();  // ends the run first: the sinks belong to it
};

// Everything that definitions need to become runs.
class InstanceMaker {
 public:
  // `services`: without what belongs to one run.
  InstanceMaker(const ServeConfig& config, Env env, ConnectorServices services = {});
  // What is wrong goes into the outcome.
  [[nodiscard]] std::optional<Prepared> prepare(Definition definition, Outcome& outcome,
                                                const plan::Plan* running = nullptr);
  // With `beside`: outputs are held until they take over from those of that instance.
  [[nodiscard]] Result<std::unique_ptr<Instance>> start(Prepared prepared, const Instance* beside = nullptr);
  // Paused, filled; `old` has to be ended by the caller. Requires: `old` is paused and the takeover possible.
  [[nodiscard]] Result<std::unique_ptr<Instance>> start_in_place_of(const Instance& old, Prepared prepared,
                                                                    const Takeover& takeover);
  [[nodiscard]] static RunOptions options_of(const Prepared& prepared);
  // Told of every commit of every run that is made from now on; from engine threads, be quick.
  using OnCommit =
      std::function<void(const std::string& pipeline, Commit time, std::int64_t opened_ns, std::int64_t visible_ns)>;
  void on_commit(OnCommit told) { on_commit_ = std::move(told); }
  [[nodiscard]] Env& env() { return env_; }
  [[nodiscard]] const ServeConfig& config() const { return config_; }

 private:
  [[nodiscard]] RunOptions run_options(const Prepared& prepared);
  // Of a pipeline that keeps no state: below the state directory, one for all its runs. Null: there is none.
  [[nodiscard]] std::shared_ptr<durable::DeadLetters> dead_letters_of(const std::string& pipeline);
  [[nodiscard]] std::unique_ptr<Instance> make(Prepared prepared, const Instance* beside);
  // `kept`: fingerprints of what should go on with its state.
  [[nodiscard]] std::optional<Prepared> prepare(Definition definition, Outcome& outcome, std::set<Key> kept);
  [[nodiscard]] std::optional<Prepared> planned_as_before(const Prepared& prepared, const Error& refusal);
  [[nodiscard]] bool path_allowed(const std::string& pipeline_path, const std::string& path) const;
  const ServeConfig& config_;
  Env env_;
  std::unique_ptr<lang::Catalog> catalog_;
  const ConnectorServices services_;
  OnCommit on_commit_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<durable::DeadLetters>> letters_;  // guarded by mutex_
};

// `kept`, `rebuilt`, `added`, `removed` of operators, and what each output gets. Whether some output can only go on
// from now on.
[[nodiscard]] bool describe_change(const Instance& old, const Prepared& now, const Takeover& takeover,
                                   Outcome& outcome);

}  // namespace thalweg::daemon
