// connectors/postgres/source.h
//
// `io.postgres.read {mode: static}`: the table once, by binary COPY; several connections read it as of one moment.
#pragma once

#include <memory>
#include <string>

#include "connectors/postgres/connection.h"
#include "connectors/postgres/decoder.h"
#include "connectors/postgres/settings.h"
#include "engine/io/counted_piece.h"

namespace thalweg::postgres {

// What pieces on workers share.
struct ReadShared {
  ReadSettings settings;
  RowShape shape;
  BadRowPolicy policy;
  std::uint64_t key_source = 0;  // of generated keys

  ReadShared(ReadSettings given, const std::string& name);
};

// Rows of COPY that a worker decodes.
class CopyPiece final : public CountedPiece {
 public:
  CopyPiece(std::shared_ptr<ReadShared> shared, std::string bytes, std::uint64_t first_row, std::size_t num_rows)
      : shared_(std::move(shared)),
        bytes_(std::make_shared<const std::string>(std::move(bytes))),
        first_row_(first_row),
        num_rows_(num_rows) {}
  [[nodiscard]] std::size_t bytes() const override { return bytes_->size(); }
  [[nodiscard]] std::size_t num_records() const override { return num_rows_; }
  void decode(RowSink& out) override;

 private:
  const std::shared_ptr<ReadShared> shared_;
  const std::shared_ptr<const std::string> bytes_;
  const std::uint64_t first_row_;
  const std::size_t num_rows_;
};

// Delivers what `sql` (a COPY … TO STDOUT) gives. False: the run is stopping. `rows` goes on over several calls.
[[nodiscard]] Result<bool> copy_out(Connection& connection, const std::string& sql,
                                    const std::shared_ptr<ReadShared>& shared, SourceContext& context,
                                    std::uint64_t& rows);

// The whole table as the snapshot `snapshot` of another transaction has it (empty: one of its own), by
// `settings.connections` connections. Deliveries of all of them are in the transaction that runs.
[[nodiscard]] Result<bool> read_table(const std::shared_ptr<ReadShared>& shared, const TableInfo& table,
                                      const std::string& snapshot, SourceContext& context);

class StaticSource final : public Source {
 public:
  StaticSource(const plan::Source& source, ReadSettings settings);
  Result<void> run(SourceContext& context) override;
  [[nodiscard]] bool is_static() const override { return true; }

 private:
  const plan::Source source_;
  const std::shared_ptr<ReadShared> shared_;
};

// Connects, and finds the table.
[[nodiscard]] Result<TableInfo> find_table(Connection& connection, const TableName& name);

}  // namespace thalweg::postgres
