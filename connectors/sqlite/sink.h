// connectors/sqlite/sink.h
//
// `io.sqlite.write`: a stream of changes that grows, or a snapshot that is kept. A commit is one transaction; with
// `delivery: exactly_once` the transaction also moves the mark of the last commit.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "connectors/formats/report.h"
#include "connectors/sqlite/database.h"
#include "engine/io/sink.h"

namespace thalweg::sqlite {

enum class InitMode : std::uint8_t { kDefault, kCreateIfNotExists, kReplace };

struct WriteSettings {
  std::string path;
  std::string table;
  std::string name;  // of the sink
  bool snapshot = false;
  InitMode init = InitMode::kDefault;
  std::vector<std::uint32_t> key;
  std::vector<std::uint32_t> sort_by;
  bool exactly_once = false;   // asked for; else it is done where state is kept
  bool at_least_once = false;  // asked for
  BadRowPolicy::Action bad_rows = BadRowPolicy::Action::kLog;
  std::string dead_letters;
};

class SqliteSink final : public Sink {
 public:
  SqliteSink(WriteSettings settings, const Schema& schema)
      : settings_(std::move(settings)), schema_(schema), policy_(settings_.bad_rows) {}
  Result<void> open(const SinkContext& context) override;
  Result<void> begin(std::uint64_t commit) override;
  Result<void> write(std::uint64_t commit, const Batch& batch) override;
  Result<void> end(std::uint64_t commit) override;
  Result<void> close(bool complete) override;
  [[nodiscard]] std::optional<std::uint64_t> last_commit() const override {
    return exactly_once_ ? std::optional(last_commit_) : std::nullopt;
  }
  [[nodiscard]] Delivery delivery() const override {
    if (exactly_once_) return Delivery::kExactlyOnce;
    return settings_.snapshot ? Delivery::kEffectivelyOnce : Delivery::kAtLeastOnce;
  }

 private:
  [[nodiscard]] Result<void> prepare_table();
  [[nodiscard]] Result<void> check_table(const TableInfo& table);
  [[nodiscard]] Result<void> create_table() const;
  [[nodiscard]] Result<void> prepare_statements();
  [[nodiscard]] Result<void> take_over(const SinkContext& context);
  [[nodiscard]] Result<void> write_all(std::uint64_t commit);
  [[nodiscard]] Result<void> insert(std::uint64_t commit, const Batch& batch, std::size_t row);
  [[nodiscard]] Result<void> merge(std::uint64_t commit, const Batch& batch);
  [[nodiscard]] bool acceptable(std::uint64_t commit, const Batch& batch, std::size_t row);

  const WriteSettings settings_;
  const Schema schema_;
  BadRowPolicy policy_;
  std::vector<bool> not_null_;  // by column
  std::optional<Database> database_;
  std::optional<Statement> insert_, delete_, advance_;
  std::vector<Batch> commit_batches_;
  std::function<void(const Batch&, std::size_t, Rejection)> tell_;
  std::function<Result<void>()> keep_rejected_;
  bool exactly_once_ = false;
  bool goes_on_ = false;  // earlier starts of the pipeline have written here
  std::uint64_t generation_ = 0;
  std::uint64_t last_commit_ = 0;
  bool skipping_ = false;
  bool again_ = false;  // rejected rows were told already
  std::uint64_t rejected_ = 0;
};

}  // namespace thalweg::sqlite
