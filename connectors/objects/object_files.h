// connectors/objects/object_files.h
//
// The objects below a prefix as the files of a source: found by lists, read by ranges, fetched ahead.
//
// F1  find() lists all pages; what it found is how files look until the next find().
// F2  A file is read as it was found: one that is another by now is kUnavailable, never a mixture.
// Threads  the source's own; fetching ahead has threads of its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "connectors/file/scan.h"
#include "connectors/objects/object_store.h"
#include "engine/base/env.h"

namespace thalweg::objects {

struct ObjectSelection {
  std::string path;                  // a prefix of keys, or a pattern
  std::string object_pattern = "*";  // of the last part of the key
  std::string path_filter;           // `*` and `?`, of the whole key; empty: all
  std::size_t objects_max = 10'000'000;
};

class ObjectFiles final : public Disk {
 public:
  ObjectFiles(std::shared_ptr<ObjectStore> store, ObjectSelection selection, std::size_t threads);
  ObjectFiles(const ObjectFiles&) = delete;
  ObjectFiles& operator=(const ObjectFiles&) = delete;
  ~ObjectFiles() override;

  [[nodiscard]] Result<ScanResult> find();
  [[nodiscard]] std::optional<std::string> owner(const std::string& path) const;
  [[nodiscard]] ObjectStore& store() { return *store_; }

  Result<FileStat> stat(const std::string& path) override;
  Result<std::unique_ptr<ReadFile>> open_read(const std::string& path) override;
  Result<std::unique_ptr<WriteFile>> open_write(const std::string& path, WriteMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> remove(const std::string& path) override;
  Result<void> make_directories(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& directory) override;
  Result<void> sync_directory(const std::string& directory) override;
  Result<std::shared_ptr<void>> lock(const std::string& path) override;

 private:
  class Reader;
  // A small object that is being fetched before it is asked for.
  struct Ahead {
    ObjectInfo info;
    bool done = false;
    Result<std::string> content;
  };
  [[nodiscard]] bool takes(const ObjectInfo& object) const;
  [[nodiscard]] Result<ObjectInfo> info_of(const std::string& path);
  void fetch_ahead(const std::string& path);
  [[nodiscard]] std::optional<Result<std::string>> take_ahead(const ObjectInfo& info);
  void fetch();

  static constexpr std::uint64_t kAheadBytesMax = 8U << 20;  // of one object
  const std::shared_ptr<ObjectStore> store_;
  const ObjectSelection selection_;
  const std::size_t threads_max_;
  std::map<std::string, ObjectInfo> found_;
  std::vector<std::string> order_;            // of small objects that the last find() saw for the first time
  std::map<std::string, std::size_t> place_;  // in order_
  std::size_t next_ahead_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, std::shared_ptr<Ahead>> ahead_;  // guarded by mutex_, as is all below
  std::deque<std::shared_ptr<Ahead>> queue_;
  std::vector<std::thread> threads_;
  bool stop_ = false;
};

}  // namespace thalweg::objects
