// engine/state/group_ids.h
//
// Small numbers for tuples of cells: which instance, which join key a row belongs to.
//
// G1  Equal cells have one number while a reference is held; freed numbers are used again.
// Cost  a hash probe per row; the cells of a group are stored once.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/state/hash_index.h"
#include "engine/state/row_store.h"

namespace thalweg {

class GroupIds {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFFU;

  // Without types there is one group, 0.
  explicit GroupIds(std::vector<Type> types);

  // The group of every row of a batch, by these of its columns; makes groups that are new. Takes no references.
  void assign(const Batch& batch, std::span<const std::uint32_t> columns, std::vector<std::uint32_t>& groups);
  void add_reference(std::uint32_t group) {
    if (!trivial_) ++references_[group];
  }
  void drop_reference(std::uint32_t group);
  // Forgets groups that assign() made and nobody referred to.
  void drop_unreferenced();

  [[nodiscard]] std::size_t size() const { return trivial_ ? 1 : cells_.size(); }
  [[nodiscard]] std::size_t bytes() const { return cells_.bytes() + index_.bytes() + references_.capacity() * 12; }
  [[nodiscard]] const RowStore& cells() const { return cells_; }

 private:
  void forget(std::uint32_t group);

  bool trivial_;
  RowStore cells_;
  HashIndex index_;
  std::vector<std::uint32_t> references_;
  std::vector<std::uint64_t> hashes_;
  std::vector<std::uint32_t> fresh_;
  std::vector<std::uint64_t> row_hashes_;  // scratch
};

}  // namespace thalweg
