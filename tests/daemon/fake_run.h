// tests/daemon/fake_run.h
//
// A run without an engine: tables that a test changes commit by commit, so that the REST surface can be tried alone.
#pragma once

#include <map>
#include <mutex>
#include <unordered_map>

#include "daemon/rest/pipelines.h"
#include "engine/runtime/run.h"

namespace thalweg::tests {

class FakeTable : public ExportReader {
 public:
  FakeTable(std::string name, Schema schema) : name_(std::move(name)), schema_(std::move(schema)) {}

  struct Update {
    Key key;
    std::vector<Value> row;
    Diff diff = 1;
  };
  // Closes the commit `time`; the frontier is time + 1 afterwards, or the end.
  void commit(Commit time, const std::vector<Update>& updates, bool last = false);
  void forget_below(Commit time);  // history before it is gone

  [[nodiscard]] const std::string& name() const override { return name_; }
  [[nodiscard]] const Schema& schema() const override { return schema_; }
  [[nodiscard]] Frontier frontier() const override;
  [[nodiscard]] Frontier oldest() const override;
  [[nodiscard]] std::uint64_t num_rows() const override;
  Result<Snapshot> snapshot(std::optional<Frontier> at) override;
  Result<Snapshot> page(std::optional<Frontier> at, const std::optional<Key>& after, std::size_t rows_max) override;
  Result<Row> lookup(const Key& key) override;
  Result<std::vector<Change>> diff(Frontier from, Frontier to) override;
  std::uint64_t subscribe(std::function<void(Frontier)> on_commit) override;
  void unsubscribe(std::uint64_t id) override;
  [[nodiscard]] std::size_t num_subscribers() const;
  std::atomic<int> num_snapshots{0};

 private:
  [[nodiscard]] std::map<Key, std::vector<Value>> rows_at(Frontier at) const;  // requires: mutex_ is held
  const std::string name_;
  const Schema schema_;
  mutable std::mutex mutex_;
  std::vector<std::pair<Commit, std::vector<Update>>> history_;  // all below: guarded by mutex_
  Frontier frontier_{2, false};
  Frontier oldest_{0, false};
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, std::function<void(Frontier)>> subscribers_;
};

class FakeRun : public Run {
 public:
  std::vector<std::shared_ptr<FakeTable>> tables;
  std::atomic<RunState> now{RunState::kRunning};
  std::atomic<bool> is_caught_up{true};
  std::vector<DataError> data_errors;

  void stop() override { now = RunState::kStopped; }
  bool wait(std::int64_t) override { return now != RunState::kRunning; }
  [[nodiscard]] RunState state() const override { return now; }
  [[nodiscard]] std::optional<Error> failure() const override;
  [[nodiscard]] Frontier frontier() const override { return tables.front()->frontier(); }
  [[nodiscard]] std::vector<std::shared_ptr<ExportReader>> exports() const override {
    return {tables.begin(), tables.end()};
  }
  [[nodiscard]] std::shared_ptr<ExportReader> find_export(std::string_view name) const override;
  [[nodiscard]] std::vector<ConnectorStatus> connectors() const override;
  [[nodiscard]] std::vector<OperatorStatus> operators() const override { return {}; }
  [[nodiscard]] std::vector<DataError> errors() const override { return data_errors; }
  [[nodiscard]] std::uint64_t num_errors() const override { return data_errors.size(); }
  [[nodiscard]] std::uint64_t num_commits() const override { return 3; }
  [[nodiscard]] bool caught_up() const override { return is_caught_up; }
};

class FakePipelines : public daemon::PipelineSet {
 public:
  std::vector<std::shared_ptr<daemon::ServedPipeline>> pipelines;
  [[nodiscard]] std::vector<std::shared_ptr<daemon::ServedPipeline>> all() const override { return pipelines; }
  [[nodiscard]] std::shared_ptr<daemon::ServedPipeline> find(const std::string& name) const override {
    for (const auto& pipeline : pipelines)
      if (pipeline->name == name) return pipeline;
    return nullptr;
  }
};

}  // namespace thalweg::tests
