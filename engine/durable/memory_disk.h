// engine/durable/memory_disk.h
//
// Files in memory: the state of pipelines that run without a folder, and a disk on which tests can break things.
//
// A real disk may lose what was not synced, in any order. So every file is kept twice, as programs see it and as it is
// on the platter; power_cut() makes the first out of the second and of a random part of what was not synced.
// Threads  any.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "engine/base/env.h"

namespace thalweg::durable {

class MemoryDisk final : public Disk, public std::enable_shared_from_this<MemoryDisk> {
 public:
  Result<FileStat> stat(const std::string& path) override;
  Result<std::unique_ptr<ReadFile>> open_read(const std::string& path) override;
  Result<std::unique_ptr<WriteFile>> open_write(const std::string& path, WriteMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<void> make_directories(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> sync_directory(const std::string& directory) override;
  Result<std::shared_ptr<void>> lock(const std::string& path) override;

  // ---- for tests
  // Calls that change or sync something, so far.
  [[nodiscard]] std::uint64_t calls() const;
  // The call of that number (from 1) fails once; a write may have been done in part.
  void fail_call(std::uint64_t number);
  // From that call on everything fails, as if the process were gone; the call itself may have been done in part.
  void die_at_call(std::uint64_t number);
  [[nodiscard]] bool dead() const;
  // From now on no more than so many bytes have room; what is there already stays.
  void set_capacity(std::uint64_t bytes);
  // The machine starts again. `power`: what was not synced is there in part only; else the process alone had died.
  void restart(Rng& random, bool power);
  // Changes one bit of a file, on the platter too.
  void flip_bit(const std::string& path, std::uint64_t bit);

 private:
  struct Inode {
    std::string seen;     // as programs see it
    std::string settled;  // as it is on the platter
    std::uint64_t number = 0;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;
  class Reader;
  class Writer;
  class Lock;
  enum class Fate : std::uint8_t { kDone, kFailed, kPartly };

  // Requires: mutex_ is held.
  [[nodiscard]] Fate next_call();
  [[nodiscard]] std::size_t room_for(std::size_t bytes) const;
  void settle_names(const std::string& directory);
  [[nodiscard]] Result<std::shared_ptr<Inode>> find(const std::string& path) const;
  [[nodiscard]] static std::string mixed(const Inode& inode, Rng& random);

  mutable std::mutex mutex_;
  Names names_;          // guarded by mutex_, as is all below
  Names settled_names_;  // on the platter
  std::set<std::string> directories_;
  std::set<std::string> locks_;
  std::uint64_t calls_ = 0;
  std::uint64_t inodes_ = 0;
  std::uint64_t boots_ = 0;
  std::optional<std::uint64_t> fail_at_;
  std::optional<std::uint64_t> die_at_;
  std::optional<std::uint64_t> capacity_;
};

}  // namespace thalweg::durable
