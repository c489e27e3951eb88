#include "engine/state/keyed_rows.h"

#include <algorithm>

#include "engine/state/saved_rows.h"

namespace thalweg {

KeyedRows::KeyedRows(std::vector<Type> types) : rows_(std::move(types), true) {}

void KeyedRows::stage(Batch chunk) {
  if (chunk.empty()) return;
  chunk.materialise_keys();
  staged_.push_back(std::move(chunk));
}

std::optional<std::uint32_t> KeyedRows::find(const Key& key) const {
  std::uint32_t id = index_.find(hash_of_key(key), [&](std::uint32_t row) { return rows_.key(row) == key; });
  return id == HashIndex::kNoRow ? std::nullopt : std::optional(id);
}

void KeyedRows::erase(const Key& key, std::uint32_t id) {
  index_.erase(hash_of_key(key), id);
  rows_.erase(id);
}

void KeyedRows::insert(const Batch& batch, std::size_t row) {
  std::uint32_t id = rows_.insert(batch, row);
  index_.insert(hash_of_key(batch.keys[row]), id);
}

void KeyedRows::apply_plain(const Batch& batch, std::span<const std::uint32_t> rows) {
  for (std::uint32_t row : rows)
    if (batch.diff(row) < 0) erase(batch.keys[row], *find(batch.keys[row]));
  for (std::uint32_t row : rows)
    if (batch.diff(row) > 0) insert(batch, row);
}

namespace {

bool same_row(const Batch& a, std::size_t i, const Batch& b, std::size_t j) {
  for (std::size_t c = 0; c < a.columns.size(); ++c)
    if (!Column::cells_equal(a.columns[c], i, b.columns[c], j)) return false;
  return true;
}

Batch one_row(const Batch& batch, std::uint32_t row) {
  Batch out = batch.gather(std::span(&row, 1));
  out.diffs = nullptr;
  return out;
}

// ERROR in the columns in which the rows differ.
Batch merge_rows(std::vector<const Batch*> rows) {
  Batch out = *rows[0];
  for (std::size_t c = 0; c < out.columns.size(); ++c) {
    bool unique = std::ranges::all_of(
        rows, [&](const Batch* row) { return Column::cells_equal(rows[0]->columns[c], 0, row->columns[c], 0); });
    if (unique) continue;
    ColumnBuilder builder(out.columns[c].phys(), 1);
    builder.push_error();
    out.columns[c] = builder.finish();
  }
  return out;
}

void set_diff(Batch& row, Diff diff) {
  row.diffs = nullptr;
  if (diff != 1) row.set_diffs({diff});
}

}  // namespace

void KeyedRows::settle_duplicate(const Batch& batch, const Key& key, std::span<const std::uint32_t> rows,
                                 const std::function<void(const Key&)>& on_duplicate, std::vector<Batch>& delta) {
  std::optional<Batch> before;
  if (auto id = find(key)) before = rows_.gather(std::span(&*id, 1));
  bool was_duplicate = duplicates_.contains(key);
  std::vector<RawRow>& raw = duplicates_[key];
  if (!was_duplicate && before) raw.push_back({*before, 1});
  for (std::uint32_t row : rows) {
    auto at = std::ranges::find_if(raw, [&](const RawRow& have) { return same_row(have.row, 0, batch, row); });
    if (at == raw.end())
      raw.push_back({one_row(batch, row), batch.diff(row)});
    else
      at->count += batch.diff(row);
  }
  std::erase_if(raw, [](const RawRow& have) { return have.count == 0; });

  std::vector<const Batch*> present;
  Diff total = 0;
  for (const RawRow& have : raw)
    if (have.count > 0) {
      present.push_back(&have.row);
      total += have.count;
    }
  std::optional<Batch> after;
  if (!present.empty()) after = merge_rows(present);
  if (total > 1 && !was_duplicate) on_duplicate(key);
  if (raw.empty() || (raw.size() == 1 && raw[0].count == 1)) duplicates_.erase(key);

  if (before && after && same_row(*before, 0, *after, 0)) return;
  if (before) {
    erase(key, *find(key));
    set_diff(*before, -1);
    delta.push_back(*before);
  }
  if (after) {
    set_diff(*after, 1);
    insert(*after, 0);
    delta.push_back(*after);
  }
}

Batch KeyedRows::settle(const std::function<void(const Key&)>& on_duplicate) {
  if (staged_.empty()) return {};
  Batch batch = consolidate(Batch::concat(std::exchange(staged_, {})));
  batch.materialise_keys();
  // Rows of one key, linked; `head` finds the newest row of a key in this batch.
  std::size_t n = batch.num_rows;
  HashIndex heads;
  heads.reserve(n);
  std::vector<std::uint32_t> next(n, HashIndex::kNoRow);
  std::vector<std::uint32_t> first_rows;
  for (std::uint32_t row = 0; row < n; ++row) {
    const Key& key = batch.keys[row];
    std::uint64_t hash = hash_of_key(key);
    std::uint32_t head = heads.find(hash, [&](std::uint32_t r) { return batch.keys[r] == key; });
    if (head == HashIndex::kNoRow) {
      heads.insert(hash, row);
      first_rows.push_back(row);
    } else {
      next[row] = next[head];
      next[head] = row;
    }
  }
  std::vector<std::uint32_t> plain;
  std::vector<Batch> parts;
  std::vector<std::uint32_t> group;
  std::vector<std::pair<Key, std::vector<std::uint32_t>>> slow;
  for (std::uint32_t first : first_rows) {
    const Key& key = batch.keys[first];
    group.clear();
    Diff deleted = 0;
    Diff inserted = 0;
    std::int64_t deleted_row = -1;
    for (std::uint32_t row = first; row != HashIndex::kNoRow; row = next[row]) {
      group.push_back(row);
      Diff d = batch.diff(row);
      if (d < 0) {
        deleted -= d;
        deleted_row = row;
      } else {
        inserted += d;
      }
    }
    auto id = find(key);
    bool fine = deleted <= 1 && inserted <= 1 && (deleted == 1) == id.has_value() &&
                (duplicates_.empty() || !duplicates_.contains(key));
    if (fine && deleted == 1)
      for (std::size_t c = 0; fine && c < batch.columns.size(); ++c)
        fine = rows_.equals(c, *id, batch.columns[c], static_cast<std::size_t>(deleted_row));
    if (fine)
      plain.insert(plain.end(), group.begin(), group.end());
    else
      slow.emplace_back(key, group);
  }
  apply_plain(batch, plain);
  if (slow.empty()) return batch;
  parts.push_back(batch.gather(plain));
  for (auto& [key, rows] : slow) settle_duplicate(batch, key, rows, on_duplicate, parts);
  std::erase_if(parts, [](const Batch& part) { return part.empty(); });
  return parts.empty() ? Batch{} : Batch::concat(std::move(parts));
}

// ---------------------------------------------------------------- saved

std::vector<Key> KeyedRows::keys() const {
  std::vector<Key> out;
  for (std::uint32_t id : live_rows(rows_)) out.push_back(rows_.key(id));
  for (const auto& [key, raw] : duplicates_)
    if (!find(key)) out.push_back(key);
  return out;
}

void KeyedRows::save(StateWriter& out) const {
  ENSURE(staged_.empty());
  save_rows(rows_, out);
  for (const auto& [key, raw] : duplicates_)
    for (const RawRow& row : raw) {
      Batch one = row.row;
      one.keys = KeyColumn({key});
      one.set_diffs({row.count});
      put_chunk(one, out);
    }
  end_chunks(out);
}

void KeyedRows::insert_all(const Batch& batch) {
  std::vector<std::uint32_t> ids;
  rows_.insert_all(pointers_to(batch), batch.num_rows, &batch.keys, ids);
  index_.reserve(index_.size() + ids.size());
  constexpr std::size_t kAhead = 16;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (i + kAhead < ids.size()) index_.prefetch(hash_of_key(batch.keys[i + kAhead]));
    index_.insert(hash_of_key(batch.keys[i]), ids[i]);
  }
}

namespace {

Batch those_taken(Batch batch, const std::function<bool(const Key&)>& takes) {
  std::vector<std::uint32_t> mine;
  mine.reserve(batch.num_rows);
  for (std::uint32_t row = 0; row < batch.num_rows; ++row)
    if (takes(batch.keys[row])) mine.push_back(row);
  return mine.size() == batch.num_rows ? batch : batch.gather(mine);
}

}  // namespace

Result<void> KeyedRows::load(StateReader& in, const std::function<bool(const Key&)>& takes,
                             const std::function<void(const Batch&)>& added) {
  TRY(load_chunks(in, rows_.types(), true, [&](Batch batch) -> Result<void> {
    batch = those_taken(std::move(batch), takes);
    if (batch.empty()) return {};
    if (batch.diffs) return in.corrupt("a row of a table that is not there once");
    insert_all(batch);
    if (added) added(batch);
    return {};
  }));
  return load_duplicates(in, takes);
}

Result<void> KeyedRows::load_duplicates(StateReader& in, const std::function<bool(const Key&)>& takes) {
  return load_chunks(in, rows_.types(), true, [&](Batch batch) -> Result<void> {
    for (std::uint32_t row = 0; row < batch.num_rows; ++row)
      if (takes(batch.keys[row])) duplicates_[batch.keys[row]].push_back({one_row(batch, row), batch.diff(row)});
    return {};
  });
}

// ---------------------------------------------------------------- delta

KeyedDelta::KeyedDelta(const KeyedRows& table, Batch delta) : table_(table), delta_(std::move(delta)) {
  for (std::uint32_t row = 0; row < delta_.num_rows; ++row) {
    Change& change = changes_[delta_.keys[row]];
    (delta_.diff(row) < 0 ? change.deleted : change.inserted) = row;
  }
}

std::optional<KeyedDelta::RowRef> KeyedDelta::before(const Key& key) const {
  if (auto it = changes_.find(key); it != changes_.end()) {
    if (it->second.deleted < 0) return std::nullopt;
    return RowRef{true, static_cast<std::uint32_t>(it->second.deleted)};
  }
  auto id = table_.find(key);
  return id ? std::optional(RowRef{false, *id}) : std::nullopt;
}

std::optional<KeyedDelta::RowRef> KeyedDelta::after(const Key& key) const {
  if (auto it = changes_.find(key); it != changes_.end()) {
    if (it->second.inserted < 0) return std::nullopt;
    return RowRef{true, static_cast<std::uint32_t>(it->second.inserted)};
  }
  auto id = table_.find(key);
  return id ? std::optional(RowRef{false, *id}) : std::nullopt;
}

void KeyedDelta::append_cell(std::size_t column, RowRef ref, ColumnBuilder& out) const {
  if (ref.in_delta)
    out.push_cell(delta_.columns[column], ref.row);
  else
    table_.rows().append_cell(column, ref.row, out);
}

void KeyedDelta::collect_keys(std::vector<Key>& out) const {
  for (const auto& [key, change] : changes_) out.push_back(key);
}

}  // namespace thalweg
