// connectors/file/sink.h
//
// Files of output: a stream of changes that grows, or a snapshot that is replaced.
//
// K1  A commit is in the file whole or not at all; nothing of a later one is there without it.
// K2  A snapshot file is at every moment a whole snapshot of some commit.
// K3  Where the pipeline keeps its state, a file is gone on with after a restart: what is in it is not written again.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "config/option_spec.h"
#include "connectors/file/output_file.h"
#include "connectors/file/output_marker.h"
#include "connectors/formats/encode.h"
#include "engine/io/sink.h"
#include "engine/plan/node.h"

namespace thalweg {

struct FileWriteSettings {
  std::string path;  // may hold `{time}`
  bool is_csv = true;
  bool header = true;
  char delimiter = ',';
  CsvQuoting quoting = CsvQuoting::kNonNumeric;
  bool snapshot = false;
  std::int64_t min_interval_ns = 0;
  OnExisting on_existing = OnExisting::kReplace;
  std::optional<std::int64_t> rotate_every_ns;
  std::optional<std::uint64_t> rotate_bytes;
  std::vector<std::uint32_t> sort_by;

  static Result<FileWriteSettings> from(std::string_view connector, const Setting& args, const Schema& schema);
};

[[nodiscard]] std::vector<config::OptionSpec> file_write_options(std::string_view connector);

// Encodes rows in the format of the settings.
class RowEncoder {
 public:
  RowEncoder(const FileWriteSettings& settings, const Schema& schema);
  void header(bool with_time, std::string& out) const;
  void row(const Batch& batch, std::size_t row, const std::uint64_t* time, std::string& out) const;

 private:
  const bool header_;
  const std::variant<CsvEncoder, JsonEncoder> encoder_;
};

class ChangesFileSink final : public Sink {
 public:
  ChangesFileSink(FileWriteSettings settings, const Schema& schema)
      : settings_(std::move(settings)), schema_(schema), encoder_(settings_, schema) {}
  Result<void> open(const SinkContext& context) override;
  Result<void> begin(std::uint64_t commit) override;
  Result<void> write(std::uint64_t commit, const Batch& batch) override;
  Result<void> end(std::uint64_t commit) override;
  Result<void> close(bool complete) override;
  [[nodiscard]] std::optional<std::uint64_t> last_commit() const override;
  [[nodiscard]] Delivery delivery() const override;

 private:
  Result<void> open_file();
  Result<void> go_on(const SinkContext& context);
  Result<void> mark(std::uint64_t commit);
  Result<void> flush(std::size_t bytes_min);
  Result<void> write_sorted(std::uint64_t commit);
  [[nodiscard]] bool must_rotate() const;

  const FileWriteSettings settings_;
  const Schema schema_;
  const RowEncoder encoder_;
  Env* env_ = nullptr;
  std::string owner_;  // of temporaries
  std::unique_ptr<OutputFile> file_;
  std::int64_t opened_ns_ = 0;
  std::string buffer_;
  std::unique_ptr<OutputMarker> marker_;  // null: no state is kept
  std::uint64_t resume_from_ = 0;         // what was written by an earlier run comes again below this commit
  std::vector<Batch> commit_batches_;     // with sort_by: of the running commit
};

class SnapshotFileSink final : public Sink {
 public:
  SnapshotFileSink(FileWriteSettings settings, const Schema& schema)
      : settings_(std::move(settings)), encoder_(settings_, schema) {}
  ~SnapshotFileSink() override;
  Result<void> open(const SinkContext& context) override;
  Result<void> write(std::uint64_t commit, const Batch& batch) override;
  Result<void> end(std::uint64_t commit) override;
  Result<void> close(bool complete) override;
  Result<std::string> save() override;
  [[nodiscard]] bool saves() const override { return true; }
  [[nodiscard]] Delivery delivery() const override { return Delivery::kExactlyOnce; }

 private:
  // Requires: mutex_ is held.
  Result<void> replace_file();
  void write_when_due();
  void stop_writer();

  const FileWriteSettings settings_;
  const RowEncoder encoder_;
  Env* env_ = nullptr;
  std::string owner_;  // of temporaries
  std::string line_;
  std::map<std::string, std::int64_t> running_;  // changes of the running commit
  std::mutex mutex_;
  std::map<std::string, std::int64_t> rows_;  // guarded by mutex_: lines with counts, as of the last commit
  bool dirty_ = false;                        // guarded by mutex_
  bool stop_ = false;                         // guarded by mutex_
  std::int64_t written_ns_ = 0;               // guarded by mutex_
  std::optional<Error> error_;                // guarded by mutex_: of the writer thread
  std::condition_variable changed_;
  std::thread writer_;  // writes what min_interval held back; only where there is an interval
};

}  // namespace thalweg
