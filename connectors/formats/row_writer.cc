#include "connectors/formats/row_writer.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/io/upsert_marks.h"
#include "engine/types/encoding.h"

namespace thalweg {

namespace {

// Large blocks fill chunks; a small one must not reserve memory for thousands of rows that never come.
std::size_t rows_of_chunk(const Block& block) {
  constexpr std::size_t kSmallBytes = 64 * 1024;
  if (block.size() > kSmallBytes) return kChunkRows;
  return std::clamp<std::size_t>(count_lines(block.view()), 1, kChunkRows);
}

template <class T>
Column finish(Phys phys, std::vector<T>& data, std::size_t rows, std::vector<CellTag>& tags,
              std::vector<HeapRef> heaps) {
  data.resize(rows);
  if (data.capacity() > 2 * rows) data.shrink_to_fit();
  if (!tags.empty()) tags.resize(rows);
  return Column::from_vector(phys, std::move(data), std::move(tags), std::move(heaps));
}

}  // namespace

RowWriter::RowWriter(const RecordLayout& layout, const BlockRef& block, const BlockInfo& info, Reporter& report)
    : layout_(layout),
      block_(block),
      info_(info),
      report_(report),
      chunk_rows_(rows_of_chunk(*block)),
      block_is_utf8_(is_utf8(block->view())),
      cells_(layout.fields.size()) {
  for (std::size_t i = 0; i < cells_.size(); ++i) cells_[i].phys = layout_.fields[i].type.phys();
  start_chunk();
}

void RowWriter::allocate(Cells& cells, std::size_t rows) {
  auto fresh = [&](auto& array) {
    array.resize(rows);
    cells.data = reinterpret_cast<char*>(array.data());
  };
  switch (cells.phys) {
    case Phys::kU8: fresh(cells.u8); break;
    case Phys::kI64: fresh(cells.i64); break;
    case Phys::kF64: fresh(cells.f64); break;
    case Phys::kU128: fresh(cells.u128); break;
    case Phys::kView: fresh(cells.views); break;
  }
}

void RowWriter::start_chunk() {
  row_ = 0;
  heap_.reset();
  keys_.clear();
  diffs_.clear();
  sequence_ = layout_.generates_keys() && info_.keys.empty() && !info_.gaps;
  for (Cells& cells : cells_) {
    allocate(cells, chunk_rows_);
    cells.tags = nullptr;
    cells.tag_array.clear();
  }
}

StringHeap& RowWriter::heap() {
  if (!heap_) heap_ = std::make_shared<StringHeap>();
  return *heap_;
}

void RowWriter::put_tag(std::size_t field, CellTag tag) {
  Cells& cells = cells_[field];
  if (!cells.tags) {
    cells.tag_array.resize(chunk_rows_);
    cells.tags = cells.tag_array.data();
  }
  cells.tags[row_] = tag;
  std::size_t bytes = phys_bytes(cells.phys);
  std::memset(cells.data + row_ * bytes, 0, bytes);
}

void RowWriter::put_error(std::size_t field, const char* at, std::string what) {
  put_tag(field, CellTag::kError);
  if (!what.empty()) pending_errors_.push_back({field, at, std::move(what)});
}

void RowWriter::put_text_copy(std::size_t field, std::string_view text) {
  put_view(field, StrView(text.size() <= StrView::kInlineMax ? text : heap().store(text)));
}

void RowWriter::put_value(std::size_t field_index, const Value& value) {
  if (value.is_none() && !field(field_index).type.is(Kind::kAny)) return put_none(field_index);
  switch (field(field_index).type.kind()) {
    case Kind::kNone: return put_none(field_index);
    case Kind::kBool: return put_bool(field_index, value.as_bool());
    case Kind::kInt:
    case Kind::kDateTimeNaive:
    case Kind::kDateTimeUtc:
    case Kind::kDuration: return put_int(field_index, value.as_int());
    case Kind::kFloat:
      return put_float(field_index,
                       value.tag() == Value::Tag::kInt ? static_cast<double>(value.as_int()) : value.as_float());
    case Kind::kPointer:
    case Kind::kUuid: return put_key(field_index, value.as_key());
    case Kind::kStr:
    case Kind::kBytes:
    case Kind::kJson: return put_text_copy(field_index, value.as_text());
    case Kind::kAny:
      if (value.is_none()) return put_none(field_index);
      [[fallthrough]];
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray: return put_text_copy(field_index, encode(value));
  }
}

void RowWriter::fill_missing(std::size_t field_index, const char* at, bool report_missing) {
  const RecordField& f = field(field_index);
  if (f.default_value) return put_value(field_index, *f.default_value);
  if (f.type.admits_none()) return put_none(field_index);
  put_error(field_index, at, report_missing ? "is missing, and has no default" : "");
}

bool RowWriter::encode_cell(std::uint32_t index, std::string& out) const {
  const Cells& cells = cells_[index];
  CellTag tag = cells.tags ? cells.tags[row_] : CellTag::kValue;
  if (tag == CellTag::kError) return false;
  if (tag != CellTag::kValue) {
    encode_none(out);
    return true;
  }
  switch (layout_.fields[index].type.kind()) {
    case Kind::kNone: encode_none(out); break;
    case Kind::kBool: encode_bool(cells.u8[row_] != 0, out); break;
    case Kind::kInt: encode_int(cells.i64[row_], out); break;
    case Kind::kFloat: encode_float(cells.f64[row_], out); break;
    case Kind::kPointer: encode_key(cells.u128[row_], out); break;
    case Kind::kUuid: encode(Value::uuid(cells.u128[row_]), out); break;
    case Kind::kDateTimeNaive: encode(Value::datetime_naive(cells.i64[row_]), out); break;
    case Kind::kDateTimeUtc: encode(Value::datetime_utc(cells.i64[row_]), out); break;
    case Kind::kDuration: encode(Value::duration(cells.i64[row_]), out); break;
    case Kind::kStr: encode_str(cells.views[row_].view(), out); break;
    case Kind::kBytes: encode(Value::bytes(std::string(cells.views[row_].view())), out); break;
    case Kind::kJson: encode(Value::json(std::string(cells.views[row_].view())), out); break;
    case Kind::kTuple:
    case Kind::kList:
    case Kind::kArray:
    case Kind::kAny: out += cells.views[row_].view(); break;
  }
  return true;
}

// False: a part of the key is ERROR, there is no such row.
bool RowWriter::make_key(const char* record, std::uint64_t line) {
  if (!layout_.needs_keys) return true;
  if (layout_.has_primary_key) {
    const auto& parts = layout_.key_fields;
    key_bytes_.clear();
    for (std::uint32_t part : parts)
      if (!encode_cell(part, key_bytes_)) return false;
    bool is_pointer = parts.size() == 1 && field(parts[0]).type.is(Kind::kPointer) &&
                      !(cells_[parts[0]].tags && cells_[parts[0]].tags[row_] != CellTag::kValue);
    keys_.push_back(is_pointer ? cells_[parts[0]].u128[row_] : key_of_bytes(key_bytes_));
    return true;
  }
  if (info_.gaps) {
    ENSURE(info_.envelope != nullptr);  // only messages of their own have gaps
    keys_.push_back(info_.envelope->key(line - info_.first_line));
    return true;
  }
  if (!info_.keys.empty()) {
    auto offset = static_cast<std::uint32_t>(record - block_->data());
    while (next_key_ < info_.record_offsets.size() && info_.record_offsets[next_key_] < offset) ++next_key_;
    ENSURE(next_key_ < info_.record_offsets.size() && info_.record_offsets[next_key_] == offset);  // F1
    keys_.push_back(info_.keys[next_key_]);
    return true;
  }
  if (sequence_) {
    if (row_ == 0) first_line_ = line;
    if (line == first_line_ + row_) return true;
    sequence_ = false;  // a line that gave no row: from here on they are written out
    for (std::size_t i = 0; i < row_; ++i)
      keys_.push_back(sequence_key(info_.key_source, info_.key_first + first_line_ + i));
  }
  keys_.push_back(sequence_key(info_.key_source, info_.key_first + line));
  return true;
}

void RowWriter::finish_row(const char* record, std::uint64_t line, Diff diff) {
  if (info_.envelope) info_.envelope->fill(*this, line - info_.first_line);
  bool kept = make_key(record, line);
  if (!pending_errors_.empty()) report_pending(record, line, kept);
  if (!kept) return;
  diff *= info_.diff;
  if (diff != info_.diff || !diffs_.empty()) {
    diffs_.resize(row_, info_.diff);
    diffs_.push_back(diff);
  }
  if (++row_ < chunk_rows_) return;
  flush();
  start_chunk();
}

void RowWriter::empty_record(const char* record, std::uint64_t line) {
  if (info_.envelope) info_.envelope->empty(*this, record, line - info_.first_line);
}

std::string RowWriter::position(const char* record, const char* at, std::uint64_t line) const {
  if (info_.envelope) return info_.envelope->position(line - info_.first_line);
  if (!info_.record_lines.empty()) {
    auto offset = static_cast<std::uint32_t>(record - block_->data());
    auto found = std::lower_bound(info_.record_offsets.begin(), info_.record_offsets.end(), offset);
    if (found != info_.record_offsets.end())
      line = info_.record_lines[static_cast<std::size_t>(found - info_.record_offsets.begin())];
  }
  // `at` may be lines below the record's start, in a quoted field.
  const char* line_start = record;
  for (const char* p = record; p < at; ++p)
    if (*p == '\n') {
      ++line;
      line_start = p + 1;
    }
  return fmt::format("{}:{}:{}", *info_.path, line + 1, at - line_start + 1);
}

std::string RowWriter::raw_record(const char* record) const {
  const char* end = static_cast<const char*>(std::memchr(record, '\n', static_cast<std::size_t>(block_end() - record)));
  if (!end) end = block_end();
  if (end > record && end[-1] == '\r') --end;
  return {record, std::min<std::size_t>(static_cast<std::size_t>(end - record), BadRecord::kRawBytesMax)};
}

void RowWriter::report_pending(const char* record, std::uint64_t line, bool row_kept) {
  for (PendingError& error : pending_errors_) {
    const RecordField& f = field(error.field);
    bool drops = f.primary_key && !row_kept;
    BadRecord bad;
    bad.message = fmt::format("column `{}` {}{}", f.name, error.what,
                              drops ? "; it is part of the primary key, so the row is dropped" : "");
    bad.raw = raw_record(record);
    bad.position = position(record, error.at, line);
    bad.kind = row_kept ? BadRecord::Kind::kValue : BadRecord::Kind::kRecord;
    if (info_.diff > 0) report_.bad(std::move(bad));  // what is taken back was reported when it came
  }
  pending_errors_.clear();
}

void RowWriter::bad_record(const char* record, const char* at, std::uint64_t line, std::string message) {
  abandon_row();
  if (info_.diff < 0) return;
  report_.bad({.message = std::move(message), .raw = raw_record(record), .position = position(record, at, line)});
}

Column RowWriter::take_column(Cells& cells) const {
  std::vector<HeapRef> heaps;
  if (cells.phys == Phys::kView) {
    heaps.push_back(block_);
    if (heap_) heaps.push_back(heap_);
  }
  switch (cells.phys) {
    case Phys::kU8: return finish(cells.phys, cells.u8, row_, cells.tag_array, {});
    case Phys::kI64: return finish(cells.phys, cells.i64, row_, cells.tag_array, {});
    case Phys::kF64: return finish(cells.phys, cells.f64, row_, cells.tag_array, {});
    case Phys::kU128: return finish(cells.phys, cells.u128, row_, cells.tag_array, {});
    case Phys::kView: return finish(cells.phys, cells.views, row_, cells.tag_array, std::move(heaps));
  }
  UNREACHABLE();
}

KeyColumn RowWriter::take_keys() {
  if (!layout_.needs_keys) return {};
  if (sequence_) return KeyColumn::sequence(info_.key_source, info_.key_first + first_line_);
  return KeyColumn(std::exchange(keys_, {}));
}

void RowWriter::flush() {
  if (row_ == 0) return;
  Batch batch;
  batch.num_rows = row_;
  batch.columns.resize(layout_.column_types.size());
  for (std::size_t i = 0; i < cells_.size(); ++i)
    if (layout_.fields[i].column >= 0)
      batch.columns[static_cast<std::size_t>(layout_.fields[i].column)] = take_column(cells_[i]);
  if (layout_.metadata)
    batch.columns[*layout_.metadata] = Column::constant(layout_.column_types[*layout_.metadata],
                                                        Value::json(info_.metadata ? *info_.metadata : "{}"), row_);
  batch.keys = take_keys();
  if (!diffs_.empty())
    batch.set_diffs(std::exchange(diffs_, {}));
  else if (info_.diff != 1)
    batch.set_diffs(std::vector<Diff>(row_, info_.diff));
  report_.rows(std::move(batch));
  row_ = 0;
}

void RowWriter::clear_all() {
  flush();
  start_chunk();
  report_.rows(thalweg::clear_all(layout_.column_types));
}

}  // namespace thalweg
