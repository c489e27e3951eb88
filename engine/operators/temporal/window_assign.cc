// engine/operators/temporal/window_assign.cc
//
// Tumbling and sliding windows: start = origin + k · hop; by ratio end = origin + (k + ratio) · hop, so that windows
// tile exactly, else end = start + duration. A row is in every window with start <= time < end. No state.
#include <cmath>

#include "engine/operators/registry.h"
#include "engine/base/int128.h"
#include "engine/operators/temporal/time_axis.h"

namespace thalweg::operators {

namespace {

// Rows and their windows, in columns.
struct Assigned {
  std::vector<std::uint32_t> rows;
  std::vector<std::uint32_t> parts;
  std::vector<std::int64_t> starts, ends;  // ints and datetimes
  std::vector<double> real_starts, real_ends;
};

using Wide = Int128;

class WholeWindows {
 public:
  explicit WholeWindows(const plan::WindowAssign& params)
      : hop_(params.hop.as_int()), origin_(params.origin.as_int()), from_origin_(params.from_origin) {
    if (params.duration.is_none())
      length_ = static_cast<std::int64_t>(std::llround(static_cast<long double>(params.ratio) * hop_));
    else
      length_ = params.duration.as_int();
  }
  // False if a bound is out of range.
  bool assign(std::uint32_t row, std::int64_t time, Assigned& out) const {
    Wide since = static_cast<Wide>(time) - origin_;
    Wide index = since / hop_;
    if (since % hop_ < 0) --index;
    Wide start = origin_ + index * hop_;
    for (std::uint32_t part = 0; start + length_ > time; ++part, start -= hop_) {
      if (from_origin_ && start < origin_) break;
      Wide end = start + length_;
      if (start < std::numeric_limits<std::int64_t>::min() || end > std::numeric_limits<std::int64_t>::max())
        return false;
      out.rows.push_back(row);
      out.parts.push_back(part);
      out.starts.push_back(static_cast<std::int64_t>(start));
      out.ends.push_back(static_cast<std::int64_t>(end));
    }
    return true;
  }

 private:
  std::int64_t hop_, origin_;
  std::int64_t length_ = 0;
  bool from_origin_;
};

class RealWindows {
 public:
  explicit RealWindows(const plan::WindowAssign& params)
      : hop_(params.hop.as_float()),
        origin_(params.origin.as_float()),
        ratio_(params.ratio),
        from_origin_(params.from_origin) {
    if (!params.duration.is_none()) duration_ = params.duration.as_float();
  }
  bool assign(std::uint32_t row, double time, Assigned& out) const {
    double index = std::floor((time - origin_) / hop_);
    if (!(std::fabs(index) < 9e15)) return false;  // also NaN and infinities
    while (start(index + 1) <= time) ++index;      // the division rounds
    while (start(index) > time) --index;
    for (std::uint32_t part = 0; end(index) > time; ++part, --index) {
      if (from_origin_ && index < 0) break;
      out.rows.push_back(row);
      out.parts.push_back(part);
      out.real_starts.push_back(start(index));
      out.real_ends.push_back(end(index));
    }
    return true;
  }

 private:
  [[nodiscard]] double start(double index) const { return origin_ + index * hop_; }
  [[nodiscard]] double end(double index) const {
    return duration_ ? start(index) + *duration_ : origin_ + (index + ratio_) * hop_;
  }
  double hop_, origin_, ratio_;
  std::optional<double> duration_;
  bool from_origin_;
};

bool one_window_each(const plan::WindowAssign& params) {
  if (params.duration.is_none()) return params.ratio == 1;
  if (params.duration.tag() == Value::Tag::kFloat) return params.duration.as_float() == params.hop.as_float();
  return params.duration.as_int() == params.hop.as_int();
}

class WindowAssign : public Operator {
 public:
  WindowAssign(plan::WindowAssign params, bool is_float, SourceSpan span)
      : params_(std::move(params)), is_float_(is_float), keeps_keys_(one_window_each(params_)), span_(span) {}

  void push(std::size_t, Batch batch, OperatorContext& context) override {
    Assigned assigned;
    if (is_float_)
      assign(RealWindows(params_), batch, batch.columns[params_.time].f64(), assigned, context);
    else
      assign(WholeWindows(params_), batch, batch.columns[params_.time].i64(), assigned, context);
    if (assigned.rows.empty()) return;
    bool every_row_once = keeps_keys_ && assigned.rows.size() == batch.num_rows;
    Batch out = every_row_once ? std::move(batch) : batch.gather(assigned.rows);
    if (!keeps_keys_) make_keys(out, assigned);
    if (is_float_) {
      out.columns.push_back(Column::from_vector<double>(Phys::kF64, std::move(assigned.real_starts)));
      out.columns.push_back(Column::from_vector<double>(Phys::kF64, std::move(assigned.real_ends)));
    } else {
      out.columns.push_back(Column::from_vector<std::int64_t>(Phys::kI64, std::move(assigned.starts)));
      out.columns.push_back(Column::from_vector<std::int64_t>(Phys::kI64, std::move(assigned.ends)));
    }
    context.emit(std::move(out));
  }

 private:
  template <class Windows, class Times>
  void assign(const Windows& windows, const Batch& batch, const Times& times, Assigned& out, OperatorContext& context) {
    const Column& column = batch.columns[params_.time];
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      if (!column.is_value(row))
        skip(batch, row, "Error value encountered in window time, skipping the row", context);
      else if (!windows.assign(row, times[row], out))
        skip(batch, row, "window bounds are out of range, skipping the row", context);
    }
  }
  void skip(const Batch& batch, std::size_t row, const char* why, OperatorContext& context) {
    if (batch.diff(row) < 0) return;
    std::optional<Key> key;
    if (batch.keys.written()) key = batch.keys[row];
    context.report(ErrorKind::kSkipped, why, span_, key);
  }
  static void make_keys(Batch& out, const Assigned& assigned) {
    if (out.keys.absent()) return;
    out.materialise_keys();
    std::vector<Key> keys(out.num_rows);
    for (std::size_t i = 0; i < keys.size(); ++i) keys[i] = key_of_part(out.keys[i], assigned.parts[i]);
    out.keys = KeyColumn(std::move(keys));
  }

  plan::WindowAssign params_;
  bool is_float_;
  bool keeps_keys_;
  SourceSpan span_;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::WindowAssign>(node.params);
  bool is_float = plan.node(node.inputs[0]).schema.columns[params.time].type.phys() == Phys::kF64;
  return std::make_unique<WindowAssign>(params, is_float, node.span);
}

}  // namespace

const OperatorDescriptor kWindowAssign{
    .name = "window_assign", .routes = route_any, .output_route = spread_unknown, .make = make, .stateless = true};

}  // namespace thalweg::operators
