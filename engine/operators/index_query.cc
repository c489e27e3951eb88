// engine/operators/index_query.cc
//
// Queries answered from an index over a table (plan/index.h). Changes of the table are in the index before the queries
// of the same commit are asked.
//
// Q1  Without `live` a query is answered once. Its answer is kept until it goes, and goes as it came.
// Q2  With `live` the answers of all queries are what the index finds after each commit that changed it.
// Q3  What turns texts into vectors is asked about rows that come, never about rows that go; and not about a row whose
//     other columns changed: what the index made of it stays.
//
// State   the index, the reply columns and metadata of its rows; the answers given, unless queries only grow.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "engine/expr/encoded.h"
#include "engine/operators/registry.h"
#include "engine/operators/temporal/staged_input.h"
#include "engine/state/archive.h"
#include "engine/state/row_store.h"
#include "engine/types/encoding.h"

namespace thalweg::operators {

namespace {

constexpr std::size_t kFiltersKept = 64;

// The rows that are in the index, by slot.
class IndexedRows {
 public:
  IndexedRows(std::vector<Type> types, plan::Columns kept) : rows_(std::move(types), true), kept_(std::move(kept)) {}

  std::uint32_t insert(const Batch& batch, std::uint32_t row, std::uint64_t hash) {
    std::vector<const Column*> cells;
    for (const std::uint32_t column : kept_) cells.push_back(&batch.columns[column]);
    return put(cells, row, batch.keys[row], hash);
  }
  std::uint32_t put(std::span<const Column* const> cells, std::size_t row, const Key& key, std::uint64_t hash) {
    const std::uint32_t slot = rows_.insert(cells, row, &key);
    if (hashes_.size() <= slot) hashes_.resize(slot + 1);
    hashes_[slot] = hash;
    by_key_.emplace(key, slot);
    return slot;
  }
  [[nodiscard]] std::optional<std::uint32_t> take(const Key& key, std::uint64_t hash) {
    auto [it, end] = by_key_.equal_range(key);
    while (it != end && hashes_[it->second] != hash) ++it;
    if (it == end) return std::nullopt;
    const std::uint32_t slot = it->second;
    by_key_.erase(it);
    rows_.erase(slot);
    return slot;
  }
  void compact() { rows_.compact_if_worthwhile(); }
  [[nodiscard]] const RowStore& store() const { return rows_; }
  [[nodiscard]] std::uint64_t hash(std::uint32_t slot) const { return hashes_[slot]; }
  [[nodiscard]] std::uint64_t bytes() const {
    return rows_.bytes() + hashes_.size() * sizeof(std::uint64_t) + by_key_.size() * (sizeof(Key) + 16);
  }

 private:
  RowStore rows_;
  const plan::Columns kept_;
  std::vector<std::uint64_t> hashes_;  // by slot, of the whole row
  std::unordered_multimap<Key, std::uint32_t> by_key_;
};

// Filters of late with what they said of each slot.
class Filters {
 public:
  enum class Verdict : std::uint8_t { kUnknown, kNo, kYes, kError };
  struct Known {
    std::shared_ptr<const plan::IndexFilter> filter;
    std::string broken;  // why it is none
    std::vector<Verdict> verdicts;
    std::string objection;  // of the last kError
  };

  explicit Filters(plan::IndexFactoryPtr factory) : factory_(std::move(factory)) {}

  Known& get(const std::string& text) {
    const auto it = known_.find(text);
    if (it != known_.end()) return it->second;
    if (known_.size() >= kFiltersKept) known_.clear();
    Known& fresh = known_[text];
    auto made = factory_->filter(text);
    if (made)
      fresh.filter = std::move(*made);
    else
      fresh.broken = made.error().message;
    return fresh;
  }
  void forget(std::uint32_t slot) {
    for (auto& [text, known] : known_)
      if (slot < known.verdicts.size()) known.verdicts[slot] = Verdict::kUnknown;
  }

 private:
  plan::IndexFactoryPtr factory_;
  std::unordered_map<std::string, Known> known_;
};

class Scope final : public plan::IndexScope {
 public:
  Scope(const RowStore& rows, std::optional<std::size_t> metadata, Filters::Known* filter)
      : rows_(rows), metadata_(metadata), filter_(filter) {}

  [[nodiscard]] bool admits(std::uint32_t slot) const override {
    if (filter_ == nullptr) return true;
    if (filter_->verdicts.size() <= slot) filter_->verdicts.resize(rows_.end());
    Filters::Verdict& verdict = filter_->verdicts[slot];
    if (verdict == Filters::Verdict::kUnknown) verdict = judge(slot);
    failed_ = failed_ || verdict == Filters::Verdict::kError;
    return verdict == Filters::Verdict::kYes;
  }
  [[nodiscard]] const Key& key(std::uint32_t slot) const override { return rows_.key(slot); }
  [[nodiscard]] bool failed() const { return failed_; }

 private:
  [[nodiscard]] Filters::Verdict judge(std::uint32_t slot) const {
    std::string_view json = "null";
    StrView view;
    if (metadata_ && rows_.tag(*metadata_, slot) == CellTag::kValue) {
      view = rows_.cell<StrView>(*metadata_, slot);
      json = view.view();
    }
    auto said = filter_->filter->admits(json);
    if (said) return *said ? Filters::Verdict::kYes : Filters::Verdict::kNo;
    filter_->objection = std::move(said.error().message);
    return Filters::Verdict::kError;
  }

  const RowStore& rows_;
  const std::optional<std::size_t> metadata_;
  Filters::Known* const filter_;
  mutable bool failed_ = false;
};

// A query that was answered.
struct Asked {
  std::uint64_t hash = 0;
  std::uint32_t row = 0;               // in queries_; of live ones
  std::vector<std::uint32_t> answers;  // rows of answers_
  std::vector<Column> cells;           // what the index was asked, one row each; of live ones
  bool alive = false;
};

class IndexQuery : public Operator {
 public:
  IndexQuery(const plan::IndexQuery& params, const plan::Node& node, const Schema& data, const Schema& query)
      : p_(params),
        schema_(node.schema),
        data_types_(column_types(data)),
        query_types_(column_types(query)),
        span_(node.span),
        kept_(kept_columns(params)),
        rows_(kept_types(params, data), kept_),
        filters_(params.index),
        queries_(query_types_, true),
        answers_(column_types(node.schema), true),
        keeps_(params.live || params.remember),
        index_(params.index->make()) {
    if (params.metadata) metadata_ = kept_.size() - 1;
    for (std::size_t part = 0; part < params.index->parts().size(); ++part) {
      const plan::IndexPart& how = params.index->parts()[part];
      data_cell_types_.push_back(how.embed ? how.embedded : data_types_[params.data[part]]);
      query_cell_types_.push_back(how.embed ? how.embedded : query_types_[params.query[part]]);
    }
  }

  void push(std::size_t port, Batch batch, OperatorContext&) override {
    (port == 0 ? data_in_ : query_in_).push(std::move(batch));
  }

  void close(OperatorContext& context) override {
    if (data_in_.empty() && query_in_.empty()) return;
    bool changed = false;
    for (const Batch& batch : data_in_.take()) changed = change_data(batch, context) || changed;
    if (p_.live && changed) revise(context);
    for (const Batch& batch : query_in_.take()) change_queries(batch, context);
    rows_.compact();
    queries_.compact_if_worthwhile();
    answers_.compact_if_worthwhile();
  }

  [[nodiscard]] StateSize state() const override {
    return {rows_.store().size() + answers_.size(),
            index_->bytes() + rows_.bytes() + queries_.bytes() + answers_.bytes()};
  }

  bool replay(OperatorContext& context) override {
    if (!keeps_) return false;
    std::vector<std::uint32_t> ids;
    for (const Asked& asked : asked_)
      if (asked.alive) ids.insert(ids.end(), asked.answers.begin(), asked.answers.end());
    if (!ids.empty()) context.emit(answers_.gather(ids));
    return true;
  }

  void save(StateWriter& out) const override {
    std::vector<std::uint32_t> slots;
    for (std::uint32_t slot = 0; slot < rows_.store().end(); ++slot)
      if (rows_.store().alive(slot)) slots.push_back(slot);
    std::vector<std::uint64_t> hashes;
    for (const std::uint32_t slot : slots) hashes.push_back(rows_.hash(slot));
    out.put_numbers(hashes);
    out.put_batch(rows_.store().gather(slots));
    for (const std::uint32_t slot : slots) out.put_text(index_->save(slot));
    save_answers(out);
  }

  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    const auto hashes = TRY(in.numbers<std::uint64_t>());
    const Batch rows = TRY(in.batch(rows_.store().types()));
    if (rows.num_rows != hashes.size() || (rows.num_rows > 0 && !rows.keys.written())) return in.corrupt("an index");
    std::vector<const Column*> cells;
    for (const Column& column : rows.columns) cells.push_back(&column);
    for (std::size_t row = 0; row < hashes.size(); ++row) {
      const std::string saved = TRY(in.text());
      if (mine.takes_single()) TRY(index_->restore(rows_.put(cells, row, rows.keys[row], hashes[row]), saved));
    }
    return load_answers(in, mine);
  }

 private:
  void save_answers(StateWriter& out) const {
    std::vector<Key> keys;
    std::vector<std::uint64_t> hashes;
    std::vector<std::uint32_t> counts, answers, queries;
    std::vector<std::vector<Column>> cells(query_cell_types_.size());
    for (const auto& [key, id] : by_query_) {
      const Asked& asked = asked_[id];
      keys.push_back(key);
      hashes.push_back(asked.hash);
      counts.push_back(static_cast<std::uint32_t>(asked.answers.size()));
      answers.insert(answers.end(), asked.answers.begin(), asked.answers.end());
      queries.push_back(asked.row);
      for (std::size_t part = 0; part < asked.cells.size(); ++part) cells[part].push_back(asked.cells[part]);
    }
    out.put_numbers(keys);
    out.put_numbers(hashes);
    out.put_numbers(counts);
    out.put_batch(answers_.gather(answers));
    if (!p_.live || keys.empty()) return;
    out.put_batch(queries_.gather(queries));
    for (const std::vector<Column>& part : cells) out.put_column(Column::concat(part));
  }

  Result<void> load_answers(StateReader& in, const ShardFilter& mine) {
    const auto keys = TRY(in.numbers<Key>());
    const auto hashes = TRY(in.numbers<std::uint64_t>());
    const auto counts = TRY(in.numbers<std::uint32_t>());
    const Batch answers = TRY(in.batch(answers_.types()));
    std::uint64_t total = 0;
    for (const std::uint32_t count : counts) total += count;
    if (hashes.size() != keys.size() || counts.size() != keys.size() || total != answers.num_rows)
      return in.corrupt("the answers of an index");
    Batch queries;
    std::vector<Column> cells;
    if (p_.live && !keys.empty()) {
      queries = TRY(in.batch(query_types_));
      if (queries.num_rows != keys.size()) return in.corrupt("the queries of an index");
      for (const Type& type : query_cell_types_) cells.push_back(TRY(in.column(type, keys.size())));
    }
    if (!mine.takes_single()) return {};
    std::size_t at = 0;
    for (std::uint32_t i = 0; i < keys.size(); ++i) {
      keep(keys[i], hashes[i], p_.live ? &queries : nullptr, i, cells, answers, at, at + counts[i]);
      at += counts[i];
    }
    return {};
  }

  static plan::Columns kept_columns(const plan::IndexQuery& params) {
    plan::Columns kept = params.reply;
    if (params.metadata) kept.push_back(*params.metadata);
    return kept;
  }
  static std::vector<Type> kept_types(const plan::IndexQuery& params, const Schema& data) {
    std::vector<Type> types;
    for (const std::uint32_t column : kept_columns(params)) types.push_back(data.columns[column].type);
    return types;
  }

  // ---- the index

  // What the index made of rows that go, by row key and the columns that it takes.
  using Made = std::unordered_multimap<Key, std::string>;

  bool change_data(const Batch& batch, OperatorContext& context) {
    std::vector<std::uint64_t> hashes(batch.num_rows);
    for (const Column& column : batch.columns) column.hash_into(hashes);
    bool changed = false;
    Made made = remove_rows(batch, hashes, changed);
    std::vector<std::uint32_t> fresh;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row)
      for (Diff diff = batch.diff(row); diff > 0; --diff) {
        if (!indexable(batch, row, context)) continue;
        if (!made.empty() && put_back(batch, row, hashes[row], made))
          changed = true;
        else
          fresh.push_back(row);
      }
    if (fresh.empty()) return changed;
    const Batch rows = batch.gather(fresh);
    const std::vector<Column> cells = embedded(rows, p_.data, data_types_, context);
    for (std::uint32_t row = 0; row < rows.num_rows; ++row)
      changed = insert(rows, row, hashes[fresh[row]], cells, context) || changed;
    return changed;
  }

  Made remove_rows(const Batch& batch, const std::vector<std::uint64_t>& hashes, bool& changed) {
    Made made;
    if (!batch.diffs) return made;
    std::unordered_set<Key> come;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row)
      if (batch.diff(row) > 0) come.insert(batch.keys[row]);
    for (std::uint32_t row = 0; row < batch.num_rows; ++row)
      for (Diff diff = batch.diff(row); diff < 0; ++diff) {
        const auto slot = rows_.take(batch.keys[row], hashes[row]);
        if (!slot) continue;
        if (come.contains(batch.keys[row])) made.emplace(taken_of(batch, row), index_->save(*slot));
        index_->remove(*slot);
        filters_.forget(*slot);
        changed = true;
      }
    return made;
  }

  // False: no such row went.
  bool put_back(const Batch& batch, std::uint32_t row, std::uint64_t hash, Made& made) {
    const auto was = made.find(taken_of(batch, row));
    if (was == made.end()) return false;
    const std::uint32_t slot = rows_.insert(batch, row, hash);
    const bool restored = index_->restore(slot, was->second).has_value();
    if (!restored) (void)rows_.take(batch.keys[row], hash);  // it is asked about anew
    made.erase(was);
    return restored;
  }

  // A hash of the row key and the cells that the index takes.
  [[nodiscard]] Key taken_of(const Batch& batch, std::uint32_t row) const {
    std::string bytes;
    encode_key(batch.keys[row], bytes);
    for (const std::uint32_t column : p_.data) encode_cell(data_types_[column], batch.columns[column], row, bytes);
    return key_of_bytes(bytes);
  }

  bool insert(const Batch& rows, std::uint32_t row, std::uint64_t hash, const std::vector<Column>& cells,
              OperatorContext& context) {
    for (const Column& column : cells)
      if (!column.is_value(row)) return false;  // the embedder said why
    const std::uint32_t slot = rows_.insert(rows, row, hash);
    const auto added = index_->add(slot, cells_at(cells, data_cell_types_, row));
    if (added) return true;
    (void)rows_.take(rows.keys[row], hash);
    context.report(ErrorKind::kSkipped, added.error().message + ", skipping the row", span_, rows.keys[row]);
    return false;
  }

  bool indexable(const Batch& batch, std::uint32_t row, OperatorContext& context) const {
    for (const std::uint32_t column : p_.data) {
      if (batch.columns[column].is_value(row)) continue;
      if (batch.columns[column].tag(row) == CellTag::kError)
        context.report(ErrorKind::kSkipped, "Error value encountered in what is indexed, skipping the row", span_,
                       batch.keys[row]);
      return false;
    }
    return true;
  }

  // The columns that the index takes, row by row those of `batch`.
  std::vector<Column> embedded(const Batch& batch, const plan::Columns& columns, const std::vector<Type>& types,
                               OperatorContext& context) {
    std::vector<Column> out;
    for (std::size_t part = 0; part < columns.size(); ++part) {
      const plan::IndexPart& how = p_.index->parts()[part];
      const Column& from = batch.columns[columns[part]];
      if (!how.embed) {
        out.push_back(from);
        continue;
      }
      std::vector<CellTag> skip;
      if (from.has_tags())
        for (std::size_t row = 0; row < batch.num_rows; ++row) skip.push_back(from.tag(row));
      const std::function<void(std::size_t, std::string_view)> fail = [&](std::size_t row, std::string_view why) {
        context.report(ErrorKind::kValue, std::string(why), span_, batch.keys[row]);
      };
      const plan::UserCall call{.args = {&from, 1},
                                .arg_types = {&types[columns[part]], 1},
                                .result = how.embedded,
                                .rows = batch.num_rows,
                                .skip = skip.empty() ? nullptr : skip.data(),
                                .fail = fail};
      out.push_back(how.embed->call(call));
    }
    return out;
  }

  static std::vector<plan::IndexCell> cells_at(const std::vector<Column>& columns, const std::vector<Type>& types,
                                               std::size_t row) {
    std::vector<plan::IndexCell> cells;
    for (std::size_t part = 0; part < columns.size(); ++part) cells.push_back({&types[part], &columns[part], row});
    return cells;
  }

  // ---- queries

  struct Reply {
    std::vector<plan::IndexHit> hits;
    bool failed = false;
  };

  Reply search(const Batch& queries, std::uint32_t row, const std::vector<Column>& cells, std::size_t cell_row,
               OperatorContext& context) {
    const auto failed = [&](const std::string& why) {
      if (!why.empty()) context.report(ErrorKind::kValue, why, span_, queries.keys[row]);
      return Reply{{}, true};
    };
    for (const Column& column : cells) {
      if (column.tag(cell_row) == CellTag::kError) return failed("");  // reported where it arose
      if (!column.is_value(cell_row)) return {};
    }
    std::int64_t limit = static_cast<std::int64_t>(p_.fixed_limit);
    if (p_.limit) {
      const Column& column = queries.columns[*p_.limit];
      if (!column.is_value(row)) return failed("the number of matches is missing");
      limit = column.i64()[row];
      if (limit < 0) return failed("the number of matches is negative");
    }
    Filters::Known* filter = nullptr;
    if (p_.filter) {
      const Column& column = queries.columns[*p_.filter];
      if (column.tag(row) == CellTag::kError) return failed("");
      if (column.is_value(row)) {
        filter = &filters_.get(std::string(column.views()[row].view()));
        if (!filter->broken.empty()) return failed(filter->broken);
      }
    }
    const auto most = std::min<std::uint64_t>(static_cast<std::uint64_t>(limit), rows_.store().size());
    const Scope scope(rows_.store(), metadata_, filter);
    auto hits = index_->search(cells_at(cells, query_cell_types_, cell_row), most, scope);
    if (!hits) return failed(hits.error().message);
    if (scope.failed()) return failed(filter->objection);
    return {std::move(*hits), false};
  }

  // Rows of the answer, in the builders of one output batch.
  struct Out {
    std::vector<ColumnBuilder> columns;
    std::vector<Key> keys;
  };
  [[nodiscard]] Out new_out() const {
    Out out;
    for (const ColumnSpec& column : schema_.columns) out.columns.emplace_back(column.type);
    return out;
  }
  static Batch finish(Out& out) {
    Batch batch;
    batch.num_rows = out.keys.size();
    for (ColumnBuilder& builder : out.columns) batch.columns.push_back(builder.finish());
    batch.keys = KeyColumn(std::move(out.keys));
    return batch;
  }

  void append(const Batch& queries, std::uint32_t row, const Reply& reply, Out& out) const {
    const std::size_t num_query = query_types_.size();
    const auto begin_row = [&](const Key& key) {
      out.keys.push_back(key);
      for (std::size_t c = 0; c < num_query; ++c) out.columns[c].push_cell(queries.columns[c], row);
    };
    if (reply.failed || (!p_.collapse && reply.hits.empty())) {
      begin_row(p_.collapse ? queries.keys[row] : key_of_pair(queries.keys[row], std::nullopt));
      for (std::size_t c = num_query; c < out.columns.size(); ++c)
        reply.failed ? out.columns[c].push_error() : out.columns[c].push_none();
      return;
    }
    if (p_.collapse) {
      begin_row(queries.keys[row]);
      return append_lists(reply, out);
    }
    for (const plan::IndexHit& hit : reply.hits) {
      const Key& key = rows_.store().key(hit.slot);
      begin_row(key_of_pair(queries.keys[row], key));
      std::size_t c = num_query;
      for (std::size_t i = 0; i < p_.reply.size(); ++i) rows_.store().append_cell(i, hit.slot, out.columns[c++]);
      out.columns[c++].push_key(key);
      out.columns[c].push_float(hit.score);
    }
  }

  void append_lists(const Reply& reply, Out& out) const {
    std::size_t c = query_types_.size();
    std::string list;
    const auto begin = [&] {
      list.clear();
      expr::begin_tuple(reply.hits.size(), list);
    };
    for (std::size_t i = 0; i < p_.reply.size(); ++i) {
      begin();
      for (const plan::IndexHit& hit : reply.hits) encode(rows_.store().value(i, hit.slot), list);
      out.columns[c++].push_text(list);
    }
    begin();
    for (const plan::IndexHit& hit : reply.hits) encode_key(rows_.store().key(hit.slot), list);
    out.columns[c++].push_text(list);
    begin();
    for (const plan::IndexHit& hit : reply.hits) encode_float(hit.score, list);
    out.columns[c].push_text(list);
  }

  void change_queries(const Batch& batch, OperatorContext& context) {
    std::vector<std::uint64_t> hashes(batch.num_rows);
    for (const Column& column : batch.columns) column.hash_into(hashes);
    std::vector<std::uint32_t> fresh;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      for (Diff diff = batch.diff(row); diff < 0; ++diff) forget_query(batch.keys[row], hashes[row], context);
      for (Diff diff = batch.diff(row); diff > 0; --diff) fresh.push_back(row);
    }
    if (fresh.empty()) return;
    const Batch queries = batch.gather(fresh);
    const std::vector<Column> cells = embedded(queries, p_.query, query_types_, context);
    Out out = new_out();
    std::vector<std::size_t> ends;
    for (std::uint32_t row = 0; row < queries.num_rows; ++row) {
      append(queries, row, search(queries, row, cells, row, context), out);
      ends.push_back(out.keys.size());
    }
    Batch answers = finish(out);
    if (keeps_)
      for (std::uint32_t row = 0; row < queries.num_rows; ++row)
        keep(queries.keys[row], hashes[fresh[row]], &queries, row, cells, answers, row == 0 ? 0 : ends[row - 1],
             ends[row]);
    context.emit(std::move(answers));
  }

  // `queries` and `cells` are looked at for live queries only.
  void keep(const Key& key, std::uint64_t hash, const Batch* queries, std::uint32_t row,
            const std::vector<Column>& cells, const Batch& answers, std::size_t begin, std::size_t end) {
    std::uint32_t id = 0;
    if (free_.empty()) {
      id = static_cast<std::uint32_t>(asked_.size());
      asked_.emplace_back();
    } else {
      id = free_.back();
      free_.pop_back();
    }
    Asked& asked = asked_[id];
    asked.alive = true;
    asked.hash = hash;
    for (std::size_t i = begin; i < end; ++i) asked.answers.push_back(answers_.insert(answers, i));
    if (p_.live) {
      asked.row = queries_.insert(*queries, row);
      const std::uint32_t rows[] = {row};
      for (const Column& column : cells) asked.cells.push_back(column.gather(rows));
    }
    by_query_.emplace(key, id);
  }

  void forget_query(const Key& key, std::uint64_t hash, OperatorContext& context) {
    auto [it, end] = by_query_.equal_range(key);
    while (it != end && asked_[it->second].hash != hash) ++it;
    if (it == end) return;
    Asked& asked = asked_[it->second];
    retract(asked.answers, context);
    if (p_.live) queries_.erase(asked.row);
    asked = {};
    free_.push_back(it->second);
    by_query_.erase(it);
  }

  void retract(const std::vector<std::uint32_t>& ids, OperatorContext& context) {
    if (ids.empty()) return;
    Batch gone = answers_.gather(ids);
    gone.set_diffs(std::vector<Diff>(ids.size(), -1));
    context.emit(std::move(gone));
    for (const std::uint32_t id : ids) answers_.erase(id);
  }

  // Q2: all that is asked, asked again.
  void revise(OperatorContext& context) {
    for (Asked& asked : asked_) {
      if (!asked.alive) continue;
      const std::uint32_t ids[] = {asked.row};
      const Batch query = queries_.gather(ids);
      Out out = new_out();
      append(query, 0, search(query, 0, asked.cells, 0, context), out);
      Batch fresh = finish(out);
      if (same_answers(asked.answers, fresh)) continue;
      retract(std::exchange(asked.answers, {}), context);
      for (std::size_t i = 0; i < fresh.num_rows; ++i) asked.answers.push_back(answers_.insert(fresh, i));
      context.emit(std::move(fresh));
    }
  }

  [[nodiscard]] bool same_answers(const std::vector<std::uint32_t>& old, const Batch& fresh) const {
    if (old.size() != fresh.num_rows) return false;
    std::vector<const Column*> cells;
    for (const Column& column : fresh.columns) cells.push_back(&column);
    for (std::size_t i = 0; i < old.size(); ++i)
      if (answers_.key(old[i]) != fresh.keys[i] || !answers_.row_equals(old[i], cells, i)) return false;
    return true;
  }

  const plan::IndexQuery p_;
  const Schema schema_;
  const std::vector<Type> data_types_, query_types_;
  const SourceSpan span_;
  const plan::Columns kept_;  // of input 0: the reply columns, then the metadata
  std::optional<std::size_t> metadata_;
  std::vector<Type> data_cell_types_, query_cell_types_;
  IndexedRows rows_;
  Filters filters_;
  RowStore queries_, answers_;
  const bool keeps_;
  std::unique_ptr<plan::Index> index_;
  StagedInput data_in_, query_in_;
  std::vector<Asked> asked_;
  std::vector<std::uint32_t> free_;
  std::unordered_multimap<Key, std::uint32_t> by_query_;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  return std::make_unique<IndexQuery>(std::get<plan::IndexQuery>(node.params), node, plan.node(node.inputs[0]).schema,
                                      plan.node(node.inputs[1]).schema);
}
std::vector<Route> routes(const plan::Node&) { return {{Route::By::kOne, {}}, {Route::By::kOne, {}}}; }

}  // namespace

const OperatorDescriptor kIndexQuery{
    .name = "index_query", .routes = routes, .output_route = spread_unknown, .make = make, .state_version = 1};

}  // namespace thalweg::operators
