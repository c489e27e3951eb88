// engine/types/batch.h
//
// A chunk: rows of one commit as columns, with keys and diffs. 4 to 16 K rows flow at a time; no rule may depend on
// where a commit is cut into chunks.
//
// B1  Every column has num_rows rows.
// B2  diffs are absent while all are +1; keys are absent where the plan says that nobody asks for them.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/types/column.h"
#include "engine/types/schema.h"

namespace thalweg {

inline constexpr std::size_t kChunkRows = 8192;

using Diff = std::int32_t;

// Keys of the rows of a chunk: absent, a sequence (generated, not yet hashed), or written out.
class KeyColumn {
 public:
  KeyColumn() = default;  // absent
  explicit KeyColumn(std::vector<Key> keys) : keys_(std::make_shared<const std::vector<Key>>(std::move(keys))) {}
  // Row i has the key of (source, first + i): see sequence_key.
  static KeyColumn sequence(std::uint64_t source, std::uint64_t first) {
    KeyColumn k;
    k.is_sequence_ = true;
    k.source_ = source;
    k.first_ = first;
    return k;
  }
  [[nodiscard]] bool absent() const { return !keys_ && !is_sequence_; }
  // Written out; computes them if they are a sequence.
  [[nodiscard]] KeyColumn materialised(std::size_t rows) const;
  // Requires: written out.
  [[nodiscard]] const Key& operator[](std::size_t row) const { return (*keys_)[offset_ + row]; }
  [[nodiscard]] bool written() const { return keys_ != nullptr; }
  [[nodiscard]] KeyColumn gather(std::span<const std::uint32_t> rows) const;
  [[nodiscard]] KeyColumn slice(std::size_t begin, std::size_t end) const;
  [[nodiscard]] Column as_column(std::size_t rows) const;  // as a pointer column

 private:
  std::shared_ptr<const std::vector<Key>> keys_;
  std::size_t offset_ = 0;
  bool is_sequence_ = false;
  std::uint64_t source_ = 0;
  std::uint64_t first_ = 0;
};

[[nodiscard]] Key sequence_key(std::uint64_t source, std::uint64_t index);

struct Batch {
  std::size_t num_rows = 0;
  std::vector<Column> columns;
  KeyColumn keys;
  std::shared_ptr<const std::vector<Diff>> diffs;  // null: all +1
  std::uint64_t order = 0;                         // arrival of the piece it was decoded from; only upserts look at it

  [[nodiscard]] bool empty() const { return num_rows == 0; }
  [[nodiscard]] Diff diff(std::size_t row) const { return diffs ? (*diffs)[row] : 1; }
  void set_diffs(std::vector<Diff> values) { diffs = std::make_shared<const std::vector<Diff>>(std::move(values)); }
  void materialise_keys() { keys = keys.materialised(num_rows); }

  [[nodiscard]] Batch gather(std::span<const std::uint32_t> rows) const;
  [[nodiscard]] Batch slice(std::size_t begin, std::size_t end) const;
  [[nodiscard]] bool row_has_error(std::size_t row) const;
  [[nodiscard]] static Batch concat(std::vector<Batch> parts);  // all with or all without keys
};

// Builds a batch row by row at edges (tests, generators, sinks of values).
class BatchBuilder {
 public:
  explicit BatchBuilder(const Schema& schema);
  void push(const Key& key, std::span<const Value> row, Diff diff = 1);
  [[nodiscard]] std::size_t num_rows() const { return keys_.size(); }
  [[nodiscard]] Batch finish();  // and starts anew

 private:
  Schema schema_;
  std::vector<ColumnBuilder> builders_;
  std::vector<Key> keys_;
  std::vector<Diff> diffs_;
  bool any_retraction_ = false;
};

// Adds up the diffs of equal (key, row) pairs and drops those that cancel; deletions come before insertions.
// Requires: keys present.
[[nodiscard]] Batch consolidate(const Batch& batch);

}  // namespace thalweg
