#include "connectors/file/block_reader.h"

#include <fmt/format.h>

#include <cstring>

namespace thalweg {

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::size_t kSmallestBlock = 4096;

}  // namespace

Result<std::size_t> BlockReader::fill(Block& block, std::size_t have) {
  while (have < block.capacity() && !ended_) {
    std::size_t n = TRY(bytes_.read(block.data() + have, block.capacity() - have));
    ended_ = n == 0;
    have += n;
  }
  if (!begun_ && options_.skip_byte_order_mark && std::string_view(block.data(), have).starts_with(kByteOrderMark)) {
    have -= kByteOrderMark.size();
    std::memmove(block.data(), block.data() + kByteOrderMark.size(), have);
    consumed_ += kByteOrderMark.size();
  }
  begun_ = true;
  return have;
}

Result<std::optional<BlockReader::Cut>> BlockReader::next(bool final) {
  while (true) {
    if (ended_ && (carry_.empty() || !final)) return std::nullopt;
    std::size_t room = std::max({pool_->block_bytes(), room_, carry_.size() + kSmallestBlock});
    if (options_.expected_bytes > 0) {
      std::uint64_t left = options_.expected_bytes > consumed_ ? options_.expected_bytes - consumed_ : 0;
      room = std::max<std::size_t>({std::min<std::uint64_t>(room, left + 1), carry_.size() + 1, room_});
    }
    auto block = pool_->take(room);
    std::memcpy(block->data(), carry_.data(), carry_.size());
    std::size_t filled = TRY(fill(*block, carry_.size()));
    carry_.clear();
    std::size_t cut = cutter_.whole_records({block->data(), filled});
    if (cut > 0) return take(std::move(block), filled, cut);
    if (filled == 0) continue;
    if (!ended_ && filled < options_.record_bytes_max) {
      carry_.assign(block->data(), filled);
      room_ = filled * 2;
    } else if (!ended_) {
      TRY(skip_long_record(*block, filled));
    } else if (!final) {
      carry_.assign(block->data(), filled);
    } else {
      // The last record, without its line end. A block has room for one more byte.
      block->seal(filled);
      if (cutter_.whole_records(block->view()) == block->size()) return take(std::move(block), filled, filled);
      drop_unclosed(*block, filled);
    }
  }
}

std::optional<BlockReader::Cut> BlockReader::take(std::shared_ptr<Block> block, std::size_t filled, std::size_t cut) {
  carry_.assign(block->data() + cut, filled - cut);
  block->seal(cut);
  Cut out{std::move(block), line_};
  line_ += count_lines(out.block->view());
  consumed_ += cut;
  room_ = 0;
  return out;
}

Result<void> BlockReader::skip_long_record(const Block& block, std::size_t filled) {
  std::string_view seen(block.data(), filled);
  on_bad_({fmt::format("the record is longer than {} bytes (`record_bytes_max`)", options_.record_bytes_max),
           std::string(seen.substr(0, 64 * 1024)), line_});
  std::size_t end = seen.find('\n');
  consumed_ += filled;
  std::vector<char> buffer(pool_->block_bytes());
  while (end == std::string_view::npos) {
    std::size_t n = TRY(bytes_.read(buffer.data(), buffer.size()));
    if (n == 0) {
      ended_ = true;
      room_ = 0;
      return {};
    }
    consumed_ += n;
    seen = {buffer.data(), n};
    end = seen.find('\n');
  }
  carry_ = seen.substr(end + 1);
  consumed_ -= carry_.size();
  ++line_;
  room_ = 0;
  return {};
}

void BlockReader::drop_unclosed(const Block& block, std::size_t filled) {
  std::string_view left(block.data(), filled);
  std::size_t end = std::min(left.find('\n'), filled - 1);
  on_bad_({"a quoted field begins in this line and is not closed before the end of the file",
           std::string(left.substr(0, std::min<std::size_t>(end, 64 * 1024))), line_});
  carry_ = left.substr(end + 1);
  consumed_ += end + 1;
  ++line_;
}

}  // namespace thalweg
