// engine/base/env.h
//
// Everything non-deterministic that the engine and the connectors may use: clocks, randomness, files, environment
// variables. Tests and simulations hand in their own. Network has its own interface beside the HTTP layer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace thalweg {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual std::int64_t wall_ns() = 0;       // since the Unix epoch, UTC
  virtual std::int64_t monotonic_ns() = 0;  // never goes back
};

class Rng {
 public:
  virtual ~Rng() = default;
  virtual std::uint64_t next() = 0;
};

struct FileStat {
  std::uint64_t size = 0;
  std::uint64_t inode = 0;
  std::uint64_t device = 0;
  std::int64_t mtime_ns = 0;
  std::int64_t ctime_ns = 0;
  std::uint32_t uid = 0;
  bool is_directory = false;
  bool is_regular = false;
};

// A file open for reading at any offset.
class ReadFile {
 public:
  virtual ~ReadFile() = default;
  // Bytes read; 0 only at the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t bytes) = 0;
  virtual Result<FileStat> stat() = 0;
};

// A file open for writing at its end.
class WriteFile {
 public:
  virtual ~WriteFile() = default;
  virtual Result<void> append(std::string_view bytes) = 0;
  virtual Result<void> truncate(std::uint64_t size) = 0;
  virtual Result<void> sync() = 0;  // fdatasync
  virtual Result<std::uint64_t> size() = 0;
};

class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<FileStat> stat(const std::string& path) = 0;
  virtual Result<std::unique_ptr<ReadFile>> open_read(const std::string& path) = 0;
  enum class WriteMode : std::uint8_t { kTruncate, kAppend };
  virtual Result<std::unique_ptr<WriteFile>> open_write(const std::string& path, WriteMode mode) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;  // atomic; syncs the directory
  virtual Result<void> remove(const std::string& path) = 0;
  virtual Result<void> make_directories(const std::string& path) = 0;
  virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;  // names, sorted
  // What was created, renamed or removed in it is durable.
  virtual Result<void> sync_directory(const std::string& directory) = 0;
  // Holds the lock on a file, which is created if need be, for as long as the handle lives. kUnavailable: another
  // process (or handle) has it.
  virtual Result<std::shared_ptr<void>> lock(const std::string& path) = 0;
};

// The whole file; kTooLarge beyond `bytes_max`.
[[nodiscard]] Result<std::string> read_all(Disk& disk, const std::string& path, std::uint64_t bytes_max);
// The file has this content, durably, or it is as it was: by way of a temporary beside it.
[[nodiscard]] Result<void> replace_file(Disk& disk, const std::string& path, std::string_view content);

struct Env {
  std::shared_ptr<Clock> clock;
  std::shared_ptr<Rng> rng;
  std::shared_ptr<Disk> disk;
  std::function<std::optional<std::string>(const std::string&)> variable;  // environment variables
};

// The real machine.
[[nodiscard]] Env real_env();

}  // namespace thalweg
