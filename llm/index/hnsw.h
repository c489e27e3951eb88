// llm/index/hnsw.h
//
// The nearest vectors, nearly always: a graph is walked (NearGraph), and what it finds is scored exactly. Few rows, and
// few that a filter admits, are found exactly.
//
// What a search finds depends on the rows and the order in which they came; scores and their order are exact. All that
// a filter admits is found when it is less than what was asked for.
#pragma once

#include "llm/index/near_graph.h"

namespace thalweg::llm {

class Hnsw final : public plan::Index {
 public:
  struct Options {
    Metric metric = Metric::kCos;
    std::size_t dimensions = 0;
    GraphShape shape;
    std::size_t expansion_search = 64;  // how many near rows a search keeps in sight
    std::size_t exact_rows = 2048;      // up to so many are searched exactly
    double walk_cost = 128;             // of a row kept in sight, in rows that a scan reads in that time
  };
  explicit Hnsw(const Options& options);

  Result<void> add(std::uint32_t slot, std::span<const plan::IndexCell> cells) override;
  void remove(std::uint32_t slot) override;
  [[nodiscard]] Result<std::vector<plan::IndexHit>> search(std::span<const plan::IndexCell> query, std::size_t limit,
                                                           const plan::IndexScope& scope) override;
  [[nodiscard]] std::uint64_t bytes() const override { return rows_.bytes() + graph_.bytes(); }
  [[nodiscard]] std::string save(std::uint32_t slot) const override;
  Result<void> restore(std::uint32_t slot, std::string_view saved) override;

 private:
  // The part of the rows that the scope admits, by a sample.
  [[nodiscard]] double admitted_part(const plan::IndexScope& scope) const;
  void link_restored() const;

  const Options options_;
  VectorRows rows_;
  mutable NearGraph graph_;  // links of restored rows are set when all of them are there
  mutable std::unordered_map<std::uint32_t, std::uint32_t> slot_now_;
  std::vector<NearGraph::Near> found_;
};

}  // namespace thalweg::llm
