// Pieces of files that the log names instead of keeping their rows: a large block is a chunk of the content that the
// source keeps anyway, or, where it keeps none, lies in the log as it was read.
#include <fmt/format.h>

#include <cstring>
#include <optional>

#include "connectors/file/content_store.h"
#include "connectors/file/follow.h"
#include "connectors/file/source.h"
#include "engine/base/bytes.h"

namespace thalweg {

namespace {

using bytes::put_number;
using bytes::put_text;
using bytes::take_number;
using bytes::take_text;

constexpr std::uint8_t kOriginVersion = 1;

void put_small(std::string& out, std::uint32_t v) {
  for (; v >= 0x80; v >>= 7) out += static_cast<char>(v | 0x80);
  out += static_cast<char>(v);
}

bool take_small(std::string_view& from, std::uint32_t& v) {
  v = 0;
  for (int shift = 0; shift < 35 && !from.empty(); shift += 7) {
    auto byte = static_cast<std::uint8_t>(from.front());
    from.remove_prefix(1);
    v |= static_cast<std::uint32_t>(byte & 0x7F) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

struct Told {
  PieceOrigin origin;
  std::string path;
  std::uint64_t key_source = 0;
  std::uint64_t first_line = 0;
  std::uint64_t content_bytes = 0;
  std::uint64_t hash = 0;
  std::optional<std::string> metadata;
  std::string content;  // where it lies in the log
};

bool take_told(std::string_view from, Told& out) {
  std::uint8_t version = 0;
  std::uint8_t has_metadata = 0;
  std::uint64_t count = 0;
  std::string metadata;
  bool read = take_number(from, version) && version == kOriginVersion && take_text(from, out.path) &&
              take_number(from, out.key_source) && take_number(from, out.first_line) &&
              take_number(from, out.content_bytes) && take_number(from, out.hash) &&
              take_text(from, out.origin.header_text) && take_number(from, has_metadata) &&
              (has_metadata == 0 || take_text(from, metadata)) && take_number(from, count) && count <= from.size();
  if (has_metadata != 0) out.metadata = std::move(metadata);
  out.origin.occurrences.resize(read ? count : 0);
  for (std::uint32_t& occurrence : out.origin.occurrences) read = read && take_small(from, occurrence);
  read = read && take_number(from, out.origin.file) && take_number(from, out.origin.chunk);
  if (read && out.origin.file == 0) return take_text(from, out.content) && from.empty();
  return read && from.empty();
}

std::unexpected<Error> gone(const Told& told) {
  return fail(Code::kBadData, fmt::format("what was read of '{}' at line {} is not what is kept of it", told.path,
                                          told.first_line + 1));
}

}  // namespace

std::string FilePiece::origin() {
  if (!origin_) return {};
  std::string out;
  put_number(out, kOriginVersion);
  put_text(out, *info_.path);
  put_number(out, info_.key_source);
  put_number(out, info_.first_line);
  put_number<std::uint64_t>(out, content_bytes_);
  std::string_view content = block_->view().substr(0, content_bytes_);
  put_number(out, bytes::checksum(content));
  put_text(out, origin_->header_text);
  put_number<std::uint8_t>(out, info_.metadata ? 1 : 0);
  if (info_.metadata) put_text(out, *info_.metadata);
  put_number<std::uint64_t>(out, origin_->occurrences.size());
  for (std::uint32_t occurrence : origin_->occurrences) put_small(out, occurrence);
  put_number(out, origin_->file);
  put_number(out, origin_->chunk);
  if (origin_->file == 0) put_text(out, content);
  return out;
}

Result<std::unique_ptr<Piece>> piece_of_origin(const std::shared_ptr<const FileSourceShared>& shared,
                                               std::string_view origin, const BlobMap& kept) {
  Told told;
  if (!take_told(origin, told) || !shared->decoder)
    return fail(Code::kBadData, "what the log of commits says of a file cannot be read");
  if (told.origin.file != 0) {
    auto blob = kept.find(content_chunk_name(told.origin.file, told.origin.chunk));
    if (blob == kept.end() || !blob->second) return gone(told);
    std::optional<std::string> content = ContentStore::content_of_blob(*blob->second);
    if (!content) return gone(told);
    told.content = std::move(*content);
  }
  if (told.content.size() != told.content_bytes || bytes::checksum(told.content) != told.hash) return gone(told);
  BlockInfo info{.path = std::make_shared<const std::string>(told.path),
                 .first_line = told.first_line,
                 .key_source = told.key_source};
  if (told.metadata) info.metadata = std::make_shared<const std::string>(std::move(*told.metadata));
  if (shared->settings.format == FileFormat::kCsv) {
    const CsvFormat& csv = shared->settings.csv;
    info.csv_header = std::make_shared<const CsvHeader>(
        csv.header ? CsvHeader::from_names(shared->layout, split_csv_record(csv, told.origin.header_text))
                   : CsvHeader::by_position(shared->layout));
  }
  auto block = shared->pool->take(told.content.size());
  std::memcpy(block->data(), told.content.data(), told.content.size());
  block->seal(told.content.size());
  if (!told.origin.occurrences.empty()) {
    std::size_t record = 0;
    each_row_key(*shared, block->view(), told.key_source, told.origin.header_text, [&](const Key& row, std::size_t at) {
      std::uint32_t occurrence = record < told.origin.occurrences.size() ? told.origin.occurrences[record] : 0;
      ++record;
      info.record_offsets.push_back(static_cast<std::uint32_t>(at));
      info.keys.push_back(row_key_of(row, occurrence));
    });
    if (record != told.origin.occurrences.size()) return gone(told);
  }
  std::size_t bytes = told.content.size();
  return std::make_unique<FilePiece>(shared, std::move(block), bytes, std::move(info));
}

}  // namespace thalweg
