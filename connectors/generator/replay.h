// connectors/generator/replay.h
//
// A csv file as a stream: row by row at a rate, or as far apart as a time column says.
#pragma once

#include <memory>
#include <string>

#include "connectors/file/source.h"

namespace thalweg {

struct ReplaySettings {
  double rate = 1.0;        // rows per second, where there is no time column
  std::string time_column;  // empty: by rate
  double unit_ns = 1e9;     // of a time column of numbers
  double speedup = 1.0;
  std::int64_t commit_ns = 0;
};

class ReplaySource final : public Source {
 public:
  // `shared` was made for the source with its time column used; `drop_time`: nobody else wants it.
  ReplaySource(std::shared_ptr<FileSourceShared> shared, ReplaySettings settings,
               std::optional<std::uint32_t> time_column, Type time_type, bool drop_time)
      : shared_(std::move(shared)),
        settings_(std::move(settings)),
        time_column_(time_column),
        time_type_(std::move(time_type)),
        drop_time_(drop_time) {}
  Result<void> run(SourceContext& context) override;

 private:
  // False: the run is stopping.
  bool play(SourceContext& context, const Batch& batch);
  // Nanoseconds after the start at which a row is due.
  [[nodiscard]] std::int64_t due_ns(const Batch& batch, std::size_t row);
  bool deliver_rows(SourceContext& context, const Batch& batch, std::size_t begin, std::size_t end);

  const std::shared_ptr<FileSourceShared> shared_;
  const ReplaySettings settings_;
  const std::optional<std::uint32_t> time_column_;
  const Type time_type_;
  const bool drop_time_;
  std::int64_t began_ns_ = 0;
  std::int64_t last_due_ns_ = 0;
  std::optional<double> first_time_;
  std::uint64_t played_ = 0;
  std::uint64_t skipped_ = 0;  // rows that an earlier run has played
};

// Builds it; the connector's arguments are those of `demo.replay_csv` and `demo.replay_csv_with_time`.
[[nodiscard]] Result<std::unique_ptr<Source>> make_replay(const plan::Source& source, Env& env);

}  // namespace thalweg
