// engine/durable/dead_letters.h
//
// Records that a source could not read and rows that an output refused, kept until somebody drops or replays them.
//
//   letters-<n>.log   frames: magic, length, checksum · payload. Only the newest file grows.
//
// Everything that is said belongs to a commit of a part: the engine is one part, every output is one.
//
// L1  What is said of one commit of a part is kept whole or not at all; saying it again takes the place of what was
//     said. So where a part does a commit again after a crash, nothing is there twice.
// L2  forget() takes back what was said of commits that did not happen: their letters are gone, and letters that were
//     replayed in them are there again.
// L3  Bounded in bytes, number and age: the oldest go first. What goes this way is counted.
// L4  Rows that an output refused are remembered (refused) also where their letters are gone: when such a row is taken
//     back, the output must not hear of it.
// Threads  any.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/base/env.h"
#include "engine/types/key.h"

namespace thalweg {

struct DeadLetter {
  // kRecord: a source could not read it. kValue: its row is there, with an ERROR cell. kRow: an output refused it.
  // kErrorRow: a row with an ERROR cell that no output got.
  enum class Kind : std::uint8_t { kRecord, kValue, kRow, kErrorRow };
  std::uint64_t id = 0;  // rises; the store gives it
  Kind kind = Kind::kRecord;
  std::string connector;  // its name in the plan
  std::string type;       // `io.csv.read`
  std::string reason;
  std::string position;  // `orders.csv:17:3`, `topic/0@42`, the key of a row
  std::string payload;   // the record, or the row as a JSON object; at most kPayloadMax of it
  std::string row;       // of an output: the row as the engine holds it
  Key print;             // of an output: what makes the row that row
  std::string file;      // the `dead_letter` file that has it, too
  std::uint64_t commit = 0;
  std::int64_t wall_ns = 0;
  static constexpr std::size_t kPayloadMax = 64 * 1024;
};

[[nodiscard]] std::string_view text_of(DeadLetter::Kind kind);
[[nodiscard]] std::optional<DeadLetter::Kind> dead_letter_kind(std::string_view text);

struct DeadLetterLimits {
  std::uint64_t bytes_max = 256ULL << 20;
  std::uint64_t letters_max = 100'000;
  std::int64_t age_ns_max = 7LL * 24 * 3600 * 1'000'000'000;
  // Of one commit of a part; what is more is counted only.
  std::uint64_t commit_letters_max = 10'000;
  std::uint64_t commit_bytes_max = 32ULL << 20;
};

namespace durable {

class DeadLetters {
 public:
  // `across_runs`: commits have their numbers from one run to the next. Else a run begins anew, and letters that are
  // there already from an earlier one are not added again.
  static Result<std::shared_ptr<DeadLetters>> open(std::shared_ptr<Disk> disk, std::shared_ptr<Clock> clock,
                                                   std::string directory, DeadLetterLimits limits, bool across_runs);

  // What a part says of a commit.
  struct Entry {
    std::string part;
    std::uint64_t commit = 0;
    std::vector<DeadLetter> letters;
    std::vector<Key> refused;             // rows that were refused and have no letter
    std::vector<Key> absorbed;            // rows that were refused and are taken back now
    std::vector<std::uint64_t> replayed;  // letters that are in it
    [[nodiscard]] bool empty() const {
      return letters.empty() && refused.empty() && absorbed.empty() && replayed.empty();
    }
  };
  // `sync`: it is on the platter when this returns.
  Result<void> keep(Entry entry, bool sync);
  // Commits of the part above this one did not happen.
  Result<void> forget(const std::string& part, std::uint64_t after);
  Result<void> begin_run();
  // Rows that the part refused and that were not taken back.
  [[nodiscard]] std::unordered_map<Key, std::uint32_t> refused(const std::string& part) const;

  // ---- `dead_letter` files of the user: letters are appended once they are for good
  struct FileMark {
    std::uint64_t commit = 0;  // the file has the letters of commits up to this one
    std::uint64_t length = 0;
  };
  [[nodiscard]] FileMark file_mark(const std::string& part, const std::string& path) const;
  Result<void> mark_file(const std::string& part, const std::string& path, FileMark mark);
  // Letters of the part for the file that belong to commits in (after, to], in order.
  [[nodiscard]] Result<std::vector<DeadLetter>> for_file(const std::string& part, const std::string& path,
                                                         std::uint64_t after, std::uint64_t to) const;

  // ---- readers
  struct Query {
    std::string connector;  // empty: all
    std::optional<DeadLetter::Kind> kind;
    std::uint64_t after = 0;  // ids above this one
    std::size_t limit = 100;
  };
  [[nodiscard]] Result<std::vector<DeadLetter>> list(const Query& query) const;
  [[nodiscard]] std::vector<std::uint64_t> ids(const Query& query) const;
  [[nodiscard]] Result<DeadLetter> get(std::uint64_t id) const;  // kNotFound
  Result<std::uint64_t> drop(const std::vector<std::uint64_t>& ids);

  struct Stats {
    std::uint64_t letters = 0;
    std::uint64_t bytes = 0;    // of the files
    std::uint64_t expired = 0;  // gone by the limits, since the start
    std::uint64_t lost = 0;     // not kept: more than a commit may have, or the disk would not take them
    std::map<std::pair<std::string, DeadLetter::Kind>, std::uint64_t> added;  // since the start
    std::string last_error;
  };
  [[nodiscard]] Stats stats() const;
  void note_lost(std::uint64_t letters, std::string why);

 private:
  struct Meta {
    std::uint64_t id = 0;
    std::uint32_t part = 0;
    std::uint64_t commit = 0;
    DeadLetter::Kind kind = DeadLetter::Kind::kRecord;
    std::string connector;
    std::int64_t wall_ns = 0;
    std::uint64_t hash = 0;  // of what it says
    Key print;
    bool to_file = false;
    std::uint32_t segment = 0;
    std::uint64_t offset = 0;  // of the frame's payload
    std::uint64_t length = 0;
    bool gone = false;
  };
  // What has to be taken back if the commit did not happen.
  struct Said {
    std::uint64_t commit = 0;
    std::vector<std::uint64_t> letters;
    std::vector<Key> refused, absorbed;
    std::vector<std::uint64_t> replayed, withdrawn;
  };
  struct Part {
    std::string name;
    std::deque<Said> said;  // the newest
    std::unordered_map<Key, std::uint32_t> refused;
    std::map<std::string, FileMark> files;
  };
  struct Segment {
    std::uint32_t number = 0;
    std::uint64_t bytes = 0;
    std::int64_t newest_ns = 0;
  };

  DeadLetters(std::shared_ptr<Disk> disk, std::shared_ptr<Clock> clock, std::string directory, DeadLetterLimits limits,
              bool across_runs)
      : disk_(std::move(disk)),
        clock_(std::move(clock)),
        directory_(std::move(directory)),
        limits_(limits),
        across_runs_(across_runs) {}
  // All of these require: mutex_ is held.
  Result<void> load();
  Result<void> load_segment(std::uint32_t number, bool last);
  Result<void> write(const std::string& payload, bool sync);
  Result<void> roll();
  [[nodiscard]] std::string carried() const;
  bool apply(std::string_view payload, std::uint32_t segment, std::uint64_t offset);
  bool apply_entry(std::string_view from, std::uint32_t segment, std::uint64_t offset, std::uint64_t length);
  bool apply_carried(std::string_view from);
  void undo(Part& part, const Said& said);
  void obey_limits();
  void limit_commit(Entry& entry);
  void leave_out_known(Entry& entry);
  void count_refused(Part& part, const Key& print, bool more);
  [[nodiscard]] Meta* find(std::uint64_t id);
  [[nodiscard]] const Meta* find(std::uint64_t id) const;
  [[nodiscard]] bool is_live(const Meta& meta) const;
  [[nodiscard]] bool matches(const Meta& meta, const Query& query) const;
  [[nodiscard]] Part& part_of(const std::string& name);
  [[nodiscard]] const Part* find_part(const std::string& name) const;
  [[nodiscard]] Result<DeadLetter> read(const Meta& meta) const;
  [[nodiscard]] std::string path_of(std::uint32_t number) const;

  const std::shared_ptr<Disk> disk_;
  const std::shared_ptr<Clock> clock_;
  const std::string directory_;
  const DeadLetterLimits limits_;
  const bool across_runs_;
  mutable std::mutex mutex_;  // guards all below
  std::shared_ptr<void> lock_;
  std::deque<Segment> segments_;
  std::unique_ptr<WriteFile> file_;
  std::deque<Meta> letters_;  // ids rise
  std::vector<Part> parts_;
  std::uint64_t next_id_ = 1;
  std::unordered_multiset<std::uint64_t> known_;  // hashes of letters of earlier runs
  std::uint64_t expired_ = 0, lost_ = 0;
  std::map<std::pair<std::string, DeadLetter::Kind>, std::uint64_t> added_;
  std::string last_error_;
  bool loading_ = false;
};

}  // namespace durable
}  // namespace thalweg
