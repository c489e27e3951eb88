// engine/runtime/refusals.h
//
// Rows that an output refuses: they become dead letters, and the output never hears of their retractions.
//
// F1  What is said of a commit is kept before the output's own commit ends, where the output says when (keep), else
//     right after it. Where state is kept a commit that comes again is said again, in the place of what was said.
// F2  A retraction of a row that was refused is absorbed, once for each time that it was refused.
// F3  Rows of dead letters that are replayed join the next commit, unless they were taken back meanwhile.
// F4  Where refused rows are read as a table, those of a commit are told once the commit has ended, and after a restart
//     once more if they are not in that table yet.
// Threads  the sink's thread; replay(), tell_to() and be_read() any.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/durable/dead_letters.h"
#include "engine/io/sink.h"
#include "engine/io/source.h"
#include "engine/operators/operator.h"

namespace thalweg {

// The row as a JSON object, for people. A cell that is ERROR is null and named in `_errors`.
[[nodiscard]] std::string row_as_json(const Schema& schema, const Batch& batch, std::size_t row);
// What makes a row that row: its key, where it has one, and its values.
[[nodiscard]] Key row_print(const Schema& schema, const Batch& batch, std::size_t row);

// What becomes of dead letters at one output. What is not set is not done.
struct LetterPolicy {
  std::string connector;  // its name in the plan
  std::string type;
  bool keeps = true;  // false: `on_bad_row: skip`
  std::string file;   // `dead_letter: PATH`
};

// A row that an output refused, for tables of such rows.
struct RefusedRow {
  BadRecord record;
  std::optional<Key> key;
};

class Refusals {
 public:
  // Called for every refused row: reason, key if there is one.
  using Told = std::function<void(const std::string&, std::optional<Key>, Commit)>;
  // Called with the refused rows of a commit once the output has ended it.
  using Read = std::function<void(Commit, std::vector<RefusedRow>)>;

  Refusals(const Schema& schema, LetterPolicy policy, Disk& files);
  // Before the sink is opened. `durable`: commits may come again after a restart.
  void use(std::shared_ptr<durable::DeadLetters> store, std::string part, bool durable);
  void tell_to(Told told);
  // Tables of refused rows have those of commits up to `from`.
  void be_read(Read read, Commit from);
  // What was said of commits above this one did not happen.
  Result<void> resume(Commit written);
  void connect(SinkContext& context);

  void begin(Commit commit);
  // Without the retractions of rows that were refused.
  [[nodiscard]] Batch filter(Batch batch);
  [[nodiscard]] bool has_replays();
  // The rows that are replayed in this commit.
  [[nodiscard]] Batch take_replays();
  Result<void> keep();    // see F1
  Result<void> finish();  // the output's commit has ended

  Result<void> replay(const DeadLetter& letter);
  [[nodiscard]] std::uint64_t refused() const { return total_; }

 private:
  struct Replayed {
    std::uint64_t id = 0;
    Key print;
    Batch row;
  };
  void reject(const Batch& batch, std::size_t row, Rejection why);
  Result<void> write_file();
  Result<void> tell_again(Commit written);

  const Schema& schema_;
  const LetterPolicy policy_;
  Disk& files_;
  std::shared_ptr<durable::DeadLetters> store_;  // null: nowhere
  std::string part_;
  bool durable_ = false;
  std::unordered_map<Key, std::uint32_t> refused_;
  Commit commit_ = 0;
  durable::DeadLetters::Entry entry_;  // of the commit
  bool kept_ = true;                   // entry_ is in the store as it is
  std::atomic<std::uint64_t> total_{0};
  std::vector<RefusedRow> to_read_;  // of the commit; only where they are read
  std::mutex mutex_;
  Told told_;                      // guarded by mutex_
  Read read_;                      // guarded by mutex_
  Commit read_to_ = 0;             // guarded by mutex_
  std::vector<Replayed> waiting_;  // guarded by mutex_
};

// Appends letters to a `dead_letter` file, as JSON lines.
Result<void> append_letters(Disk& disk, const std::string& path, const std::vector<DeadLetter>& letters, bool sync);
// Where state is kept: how long the file is before the first letter of the part comes.
Result<void> mark_start(Disk& disk, durable::DeadLetters& store, const std::string& part, const std::string& path);
// Appends the letters of the part that the file does not have. Requires: they are for good.
Result<void> settle_file(Disk& disk, durable::DeadLetters& store, const std::string& part, const std::string& path,
                         Commit commit);

}  // namespace thalweg
