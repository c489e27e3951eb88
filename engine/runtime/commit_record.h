// engine/runtime/commit_record.h
//
// What a commit took in, as bytes: with it and the state before it, the commit can be run again and gives the same.
//
//   record    number, wall time, kind · how far every source was after it · entries of the workers
//   entry     rows of a source as they were decoded | a piece of a source that can give it again from what it keeps |
//             a bad record of a source | an answer of a function that may answer otherwise when asked again
//
// C1  Nothing outside is read again: what an entry refers to is in this record or in what the source kept before.
//     A piece that does not decode to as many rows as it did is refused.
// C2  Entries of a worker are in the order in which they came; those of several workers have no order among them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/io/source.h"
#include "engine/operators/operator.h"

namespace thalweg {

// How far a source is, and what it keeps, as far as that has changed.
struct SourceMark {
  Key source;
  std::string position;
  std::vector<std::pair<std::string, Blob>> puts;  // null: taken away
};

// What one worker adds to the record of the running commit.
class CommitJournal {
 public:
  void rows(const Key& source, const Batch& batch);
  void piece(const Key& source, std::uint64_t order, std::uint64_t rows, std::string_view origin);
  void bad_record(const Key& source, const BadRecord& record);
  void answer(const Key& node, std::string_view question, std::string_view answer);
  [[nodiscard]] std::size_t bytes() const { return bytes_.size(); }
  [[nodiscard]] std::string take() { return std::exchange(bytes_, {}); }
  void clear() { bytes_.clear(); }

 private:
  std::string bytes_;
};

struct CommitRecord {
  Commit time = 0;
  std::int64_t wall_ns = 0;
  bool is_end = false;
  bool has_script = false;
  bool takes_input = false;
  bool is_fill = false;
  bool by_snapshot = false;  // too large for the log: what it took in is only in the snapshot after it
  std::vector<SourceMark> marks;
  std::vector<std::string> entries;  // of every worker
};

[[nodiscard]] std::string encode(const CommitRecord& record);

// A record that is run again.
struct CommitReplay {
  struct Rows {
    Key source;
    std::string_view batch;
  };
  struct Piece {
    Key source;
    std::uint64_t order = 0;
    std::uint64_t rows = 0;
    std::string_view origin;
  };
  struct Bad {
    Key source;
    BadRecord record;
  };
  // By node: questions and their answers, in order where a question came more than once.
  using Answers = std::unordered_map<std::string, std::vector<std::string>>;

  CommitRecord record;  // without entries
  std::vector<Rows> rows;
  std::vector<Piece> pieces;
  // By source: what it keeps as of this commit, and what it took away with it.
  const std::map<Key, BlobMap>* kept = nullptr;
  std::vector<Bad> bad;
  std::unordered_map<Key, Answers> answers;
  std::string bytes;  // what views point into
};
[[nodiscard]] Result<std::unique_ptr<CommitReplay>> decode_commit(std::string bytes);

}  // namespace thalweg
