// Arrays of numbers: the matrix product.

#include <fmt/format.h>

#include "engine/expr/function_row.h"
#include "engine/expr/kernel.h"
#include "engine/types/encoding.h"

namespace thalweg::expr {
namespace {

constexpr std::size_t kProductCellsMax = 1 << 26;

// Both sides as matrices: a vector on the left is one row, on the right one column.
struct Shape {
  std::int64_t rows, inner, columns;
  std::vector<std::int64_t> result;  // dimensions of the product; none for two vectors
};
Answer<Shape> shape_of(const NdArray& a, const NdArray& b) {
  auto shown = [](const NdArray& array) {
    std::string text;
    for (std::int64_t n : array.shape) text += (text.empty() ? "" : "x") + std::to_string(n);
    return text;
  };
  bool matrices = !a.shape.empty() && a.shape.size() <= 2 && !b.shape.empty() && b.shape.size() <= 2;
  if (!matrices || a.shape.back() != b.shape.front())
    return no_answer(fmt::format("no matrix product of arrays of shape {} and {}", shown(a), shown(b)));
  Shape shape{1, a.shape.back(), 1, {}};
  if (a.shape.size() == 2) shape.result.push_back(shape.rows = a.shape[0]);
  if (b.shape.size() == 2) shape.result.push_back(shape.columns = b.shape[1]);
  if (static_cast<std::uint64_t>(shape.rows) * static_cast<std::uint64_t>(shape.columns) > kProductCellsMax)
    return no_answer("array too large");
  return shape;
}

template <class T>
Answer<std::vector<T>> multiply(const Shape& shape, const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<T> out(static_cast<std::size_t>(shape.rows * shape.columns));
  bool overflow = false;
  for (std::int64_t i = 0; i < shape.rows; ++i)
    for (std::int64_t k = 0; k < shape.inner; ++k)
      for (std::int64_t j = 0; j < shape.columns; ++j) {
        T& cell = out[static_cast<std::size_t>(i * shape.columns + j)];
        T x = a[static_cast<std::size_t>(i * shape.inner + k)];
        T y = b[static_cast<std::size_t>(k * shape.columns + j)];
        if constexpr (std::same_as<T, double>) {
          cell += x * y;
        } else {
          T product = 0;
          overflow |= __builtin_mul_overflow(x, y, &product);
          overflow |= __builtin_add_overflow(cell, product, &cell);
        }
      }
  if (overflow) return no_answer("integer overflow");
  return out;
}

std::vector<double> as_floats(const NdArray& array) {
  if (const auto* floats = std::get_if<std::vector<double>>(&array.data)) return *floats;
  const auto& ints = std::get<std::vector<std::int64_t>>(array.data);
  return {ints.begin(), ints.end()};
}

template <class T>
Answer<Value> pack(const Shape& shape, Answer<std::vector<T>> data) {
  if (!data) return no_answer(std::move(data).error());
  if (shape.result.empty()) return Value::of((*data)[0]);
  return Value::array({shape.result, std::move(*data)});
}

Answer<Value> product(const NdArray& a, const NdArray& b) {
  Answer<Shape> shape = shape_of(a, b);
  if (!shape) return no_answer(std::move(shape).error());
  const auto* x = std::get_if<std::vector<std::int64_t>>(&a.data);
  const auto* y = std::get_if<std::vector<std::int64_t>>(&b.data);
  if (x && y) return pack(*shape, multiply(*shape, *x, *y));
  return pack(*shape, multiply(*shape, as_floats(a), as_floats(b)));
}

Column matmul(const KernelCall& call) {
  ColumnBuilder out(call.result, call.rows);
  for (std::size_t i = 0; i < call.rows; ++i) {
    if (call.skip && call.skip[i] != CellTag::kValue) {
      out.push_tagged(call.skip[i]);
      continue;
    }
    Value a = call.args[0].value(call.arg_types[0], i);
    Value b = call.args[1].value(call.arg_types[1], i);
    Answer<Value> c = product(a.as_array(), b.as_array());
    bool number = c && c->tag() != Value::Tag::kArray;
    if (c && call.result.is(Kind::kFloat) && c->tag() == Value::Tag::kInt)
      c = Value::of(static_cast<double>(c->as_int()));
    if (c && (number || call.result.is_encoded())) {
      out.push_value(call.result, *c);
    } else {
      out.push_error();
      call.errors.report(i, c ? "the product is no number" : c.error());
    }
  }
  return out.finish();
}
const KernelInfo* choose_matmul(std::span<const Type>, const Type&) {
  static const KernelInfo kernel{.kernel = matmul};
  return &kernel;
}

Result<Typed> type_matmul(std::span<const Argument> args) {
  const Type& a = args[0].type;
  const Type& b = args[1].type;
  if (!a.is_plain(Kind::kArray) || !b.is_plain(Kind::kArray))
    return fail(Code::kInvalidPipeline,
                fmt::format("`@` multiplies arrays, not `{}` and `{}`", a.to_text(), b.to_text()));
  Kind x = a.args().empty() ? Kind::kAny : a.args()[0].kind();
  Kind y = b.args().empty() ? Kind::kAny : b.args()[0].kind();
  Kind element = x == Kind::kInt && y == Kind::kInt       ? Kind::kInt
                 : x == Kind::kFloat || y == Kind::kFloat ? Kind::kFloat
                                                          : Kind::kAny;
  bool known = a.dims() >= 0 && b.dims() >= 0;
  if (known && (a.dims() < 1 || a.dims() > 2 || b.dims() < 1 || b.dims() > 2))
    return fail(Code::kInvalidPipeline, fmt::format("`@` multiplies arrays of one or two dimensions, not `{}` and `{}`",
                                                    a.to_text(), b.to_text()));
  if (!known) return Typed{{a, b}, a.dims() == 2 || b.dims() == 2 ? Type::array(element) : Type(Kind::kAny), {}, {}};
  int dims = a.dims() + b.dims() - 2;
  return Typed{{a, b}, dims == 0 ? Type(element) : Type::array(element, dims), {}, {}};
}

}  // namespace

std::span<const FunctionRow> array_functions() {
  static const std::vector<FunctionRow> rows = {
      {.name = "matmul",
       .signature = "a @ b: arrays of one or two dimensions",
       .doc = "The matrix product; of two vectors a number. Shapes that do not fit are an ERROR.",
       .params = {{"a", Kind::kAny}, {"b", Kind::kAny}},
       .typing = type_matmul,
       .choose = choose_matmul},
  };
  return rows;
}

}  // namespace thalweg::expr
