// connectors/sqlite/source.h
//
// `io.sqlite.read`: a table once, or as it changes. SQLite tells of no changes: when another connection has committed
// (PRAGMA data_version), the table is read again, in one transaction, and compared with what was read before.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "connectors/formats/report.h"
#include "connectors/sqlite/database.h"
#include "engine/io/source.h"
#include "engine/plan/node.h"

namespace thalweg::sqlite {

struct ReadSettings {
  std::string path;
  std::string table;
  bool is_static = false;
  std::int64_t poll_ns = 0;
  BadRowPolicy::Action bad_rows = BadRowPolicy::Action::kLog;
  std::string dead_letters;
};

class SqliteSource final : public Source {
 public:
  SqliteSource(const plan::Source& source, ReadSettings settings);
  Result<void> run(SourceContext& context) override;
  [[nodiscard]] bool is_static() const override { return settings_.is_static; }

 private:
  // What is known of a row: the hash of its cells, and where a deletion must tell the whole row, the cells.
  struct Known {
    Key content;
    std::string cells;
    std::uint64_t seen = 0;  // in which reading
  };
  struct Row {
    Key key;
    std::vector<Value> cells;
  };

  [[nodiscard]] Result<void> prepare(const Database& database);
  [[nodiscard]] Result<bool> read(const Database& database, SourceContext& context);
  [[nodiscard]] bool take_row(const Statement& statement, Row& out, SourceContext& context);
  [[nodiscard]] bool changed(const Row& row, SourceContext& context);
  [[nodiscard]] bool drop_unseen(SourceContext& context);
  [[nodiscard]] bool push(const Key& key, const std::vector<Value>& cells, Diff diff, SourceContext& context);
  [[nodiscard]] bool deliver(SourceContext& context);
  void bad(const std::string& message, std::string raw, BadRecord::Kind kind, SourceContext& context);

  const plan::Source source_;
  const ReadSettings settings_;
  BadRowPolicy policy_;
  Schema schema_;  // of the used fields
  std::vector<bool> used_;
  std::string select_;
  bool keyed_ = false;
  std::unordered_map<Key, Known> known_;  // streaming
  std::uint64_t reading_ = 0;
  std::unique_ptr<BatchBuilder> pending_;
  std::uint64_t delivered_ = 0;
};

}  // namespace thalweg::sqlite
