#include "connectors/file/output_marker.h"

#include <algorithm>

#include "engine/base/bytes.h"

namespace thalweg {

namespace {

constexpr std::uint64_t kBytesMax = 64U << 10;  // then the file of marks is begun anew
constexpr std::uint64_t kReadBytesMax = 16U << 20;

std::string encode_marker(const OutputMark& mark) {
  std::string body;
  bytes::put_number(body, mark.commit);
  bytes::put_number(body, mark.length);
  bytes::put_number(body, mark.tail_hash);
  bytes::put_number(body, mark.opened_ns);
  bytes::put_text(body, mark.path);
  std::string out;
  bytes::put_text(out, body);
  bytes::put_number(out, bytes::checksum(body));
  return out;
}

std::optional<OutputMark> take_mark(std::string_view& from) {
  std::string body;
  std::uint64_t sum = 0;
  if (!bytes::take_text(from, body) || !bytes::take_number(from, sum) || sum != bytes::checksum(body))
    return std::nullopt;
  std::string_view left = body;
  OutputMark mark;
  bool read = bytes::take_number(left, mark.commit) && bytes::take_number(left, mark.length) &&
              bytes::take_number(left, mark.tail_hash) && bytes::take_number(left, mark.opened_ns) &&
              bytes::take_text(left, mark.path);
  return read ? std::optional(std::move(mark)) : std::nullopt;
}

}  // namespace

Result<std::unique_ptr<OutputMarker>> OutputMarker::open(Disk& disk, std::string path) {
  std::unique_ptr<OutputMarker> out(new OutputMarker(disk, std::move(path)));
  auto text = read_all(disk, out->path_, kReadBytesMax);
  if (!text && text.error().code != Code::kNotFound) return fail(std::move(text).error());
  if (!text) return out;
  // The last one may be torn; then the one before it counts.
  std::string_view left = *text;
  while (auto mark = take_mark(left)) out->last_ = std::move(mark);
  if (!out->last_) return out;
  // Durable before anybody acts on it, and without what is torn.
  TRY(replace_file(disk, out->path_, encode_marker(*out->last_)));
  return out;
}

Result<void> OutputMarker::put(OutputMark mark) {
  std::string bytes = encode_marker(mark);
  if (!file_ || bytes_ > kBytesMax) {
    file_.reset();
    TRY(replace_file(disk_, path_, bytes));
    file_ = TRY(disk_.open_write(path_, Disk::WriteMode::kAppend));
    bytes_ = bytes.size();
  } else {
    TRY(file_->append(bytes));
    TRY(file_->sync());
    bytes_ += bytes.size();
  }
  last_ = std::move(mark);
  return {};
}

Result<std::uint64_t> tail_hash_of(Disk& disk, const std::string& path, std::uint64_t length) {
  std::string tail(std::min(length, OutputMarker::kTailBytes), '\0');
  if (tail.empty()) return bytes::checksum(tail);
  auto file = TRY(disk.open_read(path));
  for (std::size_t have = 0; have < tail.size();) {
    std::size_t n = TRY(file->read_at(length - tail.size() + have, tail.data() + have, tail.size() - have));
    if (n == 0) return fail(Code::kBadData, "'" + path + "' is shorter than what was written to it");
    have += n;
  }
  return bytes::checksum(tail);
}

}  // namespace thalweg
