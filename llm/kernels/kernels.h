// llm/kernels/kernels.h
//
// The inner loops of vectors and models, for the processor that they run on: AVX-512, AVX2, or what every amd64 has.
// Nothing here checks anything.
#pragma once

#include <cstddef>
#include <cstdint>

namespace thalweg::llm {

// ---- floats; `n` is a multiple of 16

[[nodiscard]] float dot_product(const float* a, const float* b, std::size_t n);
[[nodiscard]] float squared_distance(const float* a, const float* b, std::size_t n);

// ---- codes: vectors with a byte per dimension, `n` a multiple of 32

constexpr std::size_t kCodeLane = 32;

[[nodiscard]] std::int32_t dot_codes(const std::int8_t* row, const std::int16_t* query, std::size_t n);
[[nodiscard]] std::int32_t dot_codes(const std::int8_t* a, const std::int8_t* b, std::size_t n);
// out[i] = row i · query, for `count` rows that lie behind each other.
void dot_code_rows(const std::int8_t* rows, std::size_t count, const std::int16_t* query, std::size_t n,
                   std::int32_t* out);
// out[i] = scale · scales[i] · dots[i] + length · errors[i] + error · reaches[i]: no product can be more.
struct BoundTerms {
  float scale = 0, length = 0, error = 0;
};
void upper_bounds(const std::int32_t* dots, const float* scales, const float* errors, const float* reaches,
                  std::size_t count, const BoundTerms& query, float* out);

// ---- matrices

// Columns of a packed matrix stand in panels of so many, row behind row; the last panel is padded with zeros.
constexpr std::size_t kPanel = 32;
[[nodiscard]] constexpr std::size_t packed_floats(std::size_t rows, std::size_t columns) {
  return (columns + kPanel - 1) / kPanel * kPanel * rows;
}
// Packs B, whose element (row, column) is b[row * row_step + column * column_step].
void pack(const float* b, std::size_t rows, std::size_t columns, std::size_t row_step, std::size_t column_step,
          float* out);
// C (m × n) = A (m × k) · B packed (k × n) + bias; steps are those of rows. `bias` may be null.
void multiply(const float* a, std::size_t a_step, std::size_t m, std::size_t k, const float* packed, std::size_t n,
              const float* bias, float* c, std::size_t c_step);

// ---- layers, in place

void add_to(float* to, const float* what, std::size_t n);
// Mean 0 and variance 1, then scaled and shifted.
void normalize_layer(float* row, std::size_t n, const float* scale, const float* shift, float epsilon);
void softmax(float* row, std::size_t n, float factor);
void gelu(float* row, std::size_t n);       // by the error function
void gelu_tanh(float* row, std::size_t n);  // its usual approximation

}  // namespace thalweg::llm
