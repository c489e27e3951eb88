#include "engine/runtime/commit_record.h"

#include "engine/base/bytes.h"
#include "engine/state/archive.h"

namespace thalweg {

namespace {

using bytes::put_number;
using bytes::put_text;
using bytes::take_number;
using bytes::take_text;

constexpr std::uint8_t kVersion = 2;

enum class Entry : std::uint8_t { kRows = 1, kBadRecord = 2, kAnswer = 3, kPiece = 4 };
enum Flag : std::uint8_t { kEnd = 1, kScript = 2, kInput = 4, kFill = 8, kBySnapshot = 16 };

void put_head(std::string& out, Entry kind, const Key& key) {
  put_number(out, static_cast<std::uint8_t>(kind));
  put_number(out, key.hi);
  put_number(out, key.lo);
}

bool take_key(std::string_view& from, Key& key) { return take_number(from, key.hi) && take_number(from, key.lo); }

bool take_view(std::string_view& from, std::string_view& view) {
  std::uint64_t size = 0;
  if (!take_number(from, size) || size > from.size()) return false;
  view = from.substr(0, size);
  from.remove_prefix(size);
  return true;
}

bool take_marks(std::string_view& from, std::vector<SourceMark>& marks) {
  std::uint64_t count = 0;
  if (!take_number(from, count)) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    SourceMark mark;
    std::uint64_t puts = 0;
    if (!take_key(from, mark.source) || !take_text(from, mark.position) || !take_number(from, puts)) return false;
    for (std::uint64_t p = 0; p < puts; ++p) {
      std::string name;
      std::uint8_t there = 0;
      if (!take_text(from, name) || !take_number(from, there)) return false;
      Blob blob;
      if (there != 0) {
        std::string value;
        if (!take_text(from, value)) return false;
        blob = std::make_shared<const std::string>(std::move(value));
      }
      mark.puts.emplace_back(std::move(name), std::move(blob));
    }
    marks.push_back(std::move(mark));
  }
  return true;
}

bool take_entry(std::string_view& from, CommitReplay& out) {
  std::uint8_t kind = 0;
  Key key;
  if (!take_number(from, kind) || !take_key(from, key)) return false;
  switch (static_cast<Entry>(kind)) {
    case Entry::kRows: {
      std::string_view batch;
      if (!take_view(from, batch)) return false;
      out.rows.push_back({key, batch});
      return true;
    }
    case Entry::kBadRecord: {
      CommitReplay::Bad bad{.source = key, .record = {}};
      std::uint8_t is_value = 0;
      bool read = take_text(from, bad.record.message) && take_text(from, bad.record.raw) &&
                  take_text(from, bad.record.position) && take_number(from, is_value);
      bad.record.kind = is_value != 0 ? BadRecord::Kind::kValue : BadRecord::Kind::kRecord;
      out.bad.push_back(std::move(bad));
      return read;
    }
    case Entry::kPiece: {
      CommitReplay::Piece piece{.source = key, .order = 0, .rows = 0, .origin = {}};
      bool read = take_number(from, piece.order) && take_number(from, piece.rows) && take_view(from, piece.origin);
      out.pieces.push_back(piece);
      return read;
    }
    case Entry::kAnswer: {
      std::string question;
      std::string answer;
      if (!take_text(from, question) || !take_text(from, answer)) return false;
      out.answers[key][std::move(question)].push_back(std::move(answer));
      return true;
    }
  }
  return false;
}

}  // namespace

void CommitJournal::rows(const Key& source, const Batch& batch) {
  StateWriter writer;
  writer.put_batch(batch);
  put_head(bytes_, Entry::kRows, source);
  put_text(bytes_, writer.take());
}

void CommitJournal::piece(const Key& source, std::uint64_t order, std::uint64_t rows, std::string_view origin) {
  put_head(bytes_, Entry::kPiece, source);
  put_number(bytes_, order);
  put_number(bytes_, rows);
  put_text(bytes_, origin);
}

void CommitJournal::bad_record(const Key& source, const BadRecord& record) {
  put_head(bytes_, Entry::kBadRecord, source);
  put_text(bytes_, record.message);
  put_text(bytes_, record.raw);
  put_text(bytes_, record.position);
  put_number<std::uint8_t>(bytes_, record.kind == BadRecord::Kind::kValue ? 1 : 0);
}

void CommitJournal::answer(const Key& node, std::string_view question, std::string_view answer) {
  put_head(bytes_, Entry::kAnswer, node);
  put_text(bytes_, question);
  put_text(bytes_, answer);
}

std::string encode(const CommitRecord& record) {
  std::string out;
  std::size_t bytes = 256;
  for (const std::string& entries : record.entries) bytes += entries.size();
  for (const SourceMark& mark : record.marks) {
    bytes += 64 + mark.position.size();
    for (const auto& [name, blob] : mark.puts) bytes += 32 + name.size() + (blob ? blob->size() : 0);
  }
  out.reserve(bytes);
  std::uint8_t flags = 0;
  if (record.is_end) flags |= kEnd;
  if (record.has_script) flags |= kScript;
  if (record.takes_input) flags |= kInput;
  if (record.is_fill) flags |= kFill;
  if (record.by_snapshot) flags |= kBySnapshot;
  put_number(out, kVersion);
  put_number(out, flags);
  put_number(out, record.time);
  put_number(out, record.wall_ns);
  put_number<std::uint64_t>(out, record.marks.size());
  for (const SourceMark& mark : record.marks) {
    put_number(out, mark.source.hi);
    put_number(out, mark.source.lo);
    put_text(out, mark.position);
    put_number<std::uint64_t>(out, mark.puts.size());
    for (const auto& [name, blob] : mark.puts) {
      put_text(out, name);
      put_number<std::uint8_t>(out, blob ? 1 : 0);
      if (blob) put_text(out, *blob);
    }
  }
  for (const std::string& entries : record.entries) out += entries;
  return out;
}

Result<std::unique_ptr<CommitReplay>> decode_commit(std::string bytes) {
  auto out = std::make_unique<CommitReplay>();
  out->bytes = std::move(bytes);
  std::string_view left = out->bytes;
  std::uint8_t version = 0;
  std::uint8_t flags = 0;
  if (!take_number(left, version) || version > kVersion)
    return fail(Code::kBadData, "the log of commits was written by a newer version");
  bool read = take_number(left, flags) && take_number(left, out->record.time) &&
              take_number(left, out->record.wall_ns) && take_marks(left, out->record.marks);
  while (read && !left.empty()) read = take_entry(left, *out);
  if (!read) return fail(Code::kBadData, "a record of the log of commits cannot be read");
  out->record.is_end = (flags & kEnd) != 0;
  out->record.has_script = (flags & kScript) != 0;
  out->record.takes_input = (flags & kInput) != 0;
  out->record.is_fill = (flags & kFill) != 0;
  out->record.by_snapshot = (flags & kBySnapshot) != 0;
  return out;
}

}  // namespace thalweg
