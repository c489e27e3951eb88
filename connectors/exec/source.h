// connectors/exec/source.h
//
// `io.exec.read`: rows that a program writes. Lines of JSON, theirs on stdout, ours on stdin:
//
//   we        {"event": "start"}  once
//             {"event": "on_persisted_run"}, {"event": "seek", "offset": …}  if there is a place to go on from
//             {"event": "read"}  now rows are wanted
//             {"event": "end"}   it should stop; then its stdin is closed
//   it        {"insert": {…}}, {"delete": {…}}, both with "key" where the schema has no primary key and rows are to go
//             {"commit": offset}  what came before belongs together; any JSON is an offset, null if there is none
//             {"error": "why"}    it cannot go on
//
// X1  A program that never commits is committed for it, every `autocommit_duration_ms`.
// X2  Rows of a program that fails before their commit are dropped. A streaming program is started again, after longer
//     and longer pauses, at its last offset; a static one fails the run.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "connectors/formats/json_object.h"
#include "connectors/formats/report.h"
#include "connectors/process/line_process.h"
#include "engine/io/source.h"

namespace thalweg {

struct ExecReadSettings {
  process::Command command;
  bool is_static = false;
  bool deletions = false;
  std::int64_t commit_ns = 0;
  std::int64_t restarts_max = 0;  // in a row, without a commit between
  std::int64_t restart_delay_ns = 0;
  std::int64_t end_ns = 0;  // for the program to end by itself when the run stops
  BadRowPolicy::Action bad_rows = BadRowPolicy::Action::kLog;
  std::string dead_letters;
};

class ExecSource final : public Source {
 public:
  ExecSource(const plan::Source& source, ExecReadSettings settings);
  Result<void> run(SourceContext& context) override;
  [[nodiscard]] bool is_static() const override { return settings_.is_static; }

 private:
  enum class Outcome : std::uint8_t { kEnded, kStopped };
  struct Row {
    Key key;
    std::vector<Value> cells;
    Diff diff = 1;
  };

  [[nodiscard]] Result<Outcome> run_once(SourceContext& context);
  void greet(process::LineProcess& program) const;
  [[nodiscard]] Result<Outcome> finish(process::LineProcess& program, SourceContext& context);
  [[nodiscard]] Outcome stop(process::LineProcess& program, SourceContext& context);
  // One line of the program. An error is the end of it.
  [[nodiscard]] Result<void> take(const std::string& line, SourceContext& context);
  [[nodiscard]] Result<void> change(std::string_view row, std::string_view key, bool insert, const std::string& line,
                                    SourceContext& context);
  [[nodiscard]] std::optional<std::vector<Value>> cells_of(const json::JsonObject& object, bool insert,
                                                           const std::string& line, SourceContext& context);
  [[nodiscard]] std::optional<Key> key_of(const std::vector<Value>& cells, std::string_view key, bool insert);
  void bad(std::string message, const std::string& line, BadRecord::Kind kind, SourceContext& context);
  // What generated keys depend on, over a restart.
  void restore_keys(const SourceContext& context);
  void put_keys(SourceContext& context);
  [[nodiscard]] bool commit(std::string offset, SourceContext& context);
  [[nodiscard]] bool deliver(SourceContext& context);

  const std::string name_;
  const std::vector<plan::SourceField> fields_;
  const bool upsert_;
  const bool needs_keys_;
  const ExecReadSettings settings_;
  BadRowPolicy policy_;
  Schema schema_;  // of the used fields
  bool has_primary_key_ = false;

  std::string offset_;           // of the last commit
  std::vector<Row> pending_;     // not yet committed
  bool commits_itself_ = false;  // it has sent a commit
  bool progressed_ = false;      // a commit since the program began
  std::int64_t pending_since_ns_ = 0;
  std::uint64_t next_row_ = 0;  // of generated keys
  std::uint64_t line_ = 0;
  std::uint64_t order_ = 0;
  std::unordered_map<Key, std::uint64_t> occurrences_;  // of equal rows, where deletions name no key
  std::vector<Key> counted_;                            // whose occurrences have changed since the last commit
};

}  // namespace thalweg
