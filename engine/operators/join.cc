// engine/operators/join.cc
//
// Joins by equality of columns, and the lookup `ix`, over one index that holds the rows of both sides by join key. A
// side that is an Arrange node is held there for all joins that read it (state/join_family.h).
//
// J1  Matches are bilinear: a chunk of one side meets what the other side has so far, in any order of chunks.
// J2  Padding comes at close, from how many partners a key had before the commit and has after it.
// J3  A row whose join key has an ERROR (or a None that matches nothing) has no partner; an ERROR is logged.
// J4  Results keyed by one side go through a keyed table, so that several partners of a row are an ERROR, not a mess;
//     unless a node behind does that (R0 of plan/rewrite): then rows of one key may come from several workers.
#include <algorithm>
#include <numeric>
#include <unordered_map>

#include "engine/operators/join_keys.h"
#include "engine/operators/quiet_context.h"
#include "engine/operators/registry.h"
#include "engine/plan/rewrite/arrange.h"
#include "engine/plan/rewrite/liveness.h"
#include "engine/plan/rewrite/rewrite.h"
#include "engine/state/join_family.h"
#include "engine/state/keyed_rows.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

using plan::JoinHow;
using plan::JoinKey;

constexpr std::size_t kEntryAhead = 16;

// A column of the result: of which side, and which of the columns kept for it; or that side's row key.
struct OutColumn {
  int side = 0;
  bool unread = false;  // nobody reads it: None
  bool is_key = false;
  std::size_t kept = 0;
};

struct JoinSpec {
  std::array<plan::Columns, 2> on;
  std::array<plan::Columns, 2> kept;  // columns of the input that are stored
  std::vector<OutColumn> out;
  std::vector<Type> key_types;
  std::array<std::vector<Type>, 2> kept_types;
  Schema schema;
  SourceSpan span;
  std::array<bool, 2> pads{};  // rows of this side without partner appear
  bool none_matches = true;
  JoinKey key = JoinKey::kPair;
  std::vector<Type> right_types;                  // ix: of the table looked into
  bool collapses = false;                         // rows of one key are put together here
  bool by_right_key = false;                      // ix: the right side is found by its row key
  bool misses_are_errors = false;                 // ix: a miss is ERROR, not None
  bool with_keys = true;                          // row keys of the inputs are stored
  bool keys_needed = true;                        // results have keys
  std::optional<NodeId> family;                   // with sides that other joins read, too: what it is called
  std::array<std::optional<NodeId>, 2> arranged;  // the nodes that give these out
};

JoinSpec spec_of(const plan::Columns& emit, const std::vector<bool>& used, const Schema& left, const Schema& right) {
  JoinSpec spec;
  std::array<const Schema*, 2> schemas{&left, &right};
  std::size_t split = left.size();
  std::size_t end = left.size() + right.size();
  for (std::size_t place = 0; place < emit.size(); ++place) {
    std::uint32_t index = emit[place];
    OutColumn out;
    if (place < used.size() && !used[place]) {
      out.unread = true;
    } else if (index >= end) {
      out.side = index == end ? 0 : 1;
      out.is_key = true;
    } else {
      out.side = index < split ? 0 : 1;
      auto column = static_cast<std::uint32_t>(out.side == 0 ? index : index - split);
      plan::Columns& kept = spec.kept[static_cast<std::size_t>(out.side)];
      auto at = std::ranges::find(kept, column);
      out.kept = static_cast<std::size_t>(at - kept.begin());
      if (at == kept.end()) {
        kept.push_back(column);
        spec.kept_types[static_cast<std::size_t>(out.side)].push_back(
            schemas[static_cast<std::size_t>(out.side)]->columns[column].type);
      }
    }
    spec.out.push_back(out);
  }
  return spec;
}

class Join : public Operator {
 public:
  explicit Join(JoinSpec spec) : spec_(std::move(spec)) {
    if (!spec_.family) join_family(std::make_shared<JoinFamily>(spec_.key_types));
    std::vector<Type> types;
    for (const ColumnSpec& column : spec_.schema.columns) types.push_back(column.type);
    if (spec_.collapses) keyed_.emplace(types);
    if (spec_.by_right_key && !spec_.arranged[1]) lookup_.emplace(spec_.right_types);
  }

  void push(std::size_t port, Batch batch, OperatorContext& context) override {
    if (spec_.with_keys) batch.materialise_keys();
    if (lookup_ && port == 1) {
      right_staged_.push_back(std::move(batch));
      return;
    }
    take(static_cast<int>(port), std::move(batch), context);
  }
  void close(OperatorContext& context) override;
  void share(JoinFamilies& families) override;
  void retire() override;
  bool replay(OperatorContext& context) override;
  [[nodiscard]] StateSize state() const override;
  void save(StateWriter& out) const override;
  Result<void> load(StateReader& in, const ShardFilter& mine) override;

 private:
  void join_family(std::shared_ptr<JoinFamily> family);
  [[nodiscard]] std::vector<int> own_sides() const;
  [[nodiscard]] Route route_of_keys() const;
  [[nodiscard]] Key result_key(int side, const Key& key) const;
  [[nodiscard]] std::unordered_map<Key, std::uint64_t> homes() const;
  void save_keyed(StateWriter& out) const;
  Result<void> load_keyed(StateReader& in, const ShardFilter& mine);
  struct Staged {
    Batch batch;
    std::vector<std::uint32_t> entries;  // by row; kNone: has no partner for ever
  };
  struct Touched {
    std::uint32_t entry;
    std::array<std::int64_t, 2> before;
  };

  // Rows that match nothing whatever comes, where results are kept by key: hash of the join key, and how many.
  struct Lone {
    std::uint64_t hash = 0;
    std::int64_t count = 0;
  };

  std::vector<const Column*> key_columns(int side, const Batch& batch, Column& key_column) const;
  std::vector<const Column*> kept_columns(int side, const Batch& batch) const;
  void take(int side, Batch batch, OperatorContext& context);
  void take_own(int side, Batch batch, OperatorContext& context);
  void take_shared(int side, SharedSide& from, Batch batch, OperatorContext& context);
  void touch_all(std::span<const std::uint32_t> entries);
  void stage_padded(int side, Batch batch, std::vector<std::uint32_t> entries, std::span<const std::uint64_t> hashes,
                    OperatorContext& context);
  void report_error(const Batch& batch, std::uint32_t row, OperatorContext& context);
  std::vector<std::uint32_t> find_matching(std::span<const Column* const> key, const Batch& batch,
                                           OperatorContext& context);
  void touch(std::uint32_t entry);
  void match(int side, const Batch& batch, std::span<const std::uint32_t> entries, OperatorContext& context);
  void store(int side, const Batch& batch, std::span<const std::uint32_t> entries);
  void flush_matches(int side, const Batch& batch, OperatorContext& context);
  Batch assemble(int side, const Batch& batch, std::span<const std::uint32_t> rows,
                 std::span<const std::uint32_t> partners) const;
  Column missing_cells(const Type& type, const Batch& batch, std::span<const std::uint32_t> rows) const;
  void emit(Batch batch, OperatorContext& context);
  void pad_rows(int side, const Batch& batch, const std::vector<std::uint32_t>& rows, std::vector<Diff> diffs,
                OperatorContext& context);
  void pad_side(int side, OperatorContext& context);
  Batch stored_rows(int side, std::span<const std::uint32_t> ids) const;
  void settle_lookup(OperatorContext& context);
  void end_commit();

  const JoinSpec spec_;
  std::shared_ptr<JoinFamily> family_;
  JoinIndex* index_ = nullptr;                 // of the family
  std::array<int, 2> sides_{};                 // in it
  std::array<SharedSide*, 2> shared_sides_{};  // those that others read, too
  std::optional<KeyedRows> keyed_;             // J4
  std::optional<KeyedRows> lookup_;            // ix: the table looked into
  std::unordered_map<Key, Lone> lone_;         // by the key of the result, with keyed_
  std::vector<Batch> right_staged_;

  // Of the running commit:
  std::array<std::vector<Staged>, 2> staged_;
  std::vector<Touched> touched_;           // where rows are padded
  std::vector<std::uint32_t> touched_at_;  // by entry: position in touched_, or kNone
  std::vector<std::uint32_t> shrunk_;      // entries that lost rows, where the family has no others
  std::vector<std::uint32_t> entries_;     // scratch, by row of the chunk: as are the next
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint8_t> matches_;
  std::vector<std::uint32_t> match_rows_;
  std::vector<std::uint32_t> match_partners_;
  std::vector<Diff> match_diffs_;
};

std::vector<const Column*> Join::key_columns(int side, const Batch& batch, Column& key_column) const {
  if (side == 1 && spec_.by_right_key) {
    key_column = batch.keys.as_column(batch.num_rows);
    return {&key_column};
  }
  std::vector<const Column*> out;
  for (std::uint32_t column : spec_.on[static_cast<std::size_t>(side)]) out.push_back(&batch.columns[column]);
  return out;
}

std::vector<const Column*> Join::kept_columns(int side, const Batch& batch) const {
  std::vector<const Column*> out;
  for (std::uint32_t column : spec_.kept[static_cast<std::size_t>(side)]) out.push_back(&batch.columns[column]);
  return out;
}

void Join::join_family(std::shared_ptr<JoinFamily> family) {
  family_ = std::move(family);
  index_ = &family_->index();
  for (std::size_t s : {0U, 1U}) {
    if (spec_.arranged[s]) shared_sides_[s] = family_->shared(spec_.arranged[s]->value);
    sides_[s] = shared_sides_[s] ? shared_sides_[s]->side : index_->add_side(spec_.kept_types[s], spec_.with_keys);
  }
}

void Join::share(JoinFamilies& families) {
  if (spec_.family) join_family(families.at(*spec_.family));
}

std::vector<int> Join::own_sides() const {
  std::vector<int> out;
  for (std::size_t s : {0U, 1U})
    if (!shared_sides_[s]) out.push_back(sides_[s]);
  return out;
}

void Join::retire() {
  for (int side : own_sides()) family_->leave(side);
}

StateSize Join::state() const {
  StateSize out{.rows = 0, .bytes = spec_.family ? 0 : index_->bytes_of_keys()};
  for (int side : own_sides()) {
    out.rows += index_->rows(side).size();
    out.bytes += index_->bytes_of_side(side);
  }
  return out;
}

void Join::report_error(const Batch& batch, std::uint32_t row, OperatorContext& context) {
  if (batch.diff(row) < 0 || spec_.by_right_key) return;
  std::optional<Key> of_row;
  if (!batch.keys.absent()) of_row = batch.keys.materialised(batch.num_rows)[row];
  context.report(ErrorKind::kSkipped, "Error value encountered in join condition, skipping the row", spec_.span,
                 of_row);
}

void Join::touch(std::uint32_t entry) {
  if (entry >= touched_at_.size())
    touched_at_.resize(std::max<std::size_t>(entry + 1, touched_at_.size() * 2), JoinIndex::kNone);
  if (touched_at_[entry] != JoinIndex::kNone) return;
  touched_at_[entry] = static_cast<std::uint32_t>(touched_.size());
  Touched touched{entry, {}};
  for (std::size_t s : {0U, 1U})
    touched.before[s] = shared_sides_[s] ? family_->before(*shared_sides_[s], entry) : index_->count(sides_[s], entry);
  touched_.push_back(touched);
}

void Join::touch_all(std::span<const std::uint32_t> entries) {
  if (!spec_.pads[0] && !spec_.pads[1]) return;
  for (std::uint32_t entry : entries)
    if (entry != JoinIndex::kNone) touch(entry);
}

// The entry of each row's join key; kNone where it matches nothing.
std::vector<std::uint32_t> Join::find_matching(std::span<const Column* const> key, const Batch& batch,
                                               OperatorContext& context) {
  std::size_t n = batch.num_rows;
  hashes_.assign(n, 0);
  for (const Column* column : key) column->hash_into(hashes_);
  matches_.assign(n, 1);
  if (std::ranges::any_of(key, [](const Column* column) { return column->has_tags(); })) {
    for (std::uint32_t row = 0; row < n; ++row) {
      bool error = false;
      matches_[row] = can_match(key, row, spec_.none_matches, error) ? 1 : 0;
      if (error) report_error(batch, row, context);
    }
  }
  std::vector<std::uint32_t> entries = std::move(entries_);
  index_->find_or_add_all(key, hashes_, matches_, entries);
  return entries;
}

void Join::take(int side, Batch batch, OperatorContext& context) {
  if (spec_.family) family_->begin(context.commit());
  if (SharedSide* shared = shared_sides_[static_cast<std::size_t>(side)])
    take_shared(side, *shared, std::move(batch), context);
  else
    take_own(side, std::move(batch), context);
}

void Join::take_own(int side, Batch batch, OperatorContext& context) {
  Column key_column;
  std::vector<const Column*> key = key_columns(side, batch, key_column);
  std::vector<std::uint32_t> entries = find_matching(key, batch, context);
  touch_all(entries);
  match(side, batch, entries, context);
  store(side, batch, entries);
  if (spec_.pads[static_cast<std::size_t>(side)])
    stage_padded(side, std::move(batch), std::move(entries), hashes_, context);
  else
    entries_ = std::move(entries);
}

// F1: of a table that is joined with itself the left rows meet what was there before their chunk, the right ones what
// is there with it.
void Join::take_shared(int side, SharedSide& from, Batch batch, OperatorContext& context) {
  const bool before_it = side == 0 && shared_sides_[1] == &from;
  if (!before_it) family_->store(from);
  Column key_column;
  const std::vector<const Column*> key = key_columns(side, batch, key_column);
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    bool error = false;
    if (from.entries[row] == JoinIndex::kNone && !can_match(key, row, spec_.none_matches, error) && error)
      report_error(batch, row, context);
  }
  touch_all(from.entries);
  match(side, batch, from.entries, context);
  if (spec_.pads[static_cast<std::size_t>(side)])
    stage_padded(side, std::move(batch), from.entries, from.hashes, context);
}

// Rows that have no partner for ever are padded at once, the others at close.
void Join::stage_padded(int side, Batch batch, std::vector<std::uint32_t> entries,
                        std::span<const std::uint64_t> hashes, OperatorContext& context) {
  std::vector<std::uint32_t> lone;
  std::vector<Diff> lone_diffs;
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    if (entries[row] != JoinIndex::kNone) continue;
    lone.push_back(row);
    lone_diffs.push_back(batch.diff(row));
    if (!keyed_) continue;
    Key of_result = result_key(side, batch.keys[row]);
    Lone& known = lone_[of_result];
    known.hash = hashes[row];
    if ((known.count += batch.diff(row)) == 0) lone_.erase(of_result);
  }
  if (!lone.empty()) pad_rows(side, batch, lone, std::move(lone_diffs), context);
  staged_[static_cast<std::size_t>(side)].push_back({std::move(batch), std::move(entries)});
}

// Rows of one side never meet one another, so all may look for partners before any is stored. The chains of several
// rows are walked in turn, so that the memory that the next step of each will read comes while the others are at work.
void Join::match(int side, const Batch& batch, std::span<const std::uint32_t> entries, OperatorContext& context) {
  constexpr std::size_t kWalks = 24;
  struct Walk {
    std::uint32_t row;
    std::uint32_t id;
  };
  const JoinIndex& index = *index_;
  const int other = sides_[static_cast<std::size_t>(1 - side)];
  const auto n = static_cast<std::uint32_t>(entries.size());
  std::array<Walk, kWalks> walks;
  std::size_t active = 0;
  std::uint32_t next_row = 0;
  auto start = [&](Walk& walk) {
    while (next_row < n) {
      std::uint32_t row = next_row++;
      if (row + kEntryAhead < n && entries[row + kEntryAhead] != JoinIndex::kNone)
        index.prefetch_entry(other, entries[row + kEntryAhead]);
      if (entries[row] == JoinIndex::kNone) continue;
      walk = {row, index.head(other, entries[row])};
      if (walk.id == JoinIndex::kNone) continue;
      index.prefetch_link(other, walk.id);
      return true;
    }
    return false;
  };
  while (active < kWalks && start(walks[active])) ++active;
  while (active > 0) {
    for (std::size_t i = 0; i < active;) {
      Walk& walk = walks[i];
      match_rows_.push_back(walk.row);
      match_partners_.push_back(walk.id);
      match_diffs_.push_back(batch.diff(walk.row) * index.row_count(other, walk.id));
      walk.id = index.next(other, walk.id);
      if (walk.id != JoinIndex::kNone) {
        index.prefetch_link(other, walk.id);
      } else if (!start(walk)) {
        walk = walks[--active];
        continue;
      }
      ++i;
    }
    if (match_rows_.size() >= kChunkRows) flush_matches(side, batch, context);
  }
  flush_matches(side, batch, context);
}

void Join::store(int side, const Batch& batch, std::span<const std::uint32_t> entries) {
  index_->change_all(sides_[static_cast<std::size_t>(side)], entries, kept_columns(side, batch), batch, spec_.with_keys,
                     shrunk_);
}

void Join::flush_matches(int side, const Batch& batch, OperatorContext& context) {
  if (match_rows_.empty()) return;
  Batch out = assemble(side, batch, match_rows_, match_partners_);
  if (std::ranges::any_of(match_diffs_, [](Diff d) { return d != 1; })) out.set_diffs(match_diffs_);
  match_rows_.clear();
  match_partners_.clear();
  match_diffs_.clear();
  emit(std::move(out), context);
}

// Cells of a side that has no row: None; of a lookup ERROR where misses are, and for a pointer that is ERROR itself.
Column Join::missing_cells(const Type& type, const Batch& batch, std::span<const std::uint32_t> rows) const {
  const Value missing = spec_.misses_are_errors ? Value::error() : Value::none();
  const Column* pointer = spec_.by_right_key ? &batch.columns[spec_.on[0][0]] : nullptr;
  if (spec_.misses_are_errors || pointer == nullptr || !pointer->has_tags())
    return Column::constant(type, missing, rows.size()).flattened();
  ColumnBuilder out(type, rows.size());
  for (std::uint32_t row : rows)
    out.push_tagged(pointer->tag(row) == CellTag::kError ? CellTag::kError : CellTag::kNone);
  return out.finish();
}

// Rows of `batch` (side `side`) beside stored rows of the other side; without partners the other side is None or ERROR.
Batch Join::assemble(int side, const Batch& batch, std::span<const std::uint32_t> rows,
                     std::span<const std::uint32_t> partners) const {
  const RowStore& other = index_->rows(sides_[static_cast<std::size_t>(1 - side)]);
  bool padded = partners.empty();
  Batch out;
  out.num_rows = rows.size();
  KeyColumn own_keys;
  KeyColumn other_keys;
  if (spec_.with_keys) {
    own_keys = batch.keys.gather(rows);
    if (!padded) other_keys = other.gather_keys(partners);
  }
  for (std::size_t c = 0; c < spec_.out.size(); ++c) {
    const OutColumn& from = spec_.out[c];
    const Type& type = spec_.schema.columns[c].type;
    if (from.unread) {
      out.columns.push_back(Column::constant(type, Value::none(), rows.size()));
    } else if (from.side == side) {
      out.columns.push_back(from.is_key
                                ? own_keys.as_column(rows.size())
                                : batch.columns[spec_.kept[static_cast<std::size_t>(side)][from.kept]].gather(rows));
    } else if (padded) {
      out.columns.push_back(missing_cells(type, batch, rows));
    } else {
      out.columns.push_back(from.is_key ? other_keys.as_column(rows.size()) : other.gather(from.kept, partners));
    }
  }
  if (!spec_.keys_needed) return out;
  std::vector<Key> keys(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::optional<Key> left;
    std::optional<Key> right;
    (side == 0 ? left : right) = own_keys[i];
    if (!padded) (side == 0 ? right : left) = other_keys[i];
    switch (spec_.key) {
      case JoinKey::kPair: keys[i] = key_of_pair(left, right); break;
      case JoinKey::kLeft: keys[i] = left ? *left : key_of_pair(left, right); break;
      case JoinKey::kRight: keys[i] = right ? *right : key_of_pair(left, right); break;
    }
  }
  out.keys = KeyColumn(std::move(keys));
  return out;
}

void Join::emit(Batch batch, OperatorContext& context) {
  if (keyed_)
    keyed_->stage(std::move(batch));
  else
    context.emit(std::move(batch));
}

void Join::pad_rows(int side, const Batch& batch, const std::vector<std::uint32_t>& rows, std::vector<Diff> diffs,
                    OperatorContext& context) {
  Batch out = assemble(side, batch, rows, {});
  if (spec_.misses_are_errors) {
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const Column& pointer = batch.columns[spec_.on[0][0]];
      if (diffs[i] > 0 && pointer.is_value(rows[i]))
        context.report(ErrorKind::kValue, "key missing in output table: " + to_text(pointer.u128()[rows[i]]),
                       spec_.span, out.keys[i]);
    }
  }
  out.set_diffs(std::move(diffs));
  emit(std::move(out), context);
}

Batch Join::stored_rows(int side, std::span<const std::uint32_t> ids) const {
  const RowStore& store = index_->rows(sides_[static_cast<std::size_t>(side)]);
  const plan::Columns& kept = spec_.kept[static_cast<std::size_t>(side)];
  std::uint32_t width = 0;
  for (std::uint32_t column : kept) width = std::max(width, column + 1);
  for (std::uint32_t column : spec_.on[static_cast<std::size_t>(side)]) width = std::max(width, column + 1);
  Batch batch;
  batch.num_rows = ids.size();
  batch.columns.resize(width);
  for (std::size_t i = 0; i < kept.size(); ++i) batch.columns[kept[i]] = store.gather(i, ids);
  if (spec_.with_keys) batch.keys = store.gather_keys(ids);
  return batch;
}

// J2. With c0 and c1 partners before and after: rows that are new and have none appear; when the last partner left all
// rows appear; when the first came the rows from before disappear.
void Join::pad_side(int side, OperatorContext& context) {
  auto s = static_cast<std::size_t>(side);
  auto o = 1 - s;
  const int own = sides_[s];
  const int other = sides_[o];
  std::vector<Batch> parts;
  bool disappear = false;
  std::vector<std::uint32_t> ids;
  std::vector<Diff> id_diffs;
  for (const Touched& touched : touched_) {
    bool had = touched.before[o] > 0;
    bool has = index_->count(other, touched.entry) > 0;
    if (had == has || (!had && touched.before[s] == 0)) continue;
    for (std::uint32_t id = index_->head(own, touched.entry); id != JoinIndex::kNone; id = index_->next(own, id)) {
      ids.push_back(id);
      id_diffs.push_back(has ? -index_->row_count(own, id) : index_->row_count(own, id));
    }
    disappear |= has;
  }
  if (!ids.empty() || disappear) {
    Batch stored = stored_rows(side, ids);
    std::vector<std::uint32_t> rows(ids.size());
    for (std::uint32_t i = 0; i < rows.size(); ++i) rows[i] = i;
    Batch out = assemble(side, stored, rows, {});
    out.set_diffs(std::move(id_diffs));
    parts.push_back(std::move(out));
  }
  for (const Staged& chunk : staged_[s]) {
    std::vector<std::uint32_t> rows;
    std::vector<Diff> diffs;
    for (std::uint32_t row = 0; row < chunk.entries.size(); ++row) {
      std::uint32_t entry = chunk.entries[row];
      if (entry == JoinIndex::kNone) continue;
      const Touched& touched = touched_[touched_at_[entry]];
      bool had = touched.before[o] > 0;
      bool has = index_->count(other, entry) > 0;
      if (had || (has && touched.before[s] == 0)) continue;
      rows.push_back(row);
      diffs.push_back(chunk.batch.diff(row));
    }
    if (rows.empty()) continue;
    Batch out = assemble(side, chunk.batch, rows, {});
    out.set_diffs(std::move(diffs));
    parts.push_back(std::move(out));
  }
  if (parts.empty()) return;
  Batch all = consolidate(Batch::concat(std::move(parts)));
  if (spec_.misses_are_errors)
    for (std::uint32_t i = 0; i < all.num_rows; ++i)
      if (all.diff(i) > 0)
        context.report(ErrorKind::kValue, "key missing in output table, for the row " + to_text(all.keys[i]),
                       spec_.span, all.keys[i]);
  if (!all.empty()) emit(std::move(all), context);
}

void Join::settle_lookup(OperatorContext& context) {
  if (right_staged_.empty()) return;
  for (Batch& batch : std::exchange(right_staged_, {})) lookup_->stage(std::move(batch));
  Batch delta = lookup_->settle(
      [&](const Key& key) { context.report(ErrorKind::kValue, "duplicate key: " + to_text(key), spec_.span, key); });
  if (!delta.empty()) take(1, std::move(delta), context);
}

void Join::close(OperatorContext& context) {
  settle_lookup(context);
  for (int side : {0, 1})
    if (spec_.pads[static_cast<std::size_t>(side)]) pad_side(side, context);
  end_commit();
  if (!keyed_ || !keyed_->has_staged()) return;
  Batch delta = keyed_->settle(
      [&](const Key& key) { context.report(ErrorKind::kValue, "duplicate key: " + to_text(key), spec_.span, key); });
  if (!delta.empty()) context.emit(std::move(delta));
}

// Rows without a partner that can never have one are not held, so a padded join cannot tell its rows unless it keeps
// them.
bool Join::replay(OperatorContext& context) {
  if (keyed_) {
    const RowStore& rows = keyed_->rows();
    std::vector<std::uint32_t> ids;
    for (std::uint32_t id = 0; id < rows.end(); ++id) {
      if (rows.alive(id)) ids.push_back(id);
      if (ids.size() < kChunkRows && id + 1 < rows.end()) continue;
      if (!ids.empty()) context.emit(rows.gather(ids));
      ids.clear();
    }
    return true;
  }
  if (spec_.pads[0] || spec_.pads[1]) return false;
  for (std::uint32_t entry = 0; entry < index_->num_entries(); ++entry) {
    std::vector<std::uint32_t> ids;
    std::vector<std::uint32_t> rows;
    for (std::uint32_t id = index_->head(sides_[0], entry); id != JoinIndex::kNone; id = index_->next(sides_[0], id)) {
      for (std::uint32_t partner = index_->head(sides_[1], entry); partner != JoinIndex::kNone;
           partner = index_->next(sides_[1], partner)) {
        rows.push_back(static_cast<std::uint32_t>(ids.size()));
        match_partners_.push_back(partner);
        match_diffs_.push_back(index_->row_count(sides_[0], id) * index_->row_count(sides_[1], partner));
      }
      ids.push_back(id);
    }
    if (rows.empty()) continue;
    Batch out = assemble(0, stored_rows(0, ids), rows, match_partners_);
    out.set_diffs(std::exchange(match_diffs_, {}));
    match_partners_.clear();
    context.emit(std::move(out));
  }
  return true;
}

// ---------------------------------------------------------------- saved

// How join keys are spread, as rows of their cells.
Route Join::route_of_keys() const {
  if (spec_.by_right_key) return {Route::By::kPointer, {0}};
  plan::Columns columns(spec_.on[0].size());
  std::iota(columns.begin(), columns.end(), 0U);
  return columns_or_one(columns);
}

// Of the row of one side alone: whether padded or not, where results have the key of that side.
Key Join::result_key(int side, const Key& key) const {
  bool is_key = side == (spec_.key == JoinKey::kLeft ? 0 : 1);
  if (is_key) return key;
  return side == 0 ? key_of_pair(key, std::nullopt) : key_of_pair(std::nullopt, key);
}

// Results kept by key lie where their join key does, and do not say where: by key of the result the hash of that.
std::unordered_map<Key, std::uint64_t> Join::homes() const {
  std::unordered_map<Key, std::uint64_t> out;
  for (int side : {0, 1}) {
    const int held = sides_[static_cast<std::size_t>(side)];
    for (std::uint32_t id : live_rows(index_->rows(held)))
      out[result_key(side, index_->rows(held).key(id))] = index_->hash_of_entry(index_->entry_of(held, id));
  }
  for (const auto& [key, lone] : lone_) out[key] = lone.hash;
  return out;
}

void Join::save(StateWriter& out) const {
  index_->save(own_sides(), out);
  if (lookup_) lookup_->save(out);
  if (keyed_) save_keyed(out);
}

void Join::save_keyed(StateWriter& out) const {
  std::unordered_map<Key, std::uint64_t> known = homes();
  std::vector<Key> keys = keyed_->keys();
  std::vector<std::uint64_t> hashes;
  for (const Key& key : keys) {
    auto at = known.find(key);
    hashes.push_back(at == known.end() ? 0 : at->second);
  }
  out.put_numbers(keys);
  out.put_numbers(hashes);
  keyed_->save(out);
  out.put_u64(lone_.size());
  for (const auto& [key, lone] : lone_) {
    out.put_key(key);
    out.put_u64(lone.hash);
    out.put_i64(lone.count);
  }
}

Result<void> Join::load(StateReader& in, const ShardFilter& mine) {
  TRY(index_->load(own_sides(), in, [&](Batch& keys) { return mine.rows_of(route_of_keys(), keys); }));
  if (lookup_) TRY(lookup_->load(in, [&](const Key& key) { return mine.takes_key(key); }));
  if (keyed_) TRY(load_keyed(in, mine));
  return {};
}

Result<void> Join::load_keyed(StateReader& in, const ShardFilter& mine) {
  std::vector<Key> keys = TRY(in.numbers<Key>());
  std::vector<std::uint64_t> hashes = TRY(in.numbers<std::uint64_t>());
  if (keys.size() != hashes.size()) return in.corrupt("keys without their places");
  auto takes = [&](std::uint64_t hash) { return spec_.on[0].empty() ? mine.takes_single() : mine.takes_hash(hash); };
  std::unordered_map<Key, std::uint64_t> known;
  for (std::size_t i = 0; i < keys.size(); ++i) known.emplace(keys[i], hashes[i]);
  TRY(keyed_->load(in, [&](const Key& key) { return known.contains(key) && takes(known.at(key)); }));
  for (std::size_t n = TRY(in.count(sizeof(Key) + 16)); n > 0; --n) {
    Key key = TRY(in.key());
    Lone lone;
    lone.hash = TRY(in.u64());
    lone.count = TRY(in.i64());
    if (takes(lone.hash)) lone_[key] = lone;
  }
  return {};
}

void Join::end_commit() {
  for (const Touched& touched : touched_) touched_at_[touched.entry] = JoinIndex::kNone;
  touched_.clear();
  staged_[0].clear();
  staged_[1].clear();
  for (std::uint32_t entry : shrunk_) {
    if (spec_.family)
      family_->note_shrunk(entry);
    else
      index_->drop_if_empty(entry);
  }
  shrunk_.clear();
  if (!spec_.family) index_->maintain();
}

// Sides that are Arrange nodes: what is stored is what all their readers ask for.
void take_part(JoinSpec& spec, const plan::Plan& plan, const plan::Node& node) {
  for (std::size_t s : {0U, 1U}) {
    if (!plan::is_arranged(plan, node.inputs[s])) continue;
    spec.arranged[s] = node.inputs[s];
    spec.family = plan::family_of(plan, node.inputs[s]);
    const plan::Columns all = plan::arranged_for(plan, node.inputs[s]).kept;
    for (OutColumn& out : spec.out) {
      if (out.unread || out.is_key || out.side != static_cast<int>(s)) continue;
      out.kept = static_cast<std::size_t>(std::ranges::find(all, spec.kept[s][out.kept]) - all.begin());
    }
    spec.kept[s] = all;
  }
}

Result<std::unique_ptr<Operator>> make_join(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::Join>(node.params);
  const Schema& left = plan.node(node.inputs[0]).schema;
  const Schema& right = plan.node(node.inputs[1]).schema;
  JoinSpec spec = spec_of(params.emit, node.used, left, right);
  spec.on = {params.left_on, params.right_on};
  for (std::uint32_t column : params.left_on) spec.key_types.push_back(left.columns[column].type);
  spec.pads = {params.how == JoinHow::kLeft || params.how == JoinHow::kOuter,
               params.how == JoinHow::kRight || params.how == JoinHow::kOuter};
  spec.none_matches = params.none_matches;
  spec.key = params.key;
  spec.collapses = params.key != JoinKey::kPair && !plan::settles_behind(plan, node.id);
  spec.schema = node.schema;
  spec.span = node.span;
  spec.with_keys = plan::join_reads_keys(plan, node);
  spec.keys_needed = node.keys_needed || spec.with_keys;
  take_part(spec, plan, node);
  return std::make_unique<Join>(std::move(spec));
}

Result<std::unique_ptr<Operator>> make_ix(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::Ix>(node.params);
  JoinSpec spec = spec_of(params.emit, node.used, plan.node(node.inputs[0]).schema, plan.node(node.inputs[1]).schema);
  spec.on = {plan::Columns{params.key}, plan::Columns{}};
  spec.key_types = {Type(Kind::kPointer)};
  spec.pads = {true, false};
  spec.none_matches = false;
  spec.key = JoinKey::kLeft;
  spec.by_right_key = true;
  spec.right_types = column_types(plan.node(node.inputs[1]).schema);
  spec.misses_are_errors = !params.optional;
  spec.schema = node.schema;
  spec.span = node.span;
  take_part(spec, plan, node);
  return std::make_unique<Join>(std::move(spec));
}

std::vector<Route> join_routes(const plan::Node& node) {
  const auto& params = std::get<plan::Join>(node.params);
  if (params.left_on.empty()) return {Route{Route::By::kOne, {}}, Route{Route::By::kOne, {}}};
  return {Route{Route::By::kColumns, params.left_on}, Route{Route::By::kColumns, params.right_on}};
}

// Results are where their join key is, if they show it as columns of the left.
Route join_spread(const plan::Node& node) {
  const auto& params = std::get<plan::Join>(node.params);
  if (params.left_on.empty()) return {Route::By::kOne, {}};
  auto shown = [&](const plan::Columns& on) {
    Route route{Route::By::kColumns, {}};
    for (std::uint32_t column : on) {
      auto at = std::ranges::find(params.emit, column);
      if (at == params.emit.end()) return Route{};
      route.columns.push_back(static_cast<std::uint32_t>(at - params.emit.begin()));
    }
    return route;
  };
  bool left_stays = params.how == JoinHow::kInner || params.how == JoinHow::kLeft;
  return left_stays ? shown(params.left_on) : Route{};
}

std::vector<Route> ix_routes(const plan::Node& node) {
  return {Route{Route::By::kPointer, {std::get<plan::Ix>(node.params).key}}, Route{Route::By::kKey, {}}};
}

}  // namespace

const OperatorDescriptor kJoin{
    .name = "join", .routes = join_routes, .output_route = join_spread, .make = make_join, .state_version = 1};
const OperatorDescriptor kIx{
    .name = "ix", .routes = ix_routes, .output_route = spread_unknown, .make = make_ix, .state_version = 1};

}  // namespace thalweg::operators
