// connectors/null/sink.h
//
// Sinks without a place: nowhere, and the terminal.
#pragma once

#include <functional>
#include <string>

#include "connectors/formats/encode.h"
#include "engine/io/sink.h"

namespace thalweg {

class NullSink final : public Sink {
 public:
  Result<void> open(const SinkContext&) override { return {}; }
  Result<void> write(std::uint64_t, const Batch&) override { return {}; }
  Result<void> end(std::uint64_t) override { return {}; }
  Result<void> close(bool) override { return {}; }
  [[nodiscard]] bool discards() const override { return true; }
};

// Changes as aligned text, one table per commit, or as JSON lines.
class StdoutSink final : public Sink {
 public:
  using Write = std::function<Result<void>(std::string_view)>;
  StdoutSink(const Schema& schema, bool as_table, Write write)
      : schema_(schema), json_(schema), as_table_(as_table), write_(std::move(write)) {}
  Result<void> open(const SinkContext&) override { return {}; }
  Result<void> write(std::uint64_t commit, const Batch& batch) override;
  Result<void> end(std::uint64_t commit) override;
  Result<void> close(bool) override { return {}; }

 private:
  using Row = std::vector<std::string>;
  void append_table(std::string& out);
  const Schema schema_;
  const JsonEncoder json_;
  const bool as_table_;
  const Write write_;
  std::string text_;       // JSON lines of the commit
  std::vector<Row> rows_;  // table rows of the commit
};

[[nodiscard]] Result<void> write_to_stdout(std::string_view text);

}  // namespace thalweg
