// llm/index/near_graph.h
//
// A navigable graph over vectors (HNSW): every row is linked to some of its nearest in each layer it is in; a search
// walks from the sparse layers down to the one that has all rows.
//
// N1  A row that is erased is gone: its links are taken out and the rows that had linked to it are linked anew. Nothing
//     is marked, nothing is left to be cleaned.
// N2  The same changes in the same order make the same graph; how high a row stands comes from a hash.
// N3  Every row but the only one of its layer is linked to by another. A link that is the last to a row is not given up
//     for a nearer one.
// Memory  4 · (3 · connectivity + the links that lead to a row) bytes and about 60 more per row.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "llm/index/vector_rows.h"

namespace thalweg::llm {

struct GraphShape {
  std::size_t connectivity = 16;    // links of a row in a sparse layer; twice as many where all rows are
  std::size_t expansion_add = 128;  // how many near rows are looked at for links
};

class NearGraph {
 public:
  struct Near {
    float distance = 0;
    std::uint32_t slot = 0;
  };

  NearGraph(const VectorRows& rows, const GraphShape& shape);

  // The row is in `rows` already.
  void insert(std::uint32_t slot, const Probe& probe);
  // The row is in `rows` still.
  void erase(std::uint32_t slot);
  // About the `expansion` nearest rows, nearest first.
  void search(const Probe& probe, std::size_t expansion, std::vector<Near>& out) const;

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::uint64_t bytes() const;

  // The links of a row, by slots; they mean something where the other rows have the same slots.
  [[nodiscard]] std::string save(std::uint32_t slot) const;
  // Takes saved links of row `slot`; false if they are none. To be followed by link_restored().
  [[nodiscard]] bool restore(std::uint32_t slot, std::string_view saved);
  // `slot_now`: where a row is now, by the slot it had when the links were saved.
  void link_restored(const std::unordered_map<std::uint32_t, std::uint32_t>& slot_now);

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  static constexpr std::size_t kBlockRows = 1024;
  static constexpr std::size_t kLayersMax = 16;
  // Links of one row in one layer: how many, then their slots.
  using Links = std::uint32_t*;
  struct Layer {
    std::vector<std::uint32_t> out;  // as Links
    std::vector<std::uint32_t> in;   // who links here
  };
  struct Row {
    std::uint8_t layers = 0;  // 0: not in the graph
    std::vector<std::uint32_t> in;
    std::vector<Layer> upper;  // layers from 1
  };
  class Visited {
   public:
    void begin(std::size_t slots);
    [[nodiscard]] bool first_time(std::uint32_t slot) {
      if (marks_[slot] == mark_) return false;
      marks_[slot] = mark_;
      return true;
    }

   private:
    std::vector<std::uint32_t> marks_;
    std::uint32_t mark_ = 0;
  };

  [[nodiscard]] std::size_t room(std::size_t layer) const { return layer == 0 ? 2 * connectivity_ : connectivity_; }
  [[nodiscard]] Links out(std::uint32_t slot, std::size_t layer) const;
  [[nodiscard]] std::vector<std::uint32_t>& in(std::uint32_t slot, std::size_t layer);
  void make_row(std::uint32_t slot, std::size_t layers);
  [[nodiscard]] std::size_t layers_of(std::uint32_t slot, const Probe& probe) const;
  void explore(const Probe& probe, std::uint32_t from, std::size_t expansion, std::size_t layer,
               std::vector<Near>& pool) const;
  void choose(std::vector<Near>& sorted, std::size_t most) const;
  void link(std::uint32_t from, std::uint32_t to, std::size_t layer);
  void unlink(std::uint32_t from, std::uint32_t to, std::size_t layer);
  void offer_link(std::uint32_t from, std::uint32_t to, float distance, std::size_t layer);
  void rescue(std::uint32_t slot, std::size_t layer, const std::vector<std::uint32_t>& hosts);
  void mend(std::uint32_t slot, const std::vector<std::uint32_t>& candidates, std::size_t layer);
  void erase_from(std::uint32_t slot, std::size_t layer);
  void choose_entry();
  [[nodiscard]] bool has(std::uint32_t slot) const {
    return slot < rows_of_graph_.size() && rows_of_graph_[slot].layers > 0;
  }

  const VectorRows& rows_;
  const std::size_t connectivity_, expansion_add_;
  std::vector<std::unique_ptr<std::uint32_t[]>> links_;  // of layer 0
  std::vector<Row> rows_of_graph_;                       // by slot
  std::size_t size_ = 0;
  std::uint32_t entry_ = kNone;  // a row of the highest layer
  mutable Visited visited_;
  mutable std::vector<std::uint32_t> fresh_;
};

}  // namespace thalweg::llm
