#include "engine/state/join_index.h"

namespace thalweg {

JoinIndex::JoinIndex(std::vector<Type> key_types, std::array<std::vector<Type>, 2> rows)
    : keys_(std::move(key_types), false), sides_{Side(std::move(rows[0])), Side(std::move(rows[1]))} {}

std::size_t JoinIndex::bytes() const {
  std::size_t bytes = keys_.bytes() + index_.bytes() + entries_.capacity() * sizeof(Entry);
  for (const Side& side : sides_) bytes += side.rows.bytes() + side.links.capacity() * sizeof(Link) + side.by_key.bytes();
  return bytes;
}

std::uint32_t JoinIndex::find(std::span<const Column* const> key, std::size_t row, std::uint64_t hash) const {
  return index_.find(hash, [&](std::uint32_t entry) { return keys_.row_equals(entry, key, row); });
}

std::uint32_t JoinIndex::find_or_add(std::span<const Column* const> key, std::size_t row, std::uint64_t hash) {
  std::uint32_t entry = find(key, row, hash);
  if (entry != kNone) return entry;
  entry = keys_.insert(key, row, nullptr);
  index_.insert(hash, entry);
  if (entry >= entries_.size()) entries_.resize(entry + 1);
  entries_[entry] = Entry{};
  entries_[entry].hash = hash;
  return entry;
}

void JoinIndex::index_rows(Side& side) {
  side.indexed = true;
  side.by_key.reserve(side.rows.size());
  for (std::uint32_t id = 0; id < side.rows.end(); ++id)
    if (side.rows.alive(id)) side.by_key.insert(hash_of_key(side.rows.key(id)), id);
}

std::uint32_t JoinIndex::find_row(Side& side, std::uint32_t head, std::span<const Column* const> columns, std::size_t row,
                                  const Key& key) {
  auto same = [&](std::uint32_t id) { return side.rows.key(id) == key && side.rows.row_equals(id, columns, row); };
  if (!side.indexed) {
    std::size_t steps = 0;
    for (std::uint32_t id = head; id != kNone; id = side.links[id].next) {
      if (same(id)) return id;
      if (++steps > kLongWalk) {
        index_rows(side);
        break;
      }
    }
    if (!side.indexed) return kNone;
  }
  return side.by_key.find(hash_of_key(key), same);
}

void JoinIndex::change(int s, std::uint32_t entry_id, std::span<const Column* const> columns, std::size_t row, const Key& key,
                       Diff diff) {
  Side& side = sides_[s];
  Entry& entry = entries_[entry_id];
  entry.count[s] += diff;
  // Equal rows may lie side by side, so an insertion looks only for deletions that came too early.
  bool must_look = diff < 0 || side.negative > 0;
  std::uint32_t id = must_look ? find_row(side, entry.head[s], columns, row, key) : kNone;
  if (id == kNone) {
    id = side.rows.insert(columns, row, &key);
    if (id >= side.links.size()) side.links.resize(id + 1);
    side.links[id] = {entry.head[s], kNone, diff};
    if (entry.head[s] != kNone) side.links[entry.head[s]].previous = id;
    entry.head[s] = id;
    if (side.indexed) side.by_key.insert(hash_of_key(key), id);
    if (diff < 0) ++side.negative;
    return;
  }
  Link& link = side.links[id];
  bool was_negative = link.count < 0;
  link.count += diff;
  if (was_negative && link.count >= 0) --side.negative;
  if (!was_negative && link.count < 0) ++side.negative;
  if (link.count != 0) return;
  if (link.next != kNone) side.links[link.next].previous = link.previous;
  if (link.previous != kNone) side.links[link.previous].next = link.next;
  else entry.head[s] = link.next;
  if (side.indexed) side.by_key.erase(hash_of_key(key), id);
  side.rows.erase(id);
}

void JoinIndex::drop_if_empty(std::uint32_t id) {
  Entry& entry = entries_[id];
  if (entry.head[0] != kNone || entry.head[1] != kNone) return;
  index_.erase(entry.hash, id);
  keys_.erase(id);
}

void JoinIndex::maintain() {
  keys_.compact_if_worthwhile();
  for (Side& side : sides_) side.rows.compact_if_worthwhile();
}

}  // namespace thalweg
