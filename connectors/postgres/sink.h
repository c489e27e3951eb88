// connectors/postgres/sink.h
//
// `io.postgres.write`: a stream of changes that grows, or a snapshot that is kept.
//
// W1  A commit of ours is one transaction of the database.
// W2  Rows come by binary COPY: into the table (changes), or into temporary tables from which they are merged.
// W3  A connection that is lost within a commit is made anew and the commit written again; whether a COMMIT that was
//     not answered has happened is asked of the server (the marker, else pg_xact_status).
// W4  Rows that do not fit the table are told before they are sent: one row must not undo a commit.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connectors/postgres/catalog.h"
#include "connectors/postgres/connection.h"
#include "connectors/postgres/encoder.h"
#include "connectors/postgres/settings.h"
#include "engine/io/sink.h"

namespace thalweg::postgres {

// Where the last commit stands: one row per pipeline and sink in `thalweg_commits`.
class CommitMarker {
 public:
  CommitMarker(TableName table, std::string pipeline, std::string sink)
      : table_(std::move(table)), pipeline_(std::move(pipeline)), sink_(std::move(sink)) {}
  // Takes over from older runs, which can write no more. `generation` 0: one more than that of the row. `anew`: the
  // output begins again, nothing of it is there.
  [[nodiscard]] Result<void> take_over(Connection& connection, std::uint64_t generation, bool anew);
  // Part of a transaction. kPermission: a newer run has taken over.
  [[nodiscard]] Result<void> advance(Connection& connection, std::uint64_t commit);
  [[nodiscard]] Result<std::uint64_t> read(Connection& connection) const;
  [[nodiscard]] std::uint64_t last() const { return last_; }
  void now_at(std::uint64_t commit) { last_ = commit; }

 private:
  const TableName table_;
  const std::string pipeline_;
  const std::string sink_;
  std::uint64_t generation_ = 0;
  std::uint64_t last_ = 0;
};

class PostgresSink final : public Sink {
 public:
  PostgresSink(WriteSettings settings, const Schema& schema);
  Result<void> open(const SinkContext& context) override;
  Result<void> begin(std::uint64_t commit) override;
  Result<void> write(std::uint64_t commit, const Batch& batch) override;
  Result<void> end(std::uint64_t commit) override;
  Result<void> close(bool complete) override;
  [[nodiscard]] std::optional<std::uint64_t> last_commit() const override;
  [[nodiscard]] Delivery delivery() const override;

 private:
  enum class Stage : std::uint8_t { kNone, kTable, kUpserts, kDeletions };

  [[nodiscard]] Result<void> connect_patiently(std::int64_t patience_ns);
  [[nodiscard]] Result<void> prepare_table();
  [[nodiscard]] Result<void> check_table(const TableInfo& table);
  [[nodiscard]] Result<void> check_key(const TableInfo& table) const;
  [[nodiscard]] Result<void> create_table();
  [[nodiscard]] Result<void> prepare_session();

  [[nodiscard]] Result<void> start_transaction();
  [[nodiscard]] Result<void> send(std::uint64_t commit, const Batch& batch);
  [[nodiscard]] Result<void> send_row(std::uint64_t commit, const Batch& batch, std::size_t row);
  [[nodiscard]] Result<void> use(Stage stage);
  [[nodiscard]] Result<void> flush(std::size_t bytes_min);
  [[nodiscard]] Result<void> finish(std::uint64_t commit);
  [[nodiscard]] Result<void> merge();
  [[nodiscard]] Result<void> write_again(std::uint64_t commit, Error why);
  [[nodiscard]] Result<bool> has_happened(std::uint64_t commit);
  void keep(const Batch& batch);
  void reject(const Batch& batch, std::size_t row, std::uint64_t commit, const std::string& column,
              const std::string& why);
  [[nodiscard]] Batch sorted() const;

  const WriteSettings settings_;
  const Schema schema_;
  std::string name_;
  Env* env_ = nullptr;
  std::function<void(const Batch&, std::size_t, Rejection)> tell_;
  std::function<Result<void>()> keep_rejected_;
  BadRowPolicy policy_;
  std::unique_ptr<Connection> connection_;
  std::optional<CommitMarker> marker_;
  bool goes_on_ = false;   // earlier starts of the pipeline have written here
  bool made_new_ = false;  // the table was made by us

  std::vector<EncodedColumn> columns_;
  std::vector<EncodedColumn> key_columns_;
  WireType time_type_, diff_type_;  // of the columns that a stream of changes has on top
  std::string copy_table_, copy_upserts_, copy_deletions_, merge_upserts_, merge_deletions_, merge_only_deletions_;

  // Of the running commit.
  Stage stage_ = Stage::kNone;
  std::string buffer_;
  std::size_t stage_rows_ = 0;
  std::uint64_t upserts_ = 0, deletions_ = 0;
  std::string transaction_;  // its id
  bool asked_to_commit_ = false;
  bool skipping_ = false;
  bool again_ = false;       // rejected rows were told already
  std::vector<Batch> kept_;  // to be written again
  std::size_t kept_bytes_ = 0;
  bool kept_all_ = true;
  std::optional<Error> lost_;  // the connection broke; the commit is written again at its end
  std::uint64_t rejected_ = 0;
};

}  // namespace thalweg::postgres
