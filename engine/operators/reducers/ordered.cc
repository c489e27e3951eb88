// engine/operators/reducers/ordered.cc
//
// Reducers over the ordered multiset of a group's rows: min, max, argmin, argmax, any, unique, first, last, tuple,
// sorted_tuple, ndarray, string_agg, median, quantile, earliest, latest.
//
// Each keeps entries (the columns that order them, ending in what it returns) with counts, and per group the entries
// in order. Over append-only input those that return an extreme keep only that one. Reducers of one groupby that order
// the same rows the same way (min and max of a column) share their entries.
#include <array>
#include <cmath>
#include <numeric>

#include "engine/operators/reducers/reducer.h"
#include "engine/state/order_prefix.h"
#include "engine/state/order_stage.h"
#include "engine/state/saved_rows.h"
#include "engine/state/sorted_entries.h"
#include "engine/types/encoding.h"

namespace thalweg {

namespace {

using plan::ReducerKind;

// One column of the entries: where it comes from and how it sorts.
struct Part {
  enum class From : std::uint8_t { kColumn, kKey, kCommit } from = From::kColumn;
  std::uint32_t column = 0;
  bool descending = false;
  friend bool operator==(const Part&, const Part&) = default;
};

struct Shape {
  std::vector<Part> parts;
  std::vector<Type> types;
  std::size_t result = 0;  // part that is returned
  bool takes_last = false;
  bool takes_all = false;
};

Shape shape_of(const plan::Reducer& reducer, const Schema& input, const plan::Columns& sort_by) {
  Shape shape;
  auto add = [&](Part part) {
    shape.parts.push_back(part);
    switch (part.from) {
      case Part::From::kColumn: shape.types.push_back(input.columns[part.column].type); break;
      case Part::From::kKey: shape.types.push_back(Type(Kind::kPointer)); break;
      case Part::From::kCommit: shape.types.push_back(Type(Kind::kInt)); break;
    }
  };
  auto add_argument = [&](std::size_t i, bool descending = false) {
    add({Part::From::kColumn, reducer.args[i], descending});
    shape.result = shape.parts.size() - 1;
  };
  auto add_row_order = [&] {
    for (std::uint32_t column : sort_by) add({Part::From::kColumn, column, false});
    add({Part::From::kKey, 0, false});
  };
  switch (reducer.kind) {
    case ReducerKind::kMin:
    case ReducerKind::kUnique: add_argument(0); break;
    case ReducerKind::kMax:
      add_argument(0);
      shape.takes_last = true;
      break;
    case ReducerKind::kArgMin:
      add_argument(0);
      add_argument(1);
      break;
    case ReducerKind::kArgMax:
      add_argument(0, true);
      add_argument(1);
      break;
    case ReducerKind::kAny:
      add({Part::From::kKey, 0, false});
      add_argument(0);
      break;
    case ReducerKind::kFirst:
    case ReducerKind::kLast:
      add_row_order();
      add_argument(0);
      shape.takes_last = reducer.kind == ReducerKind::kLast;
      break;
    case ReducerKind::kEarliest:
    case ReducerKind::kLatest:
      add({Part::From::kCommit, 0, false});
      add({Part::From::kKey, 0, false});
      add_argument(0);
      shape.takes_last = reducer.kind == ReducerKind::kLatest;
      break;
    case ReducerKind::kSortedTuple:
    case ReducerKind::kMedian:
    case ReducerKind::kQuantile:
      add_argument(0);
      shape.takes_all = true;
      break;
    default:
      add_row_order();
      add_argument(0);
      shape.takes_all = true;
      break;
  }
  return shape;
}

bool is_ordered_kind(ReducerKind kind) {
  switch (kind) {
    case ReducerKind::kMin:
    case ReducerKind::kMax:
    case ReducerKind::kArgMin:
    case ReducerKind::kArgMax:
    case ReducerKind::kUnique:
    case ReducerKind::kAny:
    case ReducerKind::kTuple:
    case ReducerKind::kSortedTuple:
    case ReducerKind::kNdArray:
    case ReducerKind::kEarliest:
    case ReducerKind::kLatest:
    case ReducerKind::kFirst:
    case ReducerKind::kLast:
    case ReducerKind::kMedian:
    case ReducerKind::kQuantile:
    case ReducerKind::kStringAgg: return true;
    default: return false;
  }
}

// Numbers, rows and arrays stacked into one array; none if they do not fit together.
std::optional<NdArray> stack(const std::vector<Value>& values) {
  NdArray out;
  out.shape.push_back(static_cast<std::int64_t>(values.size()));
  std::vector<std::int64_t> ints;
  std::vector<double> floats;
  bool any_float = false;
  std::optional<std::vector<std::int64_t>> inner;
  auto same_inner = [&](std::vector<std::int64_t> shape) {
    if (!inner)
      inner = std::move(shape);
    else if (*inner != shape)
      return false;
    return true;
  };
  auto add_number = [&](const Value& v) {
    if (v.tag() == Value::Tag::kInt) {
      ints.push_back(v.as_int());
      floats.push_back(static_cast<double>(v.as_int()));
      return true;
    }
    if (v.tag() != Value::Tag::kFloat) return false;
    any_float = true;
    floats.push_back(v.as_float());
    return true;
  };
  for (const Value& value : values) {
    if (value.tag() == Value::Tag::kTuple || value.tag() == Value::Tag::kArray) {
      std::optional<NdArray> part =
          value.tag() == Value::Tag::kArray ? std::optional(value.as_array()) : stack(value.as_tuple());
      if (!part || !same_inner(part->shape)) return std::nullopt;
      if (const auto* data = std::get_if<std::vector<std::int64_t>>(&part->data)) {
        for (std::int64_t v : *data) add_number(Value::of(v));
      } else {
        for (double v : std::get<std::vector<double>>(part->data)) add_number(Value::of(v));
      }
    } else if (!same_inner({}) || !add_number(value)) {
      return std::nullopt;
    }
  }
  if (inner) out.shape.insert(out.shape.end(), inner->begin(), inner->end());
  if (any_float)
    out.data = std::move(floats);
  else
    out.data = std::move(ints);
  return out;
}

// The entries of all groups.
struct OrderedState {
  explicit OrderedState(const std::vector<Type>& types) : entries(types, false) {}
  RowStore entries;
  std::vector<std::int64_t> counts;  // by entry
  std::vector<SortedEntries> groups;
  OrderStage stage;  // entries that are not yet in their group
};

class Ordered : public Reducer {
 public:
  Ordered(const plan::Reducer& reducer, Shape shape, bool append_only)
      : reducer_(reducer),
        shape_(std::move(shape)),
        prefix_(shape_.types[0]),
        state_(std::make_shared<OrderedState>(shape_.types)),
        best_only_(append_only && !shape_.takes_all && reducer.kind != ReducerKind::kUnique) {}

  bool share(Reducer& earlier) override {
    auto* other = dynamic_cast<Ordered*>(&earlier);
    if (!other || !other->owns_ || best_only_ || other->best_only_ || shape_.parts != other->shape_.parts) return false;
    if (reducer_.args != other->reducer_.args || reducer_.skip_nones != other->reducer_.skip_nones ||
        reducer_.skip_errors != other->reducer_.skip_errors)
      return false;
    state_ = other->state_;
    owns_ = false;
    return true;
  }

  void reserve(std::size_t groups) override {
    if (owns_) state_->groups.resize(groups);
  }

  void update(const ReducerRows& rows) override {
    if (!owns_) return;
    std::vector<Column> owned;
    owned.reserve(shape_.parts.size());
    for (const Part& part : shape_.parts) owned.push_back(part_column(part, rows));
    std::vector<const Column*> columns;
    for (const Column& column : owned) columns.push_back(&column);
    if (!best_only_ && shape_.parts[0].from != Part::From::kCommit) return stage(rows, columns);
    for (std::size_t i = 0; i < rows.rows.size(); ++i) {
      SortedEntries& group = state_->groups[rows.groups[i]];
      if (best_only_)
        keep_best(group, columns, rows.rows[i]);
      else
        add(group, columns, rows.rows[i], rows.diffs[i]);
    }
  }

  void stage(const ReducerRows& rows, std::span<const Column* const> columns) {
    std::size_t n = rows.rows.size();
    bool all = n == rows.batch.num_rows;  // then the rows are 0, 1, …
    std::vector<std::uint32_t> ids;
    if (all)
      state_->entries.insert_all(columns, n, nullptr, ids);
    else
      for (std::uint32_t row : rows.rows) ids.push_back(state_->entries.insert(columns, row, nullptr));
    state_->counts.resize(std::max<std::size_t>(state_->counts.size(), state_->entries.end()));
    for (std::size_t i = 0; i < n; ++i) {
      state_->counts[ids[i]] = rows.diffs[i];
      state_->stage.add(rows.groups[i], prefix(*columns[0], rows.rows[i]), ids[i]);
    }
    // What waits takes memory: not more than a few rows of every group.
    constexpr std::size_t kStagedMin = 1U << 20;
    constexpr std::size_t kStagedPerGroup = 4;
    if (state_->stage.size() > std::max(kStagedMin, kStagedPerGroup * state_->groups.size())) settle();
  }

  void settle() override {
    if (!owns_ || state_->stage.empty()) return;
    state_->stage.settle([this](std::uint32_t group) -> SortedEntries& { return state_->groups[group]; },
                         StageOrder{*this});
  }

  Column results(std::span<const std::uint32_t> groups, const ReducerErrors& errors) override {
    if (shape_.takes_all) return collected(groups, errors);
    if (reducer_.kind == ReducerKind::kUnique) return unique_values(groups, errors);
    std::vector<std::uint32_t> ids;
    ids.reserve(groups.size());
    for (std::uint32_t group : groups) ids.push_back(extreme(state_->groups[group]));
    return state_->entries.gather(shape_.result, ids);
  }

  Column merged(std::span<const std::uint32_t> groups, std::span<const Stretch> stretches,
                const ReducerErrors&) override {
    DCHECK(!shape_.takes_all);
    std::vector<std::uint32_t> best =
        slide_best(groups, stretches, [&](std::uint32_t a, std::uint32_t b) { return beats(a, b); });
    for (std::uint32_t& at : best) at = extreme(state_->groups[at]);
    return state_->entries.gather(shape_.result, best);
  }

  void clear(std::uint32_t group) override {
    if (!owns_) return;
    state_->groups[group].for_each([&](std::uint32_t id) {
      state_->entries.erase(id);
      return true;
    });
    state_->groups[group].clear();
  }
  [[nodiscard]] std::size_t bytes() const override {
    if (!owns_) return 0;
    constexpr std::size_t kEntryBytes = 16;
    return state_->entries.bytes() + state_->groups.capacity() * sizeof(SortedEntries) +
           state_->counts.capacity() * sizeof(std::int64_t) + state_->entries.size() * kEntryBytes +
           state_->stage.bytes();
  }
  void maintain() override {
    if (owns_) state_->entries.compact_if_worthwhile();
  }

  // How many entries a group has; then the entries, group by group in order, with their counts.
  void save(GroupList groups, StateWriter& out) const override {
    if (!owns_) return;
    std::vector<std::uint32_t> ids;
    save_numbers<std::uint32_t>(groups, out, [&](std::uint32_t group) {
      std::size_t before = ids.size();
      state_->groups[group].for_each([&](std::uint32_t id) {
        ids.push_back(id);
        return true;
      });
      return static_cast<std::uint32_t>(ids.size() - before);
    });
    save_rows(state_->entries, ids, out, [&](Batch& batch, std::span<const std::uint32_t> part) {
      ColumnBuilder counts(Phys::kI64, part.size());
      for (std::uint32_t id : part) counts.push_int(state_->counts[id]);
      batch.columns.push_back(counts.finish());
    });
  }
  Result<void> load(StateReader& in, GroupList groups) override {
    if (!owns_) return {};
    std::vector<std::uint32_t> sizes(groups.size());
    std::vector<std::uint32_t> places(groups.size());
    std::iota(places.begin(), places.end(), 0U);
    TRY(load_numbers<std::uint32_t>(in, places, [&](std::uint32_t at, std::uint32_t size) { sizes[at] = size; }));
    Loading at{groups, sizes, {}, 0, 0};
    TRY(load_chunks(in, with_types(shape_.types, {Kind::kInt}), false,
                    [&](Batch batch) -> Result<void> { return load_entries(batch, at, in); }));
    finish_groups(at);
    if (at.place < groups.size()) return in.corrupt("a group lacks its entries");
    return {};
  }

 private:
  // Where load() is: in which group, and what of it has come.
  struct Loading {
    GroupList groups;
    std::span<const std::uint32_t> sizes;
    std::vector<SortedEntries::Entry> entries;
    std::size_t place = 0;
    std::uint32_t seen = 0;
  };
  void finish_groups(Loading& at) {
    for (; at.place < at.groups.size() && at.seen == at.sizes[at.place]; ++at.place) {
      if (at.groups[at.place] != kNotMine) state_->groups[at.groups[at.place]].assign(at.entries);
      at.entries.clear();
      at.seen = 0;
    }
  }
  Result<void> load_entries(const Batch& batch, Loading& at, StateReader& in) {
    Batch rows = without_last(batch, 1);
    std::vector<const Column*> columns = pointers_to(rows);
    for (std::uint32_t row = 0; row < rows.num_rows; ++row) {
      finish_groups(at);
      if (at.place == at.groups.size()) return in.corrupt("an entry of no group");
      ++at.seen;
      if (at.groups[at.place] == kNotMine) continue;
      std::uint32_t id = insert(columns, row, 0);
      state_->counts[id] = batch.columns.back().i64()[row];
      at.entries.push_back({prefix(*columns[0], row), id});
    }
    return {};
  }

  static Column part_column(const Part& part, const ReducerRows& rows) {
    switch (part.from) {
      case Part::From::kColumn: return rows.batch.columns[part.column];
      case Part::From::kKey: return rows.batch.keys.as_column(rows.batch.num_rows);
      case Part::From::kCommit:
        return Column::constant(Type(Kind::kInt), Value::of(static_cast<std::int64_t>(rows.commit)),
                                rows.batch.num_rows);
    }
    UNREACHABLE();
  }

  struct StageOrder {
    Ordered& self;
    [[nodiscard]] int compare(std::uint32_t a, std::uint32_t b) const { return self.order_of(a, b); }
    [[nodiscard]] bool decides(std::uint64_t prefix) const {
      return self.shape_.parts.size() == 1 && self.prefix_.decides(prefix);
    }
    void absorb(std::uint32_t to, std::uint32_t from) const { self.state_->counts[to] += self.state_->counts[from]; }
    [[nodiscard]] bool is_nothing(std::uint32_t id) const { return self.state_->counts[id] == 0; }
    void forget(std::uint32_t id) const { self.state_->entries.erase(id); }
    void leave(std::uint32_t id) const { self.state_->entries.erase(id); }
  };

  [[nodiscard]] int order_of(std::uint32_t a, std::uint32_t b) const {
    if (a == b) return 0;
    for (std::size_t p = 0; p < shape_.parts.size(); ++p)
      if (int c = state_->entries.compare(p, a, b)) return shape_.parts[p].descending ? -c : c;
    return 0;
  }

  [[nodiscard]] std::uint64_t prefix(const Column& first, std::uint32_t row) const {
    std::uint64_t prefix = prefix_.of(first, row);
    return shape_.parts[0].descending ? ~prefix : prefix;
  }

  [[nodiscard]] int compare(std::uint32_t id, std::span<const Column* const> columns, std::uint32_t row) const {
    for (std::size_t p = 0; p < shape_.parts.size(); ++p)
      if (int c = state_->entries.compare(p, id, *columns[p], row)) return shape_.parts[p].descending ? -c : c;
    return 0;
  }

  // `columns` must outlive what is returned.
  [[nodiscard]] auto sought(std::span<const Column* const> columns, std::uint32_t row) const {
    std::uint64_t at = prefix(*columns[0], row);
    bool exact = shape_.parts.size() == 1 && prefix_.decides(at);
    auto order = [this, columns, row](std::uint32_t id) { return compare(id, columns, row); };
    return Sought<decltype(order)>{at, exact, order};
  }

  std::uint32_t insert(std::span<const Column* const> columns, std::uint32_t row, Diff count) {
    std::uint32_t id = state_->entries.insert(columns, row, nullptr);
    if (id >= state_->counts.size()) state_->counts.resize(id + 1);
    state_->counts[id] = count;
    return id;
  }

  void add(SortedEntries& group, std::span<const Column* const> columns, std::uint32_t row, Diff diff) {
    auto place = sought(columns, row);
    if (diff < 0 && shape_.parts[0].from == Part::From::kCommit && group.find(place) == SortedEntries::kNoId) {
      std::uint32_t id = without_commit(group, columns, row);
      if (id != SortedEntries::kNoId) return change_old(group, id, diff);
    }
    auto [id, found] = group.find_or_insert(place, [&] { return insert(columns, row, diff); });
    if (!found || (state_->counts[id] += diff) != 0) return;
    group.erase(place);
    state_->entries.erase(id);
  }

  void change_old(SortedEntries& group, std::uint32_t id, Diff diff) {
    if ((state_->counts[id] += diff) != 0) return;
    std::array<std::uint32_t, 1> ids{id};
    Batch row = state_->entries.gather(ids);
    std::vector<const Column*> columns;
    for (const Column& column : row.columns) columns.push_back(&column);
    group.erase(sought(columns, 0));
    state_->entries.erase(id);
  }

  // A deletion does not know in which commit its row came.
  std::uint32_t without_commit(const SortedEntries& group, std::span<const Column* const> columns,
                               std::uint32_t row) const {
    std::uint32_t found = SortedEntries::kNoId;
    group.for_each([&](std::uint32_t id) {
      bool same = true;
      for (std::size_t p = 1; same && p < shape_.parts.size(); ++p)
        same = state_->entries.equals(p, id, *columns[p], row);
      if (same) found = id;
      return !same;
    });
    return found;
  }

  void keep_best(SortedEntries& group, std::span<const Column* const> columns, std::uint32_t row) {
    if (!group.empty()) {
      int c = compare(group.first(), columns, row);
      bool better = shape_.takes_last ? c < 0 : c > 0;
      if (!better) return;
      state_->entries.erase(group.first());
      group.clear();
    }
    group.find_or_insert(sought(columns, row), [&] { return insert(columns, row, 1); });
  }

  [[nodiscard]] std::uint32_t extreme(const SortedEntries& group) const {
    std::uint32_t id = shape_.takes_last ? group.last() : group.first();
    ENSURE(id != SortedEntries::kNoId);
    return id;
  }

  [[nodiscard]] bool beats(std::uint32_t group, std::uint32_t other) const {
    int order = order_of(extreme(state_->groups[group]), extreme(state_->groups[other]));
    return shape_.takes_last ? order >= 0 : order <= 0;
  }

  Column unique_values(std::span<const std::uint32_t> groups, const ReducerErrors& errors) {
    ColumnBuilder out(shape_.types[shape_.result], groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const SortedEntries& group = state_->groups[groups[i]];
      if (group.first() == group.last()) {
        state_->entries.append_cell(shape_.result, group.first(), out);
      } else {
        errors(i, "More than one distinct value passed to the unique reducer.");
        out.push_error();
      }
    }
    return out.finish();
  }

  Column collected(std::span<const std::uint32_t> groups, const ReducerErrors& errors) {
    ColumnBuilder out(reducer_.type, groups.size());
    for (std::size_t i = 0; i < groups.size(); ++i) {
      const SortedEntries& group = state_->groups[groups[i]];
      switch (reducer_.kind) {
        case ReducerKind::kMedian: quantile(group, 0.5, out); break;
        case ReducerKind::kQuantile: quantile(group, reducer_.parameter, out); break;
        case ReducerKind::kStringAgg: out.push_text(joined(group)); break;
        case ReducerKind::kNdArray: {
          std::optional<NdArray> array = stack(values(group));
          if (array) {
            out.push_text(encode(Value::array(std::move(*array))));
          } else {
            errors(i, "mixing types or shapes in ndarray is not allowed");
            out.push_error();
          }
          break;
        }
        default: out.push_text(encode(Value::tuple(values(group)))); break;
      }
    }
    return out.finish();
  }

  [[nodiscard]] std::vector<Value> values(const SortedEntries& group) const {
    std::vector<Value> out;
    group.for_each([&](std::uint32_t id) {
      Value value = state_->entries.value(shape_.result, id);
      for (std::int64_t n = 0; n < state_->counts[id]; ++n) out.push_back(value);
      return true;
    });
    return out;
  }

  [[nodiscard]] std::string joined(const SortedEntries& group) const {
    std::string out;
    bool first = true;
    for (const Value& value : values(group)) {
      if (value.is_none()) continue;
      if (!first) out += reducer_.separator;
      first = false;
      out += value.to_text();
    }
    return out;
  }

  // Linear interpolation between the two nearest ranks (the field's default definition).
  void quantile(const SortedEntries& group, double q, ColumnBuilder& out) const {
    std::int64_t total = 0;
    group.for_each([&](std::uint32_t id) {
      total += state_->counts[id];
      return true;
    });
    double position = q * static_cast<double>(total - 1);
    auto below = static_cast<std::int64_t>(std::floor(position));
    double fraction = position - static_cast<double>(below);
    std::optional<Value> low;
    std::optional<Value> high;
    std::int64_t seen = 0;
    group.for_each([&](std::uint32_t id) {
      seen += state_->counts[id];
      if (!low && seen > below) low = state_->entries.value(shape_.result, id);
      if (!high && seen > below + 1) high = state_->entries.value(shape_.result, id);
      return !(low && high);
    });
    if (!high) high = low;
    const Type& type = shape_.types[shape_.result];
    if (reducer_.type.phys() == Phys::kI64) {  // datetimes, durations
      auto a = static_cast<long double>(low->as_int());
      auto b = static_cast<long double>(high->as_int());
      out.push_int(static_cast<std::int64_t>(a + (b - a) * static_cast<long double>(fraction)));
      return;
    }
    auto number = [&](const Value& v) { return type.is(Kind::kInt) ? static_cast<double>(v.as_int()) : v.as_float(); };
    double a = number(*low);
    double b = number(*high);
    out.push_float(fraction == 0 ? a : a + (b - a) * fraction);
  }

  const plan::Reducer reducer_;
  const Shape shape_;
  const OrderPrefix prefix_;
  std::shared_ptr<OrderedState> state_;
  bool owns_ = true;  // else another reducer keeps it up to date
  const bool best_only_;
};

}  // namespace

std::unique_ptr<Reducer> make_ordered_reducer(const plan::Reducer& reducer, const Schema& input,
                                              const plan::Columns& sort_by, bool append_only) {
  if (!is_ordered_kind(reducer.kind)) return nullptr;
  return std::make_unique<Ordered>(reducer, shape_of(reducer, input, sort_by), append_only);
}

}  // namespace thalweg
