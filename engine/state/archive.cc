#include "engine/state/archive.h"

#include <algorithm>
#include <cstring>

#include "engine/types/encoding.h"

namespace thalweg {

namespace {

constexpr std::uint32_t kBlockMagic = 0x31425754;     // TWB1
constexpr std::uint32_t kBlockEndMagic = 0x45425754;  // TWBE

enum Flag : std::uint8_t { kConstant = 1, kTagged = 2 };
enum class Keys : std::uint8_t { kAbsent, kWritten };

template <class T>
std::span<const std::byte> cells_of(const Cells<T>& cells, std::size_t n) {
  return std::as_bytes(std::span<const T>(cells.data, n));
}

// The cells of a column of fixed width as they lie in memory.
std::span<const std::byte> bytes_of(const Column& column, std::size_t n) {
  switch (column.phys()) {
    case Phys::kU8: return cells_of(column.u8(), n);
    case Phys::kI64: return cells_of(column.i64(), n);
    case Phys::kF64: return cells_of(column.f64(), n);
    case Phys::kU128: return cells_of(column.u128(), n);
    case Phys::kView: break;
  }
  UNREACHABLE();
}

}  // namespace

// ---------------------------------------------------------------- writing

void StateWriter::raw(const void* data, std::size_t bytes) {
  if (bytes == 0) return;
  buffer_.append(static_cast<const char*>(data), bytes);
  if (!sink_ || buffer_.size() < kPieceBytes) return;
  flushed_ += buffer_.size();
  sink_(std::exchange(buffer_, {}));
}

void StateWriter::finish() {
  ENSURE(block_starts_.empty());
  if (!sink_ || buffer_.empty()) return;
  flushed_ += buffer_.size();
  sink_(std::exchange(buffer_, {}));
}

void StateWriter::begin_block(std::string_view kind, std::uint32_t version, const Key& fingerprint) {
  put_u32(kBlockMagic);
  put_text(kind);
  put_u32(version);
  put_u32(kKeyHashVersion);
  put_key(fingerprint);
  block_starts_.push_back(bytes());
}

void StateWriter::end_block() {
  ENSURE(!block_starts_.empty());
  std::uint64_t length = bytes() - block_starts_.back();
  block_starts_.pop_back();
  put_u32(kBlockEndMagic);
  put_u64(length);
}

void StateWriter::put_text(std::string_view v) {
  put_u64(v.size());
  raw(v.data(), v.size());
}

void StateWriter::put_value(const Value& v) { put_text(encode(v)); }

void StateWriter::put_column(const Column& column) {
  std::uint8_t flags = 0;
  if (column.is_constant()) flags |= kConstant;
  if (column.has_tags()) flags |= kTagged;
  put_u8(static_cast<std::uint8_t>(column.phys()));
  put_u8(flags);
  std::size_t cells = column.is_constant() ? 1 : column.size();
  if (column.has_tags()) {
    std::vector<CellTag> tags(cells);
    for (std::size_t i = 0; i < cells; ++i) tags[i] = column.tag(i);
    raw(tags.data(), cells);
  }
  if (column.phys() != Phys::kView) {
    std::span<const std::byte> bytes = bytes_of(column, cells);
    return raw(bytes.data(), bytes.size());
  }
  Cells<StrView> views = column.views();
  std::vector<std::uint32_t> lengths(cells);
  std::size_t total = 0;
  for (std::size_t i = 0; i < cells; ++i) total += lengths[i] = views[i].size();
  raw(lengths.data(), cells * sizeof(std::uint32_t));
  buffer_.reserve(buffer_.size() + (sink_ ? std::min(total, kPieceBytes * 2) : total));
  for (std::size_t i = 0; i < cells; ++i) raw(views[i].data(), lengths[i]);
}

void StateWriter::put_keys(const KeyColumn& keys, std::size_t rows) {
  if (keys.absent()) return put_u8(static_cast<std::uint8_t>(Keys::kAbsent));
  put_u8(static_cast<std::uint8_t>(Keys::kWritten));
  KeyColumn written = keys.materialised(rows);
  if (rows > 0) raw(&written[0], rows * sizeof(Key));
}

void StateWriter::put_batch(const Batch& batch) {
  ENSURE(batch.num_rows <= kArchiveRowsMax);
  put_u64(batch.num_rows);
  put_u64(batch.order);
  put_keys(batch.keys, batch.num_rows);
  put_bool(batch.diffs != nullptr);
  if (batch.diffs) raw(batch.diffs->data(), batch.num_rows * sizeof(Diff));
  put_u32(static_cast<std::uint32_t>(batch.columns.size()));
  for (const Column& column : batch.columns) put_column(column);
}

// ---------------------------------------------------------------- reading

std::unexpected<Error> StateReader::corrupt(std::string_view what) const {
  return fail(Code::kBadData,
              "saved state cannot be read: " + std::string(what) + " (at byte " + std::to_string(position()) + ")");
}

Result<void> StateReader::raw(void* out, std::size_t bytes) {
  if (bytes > left_) return corrupt("it ends too early");
  auto* to = static_cast<char*>(out);
  while (bytes > 0) {
    if (window_.empty()) {
      if (pull_) window_ = TRY(pull_());
      if (window_.empty()) return corrupt("it ends too early");
    }
    std::size_t n = std::min(bytes, window_.size());
    std::memcpy(to, window_.data(), n);
    window_.remove_prefix(n);
    to += n;
    bytes -= n;
    left_ -= n;
  }
  return {};
}

Result<std::size_t> StateReader::count(std::size_t bytes_each) {
  std::uint64_t n = TRY(u64());
  if (n > left_ / bytes_each) return corrupt("it ends too early");
  return static_cast<std::size_t>(n);
}

Result<bool> StateReader::boolean() {
  std::uint8_t v = TRY(u8());
  if (v > 1) return corrupt("neither true nor false");
  return v == 1;
}

Result<std::string> StateReader::text() {
  std::string out(TRY(count(1)), '\0');
  TRY(raw(out.data(), out.size()));
  return out;
}

Result<Value> StateReader::value() {
  std::string bytes = TRY(text());
  if (!is_encoding(bytes)) return corrupt("not a value");
  return decode_all(bytes);
}

Result<std::uint32_t> StateReader::begin_block(std::string_view kind, std::uint32_t newest, const Key& fingerprint) {
  if (TRY(u32()) != kBlockMagic) return corrupt("no block begins here");
  std::string found = TRY(text());
  if (found != kind)
    return corrupt("a block of '" + found.substr(0, 100) + "' in the place of '" + std::string(kind) + "'");
  std::uint32_t version = TRY(u32());
  if (version == 0 || version > newest)
    return corrupt("version " + std::to_string(version) + " of '" + found +
                   "' is not known; this program reads up to " + std::to_string(newest));
  if (TRY(u32()) != kKeyHashVersion) return corrupt("its keys were made by another hash");
  if (TRY(key()) != fingerprint) return corrupt("'" + found + "' was saved with other columns or arguments");
  block_starts_.push_back(position());
  return version;
}

Result<void> StateReader::end_block() {
  ENSURE(!block_starts_.empty());
  std::uint64_t length = position() - block_starts_.back();
  block_starts_.pop_back();
  if (TRY(u32()) != kBlockEndMagic || TRY(u64()) != length) return corrupt("the block should end here");
  return {};
}

template <class T>
Result<Column> StateReader::fixed(Phys phys, std::size_t cells, std::vector<CellTag> tags) {
  if (cells > left_ / sizeof(T)) return corrupt("it ends too early");
  std::vector<T> data(cells);
  TRY(raw(data.data(), cells * sizeof(T)));
  for (std::size_t i = 0; i < tags.size(); ++i)
    if (tags[i] != CellTag::kValue && data[i] != T{}) return corrupt("a cell without a value has one");
  if constexpr (std::is_same_v<T, std::uint8_t>)
    if (std::ranges::any_of(data, [](std::uint8_t v) { return v > 1; })) return corrupt("neither true nor false");
  return Column::from_vector<T>(phys, std::move(data), std::move(tags));
}

Result<Column> StateReader::texts(const Type& type, std::size_t cells, std::vector<CellTag> tags) {
  if (cells > left_ / sizeof(std::uint32_t)) return corrupt("it ends too early");
  std::vector<std::uint32_t> lengths(cells);
  TRY(raw(lengths.data(), cells * sizeof(std::uint32_t)));
  std::uint64_t total = 0;
  for (std::uint32_t n : lengths) total += n;
  if (total > left_) return corrupt("it ends too early");
  auto heap = std::make_shared<StringHeap>();
  char* at = total > 0 ? heap->allocate(total) : nullptr;
  TRY(raw(at, total));
  std::vector<StrView> views(cells);
  bool any_long = false;
  for (std::size_t i = 0; i < cells; ++i) {
    std::string_view bytes(at, lengths[i]);
    at += lengths[i];
    any_long |= lengths[i] > StrView::kInlineMax;
    bool is_value = tags.empty() || tags[i] == CellTag::kValue;
    if (!is_value && !bytes.empty()) return corrupt("a cell without a value has one");
    if (is_value && type.is_encoded() && !is_encoding(bytes)) return corrupt("not a value");
    views[i] = StrView(bytes);
  }
  std::vector<HeapRef> heaps;
  if (any_long) heaps.push_back(std::move(heap));
  return Column::from_vector<StrView>(Phys::kView, std::move(views), std::move(tags), std::move(heaps));
}

Result<Column> StateReader::column(const Type& type, std::size_t rows) {
  Phys phys = type.phys();
  if (TRY(u8()) != static_cast<std::uint8_t>(phys)) return corrupt("a column is of another kind");
  std::uint8_t flags = TRY(u8());
  if (flags > (kConstant | kTagged)) return corrupt("a column of an unknown form");
  std::size_t cells = (flags & kConstant) != 0 ? 1 : rows;
  std::vector<CellTag> tags;
  if ((flags & kTagged) != 0) {
    if (cells > left_) return corrupt("it ends too early");
    tags.resize(cells);
    TRY(raw(tags.data(), cells));
    if (std::ranges::any_of(tags, [](CellTag tag) { return tag > CellTag::kPending; }))
      return corrupt("an unknown kind of cell");
  }
  Column column;
  switch (phys) {
    case Phys::kU8: column = TRY(fixed<std::uint8_t>(phys, cells, std::move(tags))); break;
    case Phys::kI64: column = TRY(fixed<std::int64_t>(phys, cells, std::move(tags))); break;
    case Phys::kF64: column = TRY(fixed<double>(phys, cells, std::move(tags))); break;
    case Phys::kU128: column = TRY(fixed<Key>(phys, cells, std::move(tags))); break;
    case Phys::kView: column = TRY(texts(type, cells, std::move(tags))); break;
  }
  return (flags & kConstant) != 0 ? Column::constant(type, column.value(type, 0), rows) : column;
}

Result<KeyColumn> StateReader::keys(std::size_t rows) {
  switch (static_cast<Keys>(TRY(u8()))) {
    case Keys::kAbsent: return KeyColumn();
    case Keys::kWritten: {
      if (rows > left_ / sizeof(Key)) return corrupt("it ends too early");
      std::vector<Key> keys(rows);
      TRY(raw(keys.data(), rows * sizeof(Key)));
      return KeyColumn(std::move(keys));
    }
  }
  return corrupt("unknown keys");
}

Result<Batch> StateReader::batch(std::span<const Type> types) {
  Batch out;
  std::uint64_t rows = TRY(u64());
  if (rows > kArchiveRowsMax) return corrupt("a batch of too many rows");
  out.num_rows = static_cast<std::size_t>(rows);
  out.order = TRY(u64());
  out.keys = TRY(keys(out.num_rows));
  if (TRY(boolean())) {
    if (out.num_rows > left_ / sizeof(Diff)) return corrupt("it ends too early");
    std::vector<Diff> diffs(out.num_rows);
    TRY(raw(diffs.data(), diffs.size() * sizeof(Diff)));
    out.set_diffs(std::move(diffs));
  }
  if (TRY(u32()) != types.size()) return corrupt("another number of columns");
  out.columns.reserve(types.size());
  for (const Type& type : types) out.columns.push_back(TRY(column(type, out.num_rows)));
  return out;
}

Result<Batch> StateReader::batch(const Schema& schema) { return batch(column_types(schema)); }

Key fingerprint_of(std::span<const Type> types) {
  std::string text;
  for (const Type& type : types) {
    text += type.to_text();
    text += '\n';
  }
  return key_of_bytes(text);
}

std::vector<Type> column_types(const Schema& schema) {
  std::vector<Type> out;
  out.reserve(schema.size());
  for (const ColumnSpec& column : schema.columns) out.push_back(column.type);
  return out;
}

}  // namespace thalweg
