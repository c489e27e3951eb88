// engine/state/join_family.h
//
// What joins of one worker hold that have tables in common: one index of join keys. A table that several of them read
// by the same columns is one side of it, held once; what a single join reads is a side of its own.
//
//   hold(side, chunk, entries)      the chunk is about to be given out
//   every reader                    looks at the chunk and its entries, after store() or before it
//   store(side)                     the rows are in
//
// F1  At any time a reader finds on a shared side just the rows that it was given. So a chunk is given first to those
//     that may hear of its consequences from others: the graph has them in this order (G3 of runtime/graph.h).
// F2  Join keys without rows stay until the next commit: several operators count what a commit did to them.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "engine/state/join_index.h"
#include "engine/types/batch.h"

namespace thalweg {

// A side that several joins read.
struct SharedSide {
  int side = 0;
  std::vector<std::uint32_t> kept;  // columns of the chunks that are stored
  bool with_keys = false;
  bool counts = false;  // somebody asks for `before`

  // The chunk that is being given out.
  Batch chunk;
  std::vector<std::uint32_t> entries;  // by row; JoinIndex::kNone: has no partner for ever
  std::vector<std::uint64_t> hashes;
  bool stored = true;

  // Entries of this commit's chunks.
  struct Touched {
    std::uint32_t entry;
    std::int64_t before;
  };
  std::vector<Touched> touched;
  std::vector<std::uint32_t> touched_at;  // by entry: position in touched, or JoinIndex::kNone
};

class JoinFamily {
 public:
  explicit JoinFamily(std::vector<Type> key_types) : index_(std::move(key_types)) {}

  [[nodiscard]] JoinIndex& index() { return index_; }
  // Of the node that gives out its chunks. Pointers to it stay valid.
  SharedSide& share(std::uint32_t node, std::vector<Type> types, std::vector<std::uint32_t> kept, bool with_keys,
                    bool counts);
  [[nodiscard]] SharedSide* shared(std::uint32_t node) {
    auto at = shared_.find(node);
    return at == shared_.end() ? nullptr : &at->second;
  }

  // Before anything else that a member does in a commit; each has another number.
  void begin(std::uint64_t commit) {
    if (commit != commit_) settle(commit);
  }
  // The rows of this side are of no use any more, from the next commit on.
  void leave(int side) { left_.push_back(side); }
  // An entry that lost rows.
  void note_shrunk(std::uint32_t entry) { shrunk_.push_back(entry); }

  // `side.chunk`, `entries` and `hashes` are set.
  void hold(SharedSide& side);
  void store(SharedSide& side) {
    if (!side.stored) store_chunk(side);
  }
  // Rows under an entry before this commit.
  [[nodiscard]] std::int64_t before(const SharedSide& side, std::uint32_t entry) const {
    if (entry < side.touched_at.size() && side.touched_at[entry] != JoinIndex::kNone)
      return side.touched[side.touched_at[entry]].before;
    return index_.count(side.side, entry);
  }

 private:
  void settle(std::uint64_t commit);
  void store_chunk(SharedSide& side);

  JoinIndex index_;
  std::map<std::uint32_t, SharedSide> shared_;  // by node
  std::vector<std::uint32_t> shrunk_;
  std::vector<int> left_;
  std::uint64_t commit_ = 0;
};

}  // namespace thalweg
