// engine/operators/flatten.cc
//
// One row per element of a list, tuple, array (first axis), text (characters) or json array. New keys are those of
// parts of the row. A cell that has no elements by its nature (a json object, None) yields nothing and is logged.
#include "engine/expr/json_access.h"
#include "engine/operators/registry.h"
#include "engine/types/encoding.h"

namespace thalweg::operators {

namespace {

class Flatten : public Operator {
 public:
  Flatten(const plan::Node& node, const plan::Flatten& params, const Schema& input)
      : params_(params),
        type_(input.columns[params.column].type),
        element_(node.schema.columns[params.column].type),
        span_(node.span) {}

  void push(std::size_t, Batch batch, OperatorContext& context) override {
    batch.materialise_keys();
    ColumnBuilder elements(element_);
    std::vector<std::uint32_t> rows;
    std::vector<Key> keys;
    const Column& column = batch.columns[params_.column];
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      std::size_t before = elements.size();
      if (!append_elements(column, row, elements)) report(batch, row, context);
      for (std::size_t i = before; i < elements.size(); ++i) {
        rows.push_back(row);
        keys.push_back(key_of_part(batch.keys[row], i - before));
      }
    }
    if (rows.empty()) return;
    KeyColumn origins = batch.keys.gather(rows);
    Batch out = batch.gather(rows);
    out.columns[params_.column] = elements.finish();
    if (params_.origin_id) out.columns.push_back(origins.as_column(rows.size()));
    out.keys = KeyColumn(std::move(keys));
    context.emit(std::move(out));
  }

 private:
  void report(const Batch& batch, std::uint32_t row, OperatorContext& context) const {
    if (batch.diff(row) < 0) return;
    std::string what = batch.columns[params_.column].value(type_, row).to_text();
    constexpr std::size_t kShown = 100;
    if (what.size() > kShown) what = what.substr(0, kShown) + "…";
    context.report(ErrorKind::kValue, "cannot flatten the value " + what, span_, batch.keys[row]);
  }

  bool append_elements(const Column& column, std::uint32_t row, ColumnBuilder& out) const {
    if (!column.is_value(row)) return column.tag(row) == CellTag::kError;  // where the ERROR arose it was logged
    std::string_view cell = column.views()[row].view();
    switch (type_.kind()) {
      case Kind::kStr: append_characters(cell, out); return true;
      case Kind::kJson:
        if (expr::json_kind(cell) != expr::JsonKind::kArray) return false;
        expr::json_each(cell, [&](std::string_view element) {
          out.push_text(element);
          return true;
        });
        return true;
      default: break;
    }
    Value value = decode_all(cell);
    if (value.tag() == Value::Tag::kTuple) {
      for (const Value& element : value.as_tuple()) out.push_value(element_, element);
      return true;
    }
    if (value.tag() == Value::Tag::kArray) return append_slices(value.as_array(), out);
    if (value.tag() == Value::Tag::kStr) {
      append_characters(value.as_text(), out);
      return true;
    }
    return false;
  }

  void append_characters(std::string_view text, ColumnBuilder& out) const {
    for (std::size_t at = 0; at < text.size();) {
      std::size_t end = at + 1;
      while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
      if (element_.is(Kind::kAny))
        out.push_value(element_, Value::str(std::string(text.substr(at, end - at))));
      else
        out.push_text(text.substr(at, end - at));
      at = end;
    }
  }

  bool append_slices(const NdArray& array, ColumnBuilder& out) const {
    if (array.shape.empty()) return false;
    std::vector<std::int64_t> inner(array.shape.begin() + 1, array.shape.end());
    std::int64_t size = 1;
    for (std::int64_t n : inner) size *= n;
    for (std::int64_t i = 0; i < array.shape[0]; ++i) {
      auto slice = [&](const auto& data) {
        auto first = data.begin() + i * size;
        if (inner.empty()) return Value::of(*first);
        return Value::array({.shape = inner, .data = std::decay_t<decltype(data)>(first, first + size)});
      };
      out.push_value(element_, std::visit(slice, array.data));
    }
    return true;
  }

  const plan::Flatten params_;
  const Type type_;
  const Type element_;
  const SourceSpan span_;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  return std::make_unique<Flatten>(node, std::get<plan::Flatten>(node.params), plan.node(node.inputs[0]).schema);
}

}  // namespace

const OperatorDescriptor kFlatten{
    .name = "flatten", .routes = route_any, .output_route = spread_unknown, .make = make, .stateless = true};

}  // namespace thalweg::operators
