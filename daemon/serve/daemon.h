// daemon/serve/daemon.h
//
// Every pipeline file of a folder, running and looked after.
//
// D1  Pipelines are alone: what goes wrong in one touches no other.
// D2  A change succeeds whole or leaves everything as it was, and its outcome says which.
// D3  Changes of one pipeline come one after the other; reloads that wait are one.
// Threads  any; changes take as long as they take, on the caller's thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <set>
#include <thread>

#include "daemon/rest/control.h"
#include "daemon/rest/pipelines.h"
#include "daemon/serve/managed.h"

namespace thalweg::daemon {

// `orders.yaml`; neither hidden files nor tests.
[[nodiscard]] bool is_pipeline_file(const std::string& name);

class Daemon : public PipelineSet, public PipelineControl {
 public:
  Daemon(const ServeConfig& config, Env env, ConnectorServices services = {});
  ~Daemon() override;
  void start();                            // reads the folder and starts what it finds
  void begin_stop() { stopping_ = true; }  // changes that are under way give up
  void stop_all();                         // in order, within the limit of the configuration
  // Reads files that changed since the last look; removes pipelines whose files are gone.
  void look_at_files(const std::string& trigger);
  // Around every reload of everything: at its begin, and at its end with the number of refused changes. Set before
  // start().
  struct ReloadHooks {
    std::function<void()> begun;
    std::function<void(std::size_t failed)> ended;
  };
  void on_reload(ReloadHooks hooks) { hooks_ = std::move(hooks); }
  void on_commit(InstanceMaker::OnCommit told) { maker_.on_commit(std::move(told)); }  // before start()
  [[nodiscard]] std::string summary() const;                                           // `3 running, 1 failed`
  [[nodiscard]] bool any_failed() const;

  // ---- PipelineSet
  [[nodiscard]] std::vector<std::shared_ptr<ServedPipeline>> all() const override;
  [[nodiscard]] std::shared_ptr<ServedPipeline> find(const std::string& name) const override;
  [[nodiscard]] std::vector<PipelineStatus> statuses() const override;
  [[nodiscard]] std::optional<PipelineStatus> status(const std::string& name) const override;
  [[nodiscard]] bool starting() const override { return !started_; }

  // ---- PipelineControl
  Outcome reload(const std::string& name, const ChangeOptions& options) override;
  std::vector<Outcome> reload_all(const ChangeOptions& options) override;
  Outcome apply(const std::string& name, const std::string& text, const ChangeOptions& options) override;
  Outcome rollback(const std::string& name, const ChangeOptions& options) override;
  Outcome remove(const std::string& name, const ChangeOptions& options) override;
  Outcome act(const std::string& name, Verb verb, const ChangeOptions& options) override;
  [[nodiscard]] ChangeCounts change_counts() const override;
  [[nodiscard]] std::vector<Outcome> outcomes() const override;
  [[nodiscard]] std::optional<std::string> definition(const std::string& name) const override;

 private:
  using Pipeline = std::shared_ptr<Managed>;
  struct FileMark {
    std::uint64_t size = 0, inode = 0;
    std::int64_t mtime_ns = 0, ctime_ns = 0;
    friend bool operator==(const FileMark&, const FileMark&) = default;
  };

  // ---- files
  [[nodiscard]] Result<std::map<std::string, std::string>> list_files() const;  // key → path
  bool imports_changed(const std::string& key);
  [[nodiscard]] std::optional<FileMark> mark_of(const std::string& path) const;
  std::vector<Outcome> reload_everything(const ChangeOptions& options);
  Outcome reload_file(const Pipeline& pipeline, const ChangeOptions& options);
  [[nodiscard]] Result<void> write_definition(const Definition& definition);

  // ---- changes; `operation` of the pipeline is held
  Outcome change(Managed& pipeline, Definition definition, const ChangeOptions& options);
  void start_fresh(Managed& pipeline, Prepared prepared, Outcome& outcome);
  void switch_over(Managed& pipeline, Prepared prepared, const Takeover& takeover, Outcome& outcome);
  void switch_in_place(Managed& pipeline, const std::shared_ptr<Instance>& old, Prepared prepared,
                       const Takeover& takeover, Outcome& outcome);
  void switch_by_restart(Managed& pipeline, const std::shared_ptr<Instance>& old, Prepared prepared, Outcome& outcome);
  void switch_beside(Managed& pipeline, const std::shared_ptr<Instance>& old, Prepared prepared, Outcome& outcome);
  void hand_over(Managed& pipeline, const std::shared_ptr<Instance>& old, const std::shared_ptr<Instance>& now,
                 bool old_waits, Outcome& outcome);
  [[nodiscard]] bool wants_pause(const Managed& pipeline) const;
  [[nodiscard]] bool catch_up(const Run& run, Outcome& outcome);
  void install(Managed& pipeline, std::shared_ptr<Instance> instance);
  void end_instance(Managed& pipeline);
  Outcome remove_pipeline(const Pipeline& pipeline, const ChangeOptions& options, bool delete_file);

  // ---- supervision
  void supervise();
  void keep_memory_limit();
  void look_after(const Pipeline& pipeline);
  void retry(const Pipeline& pipeline);
  void fail_pipeline(Managed& pipeline, std::string why);

  [[nodiscard]] Outcome begin(const std::string& name, const ChangeOptions& options);
  Outcome finish(Outcome outcome);
  [[nodiscard]] Outcome unknown(const std::string& name, const ChangeOptions& options);
  [[nodiscard]] Pipeline find_managed(const std::string& name) const;
  [[nodiscard]] std::vector<Pipeline> everything() const;
  [[nodiscard]] Pipeline add(Definition definition);
  [[nodiscard]] bool name_is_free(const Managed& pipeline, const std::string& name) const;
  void remember_stopped(const Managed& pipeline, bool stopped);
  [[nodiscard]] bool was_stopped(const std::string& key) const;
  [[nodiscard]] PipelineStatus status_of(const Managed& pipeline) const;

  const ServeConfig& config_;
  Env env_;
  InstanceMaker maker_;
  ReloadHooks hooks_;
  std::atomic<bool> started_{false};
  std::atomic<bool> stopping_{false};
  Coalescer<std::vector<Outcome>> reloads_;
  std::mutex files_mutex_;                 // one look at a time
  std::map<std::string, FileMark> marks_;  // guarded by files_mutex_
  std::set<std::string> imports_;          // guarded by files_mutex_; of marks_, those that are no pipelines

  mutable std::mutex mutex_;
  std::map<std::string, Pipeline> pipelines_;  // guarded by mutex_, by key
  std::deque<Outcome> outcomes_;               // guarded by mutex_
  ChangeCounts counts_;                        // guarded by mutex_
  std::uint64_t next_id_ = 1;                  // guarded by mutex_
  std::condition_variable wake_;
  std::thread supervisor_;
};

}  // namespace thalweg::daemon
