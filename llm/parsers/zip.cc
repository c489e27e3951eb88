#include "llm/parsers/zip.h"

#include <algorithm>

#include <zlib.h>

namespace thalweg::llm {

namespace {

constexpr std::size_t kEntriesMax = 20'000;
constexpr std::uint64_t kUnpackedMax = 64ULL << 20;
constexpr std::size_t kEndBytes = 22, kDirectoryBytes = 46, kLocalBytes = 30;

std::uint64_t number(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t out = 0;
  for (std::size_t i = 0; i < size && at + i < bytes.size(); ++i)
    out |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return out;
}

std::unexpected<Error> broken() { return fail(Code::kBadData, "the document is a broken ZIP archive"); }

}  // namespace

Result<Zip> Zip::open(std::string_view bytes) {
  const std::size_t end = bytes.rfind("PK\x05\x06");
  if (end == std::string_view::npos || end + kEndBytes > bytes.size()) return broken();
  const std::size_t count = number(bytes, end + 10, 2);
  std::size_t at = number(bytes, end + 16, 4);
  if (count > kEntriesMax) return fail(Code::kTooLarge, "the document is an archive of too many files");
  Zip out;
  out.bytes_ = bytes;
  for (std::size_t i = 0; i < count; ++i) {
    if (at + kDirectoryBytes > bytes.size() || bytes.substr(at, 4) != "PK\x01\x02") return broken();
    Entry entry;
    entry.method = static_cast<std::uint16_t>(number(bytes, at + 10, 2));
    entry.packed = number(bytes, at + 20, 4);
    entry.size = number(bytes, at + 24, 4);
    entry.at = number(bytes, at + 42, 4);
    const std::size_t name = number(bytes, at + 28, 2);
    if (at + kDirectoryBytes + name > bytes.size()) return broken();
    entry.name = bytes.substr(at + kDirectoryBytes, name);
    at += kDirectoryBytes + name + number(bytes, at + 30, 2) + number(bytes, at + 32, 2);
    out.entries_.push_back(std::move(entry));
  }
  return out;
}

std::vector<std::string> Zip::names() const {
  std::vector<std::string> out;
  for (const Entry& entry : entries_) out.push_back(entry.name);
  return out;
}

bool Zip::has(std::string_view name) const { return std::ranges::find(entries_, name, &Entry::name) != entries_.end(); }

Result<std::string> Zip::read(std::string_view name) {
  const auto it = std::ranges::find(entries_, name, &Entry::name);
  if (it == entries_.end()) return fail(Code::kBadData, "the document lacks its part `" + std::string(name) + "`");
  if (it->at + kLocalBytes > bytes_.size() || bytes_.substr(it->at, 4) != "PK\x03\x04") return broken();
  const std::uint64_t begin = it->at + kLocalBytes + number(bytes_, it->at + 26, 2) + number(bytes_, it->at + 28, 2);
  if (begin + it->packed > bytes_.size()) return broken();
  const std::string_view packed = bytes_.substr(begin, it->packed);
  if (it->size > kUnpackedMax || it->size > left_) return fail(Code::kTooLarge, "the document unpacks to too much");
  left_ -= it->size;
  if (it->method == 0) return packed.size() == it->size ? Result<std::string>(std::string(packed)) : broken();
  if (it->method != 8) return fail(Code::kBadData, "the document is packed in a way that is not known");
  std::string out(it->size, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return broken();
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));  // zlib does not write to it
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = inflate(&stream, Z_FINISH);
  const bool whole = status == Z_STREAM_END && stream.total_out == out.size();
  inflateEnd(&stream);
  if (!whole) return broken();
  return out;
}

}  // namespace thalweg::llm
