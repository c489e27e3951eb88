#include "engine/state/join_family.h"

#include <algorithm>

namespace thalweg {

SharedSide& JoinFamily::share(std::uint32_t node, std::vector<Type> types, std::vector<std::uint32_t> kept,
                              bool with_keys, bool counts) {
  SharedSide& side = shared_[node];
  side.side = index_.add_side(std::move(types), with_keys);
  side.kept = std::move(kept);
  side.with_keys = with_keys;
  side.counts = counts;
  return side;
}

void JoinFamily::settle(std::uint64_t commit) {
  commit_ = commit;
  for (auto& [node, side] : shared_) {
    for (const SharedSide::Touched& touched : side.touched) side.touched_at[touched.entry] = JoinIndex::kNone;
    side.touched.clear();
  }
  for (int side : left_) index_.clear_side(side);
  left_.clear();
  if (shrunk_.empty()) return;
  for (std::uint32_t entry : shrunk_) index_.drop_if_empty(entry);
  shrunk_.clear();
  index_.maintain();
}

void JoinFamily::hold(SharedSide& side) {
  side.stored = false;
  if (!side.counts) return;
  for (std::uint32_t entry : side.entries) {
    if (entry == JoinIndex::kNone) continue;
    if (entry >= side.touched_at.size())
      side.touched_at.resize(std::max<std::size_t>(std::size_t{entry} + 1, side.touched_at.size() * 2),
                             JoinIndex::kNone);
    if (side.touched_at[entry] != JoinIndex::kNone) continue;
    side.touched_at[entry] = static_cast<std::uint32_t>(side.touched.size());
    side.touched.push_back({entry, index_.count(side.side, entry)});
  }
}

void JoinFamily::store_chunk(SharedSide& side) {
  side.stored = true;
  std::vector<const Column*> kept;
  for (std::uint32_t column : side.kept) kept.push_back(&side.chunk.columns[column]);
  index_.change_all(side.side, side.entries, kept, side.chunk, side.with_keys, shrunk_);
}

}  // namespace thalweg
