// connectors/postgres/cdc_source.h
//
// `io.postgres.read {mode: streaming}`: the table as of the moment at which a replication slot begins, then what the
// database commits.
//
// C1  A transaction of the database is never cut: what lies between two commits of ours is whole transactions.
// C2  The snapshot and the stream meet without gap or overlap (the slot's exported snapshot).
// C3  What is confirmed to the server is durable here where positions are kept, else handed over. A keepalive is
//     confirmed only when nothing is open and nothing is on its way.
// C4  A slot that is gone or ahead, another server, a changed column: an error that says so, or (`on_loss: resnapshot`)
//     the table read anew, as a difference.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "connectors/postgres/slot.h"
#include "connectors/postgres/source.h"

namespace thalweg::postgres {

class CdcSource final : public Source {
 public:
  CdcSource(const plan::Source& source, ReadSettings settings);
  Result<void> run(SourceContext& context) override;
  void on_durable(const std::string& position) override;

 private:
  // A part of a transaction that was handed over before the connection broke.
  struct Partial {
    Lsn final = 0;
    std::uint64_t changes = 0;
  };

  [[nodiscard]] Result<void> follow(SourceContext& context);
  [[nodiscard]] Result<void> prepare(SourceContext& context);
  [[nodiscard]] Result<void> check_position() const;
  [[nodiscard]] Result<bool> take_snapshot(SourceContext& context, bool anew);
  [[nodiscard]] Result<NewSlot> open_slot(const std::string& name, bool temporary);
  [[nodiscard]] Result<void> stream(SourceContext& context);
  [[nodiscard]] Result<bool> take_message(std::string_view message, SourceContext& context);
  [[nodiscard]] Result<bool> take_payload(std::string_view payload, SourceContext& context);
  [[nodiscard]] Result<bool> take_change(std::string_view payload, SourceContext& context);
  [[nodiscard]] Result<bool> take_truncate(std::string_view payload, SourceContext& context);
  [[nodiscard]] Result<void> take_relation(std::string_view payload, SourceContext& context);
  [[nodiscard]] bool deliver_changes(SourceContext& context);
  [[nodiscard]] bool hand_over_whole(SourceContext& context);
  [[nodiscard]] bool hand_over(SourceContext& context);
  [[nodiscard]] Result<void> confirm(SourceContext& context, bool now);
  [[nodiscard]] bool nothing_open() const { return !in_transaction_ && pending_end_ == 0 && bytes_.empty(); }

  const plan::Source source_;
  const std::shared_ptr<ReadShared> shared_;
  const bool upsert_;
  bool keeps_positions_ = false;
  bool slot_is_temporary_ = false;

  // Of the running connection.
  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Connection> replication_;
  System system_;
  TableInfo table_;
  std::string publication_;
  std::shared_ptr<const std::vector<std::uint32_t>> columns_;  // of the table, by field
  Lsn received_ = 0, keepalive_end_ = 0;
  std::int64_t confirmed_ns_ = 0, position_ns_ = 0;
  Lsn told_ = 0;  // the server, as flushed

  // Of the run.
  std::optional<Position> last_;  // handed over with a commit
  std::atomic<Lsn> durable_{0};
  bool in_transaction_ = false;
  Begin transaction_;
  std::uint64_t changes_ = 0;  // of the running transaction, so far
  std::uint64_t skip_ = 0;     // of them, handed over before the connection broke
  Partial partial_;
  std::string bytes_;            // changes that wait to be handed over
  std::size_t whole_bytes_ = 0;  // of them, those of whole transactions
  Lsn piece_final_ = 0;          // where in a transaction they begin
  std::uint64_t piece_index_ = 0;
  Lsn pending_end_ = 0;  // they end with whole transactions: where to go on
  std::int64_t pending_since_ns_ = 0;
};

}  // namespace thalweg::postgres
