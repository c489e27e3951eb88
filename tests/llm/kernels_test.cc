// The inner loops against the plainest way to write them.
#include <cmath>

#include <catch2/catch.hpp>

#include "llm/kernels/kernels.h"
#include "tests/support/random.h"

namespace thalweg::llm {
namespace {

using testing::Random;

std::vector<float> some_floats(Random& random, std::size_t n, double size = 1) {
  std::vector<float> out;
  for (std::size_t i = 0; i < n; ++i)
    out.push_back(static_cast<float>(size * (static_cast<double>(random.below(20001)) / 10000 - 1)));
  return out;
}

TEST_CASE("products of matrices of all shapes") {
  Random random(1);
  for (const std::size_t m : {1, 2, 3, 5, 11, 12, 13, 29})
    for (const std::size_t n : {1, 31, 32, 33, 70})
      for (const std::size_t k : {1, 7, 64}) {
        const auto a = some_floats(random, m * k), b = some_floats(random, n * k), bias = some_floats(random, n);
        std::vector<float> packed(packed_floats(k, n)), c(m * (n + 3), -7);
        pack(b.data(), k, n, 1, k, packed.data());
        multiply(a.data(), k, m, k, packed.data(), n, bias.data(), c.data(), n + 3);
        for (std::size_t i = 0; i < m; ++i) {
          for (std::size_t j = 0; j < n; ++j) {
            double expected = bias[j];
            for (std::size_t x = 0; x < k; ++x) expected += static_cast<double>(a[i * k + x]) * b[j * k + x];
            REQUIRE(c[i * (n + 3) + j] == Approx(expected).margin(1e-4));
          }
          REQUIRE(c[i * (n + 3) + n] == -7);  // nothing is written beside it
        }
      }
}

TEST_CASE("layers") {
  Random random(2);
  for (const std::size_t n : {1, 3, 16, 100, 384}) {
    auto row = some_floats(random, n, 8);
    const auto before = row, scale = some_floats(random, n), shift = some_floats(random, n);
    gelu(row.data(), n);
    for (std::size_t i = 0; i < n; ++i)
      REQUIRE(row[i] == Approx(0.5 * before[i] * (1 + std::erf(before[i] / std::sqrt(2.0)))).margin(2e-6));
    row = before;
    gelu_tanh(row.data(), n);
    for (std::size_t i = 0; i < n; ++i) {
      const double x = before[i];
      REQUIRE(row[i] ==
              Approx(0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)))).margin(2e-6));
    }
    row = before;
    softmax(row.data(), n, 0.5F);
    double sum = 0, most = -100;
    for (const float x : before) most = std::max(most, 0.5 * static_cast<double>(x));
    for (const float x : before) sum += std::exp(0.5 * static_cast<double>(x) - most);
    for (std::size_t i = 0; i < n; ++i)
      REQUIRE(row[i] == Approx(std::exp(0.5 * static_cast<double>(before[i]) - most) / sum).margin(1e-6));
    row = before;
    normalize_layer(row.data(), n, scale.data(), shift.data(), 1e-5F);
    double mean = 0, squares = 0;
    for (const float x : before) mean += static_cast<double>(x) / static_cast<double>(n);
    for (const float x : before) squares += std::pow(static_cast<double>(x) - mean, 2) / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i)
      REQUIRE(row[i] == Approx((before[i] - mean) / std::sqrt(squares + 1e-5) * scale[i] + shift[i]).margin(1e-4));
  }
}

TEST_CASE("products of codes, and what they cannot be above") {
  Random random(3);
  for (const std::size_t n : {32, 64, 96, 384, 1024}) {
    std::vector<std::int8_t> rows, other;
    std::vector<std::int16_t> query;
    for (std::size_t i = 0; i < 5 * n; ++i) rows.push_back(static_cast<std::int8_t>(random.between(-127, 127)));
    for (std::size_t i = 0; i < n; ++i) other.push_back(static_cast<std::int8_t>(random.between(-127, 127)));
    for (std::size_t i = 0; i < n; ++i) query.push_back(static_cast<std::int16_t>(random.between(-16000, 16000)));
    std::int32_t out[5];
    dot_code_rows(rows.data(), 5, query.data(), n, out);
    for (std::size_t row = 0; row < 5; ++row) {
      std::int32_t with_query = 0, with_other = 0;
      for (std::size_t i = 0; i < n; ++i) {
        with_query += rows[row * n + i] * query[i];
        with_other += rows[row * n + i] * other[i];
      }
      CHECK(out[row] == with_query);
      CHECK(dot_codes(rows.data() + row * n, query.data(), n) == with_query);
      CHECK(dot_codes(rows.data() + row * n, other.data(), n) == with_other);
    }
  }
}

}  // namespace
}  // namespace thalweg::llm
