// windowby: rows get windows, behaviors let them through, groups are reduced.
//
// Tumbling and sliding windows are columns that rows get; sessions are a pointer that stays while a session grows, its
// start and end are reducers over the time; intervals_over joins the rows to the locations within the bounds.
#include <algorithm>

#include "engine/plan/panes.h"
#include "pipeline_lang/tables/grouping.h"
#include "pipeline_lang/tables/temporal.h"

namespace thalweg::lang {

std::vector<ArgSpec> tiled_args(bool tumbling);
std::vector<ArgSpec> session_args();
void add_windows(Components& out);

namespace {

using plan::ExprPtr;

// Columns behind those of a table, each once.
class Further {
 public:
  explicit Further(const Table& table) : table_(table) {}
  std::uint32_t place(const ExprPtr& expr) {
    if (expr->kind == plan::ExprKind::kColumn) return expr->column;
    exprs_.push_back(expr);
    return static_cast<std::uint32_t>(table_.schema.size() + exprs_.size() - 1);
  }
  [[nodiscard]] Table apply(const Lowering& lower) const {
    if (exprs_.empty()) return table_;
    Table out = lower.extended(table_, exprs_);
    out.name = table_.name;
    return out;
  }

 private:
  const Table& table_;
  std::vector<ExprPtr> exprs_;
};

class WindowBy {
 public:
  WindowBy(const Lowering& lower, Table table, const Component& kind, const Call& window)
      : lower_(lower), table_(std::move(table)), kind_(kind.name), window_(window), clock_(table_), rows_(table_) {}

  ObjectPtr build() {
    time_ = lower_.argument("time", table_);
    if (!check_time(lower_, time_, "time")) return error_object();
    if (lower_.call().has("instance")) {
      auto instance = instance_column(lower_, table_);
      if (!instance) return error_object();
      instance_ = std::move(*instance);
      if (instance_->names.front() != "_pw_instance") instance_->names.emplace_back("_pw_instance");
    }
    Lengths lengths(lower_, time_->type);
    bool fine = read_window(lengths);
    behavior_ = take_behavior(lower_, lengths, fine);
    if (!fine || !lengths.fine()) return error_object();
    if (behavior_) {
      if (!lower_.outside_loop()) return error_object();
      if (behavior_->instance_clock && !instance_)
        return lower_.wrong(behavior_->span, "`clock: instance` needs an `instance` on `!windowby`");
      behavior_->delay = lengths.fit(behavior_->delay);
      behavior_->cutoff = lengths.fit(behavior_->cutoff);
      behavior_->shift = lengths.fit(behavior_->shift);
      if (behavior_->exactly_once && behavior_->shift.is_none()) behavior_->shift = zero(lengths.time());
    }
    if (lower_.call().has("late_rows") && cutoff().is_none())
      return lower_.wrong(lower_.call().span_of("late_rows"),
                          "`late_rows` needs a `cutoff`: without one no row is late",
                          "add `watermark: 5m` or a `behavior`");
    written_type_ = time_->type;
    time_ = plan::coerce(time_, lengths.time());
    if (kind_ == "temporal.session") return build_session(lengths);
    if (kind_ == "temporal.intervals_over") return build_intervals(lengths);
    return build_tiled(lengths);
  }

 private:
  static Value zero(const Type& time) {
    if (time.is_datetime()) return Value::duration(0);
    return time.is(Kind::kFloat) ? Value::of(0.0) : Value::of(std::int64_t{0});
  }
  static Value negated(const Value& length) {
    if (length.tag() == Value::Tag::kFloat) return Value::of(-length.as_float());
    return length.tag() == Value::Tag::kInt ? Value::of(-length.as_int()) : Value::duration(-length.as_int());
  }
  [[nodiscard]] Value cutoff() const {
    if (!behavior_) return Value::none();
    return behavior_->exactly_once ? behavior_->shift : behavior_->cutoff;
  }

  // ---------------------------------------------------------------- arguments of the window

  bool read_window(Lengths& lengths) {
    if (kind_ == "temporal.session") return session_window(lower_, window_, time_->type, lengths, session_);
    if (kind_ == "temporal.intervals_over") return read_intervals(lengths);
    // The behavior may make the time a float, so the window is read again once that is known.
    return tiled_window(lower_, window_, kind_ == "temporal.tumbling", lengths).has_value();
  }

  bool read_intervals(Lengths& lengths) {
    lower_bound_ = lengths.take(window_, "lower_bound");
    upper_bound_ = lengths.take(window_, "upper_bound");
    if (window_.has("is_outer")) {
      const auto outer = window_.boolean("is_outer");
      if (!outer) return false;
      is_outer_ = *outer;
    }
    if (!lengths.fine()) return false;
    const Value low = lengths.fit(lower_bound_), high = lengths.fit(upper_bound_);
    const bool crossed =
        low.tag() == Value::Tag::kFloat ? low.as_float() > high.as_float() : low.as_int() > high.as_int();
    if (crossed) {
      lower_.wrong(window_.span_of("lower_bound"), "`lower_bound` is above `upper_bound`");
      return false;
    }
    return read_locations();
  }

  // `at: $table.column`.
  bool read_locations() {
    const Located where = window_.at("at");
    const SourceSpan span = window_.span_of("at");
    const bool plain = where && where.node->is_scalar() && where.node->tag.empty();
    const std::string text = plain ? where.node->text : std::string();
    const std::size_t dot = text.find('.');
    if (!plain || !text.starts_with('$') || dot == std::string::npos) {
      lower_.wrong(span, "`at` is a column of a table: `$table.column`");
      return false;
    }
    const ObjectPtr object = lower_.builder().variable(text.substr(1, dot - 1), where.scope);
    const Table* table = object ? object->as_table() : nullptr;
    if (table == nullptr) {
      if (!object || !object->is_error()) lower_.wrong(span, "`" + text.substr(0, dot) + "` is no table");
      return false;
    }
    const auto column = lower_.column({text.substr(dot + 1), span}, *table);
    if (!column) return false;
    const Type& type = table->schema.columns[*column].type;
    if (type.optional() || !(type.is_number() || type.is_datetime()) || family_of(type) != family_of(time_->type)) {
      lower_.wrong(span, "`at` is `" + type.to_text() + "`, and the time is `" + time_->type.to_text() + "`",
                   "both are numbers, or datetimes of one kind");
      return false;
    }
    locations_ = *table;
    location_ = plan::column(*column, type);
    return true;
  }

  // ---------------------------------------------------------------- tumbling and sliding

  ObjectPtr build_tiled(Lengths& lengths) {
    auto assign = tiled_window(lower_, window_, kind_ == "temporal.tumbling", lengths);
    if (!assign) return error_object();
    Further further(table_);
    assign->time = further.place(time_);
    time_column_ = assign->time;
    const bool one_each = assign->duration.is_none() && assign->ratio == 1;
    // Copies of a row have keys of their own: the row's is kept for `id` and for the order of equal times.
    std::optional<std::uint32_t> id;
    if (!one_each) id = further.place(plan::key());
    place_instance(further);
    const Table prepared = further.apply(lower_);
    Schema schema = prepared.schema;
    const Type type = lengths.time();
    start_ = static_cast<std::uint32_t>(schema.size());
    end_ = start_ + 1;
    schema.columns.push_back({"_pw_window_start", type});
    schema.columns.push_back({"_pw_window_end", type});
    const ExprPtr key = id ? plan::column(*id, Kind::kPointer) : plan::key();
    ReductionOptions options = reduction_options();
    if (id) options.id = key;
    Reduction reduction(rows_scope(), window_columns(type), instance_, {plan::column(time_column_, type), key},
                        options);
    std::vector<NamedExpr> result;
    if (!take_result(reduction, result)) return error_object();
    if (auto shared = share_panes(prepared, *assign, reduction)) return lower_.result(lower_.project(*shared, result));
    rows_ = lower_.builder().add(std::move(*assign), {prepared}, std::move(schema), lower_.options(table_.append_only));
    if (behavior_ && !pass_gates(nullptr)) return error_object();
    return finish(add_grouping(lower_, rows_, reduction, {}, result));
  }

  // Windows that overlap as groups of shared panes; nothing where that would not be the same.
  [[nodiscard]] std::optional<Table> share_panes(const Table& prepared, const plan::WindowAssign& assign,
                                                 const Reduction& reduction) const {
    if (lower_.builder().in_loop() || lower_.call().has("late_rows")) return std::nullopt;
    plan::SlidingGroupBy group;
    group.windows = assign;
    group.windows.time = 0;
    std::vector<NamedExpr> columns{{"_time", {}, plan::column(time_column_, time_->type)}};
    constexpr std::uint32_t kBounds = 2;  // start and end lead the columns of the reduction; the time stands for them
    const auto& before = reduction.pre();
    for (std::size_t i = kBounds; i < before.size(); ++i) {
      std::vector<bool> used(start_ + kBounds, false);
      bool key = false;
      plan::collect_columns(*before[i], used, key);
      if (used[start_] || used[end_]) return std::nullopt;
      columns.push_back({"_" + std::to_string(i), {}, before[i]});
    }
    const auto moved = [](std::uint32_t& column) { column -= kBounds - 1; };
    group.instance = reduction.instance();
    if (group.instance) moved(*group.instance);
    group.sort_by = reduction.sort_by();
    std::ranges::for_each(group.sort_by, moved);
    group.reducers = reduction.reducers();
    for (plan::Reducer& reducer : group.reducers) {
      if (std::ranges::any_of(reducer.args, [](std::uint32_t column) { return column < kBounds; })) return std::nullopt;
      std::ranges::for_each(reducer.args, moved);
    }
    if (behavior_) {
      group.cutoff = cutoff();
      if (behavior_->exactly_once)
        group.emit_after = behavior_->shift;
      else
        group.delay = behavior_->delay;
      group.keep_results = behavior_->keep_results;
      group.instance_clock = behavior_->instance_clock;
    }
    const Table input = lower_.project(prepared, columns);
    if (!plan::merges_panes(group, input.schema)) return std::nullopt;
    return lower_.builder().add(std::move(group), {input}, reduction.post(), lower_.options(false));
  }

  void place_instance(Further& further) {
    if (!instance_) return;
    instance_column_ = further.place(instance_->expr);
    instance_->expr = plan::column(*instance_column_, instance_->expr->type);
  }

  [[nodiscard]] std::vector<GroupColumn> window_columns(const Type& type) const {
    return {{{"_pw_window_start", "window.start"}, plan::column(start_, type)},
            {{"_pw_window_end", "window.end"}, plan::column(end_, type)}};
  }
  [[nodiscard]] NameScope rows_scope() const {
    const Located body = lower_.call().at("reduce");
    return lower_.scope(table_, body ? body.scope : nullptr);
  }
  [[nodiscard]] ReductionOptions reduction_options() const {
    ReductionOptions options;
    options.append_only = table_.append_only && cutoff().is_none();
    options.in_iterate = lower_.builder().in_loop();
    return options;
  }

  // ---------------------------------------------------------------- behaviors

  // Freeze, buffer, forget, in this order; the clock is that of the pairs, or of another table.
  bool pass_gates(const Table* clock_table) {
    const Value late_after = cutoff();
    std::uint32_t clock = time_column_;
    if (!late_after.is_none()) {
      plan::TimeGate freeze = gate(plan::GateKind::kFreeze, end_, late_after, clock, clock_table);
      if (!export_late(freeze, clock_table)) return false;
      rows_ = add_gate(lower_, rows_, freeze, clock_table);
    }
    const bool waits = behavior_->exactly_once || !behavior_->delay.is_none();
    const std::uint32_t from = behavior_->exactly_once ? end_ : start_;
    const Value delay = behavior_->exactly_once ? behavior_->shift : behavior_->delay;
    if (waits)
      rows_ = add_gate(lower_, rows_, gate(plan::GateKind::kBuffer, from, delay, clock, clock_table), clock_table);
    if (late_after.is_none()) return true;
    if (waits && clock_table == nullptr) {  // a row that waited is as late as it was let go
      const Type type = rows_.schema.columns[time_column_].type;
      const ExprPtr time = plan::column(time_column_, type), due = shifted(plan::column(from, type), delay);
      clock = static_cast<std::uint32_t>(rows_.schema.size());
      rows_ = lower_.extended(rows_,
                              {plan::special(plan::ExprKind::kIf, {typed_call("ge", {time, due}), time, due}, type)});
    }
    plan::TimeGate forget = gate(plan::GateKind::kForget, end_, late_after, clock, clock_table);
    forget.mark = behavior_->keep_results;
    rows_ = add_gate(lower_, rows_, std::move(forget), clock_table);
    return true;
  }

  [[nodiscard]] plan::TimeGate gate(plan::GateKind kind, std::uint32_t time, const Value& threshold,
                                    std::uint32_t clock, const Table* clock_table) const {
    plan::TimeGate out;
    out.kind = kind;
    out.time = time;
    out.threshold = threshold;
    out.clock = clock_table != nullptr ? clock_column_ : clock;
    if (behavior_->instance_clock) {
      out.instance = instance_column_;
      if (clock_table != nullptr) out.clock_instance = clock_instance_;
    }
    return out;
  }

  // `late_rows: name`: what the freeze drops, as the columns of the table.
  bool export_late(plan::TimeGate freeze, const Table* clock_table) {
    const Call& call = lower_.call();
    if (!call.has("late_rows")) return true;
    const auto name = call.text("late_rows");
    if (!name) return false;
    freeze.late = true;
    Table late = add_gate(lower_, rows_, std::move(freeze), clock_table);
    late = lower_.shortened(late, table_.schema.size());
    for (std::size_t i = 0; i < table_.schema.size(); ++i) late.schema.columns[i].name = table_.schema.columns[i].name;
    lower_.builder().export_table({*name, call.span_of("late_rows")}, late);
    return true;
  }

  // ---------------------------------------------------------------- sessions

  ObjectPtr build_session(Lengths& lengths) {
    const Type type = lengths.time();
    if (session_.predicate && type != written_type_ && !session_predicate(lower_, window_, type, session_))
      return error_object();
    session_.max_gap = lengths.fit(session_.max_gap);
    Further further(table_);
    time_column_ = further.place(time_);
    place_instance(further);
    rows_ = further.apply(lower_);
    session_.time = time_column_;
    if (instance_column_) session_.instance.push_back(*instance_column_);
    if (behavior_ && !apply_session_behavior()) return error_object();
    Schema schema = rows_.schema;
    const auto session = static_cast<std::uint32_t>(schema.size());
    schema.columns.push_back({"_session", Kind::kPointer});
    rows_ = lower_.builder().add(session_, {rows_}, std::move(schema), lower_.options(false, rows_.universe));
    // Start and end stand in for the grouping columns until the groups are made: both are the time, reduced.
    const ExprPtr time = plan::column(time_column_, type);
    Reduction reduction(rows_scope(),
                        {{{"_pw_window_start", "window.start"}, time}, {{"_pw_window_end", "window.end"}, time}},
                        instance_, {time, plan::key()}, reduction_options());
    return reduce(reduction, session);
  }

  bool apply_session_behavior() {
    const Value late_after = cutoff();
    if (!late_after.is_none()) {
      plan::TimeGate freeze = gate(plan::GateKind::kFreeze, time_column_, late_after, time_column_, nullptr);
      if (!export_late(freeze, nullptr)) return false;
      rows_ = add_gate(lower_, rows_, freeze);
    }
    if (behavior_->exactly_once)
      session_.emit_after = behavior_->shift;
    else
      session_.delay = behavior_->delay;
    session_.cutoff = late_after;
    session_.mark = behavior_->keep_results;
    session_.instance_clock = behavior_->instance_clock;
    return true;
  }

  // ---------------------------------------------------------------- intervals_over

  ObjectPtr build_intervals(Lengths& lengths) {
    const Type type = lengths.time();
    const ExprPtr at = plan::coerce(location_, type);
    const Table windows = lower_.project(locations_, {{"at", {}, at},
                                                      {"start", {}, shifted(at, lengths.fit(lower_bound_))},
                                                      {"end", {}, shifted(at, lengths.fit(upper_bound_))}});
    Further further(table_);
    const std::uint32_t time = further.place(time_);
    place_instance(further);
    clock_ = further.apply(lower_);
    clock_column_ = time;
    clock_instance_ = instance_column_;
    plan::IntervalJoin join;
    join.how = is_outer_ ? plan::JoinHow::kLeft : plan::JoinHow::kInner;
    join.left_lower = 1;
    join.left_upper = 2;
    join.right_lower = join.right_upper = time;
    // A row is of no use when the last window that it can be in is closed, unless someone wants to see what is late.
    if (!cutoff().is_none() && !behavior_->instance_clock && !lower_.call().has("late_rows")) {
      join.cutoff = cutoff();
      join.right_cutoff =
          sum_of_lengths(sum_of_lengths(lengths.fit(upper_bound_), negated(lengths.fit(lower_bound_))), cutoff());
    }
    Schema schema;
    for (std::uint32_t i = 0; i < clock_.schema.size(); ++i) {  // rows first: their columns keep their places
      join.emit.push_back(3 + i);
      const ColumnSpec& column = clock_.schema.columns[i];
      schema.columns.push_back({column.name, is_outer_ ? column.type.as_optional() : column.type});
    }
    const auto first = static_cast<std::uint32_t>(schema.size());
    for (std::uint32_t i = 0; i < 3; ++i) join.emit.push_back(i);
    schema.columns.push_back({"_pw_window_location", type});
    schema.columns.push_back({"_pw_window_start", type});
    schema.columns.push_back({"_pw_window_end", type});
    join.emit.push_back(3 + first + 1);  // the row's key, behind that of the location
    schema.columns.push_back({"_id", Type(Kind::kPointer, is_outer_)});
    rows_ = lower_.builder().add(std::move(join), {windows, clock_}, std::move(schema),
                                 lower_.options(!is_outer_ && table_.append_only && locations_.append_only));
    start_ = first + 1;
    end_ = first + 2;
    time_column_ = time;
    if (behavior_ && !pass_gates(&clock_)) return error_object();
    const Type time_type = is_outer_ ? type.as_optional() : type;
    const ExprPtr id = plan::column(first + 3, Type(Kind::kPointer, is_outer_));
    ReductionOptions options = reduction_options();
    options.append_only = rows_.append_only;
    options.id = id;
    if (instance_ && is_outer_) instance_->expr = plan::column(*instance_column_, instance_->expr->type.as_optional());
    Table named = table_;  // what the names of its columns mean now
    if (is_outer_)
      for (auto& column : named.schema.columns) column.type = column.type.as_optional();
    const Located body = lower_.call().at("reduce");
    auto columns = window_columns(type);
    columns.insert(columns.begin(), {{"_pw_window_location", "window.location"}, plan::column(first, type)});
    Reduction reduction(lower_.scope(named, body ? body.scope : nullptr), std::move(columns), instance_,
                        {plan::column(time, time_type), id}, options);
    return reduce(reduction, {});
  }

  // ---------------------------------------------------------------- groups

  [[nodiscard]] bool take_result(Reduction& reduction, std::vector<NamedExpr>& result) const {
    bind_window(reduction);
    const bool fine = take_reductions(lower_, "reduce", reduction, result);
    if (!take_reductions(lower_, "reducers", reduction, result) || !fine) return false;
    if (lower_.call().has("reduce") || lower_.call().has("reducers")) return true;
    lower_.wrong(lower_.call().span(), "`!windowby` needs `reduce`",
                 "for example `reduce: {start: window.start, n: count()}`");
    return false;
  }

  // `session`: the column of the session; then start and end are made by reducers.
  ObjectPtr reduce(Reduction& reduction, std::optional<std::uint32_t> session) {
    std::vector<NamedExpr> result;
    if (!take_result(reduction, result)) return error_object();
    return finish(session ? group_sessions(reduction, *session, result)
                          : add_grouping(lower_, rows_, reduction, {}, result));
  }

  ObjectPtr finish(Table out) const {
    if (!cutoff().is_none() && behavior_->keep_results)
      out = lower_.builder().add(plan::FilterForgetting{}, {out}, out.schema, lower_.options(false));
    return lower_.result(std::move(out));
  }

  // `_pw_window` is (instance, start, end); `_pw_instance` None without an instance.
  void bind_window(Reduction& reduction) const {
    const auto num_by = static_cast<std::uint32_t>(reduction.by().size());
    const Schema post = reduction.post();
    const auto column = [&](std::uint32_t index) { return plan::column(index, post.columns[index].type); };
    const ExprPtr none = plan::literal(Value::none(), Type());
    const ExprPtr instance = instance_ ? column(num_by) : none;
    reduction.bind("_pw_window", typed_call("make_tuple", {instance, column(num_by - 2), column(num_by - 1)}));
    reduction.bind("window.instance", instance);
    if (!instance_) reduction.bind("_pw_instance", none);
  }

  Table group_sessions(const Reduction& reduction, std::uint32_t session, const std::vector<NamedExpr>& result) const {
    std::vector<NamedExpr> before;
    for (std::size_t i = 0; i < reduction.pre().size(); ++i)
      before.push_back({"_" + std::to_string(i), {}, reduction.pre()[i]});
    const auto session_at = static_cast<std::uint32_t>(before.size());
    before.push_back({"_session", {}, plan::column(session, Kind::kPointer)});
    const Table prepared = lower_.project(rows_, before);
    const Schema post = reduction.post();
    plan::GroupBy group;
    group.by = {session_at};
    group.instance = reduction.instance();
    group.sort_by = reduction.sort_by();
    group.reducers = reduction.reducers();
    for (const auto kind : {plan::ReducerKind::kMin, plan::ReducerKind::kMax}) {
      plan::Reducer bound;
      bound.kind = kind;
      bound.args = {kind == plan::ReducerKind::kMin ? 0U : 1U};
      bound.type = post.columns[0].type;
      bound.text = kind == plan::ReducerKind::kMin ? "window.start" : "window.end";
      group.reducers.push_back(std::move(bound));
    }
    Schema grouped_schema;
    grouped_schema.columns.push_back({"_session", Kind::kPointer});
    for (std::size_t i = 2; i < post.size(); ++i) grouped_schema.columns.push_back(post.columns[i]);
    const auto start = static_cast<std::uint32_t>(grouped_schema.size());
    grouped_schema.columns.push_back({"_start", post.columns[0].type});
    grouped_schema.columns.push_back({"_end", post.columns[1].type});
    const Table grouped =
        lower_.builder().add(std::move(group), {prepared}, std::move(grouped_schema), lower_.options(false));
    // Back to the columns that the expressions of the result are over.
    std::vector<NamedExpr> arranged;
    for (std::uint32_t i = 0; i < post.size(); ++i) {
      const std::uint32_t from = i < 2 ? start + i : i - 1;
      arranged.push_back({post.columns[i].name, {}, plan::column(from, post.columns[i].type)});
    }
    Table windows = lower_.project(grouped, arranged);
    std::vector<ExprPtr> key_of{plan::column(0, post.columns[0].type), plan::column(1, post.columns[1].type)};
    if (instance_) key_of.push_back(plan::column(2, post.columns[2].type));
    plan::Rekey rekey{typed_call(instance_ ? "pointer_from.instance" : "pointer_from", std::move(key_of))};
    windows = lower_.builder().add(std::move(rekey), {windows}, windows.schema, lower_.options(false));
    return lower_.project(windows, result);
  }

  const Lowering& lower_;
  Table table_;
  std::string kind_;
  const Call& window_;

  ExprPtr time_;
  Type written_type_;  // before lengths made it a float
  std::optional<GroupColumn> instance_;
  std::optional<Behavior> behavior_;
  plan::SessionAssign session_;
  Value lower_bound_, upper_bound_;
  bool is_outer_ = true;
  Table locations_;
  ExprPtr location_;

  Table clock_;  // intervals_over: the rows before they are joined
  std::uint32_t clock_column_ = 0;
  std::optional<std::uint32_t> clock_instance_;
  Table rows_;  // rows with their windows; the columns of the table come first
  std::uint32_t time_column_ = 0, start_ = 0, end_ = 0;
  std::optional<std::uint32_t> instance_column_;
};

ObjectPtr build_windowby(Builder& builder, const Call& call) {
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  const Instance* window = window_argument(lower);
  if (!table || window == nullptr) return error_object();
  return WindowBy(lower, *table, *window->component, *window->call).build();
}

// `!window.tumbling {table, timestamp, window_length, reduce, watermark}`: one tag for both. Without a table it is the
// window alone.
template <int kKind>
ObjectPtr build_one_tag(Builder& builder, const Call& call) {
  constexpr std::string_view kNames[] = {"temporal.tumbling", "temporal.sliding", "temporal.session"};
  if (!call.has("table")) {
    std::vector<std::pair<std::string, Located>> args;
    for (const char* name : {"duration", "hop", "session_gap", "ratio", "origin", "max_gap", "predicate"})
      if (call.has(name)) args.emplace_back(name, call.at(name));
    return builder.construct(kNames[kKind], call, std::move(args));
  }
  const Lowering lower(builder, call);
  const auto table = call.table("table");
  if (!table) return error_object();
  Component kind;
  kind.name = kNames[kKind];
  return WindowBy(lower, *table, kind, call).build();
}

std::vector<ArgSpec> windowby_args() {
  return {table_arg(),
          arg("time", ArgKind::kExpr, true, "when a row happened", {"timestamp", "time_column", "time_expr"}),
          arg("behavior", ArgKind::kComponent, false, "when results come and how late rows may be"),
          arg("watermark", ArgKind::kDurationOrNumber, false, "short for a behavior with this cutoff"),
          arg("instance", ArgKind::kExpr, false, "windows are made in each instance by itself"),
          arg("reduce", ArgKind::kExprMap, false,
              "name: expression over reducers, `window.start`, `window.end` and the instance"),
          arg("reducers", ArgKind::kReducers, false, "a list of `!reducers.X {column, as}`"),
          arg("late_rows", ArgKind::kText, false, "exports under this name the rows that came too late")};
}

}  // namespace

void add_window_components(Components& out) {
  add_windows(out);
  std::vector<ArgSpec> args = windowby_args();
  args.insert(args.begin() + 2, arg("window", ArgKind::kComponent, false,
                                    "`!temporal.tumbling`, `sliding`, `session` or `intervals_over`"));
  out.push_back(table_component("windowby", std::move(args), "One row per window: exactly the columns of `reduce`.",
                                "!windowby {table: $t, time: at, window: !temporal.tumbling {duration: 5m}, reduce: "
                                "{start: window.start, n: count()}}",
                                build_windowby, {"temporal.windowby"}));
  const auto one_tag = [&](const std::string& kind, const std::vector<ArgSpec>& window, BuildTable build) {
    std::vector<ArgSpec> all = windowby_args();
    for (ArgSpec& spec : all) spec.required = false;
    all.insert(all.end(), window.begin(), window.end());
    out.push_back(table_component(kind + "_window", std::move(all),
                                  "`!windowby` with a " + kind + " window, in one tag.",
                                  "!" + kind + "_window {table: $t, time: at, " +
                                      (kind == "session"   ? "max_gap: 5m"
                                       : kind == "sliding" ? "hop: 1m, duration: 5m"
                                                           : "duration: 5m") +
                                      ", reduce: {n: count()}}",
                                  build, {"temporal." + kind + "_window", "window." + kind, "windows." + kind}));
  };
  one_tag("tumbling", tiled_args(true), build_one_tag<0>);
  one_tag("sliding", tiled_args(false), build_one_tag<1>);
  one_tag("session", session_args(), build_one_tag<2>);
}

}  // namespace thalweg::lang
