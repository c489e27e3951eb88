// pipeline_lang/tables/temporal.h
//
// What operators over event time share: times, lengths of time, behaviors, gates.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline_lang/tables/lowering.h"

namespace thalweg::lang {

// A call of the function table over typed expressions. Requires: it types.
[[nodiscard]] plan::ExprPtr typed_call(std::string_view function, std::vector<plan::ExprPtr> args);

// The family that a time belongs to, and with it every length that is used with it.
enum class TimeFamily : std::uint8_t { kNumber, kNaive, kUtc };
[[nodiscard]] TimeFamily family_of(const Type& time);
// Whether `time` may be one: int, float or datetime, never None. Reports if not; `name` is the argument.
[[nodiscard]] bool check_time(const Lowering& lower, const plan::ExprPtr& time, std::string_view name);

// Lengths (durations or numbers) collected from the arguments of one tag, for one time.
class Lengths {
 public:
  // `call` is the tag that the arguments belong to: a window, a behavior, a join.
  Lengths(const Lowering& lower, Type time) : lower_(lower), time_(std::move(time)) {}
  // Argument `name` of `call`; None where it is absent. Errors name it.
  Value take(const Call& call, std::string_view name);
  // The same, and above zero.
  Value take_positive(const Call& call, std::string_view name);
  [[nodiscard]] bool fine() const { return fine_; }
  // The time with what the lengths ask for: an int time becomes float if any of them is.
  [[nodiscard]] Type time() const;
  // A length as the gates and joins want it: of the kind of time().
  [[nodiscard]] Value fit(const Value& length) const;

 private:
  const Lowering& lower_;
  Type time_;
  bool any_float_ = false;
  bool fine_ = true;
};
// Type of a length for this time.
[[nodiscard]] Type length_type(const Type& time);
// time + length; None and zero lengths are the time itself.
[[nodiscard]] plan::ExprPtr shifted(const plan::ExprPtr& time, const Value& length);
[[nodiscard]] Value sum_of_lengths(const Value& a, const Value& b);

struct Behavior {
  Value delay;  // None: none
  Value cutoff;
  bool keep_results = true;
  bool exactly_once = false;
  Value shift;  // of exactly once; zero if not given
  bool instance_clock = false;
  SourceSpan span;
};
// Argument `behavior`, or `watermark`; nothing where neither is given. `fine` becomes false after an error.
[[nodiscard]] std::optional<Behavior> take_behavior(const Lowering& lower, Lengths& lengths, bool& fine);

// A gate over `table`; columns are its own.
[[nodiscard]] Table add_gate(const Lowering& lower, const Table& table, plan::TimeGate gate,
                             const Table* clock = nullptr);

void add_window_components(Components& out);  // windows, behaviors, windowby
void add_temporal_join_components(Components& out);
void add_clock_components(Components& out);

// `window:` as an instance of a window; null after an error, which is reported.
[[nodiscard]] const Instance* window_argument(const Lowering& lower);

// Tumbling and sliding windows, but for the time column; nothing after an error.
[[nodiscard]] std::optional<plan::WindowAssign> tiled_window(const Lowering& lower, const Call& window, bool tumbling,
                                                             Lengths& lengths);
// max_gap or predicate of a session; false after an error.
[[nodiscard]] bool session_window(const Lowering& lower, const Call& window, const Type& time, Lengths& lengths,
                                  plan::SessionAssign& out);
[[nodiscard]] bool session_predicate(const Lowering& lower, const Call& window, const Type& time,
                                     plan::SessionAssign& out);

}  // namespace thalweg::lang
