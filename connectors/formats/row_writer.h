// connectors/formats/row_writer.h
//
// Rows written cell by cell into columns: what all decoders end in. A row becomes real with finish_row; until then it
// can be given up without a trace.
//
//   (cell* finish_row | cell* abandon_row)*  flush
//
// W1  Every field of a finished row has a cell: written, or filled by the decoder with fill_missing.
// W2  Errors of fields are reported only if their record is good.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "connectors/formats/format.h"

namespace thalweg {

// A view of `n` bytes at `p`, of which 16 may be read whatever n is.
inline StrView padded_view(const char* p, std::uint32_t n) {
  struct Words {
    std::uint64_t a, b;
  } words;
  std::uint32_t prefix;
  std::memcpy(&prefix, p, 4);
  if (n > StrView::kInlineMax) {
    words.b = std::bit_cast<std::uint64_t>(p);
  } else {
    std::memcpy(&words.b, p + 4, 8);
    static constexpr auto kMask = [](std::uint32_t bytes) {
      return bytes >= 8 ? ~std::uint64_t{0} : (std::uint64_t{1} << (8 * bytes)) - 1;
    };
    prefix &= static_cast<std::uint32_t>(kMask(n < 4 ? n : 4));
    words.b &= kMask(n < 4 ? 0 : n - 4);
  }
  words.a = n | (static_cast<std::uint64_t>(prefix) << 32);
  return std::bit_cast<StrView>(words);
}

class RowWriter {
 public:
  RowWriter(const RecordLayout& layout, const BlockRef& block, const BlockInfo& info, Reporter& report);

  void put_bool(std::size_t field, bool v) { put<std::uint8_t>(field, v ? 1 : 0); }
  void put_int(std::size_t field, std::int64_t v) { put(field, v); }
  void put_float(std::size_t field, double v) { put(field, v); }
  void put_key(std::size_t field, const Key& v) { put(field, v); }
  void put_view(std::size_t field, StrView v) { put(field, v); }
  void put_none(std::size_t field) { put_tag(field, CellTag::kNone); }
  // "As it was": the upsert that follows keeps the cell of the row that is there.
  void put_pending(std::size_t field) { put_tag(field, CellTag::kPending); }
  // An ERROR cell. `what` is reported with the column's name in front; empty: nothing is reported.
  void put_error(std::size_t field, const char* at, std::string what);
  void put_text_copy(std::size_t field, std::string_view text);
  // Requires: the value fits the field's type or is None.
  void put_value(std::size_t field, const Value& value);
  // A field that the record does not have: default, None, or ERROR (reported if `report_missing`).
  void fill_missing(std::size_t field, const char* at, bool report_missing = true);
  // Bytes for text that is not in the block as it is; they live as long as the batch.
  [[nodiscard]] StringHeap& heap();

  // `record` is the start of the record in the block, `line` its line (from 0).
  void finish_row(const char* record, std::uint64_t line, Diff diff = 1);
  void abandon_row() { pending_errors_.clear(); }
  // Nothing between two line ends: a blank line, or a message without content.
  void empty_record(const char* record, std::uint64_t line);
  // The record is reported as bad (`at` is where) and its row given up.
  void bad_record(const char* record, const char* at, std::uint64_t line, std::string message);
  void flush();  // the end of the block
  // All rows go, those before it in the block too (upsert_marks.h). Requires: an Upsert follows.
  void clear_all();

  [[nodiscard]] const RecordField& field(std::size_t index) const { return layout_.fields[index]; }
  [[nodiscard]] std::size_t num_fields() const { return layout_.num_payload; }  // that a decoder fills
  [[nodiscard]] const RecordLayout& layout() const { return layout_; }
  [[nodiscard]] bool in_messages() const { return info_.envelope != nullptr; }
  [[nodiscard]] const char* block_end() const { return block_->data() + block_->size(); }
  // False if the whole block is known to be UTF-8: then no text of it need be looked at.
  [[nodiscard]] bool must_check_utf8() const { return !block_is_utf8_; }

 private:
  struct Cells {
    Phys phys = Phys::kU8;
    char* data = nullptr;
    CellTag* tags = nullptr;  // null until the first None or ERROR of the chunk
    std::vector<std::uint8_t> u8;
    std::vector<std::int64_t> i64;
    std::vector<double> f64;
    std::vector<Key> u128;
    std::vector<StrView> views;
    std::vector<CellTag> tag_array;
  };
  struct PendingError {
    std::size_t field;
    const char* at;
    std::string what;
  };

  template <class T>
  void put(std::size_t field, const T& v) {
    Cells& cells = cells_[field];
    std::memcpy(cells.data + row_ * sizeof(T), &v, sizeof(T));
    if (cells.tags) cells.tags[row_] = CellTag::kValue;
  }
  void put_tag(std::size_t field, CellTag tag);
  void start_chunk();
  static void allocate(Cells& cells, std::size_t rows);
  [[nodiscard]] Column take_column(Cells& cells) const;
  [[nodiscard]] bool make_key(const char* record, std::uint64_t line);
  [[nodiscard]] bool encode_cell(std::uint32_t field, std::string& out) const;
  [[nodiscard]] KeyColumn take_keys();
  void report_pending(const char* record, std::uint64_t line, bool row_kept);
  [[nodiscard]] std::string position(const char* record, const char* at, std::uint64_t line) const;
  [[nodiscard]] std::string raw_record(const char* record) const;

  const RecordLayout& layout_;
  const BlockRef& block_;
  const BlockInfo& info_;
  Reporter& report_;
  const std::size_t chunk_rows_;
  const bool block_is_utf8_;
  std::vector<Cells> cells_;          // per field of the layout
  std::size_t row_ = 0;               // in the chunk
  std::shared_ptr<StringHeap> heap_;  // of the chunk; made on demand
  std::vector<Key> keys_;             // of the chunk, where they are written
  std::uint64_t first_line_ = 0;      // of the chunk, while keys are a sequence
  bool sequence_ = false;
  std::size_t next_key_ = 0;  // in info_.record_offsets
  std::string key_bytes_;
  std::vector<Diff> diffs_;  // of the chunk, from the first that is not the block's on
  std::vector<PendingError> pending_errors_;
};

}  // namespace thalweg
