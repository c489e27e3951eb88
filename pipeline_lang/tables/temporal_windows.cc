// Windows, behaviors, and what both windowby and window_join make of a window's arguments.
#include <algorithm>
#include <cmath>

#include "engine/types/datetime.h"
#include "pipeline_lang/tables/temporal.h"

namespace thalweg::lang {

namespace {

constexpr std::int64_t kDefaultOrigin = 94'694'400'000'000'000;  // 1973-01-01T00:00, a Monday
constexpr double kMaxWindowsPerRow = 100'000;

double as_number(const Value& value) {
  return value.tag() == Value::Tag::kFloat ? value.as_float() : static_cast<double>(value.as_int());
}

// `origin`; false after an error.
bool take_origin(const Lowering& lower, const Call& window, const Type& time, plan::WindowAssign& out) {
  out.from_origin = window.has("origin");
  if (!time.is_datetime()) {
    double origin = 0;
    if (out.from_origin) {
      const auto given = window.number("origin");
      if (!given) return false;
      origin = *given;
    }
    const bool whole = time.is(Kind::kInt);
    if (whole && origin != std::floor(origin)) {
      lower.wrong(window.span_of("origin"), "`origin` is a whole number where the time is `int`");
      return false;
    }
    out.origin = whole ? Value::of(static_cast<std::int64_t>(origin)) : Value::of(origin);
    return true;
  }
  const bool utc = time.is(Kind::kDateTimeUtc);
  std::int64_t ns = kDefaultOrigin;
  if (out.from_origin) {
    const auto text = window.text("origin");
    if (!text) return false;
    const auto parsed = utc ? parse_datetime_utc(*text) : parse_datetime_naive(*text);
    if (!parsed) {
      lower.wrong(window.span_of("origin"), "`origin` is a `" + time.to_text() + "` such as `" +
                                                (utc ? "2024-01-01T00:00:00Z" : "2024-01-01T00:00:00") + "`, not `" +
                                                *text + "`");
      return false;
    }
    ns = *parsed;
  }
  out.origin = utc ? Value::datetime_utc(ns) : Value::datetime_naive(ns);
  return true;
}

bool take_ratio(const Lowering& lower, const Call& window, plan::WindowAssign& out) {
  const auto ratio = window.number("ratio");
  if (!ratio) return false;
  out.ratio = *ratio;
  const bool whole_time = out.hop.tag() != Value::Tag::kFloat;
  if (!(*ratio > 0) || !(*ratio <= kMaxWindowsPerRow)) {
    lower.wrong(window.span_of("ratio"), "`ratio`, the length of a window in hops, is above 0 and at most 100000");
    return false;
  }
  const double length = *ratio * as_number(out.hop);
  if (whole_time && length != std::floor(length) && out.hop.tag() == Value::Tag::kInt) {
    lower.wrong(window.span_of("ratio"), "`ratio` times `hop` is a whole number where the time is `int`");
    return false;
  }
  return true;
}

}  // namespace

const Instance* window_argument(const Lowering& lower) {
  const Call& call = lower.call();
  if (!call.has("window")) {
    lower.wrong(call.span(), "`!" + call.component().name + "` needs a `window`",
                "for example `window: !temporal.tumbling {duration: 5m}`; to group by a rounded time write `!groupby "
                "{by: [{time_bucket: "
                "timestamp.dt.floor(\"1h\")}], …}`");
    return nullptr;
  }
  const Instance* window = call.instance("window");
  if (window == nullptr) return nullptr;
  if (window->component->kind == ComponentKind::kWindow) return window;
  lower.wrong(call.span_of("window"), "`window` takes a window, `!" + window->component->name + "` is none",
              "windows are `!temporal.tumbling`, `!temporal.sliding`, `!temporal.session`, `!temporal.intervals_over`");
  return nullptr;
}

std::optional<plan::WindowAssign> tiled_window(const Lowering& lower, const Call& window, bool tumbling,
                                               Lengths& lengths) {
  plan::WindowAssign out;
  if (window.has("session_gap"))
    return lower.wrong(window.span_of("session_gap"), "a tumbling window has no `session_gap`",
                       "sessions are `!temporal.session {max_gap: …}`"),
           std::nullopt;
  if (tumbling && window.has("hop")) tumbling = false;  // a tumbling window with a hop is a sliding one
  Value duration = lengths.take_positive(window, "duration");
  if (tumbling) {
    if (!window.has("duration"))
      return lower.wrong(window.span(), "`!temporal.tumbling` needs a `duration`"), std::nullopt;
    if (!lengths.fine()) return std::nullopt;
    out.hop = lengths.fit(duration);
  } else {
    out.hop = lengths.take_positive(window, "hop");
    if (!lengths.fine()) return std::nullopt;
    if (!window.has("hop")) return lower.wrong(window.span(), "`!temporal.sliding` needs a `hop`"), std::nullopt;
    if (window.has("duration") == window.has("ratio"))
      return lower.wrong(window.span(), "`!temporal.sliding` takes exactly one of `duration` and `ratio`"),
             std::nullopt;
    out.hop = lengths.fit(out.hop);
    if (window.has("ratio")) {
      if (!take_ratio(lower, window, out)) return std::nullopt;
    } else {
      out.duration = lengths.fit(duration);
      if (as_number(out.duration) / as_number(out.hop) > kMaxWindowsPerRow)
        return lower.wrong(window.span_of("hop"), "`hop` is so small that a row would be in more than 100000 windows"),
               std::nullopt;
    }
  }
  if (!take_origin(lower, window, lengths.time(), out)) return std::nullopt;
  return out;
}

bool session_window(const Lowering& lower, const Call& window, const Type& time, Lengths& lengths,
                    plan::SessionAssign& out) {
  if (window.has("predicate") == window.has("max_gap")) {
    lower.wrong(window.span(), "`!temporal.session` takes exactly one of `max_gap` and `predicate`",
                "for example `max_gap: 30m`, or `predicate: \"b - a < 30\"` over the times of two neighbours");
    return false;
  }
  if (window.has("max_gap")) {
    out.max_gap = lengths.take_positive(window, "max_gap");
    return lengths.fine();
  }
  return session_predicate(lower, window, time, out);
}

bool session_predicate(const Lowering& lower, const Call& window, const Type& time, plan::SessionAssign& out) {
  const Located where = window.at("predicate");
  NameScope names;
  names.bind("a", plan::column(0, time));
  names.bind("b", plan::column(1, time));
  names.set_variables(variables_of(lower.builder(), where.scope));
  out.predicate = lower.condition(where, names, "predicate");
  return out.predicate != nullptr;
}

namespace {

Component window_component(std::string name, std::vector<std::string> aliases, std::vector<ArgSpec> args,
                           std::string doc, std::string example) {
  Component out;
  out.name = std::move(name);
  out.aliases = std::move(aliases);
  out.kind = ComponentKind::kWindow;
  out.args = std::move(args);
  out.doc = std::move(doc);
  out.example = std::move(example);
  return out;
}

}  // namespace

std::vector<ArgSpec> tiled_args(bool tumbling) {
  std::vector<ArgSpec> out;
  if (tumbling) {
    out.push_back(
        arg("duration", ArgKind::kDurationOrNumber, false, "length of a window", {"window_length", "length"}));
    out.push_back(arg("hop", ArgKind::kDurationOrNumber, false, "makes it a sliding window", {"slide"}));
    out.push_back(arg("session_gap", ArgKind::kAny, false, "an error: sessions are `!temporal.session`"));
  } else {
    out.push_back(
        arg("hop", ArgKind::kDurationOrNumber, false, "from the start of a window to that of the next", {"slide"}));
    out.push_back(
        arg("duration", ArgKind::kDurationOrNumber, false, "length of a window", {"window_length", "length"}));
  }
  out.push_back(arg("ratio", ArgKind::kNumber, false, "length of a window in hops, in place of `duration`"));
  out.push_back(
      arg("origin", ArgKind::kAny, false, "a window starts here, and none before; default 0, or 1973-01-01T00:00"));
  return out;
}

std::vector<ArgSpec> session_args() {
  return {arg("max_gap", ArgKind::kDurationOrNumber, false,
              "neighbours belong together if less than this lies between them", {"gap"}),
          arg("predicate", ArgKind::kExpr, false,
              "over the times `a` and `b` of two neighbours: do they belong together?")};
}

void add_windows(Components& out) {
  out.push_back(window_component("temporal.tumbling", {}, tiled_args(true), "Windows one after another.",
                                 "!temporal.tumbling {duration: 5m}"));
  out.push_back(window_component("temporal.sliding", {}, tiled_args(false),
                                 "Windows that overlap: one begins every `hop`.",
                                 "!temporal.sliding {hop: 1m, duration: 5m}"));
  out.push_back(window_component("temporal.session", {}, session_args(), "Rows that follow each other closely.",
                                 "!temporal.session {max_gap: 30m}"));
  out.push_back(
      window_component("temporal.intervals_over", {},
                       {arg("at", ArgKind::kAny, true, "`$table.column`: one window around each of its values"),
                        arg("lower_bound", ArgKind::kDurationOrNumber, true,
                            "from where the window begins, relative to the value", {"lower"}),
                        arg("upper_bound", ArgKind::kDurationOrNumber, true, "to where it ends, included", {"upper"}),
                        arg("is_outer", ArgKind::kBool, false,
                            "whether a window without rows counts, as one row of Nones; default true")},
                       "A window around each value of a column.",
                       "!temporal.intervals_over {at: $probes.time, lower_bound: -2m, upper_bound: 1m}"));
  const auto behavior = [&](std::string name, std::vector<ArgSpec> args, std::string doc, std::string example) {
    Component row = window_component(std::move(name), {}, std::move(args), std::move(doc), std::move(example));
    row.kind = ComponentKind::kBehavior;
    ArgSpec clock = arg("clock", ArgKind::kEnum, false, "one clock for all rows, or one per instance");
    clock.choices = {"global", "instance"};
    clock.fallback = "global";
    row.args.push_back(std::move(clock));
    out.push_back(std::move(row));
  };
  behavior(
      "temporal.common_behavior",
      {arg("delay", ArgKind::kDurationOrNumber, false, "results wait until the clock is this far behind the start"),
       arg("cutoff", ArgKind::kDurationOrNumber, false,
           "rows are too late, and state is dropped, this long after the end"),
       arg("keep_results", ArgKind::kBool, false, "whether results stay when their state is dropped; default true")},
      "When results come and how late rows may be.", "!temporal.common_behavior {delay: 1m, cutoff: 10m}");
  behavior("temporal.exactly_once_behavior",
           {arg("shift", ArgKind::kDurationOrNumber, false, "how long after its end a window is emitted; default 0")},
           "Every window is emitted once, when it is over.", "!temporal.exactly_once_behavior {shift: 1m}");
}

}  // namespace thalweg::lang
