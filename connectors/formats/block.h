// connectors/formats/block.h
//
// Bytes of an input that pieces and the views in their batches share. A block holds whole records.
//
// B1  The bytes end with `\n`; kBlockPadding zero bytes follow, so that scanners may read on without asking.
// B2  Blocks of the usual size go back to their pool when the last view is gone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

namespace thalweg {

inline constexpr std::size_t kBlockPadding = 64;

class BlockPool;

class Block {
 public:
  explicit Block(std::size_t capacity);
  [[nodiscard]] char* data() { return bytes_.get(); }
  [[nodiscard]] const char* data() const { return bytes_.get(); }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }  // without the padding
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::string_view view() const { return {bytes_.get(), size_}; }
  // Ends the block at `size`: adds the line end if it is missing (`size` counts it then) and the padding.
  // Requires: size <= capacity().
  void seal(std::size_t size);

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t capacity_;
  std::size_t size_ = 0;
};
using BlockRef = std::shared_ptr<const Block>;

// Threads  take: any; blocks come back from any thread.
class BlockPool : public std::enable_shared_from_this<BlockPool> {
 public:
  explicit BlockPool(std::size_t block_bytes) : block_bytes_(block_bytes) {}
  [[nodiscard]] std::size_t block_bytes() const { return block_bytes_; }
  // Room for `bytes`. Small and large blocks are made to measure: a row that history keeps must not keep a megabyte.
  [[nodiscard]] std::shared_ptr<Block> take(std::size_t bytes);

 private:
  static constexpr std::size_t kIdleMax = 16;
  void give_back(std::unique_ptr<Block> block);

  const std::size_t block_bytes_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Block>> idle_;  // guarded by mutex_
};

}  // namespace thalweg
