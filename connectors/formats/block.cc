#include "connectors/formats/block.h"

#include <cstring>

#include "engine/base/ensure.h"

namespace thalweg {

// Room for a line end that the input may lack, and the padding.
Block::Block(std::size_t capacity) : bytes_(new char[capacity + 1 + kBlockPadding]), capacity_(capacity) {}

void Block::seal(std::size_t size) {
  ENSURE(size <= capacity_);
  if (size == 0 || bytes_[size - 1] != '\n') bytes_[size++] = '\n';
  std::memset(bytes_.get() + size, 0, kBlockPadding);
  size_ = size;
}

std::shared_ptr<Block> BlockPool::take(std::size_t bytes) {
  if (bytes > block_bytes_ || bytes < block_bytes_ / 4) return std::make_shared<Block>(bytes);
  std::unique_ptr<Block> block;
  {
    std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      block = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!block) block = std::make_unique<Block>(block_bytes_);
  auto pool = shared_from_this();
  return {block.release(), [pool](Block* raw) { pool->give_back(std::unique_ptr<Block>(raw)); }};
}

void BlockPool::give_back(std::unique_ptr<Block> block) {
  std::lock_guard lock(mutex_);
  if (idle_.size() < kIdleMax) idle_.push_back(std::move(block));
}

}  // namespace thalweg
