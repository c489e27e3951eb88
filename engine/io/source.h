// engine/io/source.h
//
// What an input connector implements.
//
// A source runs on a thread of its own. It cuts its input into pieces and hands them over; workers decode them, so
// that parsing scales with the workers. Rows delivered between two calls of `commit` are one transaction: they
// become visible together. The runtime may put many transactions into one engine commit, never part of one.
//
//   run: deliver* commit (deliver* commit)*  then return = the input has ended (a streaming source returns when
//   `stopping`). After an error is returned the runtime's supervisor decides: retry with backoff, or fail.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/env.h"
#include "engine/base/result.h"
#include "engine/plan/node.h"
#include "engine/types/batch.h"

namespace thalweg {

// A record that could not be split into fields, or a field that does not fit its type.
struct BadRecord {
  std::string message;
  std::string raw;       // at most kRawBytesMax of it
  std::string position;  // `orders.csv:17:3`, `topic/0@42`
  // kRecord: dropped. kValue: its row is delivered with an ERROR cell, unless the cell is part of the key.
  enum class Kind : std::uint8_t { kRecord, kValue } kind = Kind::kRecord;
  bool fatal = false;  // `on_bad_row: fail`: the run fails with this message
  static constexpr std::size_t kRawBytesMax = 64 * 1024;
};

// `orders.csv:17:3: column …`
[[nodiscard]] inline std::string located_message(const BadRecord& record) {
  return record.position.empty() ? record.message : record.position + ": " + record.message;
}

// Where decoded rows and bad records go. Columns: the used fields of the source, in order.
class RowSink {
 public:
  virtual ~RowSink() = default;
  virtual void rows(Batch batch) = 0;
  virtual void bad_record(BadRecord record) = 0;
};

// A piece of input not yet decoded. Decoded once, on any worker, in any order within its transaction.
class Piece {
 public:
  virtual ~Piece() = default;
  [[nodiscard]] virtual std::size_t bytes() const = 0;  // what it holds, for backpressure
  virtual void decode(RowSink& out) = 0;
};

// What a source keeps beside its position: blobs by name, shared and never changed.
using Blob = std::shared_ptr<const std::string>;
using BlobMap = std::map<std::string, Blob>;

class SourceContext {
 public:
  virtual ~SourceContext() = default;
  // Hands a piece over. Blocks while the queues are full. False: the run is stopping, return soon.
  virtual bool deliver(std::unique_ptr<Piece> piece) = 0;
  virtual bool deliver(Batch batch) = 0;
  // Ends a transaction. `position` is what the connector needs to go on after this point (opaque; persisted).
  virtual void commit(std::string position = {}) = 0;
  // Nothing more will come for now: whatever was committed may be closed at once.
  virtual void idle() = 0;
  // Part of the transaction, as rows are.
  virtual void bad_record(BadRecord record) = 0;
  // A message for the connector's status (`last_error`), and the log.
  virtual void warn(std::string message) = 0;
  [[nodiscard]] virtual bool stopping() const = 0;
  // Sleeps; false if the run began to stop meanwhile. `wake_fd` (optional): returns early when it is readable.
  virtual bool wait(std::int64_t ns, int wake_fd = -1) = 0;
  [[nodiscard]] virtual Env& env() = 0;
  // The position that a restart goes on from; empty on a fresh start.
  [[nodiscard]] virtual const std::string& resume_position() const = 0;

  // The pipeline has persistence: positions and blobs are kept, and given again after a restart. Rows need not be: what
  // was committed is in the log.
  [[nodiscard]] virtual bool keeps_positions() const { return false; }
  // Part of the next commit(). Only what changed has to be said; null takes a blob away.
  virtual void put(std::string /*name*/, Blob /*value*/) {}
  // As of the position that is gone on from.
  [[nodiscard]] virtual const BlobMap& saved() const {
    static const BlobMap kNone;
    return kNone;
  }
};

class Source {
 public:
  virtual ~Source() = default;
  virtual Result<void> run(SourceContext& context) = 0;
  // The input is finite: all of it is one commit, and the run may end when it has.
  [[nodiscard]] virtual bool is_static() const { return false; }
  // This position and all before it are durable: they may be confirmed upstream. Any thread.
  virtual void on_durable(const std::string& /*position*/) {}
  // The commits that hold the first `transactions` of this source have closed: what they brought is visible. Counted
  // are the calls of `commit` that ended something. Any thread; be quick.
  virtual void committed(std::uint64_t /*transactions*/) {}
};

}  // namespace thalweg
