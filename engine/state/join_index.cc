#include "engine/state/join_index.h"

#include <bit>
#include <functional>

#include "engine/state/saved_rows.h"

namespace thalweg {

namespace {

std::uint64_t mixed(std::uint64_t hash, std::uint64_t bits) {
  hash = (hash ^ bits) * 0x9E3779B97F4A7C15ULL;
  return hash ^ (hash >> 29);
}

std::uint64_t bits_of(std::uint8_t cell) { return cell; }
std::uint64_t bits_of(std::int64_t cell) { return static_cast<std::uint64_t>(cell); }
std::uint64_t bits_of(double cell) {
  if (cell != cell) return 1;
  return cell == 0 ? 0 : std::bit_cast<std::uint64_t>(cell);
}
std::uint64_t bits_of(const Key& cell) { return hash_of_key(cell); }
std::uint64_t bits_of(const StrView& cell) { return std::hash<std::string_view>{}(cell.view()); }

// `cell(zero)` gives the cell as the type of `zero`.
template <class Cell>
std::uint64_t mixed_cell(std::uint64_t hash, CellTag tag, Phys phys, Cell&& cell) {
  if (tag != CellTag::kValue) return mixed(hash, 0xA5A5A5A500ULL + static_cast<std::uint64_t>(tag));
  switch (phys) {
    case Phys::kU8: return mixed(hash, bits_of(cell(std::uint8_t{})));
    case Phys::kI64: return mixed(hash, bits_of(cell(std::int64_t{})));
    case Phys::kF64: return mixed(hash, bits_of(cell(double{})));
    case Phys::kU128: return mixed(hash, bits_of(cell(Key{})));
    case Phys::kView: return mixed(hash, bits_of(cell(StrView{})));
  }
  UNREACHABLE();
}

template <class T>
T cell_of(const Column& column, std::size_t row) {
  if constexpr (std::is_same_v<T, std::uint8_t>)
    return column.u8()[row];
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return column.i64()[row];
  else if constexpr (std::is_same_v<T, double>)
    return column.f64()[row];
  else if constexpr (std::is_same_v<T, Key>)
    return column.u128()[row];
  else
    return column.views()[row];
}

}  // namespace

JoinIndex::JoinIndex(std::vector<Type> key_types) : keys_(std::move(key_types), false) {}

JoinIndex::JoinIndex(std::vector<Type> key_types, std::array<std::vector<Type>, 2> rows, bool with_keys)
    : JoinIndex(std::move(key_types)) {
  for (std::vector<Type>& types : rows) add_side(std::move(types), with_keys);
}

int JoinIndex::add_side(std::vector<Type> types, bool with_keys) {
  sides_.emplace_back(std::move(types), with_keys);
  return static_cast<int>(sides_.size()) - 1;
}

void JoinIndex::clear_side(int s) {
  Side& side = sides_[s];
  side = Side(side.rows.types(), side.with_keys);
  if (s < kInEntry) {
    for (Entry& entry : entries_) {
      entry.head[s] = kNone;
      entry.count[s] = 0;
    }
  }
  for (std::uint32_t entry = 0; entry < keys_.end(); ++entry) drop_if_empty(entry);
}

std::size_t JoinIndex::bytes_of_keys() const {
  return keys_.bytes() + index_.bytes() + entries_.capacity() * sizeof(Entry);
}

std::size_t JoinIndex::bytes_of_side(int s) const {
  const Side& side = sides_[s];
  return side.rows.bytes() + side.links.capacity() * sizeof(Link) + side.places.capacity() * sizeof(Place) +
         side.by_row.bytes();
}

std::uint32_t JoinIndex::find(std::span<const Column* const> key, std::size_t row, std::uint64_t hash) const {
  return index_.find(hash, [&](std::uint32_t entry) { return keys_.row_equals(entry, key, row); });
}

std::uint32_t JoinIndex::find_or_add(std::span<const Column* const> key, std::size_t row, std::uint64_t hash) {
  std::uint32_t entry = find(key, row, hash);
  if (entry != kNone) return entry;
  entry = keys_.insert(key, row, nullptr);
  index_.insert(hash, entry);
  if (entry == entries_.size())
    entries_.emplace_back();
  else if (entry > entries_.size())
    entries_.resize(entry + 1);
  entries_[entry] = Entry{};
  entries_[entry].hash = hash;
  return entry;
}

void JoinIndex::find_or_add_all(std::span<const Column* const> key, std::span<const std::uint64_t> hashes,
                                std::span<const std::uint8_t> matches, std::vector<std::uint32_t>& entries) {
  // Three misses per row of a large table, each asked for before it is needed: the slot, then the key and the entry.
  constexpr std::size_t kSlotAhead = 32;
  constexpr std::size_t kEntryAhead = 12;
  std::size_t n = hashes.size();
  entries.assign(n, kNone);
  RowMatcher same(keys_, key);
  for (std::size_t row = 0; row < n; ++row) {
    if (row + kSlotAhead < n) index_.prefetch(hashes[row + kSlotAhead]);
    if (row + kEntryAhead < n && !key.empty()) {
      std::uint32_t candidate = index_.candidate(hashes[row + kEntryAhead]);
      if (candidate != HashIndex::kNoRow) {
        keys_.prefetch(0, candidate);
        __builtin_prefetch(&entries_[candidate]);
      }
    }
    if (!matches[row]) continue;
    std::uint32_t entry = index_.find(hashes[row], [&](std::uint32_t id) { return same(id, row); });
    entries[row] = entry != kNone ? entry : find_or_add(key, row, hashes[row]);
  }
}

std::uint64_t JoinIndex::hash_of_row(const Side& side, std::uint32_t entry, std::span<const Column* const> columns,
                                     std::size_t row, const Key* key) const {
  if (side.with_keys) return hash_of_key(*key);
  std::uint64_t hash = entries_[entry].hash;
  for (const Column* column : columns)
    hash = mixed_cell(hash, column->tag(row), column->phys(),
                      [&](auto zero) { return cell_of<decltype(zero)>(*column, row); });
  return hash;
}

std::uint64_t JoinIndex::hash_of_stored(const Side& side, std::uint32_t id) const {
  if (side.with_keys) return hash_of_key(side.rows.key(id));
  std::uint64_t hash = entries_[side.links[id].entry].hash;
  for (std::size_t c = 0; c < side.rows.types().size(); ++c)
    hash = mixed_cell(hash, side.rows.tag(c, id), side.rows.types()[c].phys(),
                      [&](auto zero) { return side.rows.cell<decltype(zero)>(c, id); });
  return hash;
}

void JoinIndex::index_rows(Side& side) {
  side.indexed = true;
  side.by_row.reserve(side.rows.size());
  for (std::uint32_t id = 0; id < side.rows.end(); ++id)
    if (side.rows.alive(id)) side.by_row.insert(hash_of_stored(side, id), id);
}

std::uint32_t JoinIndex::find_row(Side& side, std::uint32_t entry, std::uint32_t head,
                                  std::span<const Column* const> columns, std::size_t row, const Key* key) {
  auto same = [&](std::uint32_t id) {
    return (!side.with_keys || side.rows.key(id) == *key) && side.rows.row_equals(id, columns, row);
  };
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
  // Join columns may not be among those kept: rows that look alike may belong to two join keys.
  return side.by_row.find(hash_of_row(side, entry, columns, row, key),
                          [&](std::uint32_t id) { return side.links[id].entry == entry && same(id); });
}

void JoinIndex::change(int s, std::uint32_t entry_id, std::span<const Column* const> columns, std::size_t row,
                       const Key* key, Diff diff) {
  Side& side = sides_[s];
  PlaceRef place = place_of(s, entry_id);
  place.count += diff;
  // Equal rows may lie side by side, so an insertion looks only for deletions that came too early.
  bool must_look = diff < 0 || side.negative > 0;
  std::uint32_t id = must_look ? find_row(side, entry_id, place.head, columns, row, key) : kNone;
  if (id == kNone) {
    id = side.rows.insert(columns, row, key);
    Link link{place.head, kNone, entry_id, diff};
    if (id == side.links.size()) {
      side.links.push_back(link);
    } else {
      if (id > side.links.size()) side.links.resize(id + 1);
      side.links[id] = link;
    }
    if (place.head != kNone) side.links[place.head].previous = id;
    place.head = id;
    if (side.indexed) side.by_row.insert(hash_of_row(side, entry_id, columns, row, key), id);
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
  if (link.previous != kNone)
    side.links[link.previous].next = link.next;
  else
    place.head = link.next;
  if (side.indexed) side.by_row.erase(hash_of_stored(side, id), id);
  side.rows.erase(id);
}

void JoinIndex::change_all(int side, std::span<const std::uint32_t> entries, std::span<const Column* const> columns,
                           const Batch& batch, bool with_keys, std::vector<std::uint32_t>& shrunk) {
  constexpr std::size_t kEntryAhead = 16;
  constexpr std::size_t kHeadAhead = 8;
  std::size_t n = entries.size();
  for (std::uint32_t row = 0; row < n; ++row) {
    if (row + kEntryAhead < n && entries[row + kEntryAhead] != kNone) prefetch_entry(side, entries[row + kEntryAhead]);
    if (row + kHeadAhead < n && entries[row + kHeadAhead] != kNone) prefetch_head(side, entries[row + kHeadAhead]);
    if (entries[row] == kNone) continue;
    Diff diff = batch.diff(row);
    change(side, entries[row], columns, row, with_keys ? &batch.keys[row] : nullptr, diff);
    if (diff < 0) shrunk.push_back(entries[row]);
  }
}

bool JoinIndex::has_rows(std::uint32_t id) const {
  const Entry& entry = entries_[id];
  if (entry.head[0] != kNone || entry.head[1] != kNone) return true;
  for (std::size_t s = kInEntry; s < sides_.size(); ++s)
    if (head(static_cast<int>(s), id) != kNone) return true;
  return false;
}

void JoinIndex::drop_if_empty(std::uint32_t id) {
  if (!keys_.alive(id) || has_rows(id)) return;
  index_.erase(entries_[id].hash, id);
  keys_.erase(id);
}

void JoinIndex::maintain() {
  keys_.compact_if_worthwhile();
  for (Side& side : sides_) side.rows.compact_if_worthwhile();
}

// ---------------------------------------------------------------- saved

// The join keys; then the rows of each side, each with the place of its key and its count as its diff.
void JoinIndex::save(std::span<const int> sides, StateWriter& out) const {
  std::vector<std::uint32_t> keys = live_rows(keys_);
  if (sides.size() < sides_.size()) {
    auto has_no_rows = [&](std::uint32_t entry) {
      return std::ranges::all_of(sides, [&](int side) { return head(side, entry) == kNone; });
    };
    std::erase_if(keys, has_no_rows);
  }
  std::vector<std::uint32_t> places(keys_.end(), kNone);
  for (std::uint32_t place = 0; place < keys.size(); ++place) places[keys[place]] = place;
  save_rows(keys_, keys, out);
  for (int s : sides) {
    const Side& side = sides_[s];
    save_rows(side.rows, out, [&](Batch& batch, std::span<const std::uint32_t> ids) {
      std::vector<std::int64_t> of_row(ids.size());
      std::vector<Diff> counts(ids.size());
      bool single = true;
      for (std::size_t i = 0; i < ids.size(); ++i) {
        of_row[i] = places[side.links[ids[i]].entry];
        counts[i] = side.links[ids[i]].count;
        single &= counts[i] == 1;
      }
      batch.columns.push_back(Column::from_vector<std::int64_t>(Phys::kI64, std::move(of_row)));
      if (!single) batch.set_diffs(std::move(counts));
    });
  }
}

// Keys of which none is there.
void JoinIndex::add_keys(const Batch& batch, std::span<const std::uint64_t> hashes, std::vector<std::uint32_t>& ids) {
  keys_.insert_all(pointers_to(batch), batch.num_rows, nullptr, ids);
  entries_.resize(std::max<std::size_t>(entries_.size(), keys_.end()));
  index_.reserve(index_.size() + ids.size());
  constexpr std::size_t kAhead = 32;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i + kAhead < ids.size()) index_.prefetch(hashes[i + kAhead]);
    index_.insert(hashes[i], ids[i]);
    entries_[ids[i]] = Entry{};
    entries_[ids[i]].hash = hashes[i];
  }
}

// The entries of the saved keys, by place; kNone: of another worker.
Result<std::vector<std::uint32_t>> JoinIndex::load_keys(bool all_new, StateReader& in, const Mine& mine) {
  std::vector<std::uint32_t> entries;
  TRY(load_chunks(in, keys_.types(), false, [&](Batch batch) -> Result<void> {
    std::vector<std::uint32_t> taken = mine(batch);
    std::size_t first = entries.size();
    entries.resize(first + batch.num_rows, kNone);
    if (taken.size() < batch.num_rows) batch = batch.gather(taken);
    std::vector<std::uint64_t> hashes(batch.num_rows, 0);
    for (const Column& column : batch.columns) column.hash_into(hashes);
    std::vector<std::uint32_t> ids;
    if (all_new)
      add_keys(batch, hashes, ids);
    else
      find_or_add_all(pointers_to(batch), hashes, std::vector<std::uint8_t>(batch.num_rows, 1), ids);
    for (std::size_t i = 0; i < ids.size(); ++i) entries[first + taken[i]] = ids[i];
    return {};
  }));
  return entries;
}

Result<void> JoinIndex::load(std::span<const int> sides, StateReader& in, const Mine& mine) {
  const std::vector<std::uint32_t> entries = TRY(load_keys(sides.size() == sides_.size(), in, mine));
  for (int s : sides) {
    TRY(load_chunks(in, with_types(sides_[s].rows.types(), {Kind::kInt}), sides_[s].with_keys,
                    [&](Batch batch) -> Result<void> {
                      std::vector<std::uint32_t> taken;
                      std::vector<std::uint32_t> under;
                      Cells<std::int64_t> places = batch.columns.back().i64();
                      for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
                        auto place = static_cast<std::uint64_t>(places[row]);
                        if (place >= entries.size()) return in.corrupt("a row of no join key");
                        if (entries[place] == kNone) continue;
                        taken.push_back(row);
                        under.push_back(entries[place]);
                      }
                      Batch rows = without_last(std::move(batch), 1);
                      load_rows(s, taken.size() < rows.num_rows ? rows.gather(taken) : rows, under);
                      return {};
                    }));
  }
  return {};
}

void JoinIndex::load_rows(int s, const Batch& rows, std::span<const std::uint32_t> entries) {
  Side& side = sides_[s];
  std::vector<std::uint32_t> ids;
  side.rows.insert_all(pointers_to(rows), rows.num_rows, &rows.keys, ids);
  side.links.resize(std::max<std::size_t>(side.links.size(), side.rows.end()));
  constexpr std::size_t kAhead = 16;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i + kAhead < ids.size()) prefetch_entry(s, entries[i + kAhead]);
    PlaceRef place = place_of(s, entries[i]);
    Diff count = rows.diff(i);
    side.links[ids[i]] = {place.head, kNone, entries[i], count};
    if (place.head != kNone) side.links[place.head].previous = ids[i];
    place.head = ids[i];
    place.count += count;
    if (count < 0) ++side.negative;
  }
}

}  // namespace thalweg
