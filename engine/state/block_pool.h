// engine/state/block_pool.h
//
// Memory for very many short arrays of plain items: blocks of 2^k items, cut from large pieces, used again by size.
//
// P1  Blocks of more than kPooledItems items are allocated by themselves; the owner gives every block back.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <vector>

namespace thalweg {

template <class T>
class BlockPool {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) >= sizeof(void*));

 public:
  static constexpr unsigned kPooledLog = 10;

  [[nodiscard]] T* take(unsigned log) {
    bytes_ += sizeof(T) << log;
    if (log > kPooledLog) return new T[std::size_t{1} << log];
    if (free_[log]) {
      Free* block = free_[log];
      free_[log] = block->next;
      return reinterpret_cast<T*>(block);
    }
    std::size_t items = std::size_t{1} << log;
    if (left_ < items) {
      pieces_.push_back(std::make_unique_for_overwrite<T[]>(kPieceItems));
      cursor_ = pieces_.back().get();
      left_ = kPieceItems;
    }
    T* block = cursor_;
    cursor_ += items;
    left_ -= items;
    return block;
  }
  void give(T* block, unsigned log) {
    bytes_ -= sizeof(T) << log;
    if (log > kPooledLog) {
      delete[] block;
      return;
    }
    free_[log] = new (static_cast<void*>(block)) Free{free_[log]};
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }  // of blocks that are out

 private:
  static constexpr std::size_t kPieceItems = std::size_t{1} << 16;
  struct Free {
    Free* next;
  };
  std::vector<std::unique_ptr<T[]>> pieces_;
  std::array<Free*, kPooledLog + 1> free_{};
  T* cursor_ = nullptr;
  std::size_t left_ = 0;
  std::size_t bytes_ = 0;
};

// An array in a pool's blocks. It does not know its pool: whoever owns it releases it.
template <class T>
struct PooledArray {
  T* data = nullptr;
  std::uint32_t size = 0;
  std::uint32_t log = 0;  // of the capacity, if data is not null

  void push_back(const T& item, BlockPool<T>& pool) {
    if (!data || size == std::uint32_t{1} << log) grow(pool);
    data[size++] = item;
  }
  void insert(std::uint32_t at, const T& item, BlockPool<T>& pool) {
    push_back(item, pool);
    for (std::uint32_t i = size - 1; i > at; --i) data[i] = data[i - 1];
    data[at] = item;
  }
  void erase(std::uint32_t at) {
    for (std::uint32_t i = at; i + 1 < size; ++i) data[i] = data[i + 1];
    --size;
  }
  void release(BlockPool<T>& pool) {
    if (data) pool.give(data, log);
    *this = {};
  }

 private:
  void grow(BlockPool<T>& pool) {
    constexpr std::uint32_t kFirstLog = 2;
    std::uint32_t wider = data ? log + 1 : kFirstLog;
    T* fresh = pool.take(wider);
    for (std::uint32_t i = 0; i < size; ++i) fresh[i] = data[i];
    if (data) pool.give(data, log);
    data = fresh;
    log = wider;
  }
};

}  // namespace thalweg
