// What FollowFileSource keeps over a restart: a blob for each file (how far it was read, how it looked) and blobs of
// content. They are part of the commit that brings the rows.
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <vector>

#include "connectors/file/follow.h"
#include "engine/base/bytes.h"

namespace thalweg {

namespace {

using bytes::put_number;
using bytes::put_text;
using bytes::take_number;
using bytes::take_text;

constexpr std::uint8_t kVersion = 1;
constexpr std::string_view kFile = "file/";
constexpr std::string_view kChunk = "content/";

void put_stat(std::string& out, const FileStat& stat) {
  put_number(out, stat.size);
  put_number(out, stat.inode);
  put_number(out, stat.device);
  put_number(out, stat.mtime_ns);
  put_number(out, stat.ctime_ns);
  put_number(out, stat.uid);
}

bool take_stat(std::string_view& from, FileStat& stat) {
  stat.is_regular = true;
  return take_number(from, stat.size) && take_number(from, stat.inode) && take_number(from, stat.device) &&
         take_number(from, stat.mtime_ns) && take_number(from, stat.ctime_ns) && take_number(from, stat.uid);
}

bool take_flag(std::string_view& from, bool& flag) {
  std::uint8_t v = 0;
  if (!take_number(from, v)) return false;
  flag = v != 0;
  return true;
}

bool take_digits(std::string_view text, std::uint64_t& v) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

std::string FollowFileSource::encode(const FollowedFile& file) const {
  std::string out;
  put_number(out, kVersion);
  put_text(out, file.path);
  put_number(out, file.key_source);
  put_stat(out, file.stat);
  put_number(out, file.consumed);
  put_number(out, file.next_line);
  put_number(out, file.end);
  put_text(out, file.tail);
  put_text(out, file.header_text);
  put_text(out, file.partial);
  put_number(out, file.partial_line);
  put_number<std::uint8_t>(out, file.partial_is_header ? 1 : 0);
  put_number<std::uint8_t>(out, file.fresh ? 1 : 0);
  put_number<std::uint8_t>(out, file.header ? 1 : 0);
  put_number(out, file.content.hi);
  put_number(out, file.content.lo);
  put_number(out, file.store.next_number());
  return out;
}

bool FollowFileSource::restore_file(std::string_view name, const std::string& blob) {
  std::string_view left = blob;
  std::uint8_t version = 0;
  std::string path;
  std::uint64_t number = 0;
  if (!take_digits(name, number) || !take_number(left, version) || version != kVersion || !take_text(left, path))
    return false;
  FollowedFile& file = follow(path);
  file.number = number;
  next_file_ = std::max(next_file_, number + 1);
  bool has_header = false;
  std::uint64_t next_chunk = 0;
  bool read = take_number(left, file.key_source) && take_stat(left, file.stat) && take_number(left, file.consumed) &&
              take_number(left, file.next_line) && take_number(left, file.end) && take_text(left, file.tail) &&
              take_text(left, file.header_text) && take_text(left, file.partial) &&
              take_number(left, file.partial_line) && take_flag(left, file.partial_is_header) &&
              take_flag(left, file.fresh) && take_flag(left, has_header) && take_number(left, file.content.hi) &&
              take_number(left, file.content.lo) && take_number(left, next_chunk);
  if (!read) return false;
  file.store.begin_numbers_at(next_chunk);
  file.counted = false;
  if (file.end > file.consumed) file.rest_since = context_->env().clock->monotonic_ns();
  if (!has_header || shared_->settings.format != FileFormat::kCsv) return true;
  const CsvFormat& csv = shared_->settings.csv;
  file.header = std::make_shared<const CsvHeader>(
      csv.header ? CsvHeader::from_names(shared_->layout, split_csv_record(csv, file.header_text))
                 : CsvHeader::by_position(shared_->layout));
  return true;
}

Result<void> FollowFileSource::restore() {
  keeps_ = context_->keeps_positions();
  if (!keeps_) return {};
  auto damaged = [](const std::string& name) {
    return fail(Code::kBadData, fmt::format("what is kept of the files that were read cannot be read ({})", name));
  };
  std::map<std::uint64_t, FollowedFile*> by_number;
  for (const auto& [name, blob] : context_->saved()) {
    if (!name.starts_with(kFile)) continue;
    if (!restore_file(std::string_view(name).substr(kFile.size()), *blob)) return damaged(name);
  }
  for (auto& [path, file] : files_) by_number[file.number] = &file;
  struct Chunk {
    std::uint64_t number = 0;
    const Blob* blob = nullptr;
  };
  std::map<FollowedFile*, std::vector<Chunk>> chunks;
  for (const auto& [name, blob] : context_->saved()) {
    if (!name.starts_with(kChunk)) continue;
    std::string_view rest = std::string_view(name).substr(kChunk.size());
    std::size_t slash = rest.find('/');
    std::uint64_t file = 0;
    Chunk chunk{.blob = &blob};
    bool read = slash != std::string_view::npos && take_digits(rest.substr(0, slash), file) &&
                take_digits(rest.substr(slash + 1), chunk.number);
    auto of = by_number.find(file);
    if (!read || of == by_number.end()) return damaged(name);
    chunks[of->second].push_back(chunk);
  }
  for (auto& [file, list] : chunks) {
    std::ranges::sort(list, {}, &Chunk::number);
    for (const Chunk& chunk : list)
      if (!file->store.restore(chunk.number, *chunk.blob)) return damaged(file->path);
  }
  return {};
}

std::string content_chunk_name(std::uint64_t file, std::uint64_t chunk) {
  return fmt::format("{}{}/{}", kChunk, file, chunk);
}

// After the content of the piece was added. Small pieces are joined with what comes after them: their rows are kept.
std::unique_ptr<PieceOrigin> FollowFileSource::origin_of(FollowedFile& file, std::size_t bytes) {
  if (!keeps_ || !shared_->decoder || bytes < ContentStore::kJoinBytes) return nullptr;
  auto out = std::make_unique<PieceOrigin>();
  if (!shared_->append_only) {
    if (file.number == 0) file.number = next_file_++;
    out->file = file.number;
    out->chunk = file.store.next_number() - 1;
    file.referred = true;
  }
  out->header_text = file.header_text;
  return out;
}

// Before content goes that pieces of this transaction refer to: they become part of the state while it is there.
void FollowFileSource::end_if_referred(FollowedFile& file) {
  if (file.referred) commit();
}

// How often each row occurs is told by the content; it is asked for only when a file changes.
void FollowFileSource::count_rows(FollowedFile& file) {
  if (file.counted) return;
  file.counted = true;
  if (!keys_by_row() || !shared_->decoder) return;
  std::uint64_t seed = row_seed(file);
  file.store.each(*shared_->pool, [&](const ContentStore::Segment& segment) {
    std::string_view data = segment.block->view();
    for (std::size_t at = 0; at < data.size();) {
      std::size_t n = shared_->cutter->record_end(data.substr(at));
      if (n == 0) n = data.size() - at;
      ++file.counts.at(row_hash(data.substr(at, n), seed)).before;
      at += n;
    }
    return true;
  });
}

void FollowFileSource::put_chunk(const FollowedFile& file, std::uint64_t number, const Blob& blob) {
  if (file.number != 0) context_->put(content_chunk_name(file.number, number), blob);
}

void FollowFileSource::put_changes() {
  if (!keeps_) return;
  for (auto& [path, file] : files_) {
    if (!file.dirty) continue;
    file.dirty = false;
    if (file.number == 0) file.number = next_file_++;
    for (auto& [number, blob] : file.store.take_changes()) put_chunk(file, number, blob);
    context_->put(fmt::format("{}{}", kFile, file.number), std::make_shared<const std::string>(encode(file)));
  }
}

void FollowFileSource::commit() {
  put_changes();
  context_->commit();
  for (auto& [path, file] : files_) file.referred = false;
}

void FollowFileSource::empty_store(FollowedFile& file) {
  for (auto& [number, blob] : file.store.take_all_away()) put_chunk(file, number, blob);
  std::uint64_t next = file.store.next_number();
  file.store = ContentStore{};
  if (keeps_) file.store.keep_in_blobs();
  file.store.begin_numbers_at(next);
}

void FollowFileSource::forget_file(FollowedFile& file) {
  empty_store(file);
  if (file.number != 0) context_->put(fmt::format("{}{}", kFile, file.number), nullptr);
}

}  // namespace thalweg
