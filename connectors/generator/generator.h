// connectors/generator/generator.h
//
// Made-up rows at a given rate, for demos, tests and benchmarks.
//
// G1  Values depend on the seed and the row number only: a stream can be generated again.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "engine/base/setting.h"
#include "engine/io/source.h"

namespace thalweg {

// Random numbers of one column: splitmix64 over seed, column and row.
class CellRandom {
 public:
  CellRandom(std::uint64_t seed, std::uint64_t column, std::uint64_t row);
  std::uint64_t next();
  double unit();    // [0, 1)
  double normal();  // mean 0, deviation 1

 private:
  std::uint64_t state_;
};

// The value of a column in row `row`.
using CellMaker = std::function<Value(std::uint64_t row, CellRandom& random)>;

struct GeneratorSettings {
  std::optional<std::uint64_t> rows;  // none: without end
  double rate = 1.0;                  // rows per second; 0: as fast as they are taken
  std::int64_t commit_ns = 0;         // rows of this span are one transaction
  std::uint64_t seed = 0;
};

class GeneratorSource final : public Source {
 public:
  // One maker per field of the source.
  GeneratorSource(plan::Source source, GeneratorSettings settings, std::vector<CellMaker> makers)
      : source_(std::move(source)), settings_(settings), makers_(std::move(makers)) {}
  Result<void> run(SourceContext& context) override;

 private:
  [[nodiscard]] Batch make_rows(std::uint64_t first, std::size_t count) const;
  const plan::Source source_;
  const GeneratorSettings settings_;
  const std::vector<CellMaker> makers_;
};

// What a column of `generate_custom_stream` is made by:
//   a scalar                            itself
//   {sequence: {start: 0, step: 1}}     start + row · step
//   {cycle: [a, b, …]}                  in turn
//   {choice: [a, b, …]}                 at random
//   {uniform: [low, high]}              ints include both ends, floats not the upper one
//   {normal: [mean, deviation]}
//   {word: length}                      small letters
//   {now: true}                         the wall clock
[[nodiscard]] Result<CellMaker> maker_from(const Setting& spec, const Type& type, Env& env);

}  // namespace thalweg
