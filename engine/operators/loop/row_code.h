// engine/operators/loop/row_code.h
//
// Some columns of a row (and its key, if asked for) as one word: the cell itself where there is one of at most eight
// bytes, else the number of a stored row. Loops keep words in their histories.
//
// C1  Equal rows have equal words (floats: equal bits). The word of a stored row is good while it has a reference.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/plan/node.h"
#include "engine/state/hash_index.h"
#include "engine/state/row_store.h"

namespace thalweg {

struct RowWord {
  std::uint64_t bits = 0;
  CellTag tag = CellTag::kValue;
  friend bool operator==(const RowWord&, const RowWord&) = default;
};

class RowCode {
 public:
  RowCode(const Schema& schema, plan::Columns columns, bool with_key);

  [[nodiscard]] const plan::Columns& columns() const { return columns_; }
  [[nodiscard]] bool with_key() const { return with_key_; }
  // The words of all rows; takes a reference for each.
  void encode(const Batch& batch, std::vector<RowWord>& words);
  void add_reference(RowWord word) {
    if (stored()) ++references_[word.bits];
  }
  void release(RowWord word) {
    if (stored() && --references_[word.bits] == 0) forget(static_cast<std::uint32_t>(word.bits));
  }
  // Column `i` of columns() for these words.
  [[nodiscard]] Column decode(std::size_t i, const std::vector<RowWord>& words) const;
  [[nodiscard]] KeyColumn decode_keys(const std::vector<RowWord>& words) const;
  [[nodiscard]] std::size_t bytes() const { return rows_.bytes() + index_.bytes() + references_.capacity() * 12; }
  void maintain() { rows_.compact_if_worthwhile(); }

 private:
  enum class Form : std::uint8_t { kNothing, kCell, kStored };
  [[nodiscard]] bool stored() const { return form_ == Form::kStored; }
  void encode_cells(const Column& column, std::vector<RowWord>& words) const;
  void forget(std::uint32_t id);
  [[nodiscard]] std::vector<std::uint32_t> ids_of(const std::vector<RowWord>& words) const;

  const plan::Columns columns_;
  const bool with_key_;
  Form form_ = Form::kNothing;
  Phys phys_ = Phys::kI64;  // kCell
  RowStore rows_;           // kStored
  HashIndex index_;
  std::vector<std::uint32_t> references_;  // by id
  std::vector<std::uint64_t> hash_of_;     // by id
  std::vector<std::uint64_t> hashes_;      // scratch
};

}  // namespace thalweg
