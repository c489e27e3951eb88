// engine/operators/stream.cc
//
// Between tables and their streams of changes.
//
// to_stream         per key and commit: an insertion or update is one row with is_upsert True and the new values, a
//                   pure deletion one row with False and the old values; the result only grows.
// stream_to_table   the inverse; events of one key in one commit: the upsert wins, ties to the greatest row.
// assert_append_only  ends the run at the first deletion.
#include <algorithm>
#include <map>

#include "engine/operators/registry.h"
#include "engine/operators/upsert_events.h"
#include "engine/state/keyed_rows.h"

namespace thalweg::operators {

namespace {

std::vector<Type> types_of(const Schema& schema) {
  std::vector<Type> types;
  for (const ColumnSpec& column : schema.columns) types.push_back(column.type);
  return types;
}

class ToStream : public Operator {
 public:
  void push(std::size_t, Batch batch, OperatorContext&) override {
    batch.materialise_keys();
    staged_.push_back(std::move(batch));
  }

  void close(OperatorContext& context) override {
    if (staged_.empty()) return;
    Batch batch = consolidate(Batch::concat(std::exchange(staged_, {})));
    std::map<Key, std::uint32_t> inserted;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row)
      if (batch.diff(row) > 0) inserted.emplace(batch.keys[row], row);
    std::vector<std::uint32_t> kept;
    ColumnBuilder flags(Phys::kU8);
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      bool is_upsert = batch.diff(row) > 0;
      if (!is_upsert && inserted.contains(batch.keys[row])) continue;  // the deletion half of an update
      kept.push_back(row);
      flags.push_bool(is_upsert);
    }
    if (kept.empty()) return;
    Batch out = batch.gather(kept);
    out.diffs = nullptr;
    out.columns.push_back(flags.finish());
    context.emit(std::move(out));
  }

 private:
  std::vector<Batch> staged_;
};

Result<std::unique_ptr<Operator>> make_to_stream(const plan::Node&, const plan::Plan&) {
  return std::make_unique<ToStream>();
}

// ---------------------------------------------------------------- stream to table

class StreamToTable : public Operator {
 public:
  StreamToTable(std::uint32_t is_upsert, std::vector<Type> types, SourceSpan span)
      : is_upsert_(is_upsert), rows_(std::move(types)), span_(span) {}

  void push(std::size_t, Batch batch, OperatorContext& context) override {
    batch.materialise_keys();
    std::vector<std::uint32_t> kept;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      if (batch.diff(row) > 0) {
        kept.push_back(row);
        continue;
      }
      context.report(ErrorKind::kSkipped,
                     "Expected table to be append-only, but got deletion for key: " + to_text(batch.keys[row]), span_,
                     batch.keys[row]);
    }
    staged_.push_back(kept.size() == batch.num_rows ? std::move(batch) : batch.gather(kept));
  }

  void close(OperatorContext& context) override {
    if (staged_.empty()) return;
    Batch events = Batch::concat(std::exchange(staged_, {}));
    events.diffs = nullptr;
    const Column& flag = events.columns[is_upsert_];
    std::map<Key, std::uint32_t> last;
    for (std::uint32_t row = 0; row < events.num_rows; ++row) {
      auto [at, fresh] = last.emplace(events.keys[row], row);
      if (!fresh && later(events, flag, at->second, row)) at->second = row;
    }
    Batch plain = events;
    plain.columns.erase(plain.columns.begin() + is_upsert_);
    std::vector<Batch> changes;
    std::vector<std::uint32_t> upserts;
    for (const auto& [key, row] : last) {
      if (auto id = rows_.find(key)) {
        Batch old = rows_.rows().gather(std::span(&*id, 1));
        old.set_diffs({-1});
        changes.push_back(std::move(old));
      }
      if (flag.is_value(row) && flag.u8()[row]) upserts.push_back(row);
    }
    changes.push_back(plain.gather(upserts));
    for (Batch& change : changes) rows_.stage(std::move(change));
    Batch delta = rows_.settle([](const Key&) {});
    if (!delta.empty()) context.emit(std::move(delta));
  }

  [[nodiscard]] StateSize state() const override { return {rows_.size(), rows_.bytes()}; }
  void save(StateWriter& out) const override { rows_.save(out); }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    return rows_.load(in, [&](const Key& key) { return mine.takes_key(key); });
  }

 private:
  // Whether row b comes after row a of the same key in one commit: an upsert after a deletion, else the greater row.
  static bool later(const Batch& events, const Column& flag, std::uint32_t a, std::uint32_t b) {
    bool up_a = flag.is_value(a) && flag.u8()[a];
    bool up_b = flag.is_value(b) && flag.u8()[b];
    if (up_a != up_b) return up_b;
    for (const Column& column : events.columns) {
      std::uint64_t hash_a = 0;
      std::uint64_t hash_b = 0;
      column.slice(a, a + 1).hash_into(std::span(&hash_a, 1));
      column.slice(b, b + 1).hash_into(std::span(&hash_b, 1));
      if (hash_a != hash_b) return hash_a < hash_b;
    }
    return false;
  }

  std::uint32_t is_upsert_;
  KeyedRows rows_;
  SourceSpan span_;
  std::vector<Batch> staged_;
};

Result<std::unique_ptr<Operator>> make_stream_to_table(const plan::Node& node, const plan::Plan&) {
  return std::make_unique<StreamToTable>(std::get<plan::StreamToTable>(node.params).is_upsert, types_of(node.schema),
                                         node.span);
}

// ---------------------------------------------------------------- append-only

class AssertAppendOnly : public Operator {
 public:
  explicit AssertAppendOnly(SourceSpan span) : span_(span) {}
  void push(std::size_t, Batch batch, OperatorContext& context) override {
    for (std::uint32_t row = 0; batch.diffs && row < batch.num_rows; ++row) {
      if (batch.diff(row) == 1) continue;
      std::optional<Key> key;
      if (batch.keys.written()) key = batch.keys[row];
      std::string name = key ? to_text(*key) : "?";
      context.fail(Error{
          Code::kDataError,
          "Expected table to be append-only, but got diff=" + std::to_string(batch.diff(row)) + " for key: " + name,
          span_,
          {}});
      return;
    }
    context.emit(std::move(batch));
  }

 private:
  SourceSpan span_;
};

Result<std::unique_ptr<Operator>> make_assert(const plan::Node& node, const plan::Plan&) {
  return std::make_unique<AssertAppendOnly>(node.span);
}

// ---------------------------------------------------------------- sources that replace by key

class Upsert : public Operator {
 public:
  explicit Upsert(std::vector<Type> types) : rows_(std::move(types)) {}

  void push(std::size_t, Batch batch, OperatorContext&) override {
    batch.materialise_keys();
    staged_.push_back(std::move(batch));
  }

  // The last record of a key in the commit decides.
  void close(OperatorContext& context) override {
    if (staged_.empty()) return;
    std::ranges::stable_sort(staged_, {}, &Batch::order);
    Batch events = Batch::concat(std::exchange(staged_, {}));
    const ClearedShards cleared(events);
    events = without_unchanged(std::move(events), cleared, rows_);
    std::unordered_map<Key, std::uint32_t> last;
    for (std::uint32_t row = 0; row < events.num_rows; ++row)
      if (cleared.counts(events, row)) last[events.keys[row]] = row;
    std::vector<std::uint32_t> old_rows;
    std::vector<std::uint32_t> new_rows;
    for (std::uint32_t row = 0; row < events.num_rows; ++row) {
      const auto newest = last.find(events.keys[row]);
      if (newest == last.end() || newest->second != row) continue;
      if (auto id = rows_.find(events.keys[row]); id && !cleared.covers(events.keys[row])) old_rows.push_back(*id);
      if (events.diff(row) > 0) new_rows.push_back(row);
    }
    if (cleared.any()) add_cleared_rows(cleared, old_rows);
    Batch deletions = rows_.rows().gather(old_rows);
    deletions.set_diffs(std::vector<Diff>(old_rows.size(), -1));
    Batch insertions = events.gather(new_rows);
    insertions.diffs = nullptr;
    rows_.stage(std::move(deletions));
    rows_.stage(std::move(insertions));
    Batch delta = rows_.settle([](const Key&) {});
    if (!delta.empty()) context.emit(std::move(delta));
  }

  [[nodiscard]] StateSize state() const override { return {rows_.size(), rows_.bytes()}; }
  void save(StateWriter& out) const override { rows_.save(out); }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    return rows_.load(in, [&](const Key& key) { return mine.takes_key(key); });
  }

 private:
  void add_cleared_rows(const ClearedShards& cleared, std::vector<std::uint32_t>& ids) const {
    const RowStore& rows = rows_.rows();
    for (std::uint32_t id = 0; id < rows.end(); ++id)
      if (rows.alive(id) && cleared.covers(rows.key(id))) ids.push_back(id);
  }

  KeyedRows rows_;
  std::vector<Batch> staged_;
};

Result<std::unique_ptr<Operator>> make_upsert(const plan::Node& node, const plan::Plan&) {
  return std::make_unique<Upsert>(types_of(node.schema));
}

}  // namespace

const OperatorDescriptor kToStream{.name = "to_stream",
                                   .routes = route_by_key,
                                   .output_route = spread_by_key,
                                   .make = make_to_stream,
                                   .stateless = true};
const OperatorDescriptor kStreamToTable{.name = "stream_to_table",
                                        .routes = route_by_key,
                                        .output_route = spread_by_key,
                                        .make = make_stream_to_table,
                                        .state_version = 1};
const OperatorDescriptor kAssertAppendOnly{.name = "assert_append_only",
                                           .routes = route_any,
                                           .output_route = spread_unknown,
                                           .make = make_assert,
                                           .stateless = true};
const OperatorDescriptor kUpsert{
    .name = "upsert", .routes = route_by_key, .output_route = spread_by_key, .make = make_upsert, .state_version = 1};

}  // namespace thalweg::operators
