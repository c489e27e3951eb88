// engine/expr/loops.h
//
// Loops over two columns that the compiler can vectorise: a constant side is a scalar, not an indexed array.
#pragma once

#include "engine/expr/function_row.h"
#include "engine/expr/kernel.h"

namespace thalweg::expr {

template <class A, class B, class F>
void for_each_pair(const Cells<A>& a, const Cells<B>& b, std::size_t rows, F f) {
  if (rows == 0) return;
  if (a.mask == 0) {
    const A x = a.data[0];
    for (std::size_t i = 0; i < rows; ++i) f(i, x, b[i]);
  } else if (b.mask == 0) {
    const B y = b.data[0];
    const A* p = a.data;
    for (std::size_t i = 0; i < rows; ++i) f(i, p[i], y);
  } else {
    const A* p = a.data;
    const B* q = b.data;
    for (std::size_t i = 0; i < rows; ++i) f(i, p[i], q[i]);
  }
}

inline Overload overload2(Type a, Type b, Type result, Kernel kernel) {
  return {{{"a", std::move(a)}, {"b", std::move(b)}}, std::move(result), {.kernel = kernel}};
}
inline Overload overload1(Type x, Type result, Kernel kernel) {
  return {{{"x", std::move(x)}}, std::move(result), {.kernel = kernel}};
}

}  // namespace thalweg::expr
