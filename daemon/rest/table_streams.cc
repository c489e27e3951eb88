#include "daemon/rest/table_streams.h"

#include "daemon/json_writer.h"
#include "daemon/rest/api.h"

namespace thalweg::daemon {
namespace {

// Walks batches row by row, a piece at a time.
class SnapshotStream : public net::BodyStream {
 public:
  SnapshotStream(ExportReader::Snapshot snapshot, const Schema& schema, RowOptions options, RowFormat format)
      : snapshot_(std::move(snapshot)), rows_(schema, std::move(options)), format_(format) {}

  More next(std::string& piece, bool) override {
    if (!begun_) begin(piece);
    while (batch_ < snapshot_.batches.size()) {
      Batch& batch = snapshot_.batches[batch_];
      if (row_ == 0) batch.materialise_keys();
      for (; row_ < batch.num_rows; ++row_) {
        if (piece.size() >= kPieceBytes) return More::kYes;
        row(batch, piece);
      }
      batch = Batch{};  // what is written need not stay in memory
      ++batch_;
      row_ = 0;
    }
    if (format_ == RowFormat::kJson) piece += "]}\n";
    return More::kEnd;
  }

 private:
  void begin(std::string& piece) {
    begun_ = true;
    if (format_ == RowFormat::kCsv) rows_.append_csv_header(piece);
    if (format_ != RowFormat::kJson) return;
    JsonWriter json(piece);
    json.begin_object().key("frontier");
    append_frontier(snapshot_.frontier, json);
    json.key("rows").begin_array();
  }
  void row(const Batch& batch, std::string& piece) {
    if (format_ == RowFormat::kCsv) return rows_.append_csv(batch, row_, piece);
    if (format_ == RowFormat::kJson && !first_) piece += ",";
    if (format_ == RowFormat::kJson) piece += "\n";
    first_ = false;
    JsonWriter json(piece);
    rows_.append_object(batch, row_, json);
    if (format_ == RowFormat::kJsonLines) piece += "\n";
  }

  ExportReader::Snapshot snapshot_;
  RowJson rows_;
  RowFormat format_;
  bool begun_ = false;
  bool first_ = true;
  std::size_t batch_ = 0;
  std::size_t row_ = 0;
};

RowOptions without_key(RowOptions options) {
  options.with_key = false;
  return options;
}

// {"time": 4, "diff": 1, "_key": "^…", "row": {…}}
void append_change(Commit time, const Batch& batch, std::size_t row, const RowJson& rows, std::string& out) {
  JsonWriter json(out);
  json.begin_object().field("time", time).field("diff", static_cast<std::int64_t>(batch.diff(row)));
  json.field("_key", to_text(batch.keys[row])).key("row");
  rows.append_object(batch, row, json);
  json.end_object();
}

class DiffStream : public net::BodyStream {
 public:
  DiffStream(std::vector<ExportReader::Change> changes, DiffRange range, const Schema& schema, RowOptions options,
             RowFormat format)
      : changes_(std::move(changes)),
        range_(range),
        rows_(schema, without_key(options)),
        csv_(schema, with_key(options)),
        format_(format) {}

  More next(std::string& piece, bool) override {
    if (!begun_) begin(piece);
    while (change_ < changes_.size()) {
      Batch& batch = changes_[change_].batch;
      if (row_ == 0) batch.materialise_keys();
      for (; row_ < batch.num_rows; ++row_) {
        if (piece.size() >= kPieceBytes) return More::kYes;
        row(changes_[change_].time, batch, piece);
      }
      batch = Batch{};
      ++change_;
      row_ = 0;
    }
    if (format_ == RowFormat::kJson) piece += "]}\n";
    return More::kEnd;
  }

 private:
  static RowOptions with_key(RowOptions options) {
    options.with_key = true;
    return options;
  }
  void begin(std::string& piece) {
    begun_ = true;
    if (format_ == RowFormat::kCsv) {
      piece += "_time,_diff,";
      csv_.append_csv_header(piece);
    }
    if (format_ != RowFormat::kJson) return;
    JsonWriter json(piece);
    json.begin_object().key("from");
    append_frontier(range_.from, json);
    json.key("to");
    append_frontier(range_.to, json);
    json.key("changes").begin_array();
  }
  void row(Commit time, const Batch& batch, std::string& piece) {
    if (format_ == RowFormat::kCsv) {
      piece += std::to_string(time) + "," + std::to_string(batch.diff(row_)) + ",";
      return csv_.append_csv(batch, row_, piece);
    }
    if (format_ == RowFormat::kJson) piece += first_ ? "\n" : ",\n";
    first_ = false;
    append_change(time, batch, row_, rows_, piece);
    if (format_ == RowFormat::kJsonLines) piece += "\n";
  }

  std::vector<ExportReader::Change> changes_;
  DiffRange range_;
  RowJson rows_;
  RowJson csv_;
  RowFormat format_;
  bool begun_ = false;
  bool first_ = true;
  std::size_t change_ = 0;
  std::size_t row_ = 0;
};

// Follows a table from commit to commit. It holds the batches it is writing (shared with the engine's history) and
// nothing else: what came meanwhile is asked for when the reader is ready for it.
class ChangesStream : public net::BodyStream {
 public:
  ChangesStream(std::shared_ptr<ServedPipeline> pipeline, std::shared_ptr<ExportReader> reader, ChangesOptions options,
                std::shared_ptr<net::Waker> waker)
      : pipeline_(std::move(pipeline)),
        reader_(std::move(reader)),
        options_(std::move(options)),
        waker_(std::move(waker)),
        rows_(reader_->schema(), without_key(options_.row)) {
    // The first look comes after the subscription, so no commit can fall between them.
    subscribe();
    if (options_.from)
      at_ = *options_.from;
    else
      need_start_ = true;
  }
  ~ChangesStream() override { unsubscribe(); }

  More next(std::string& piece, bool heartbeat) override {
    if (need_start_ && !start(piece)) return More::kAbort;
    // A place that is not reached yet is one of another run: nothing leads from there to here.
    if (frontier_less(reader_->frontier(), at_)) {
      reset(piece);
      if (!start(piece)) return More::kAbort;
    }
    for (;;) {
      if (!write_snapshot(piece) || !write_changes(piece)) return More::kYes;
      if (at_.done) return end(piece);
      Frontier now = reader_->frontier();
      if (!frontier_less(at_, now)) break;
      if (!advance(now, piece)) return More::kAbort;
      if (piece.size() >= kPieceBytes) return More::kYes;
    }
    if (auto successor = pipeline_->succession->next())
      return follow(std::move(successor)) ? next(piece, heartbeat) : end(piece);
    RunState state = pipeline_->run->state();
    if (state == RunState::kStopped || state == RunState::kFailed) return end(piece);
    if (heartbeat && piece.empty()) piece += ": still here\n\n";
    return More::kWait;
  }

 private:
  void subscribe() {
    subscription_ = reader_->subscribe([waker = waker_](Frontier) { waker->wake(); });
    succession_ = pipeline_->succession->subscribe([waker = waker_] { waker->wake(); });
  }
  void unsubscribe() {
    reader_->unsubscribe(subscription_);
    pipeline_->succession->unsubscribe(succession_);
  }

  // Another run has taken over. Where the table is still the same, its history goes on there.
  bool follow(std::shared_ptr<ServedPipeline> next) {
    auto reader = next->run->find_export(reader_->name());
    const Schema& now = reader_->schema();
    bool same = reader && reader->schema().size() == now.size();
    for (std::size_t i = 0; same && i < now.size(); ++i)
      same = reader->schema().columns[i].name == now.columns[i].name &&
             reader->schema().columns[i].type == now.columns[i].type;
    if (!same) return false;
    unsubscribe();
    pipeline_ = std::move(next);
    reader_ = std::move(reader);
    subscribe();
    return true;
  }

  // The beginning of the stream, or after a reset: the rows as they are, or just the place.
  bool start(std::string& piece) {
    need_start_ = false;
    if (!options_.snapshot) {
      at_ = reader_->frontier();
      progress(at_, piece);
      return true;
    }
    auto snapshot = reader_->snapshot(std::nullopt);
    if (!snapshot) return false;
    at_ = snapshot->frontier;
    snapshot_ = std::move(snapshot->batches);
    batch_ = row_ = 0;
    in_snapshot_ = true;
    return true;
  }

  // False: the piece is full.
  bool write_snapshot(std::string& piece) {
    for (; in_snapshot_ && batch_ < snapshot_.size(); ++batch_, row_ = 0) {
      Batch& batch = snapshot_[batch_];
      if (row_ == 0) batch.materialise_keys();
      for (; row_ < batch.num_rows; ++row_) {
        if (piece.size() >= kPieceBytes) return false;
        piece += "event: snapshot\ndata: ";
        JsonWriter json(piece);
        json.begin_object().field("_key", to_text(batch.keys[row_])).key("row");
        rows_.append_object(batch, row_, json);
        json.end_object();
        piece += "\n\n";
      }
      batch = Batch{};
    }
    if (in_snapshot_) progress(at_, piece);
    in_snapshot_ = false;
    snapshot_.clear();
    return true;
  }

  bool write_changes(std::string& piece) {
    for (; change_ < changes_.size(); ++change_, row_ = 0) {
      ExportReader::Change& change = changes_[change_];
      if (row_ == 0) change.batch.materialise_keys();
      for (; row_ < change.batch.num_rows; ++row_) {
        if (piece.size() >= kPieceBytes) return false;
        piece += "event: update\ndata: ";
        append_change(change.time, change.batch, row_, rows_, piece);
        piece += "\n\n";
      }
      change.batch = Batch{};
      // The place after this commit; the last one gets the frontier itself.
      if (change_ + 1 < changes_.size()) progress(Frontier{change.time + 1, false}, piece);
    }
    if (pending_) progress(at_, piece);
    pending_ = false;
    changes_.clear();
    change_ = row_ = 0;
    return true;
  }

  // Fetches what happened between at_ and `now`.
  bool advance(Frontier now, std::string& piece) {
    auto changes = reader_->diff(at_, now);
    if (!changes) {
      if (changes.error().code != Code::kNotFound) return false;
      reset(piece);
      return start(piece);
    }
    changes_ = std::move(*changes);
    change_ = row_ = 0;
    at_ = now;
    pending_ = true;
    return true;
  }

  void reset(std::string& piece) {
    piece += "event: reset\ndata: ";
    JsonWriter json(piece);
    json.begin_object().key("lost_from");
    append_frontier(at_, json);
    json.key("oldest");
    append_frontier(reader_->oldest(), json);
    json.end_object();
    piece += "\n\n";
  }

  void progress(const Frontier& frontier, std::string& piece) {
    piece += "id: " + frontier_text(frontier) + "\nevent: progress\ndata: ";
    JsonWriter json(piece);
    append_frontier(frontier, json);
    piece += "\n\n";
  }

  More end(std::string& piece) {
    piece += "event: end\ndata: ";
    JsonWriter json(piece);
    json.begin_object().field("state", state_text(pipeline_->run->state()));
    if (auto failure = pipeline_->run->failure()) json.field("failure", failure->message);
    json.end_object();
    piece += "\n\n";
    return More::kEnd;
  }

  std::shared_ptr<ServedPipeline> pipeline_;
  std::shared_ptr<ExportReader> reader_;
  ChangesOptions options_;
  std::shared_ptr<net::Waker> waker_;
  RowJson rows_;
  std::uint64_t subscription_ = 0;
  std::uint64_t succession_ = 0;
  Frontier at_;  // everything below was fetched
  bool need_start_ = false;

  bool in_snapshot_ = false;
  std::vector<Batch> snapshot_;
  std::size_t batch_ = 0;
  std::vector<ExportReader::Change> changes_;
  std::size_t change_ = 0;
  std::size_t row_ = 0;
  bool pending_ = false;  // a progress mark for at_ is due
};

}  // namespace

std::unique_ptr<net::BodyStream> snapshot_stream(ExportReader::Snapshot snapshot, const Schema& schema,
                                                 RowOptions options, RowFormat format) {
  options.with_key = true;
  return std::make_unique<SnapshotStream>(std::move(snapshot), schema, std::move(options), format);
}

std::unique_ptr<net::BodyStream> diff_stream(std::vector<ExportReader::Change> changes, DiffRange range,
                                             const Schema& schema, RowOptions options, RowFormat format) {
  return std::make_unique<DiffStream>(std::move(changes), range, schema, std::move(options), format);
}

std::unique_ptr<net::BodyStream> changes_stream(std::shared_ptr<ServedPipeline> pipeline,
                                                std::shared_ptr<ExportReader> reader, ChangesOptions options,
                                                std::shared_ptr<net::Waker> waker) {
  return std::make_unique<ChangesStream>(std::move(pipeline), std::move(reader), std::move(options), std::move(waker));
}

}  // namespace thalweg::daemon
