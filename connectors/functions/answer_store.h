// connectors/functions/answer_store.h
//
// Answers of functions outside that outlive the process, beside the state of the pipeline that asked for them.
//
// K1  An answer is found by all that it depends on: what is asked of whom, with which parameters, and the question. A
// key
//     is a SHA-256 of these.
// K2  What cannot be read is not there; nothing here ever fails a call. A torn end of a file is cut off.
// K3  At most bytes_max are kept: files are filled one after the other, and the oldest goes when a new one begins.
//
// A file is a sequence of records: u32 size of the answer, 32 bytes key, the answer, u64 checksum of all before it.
// Threads  any.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/env.h"

namespace thalweg::functions {

class AnswerStore {
 public:
  // The one of this process at that place; null, and why, where it cannot be opened (another process has it).
  [[nodiscard]] static Result<std::shared_ptr<AnswerStore>> at(const std::shared_ptr<Disk>& disk,
                                                               const std::string& directory);
  [[nodiscard]] std::optional<std::string> find(const std::string& key);
  void put(const std::string& key, std::string_view answer);

  static constexpr std::uint64_t kBytesMax = 1ULL << 30;
  static constexpr std::uint64_t kFileBytes = kBytesMax / 8;

 private:
  AnswerStore(std::shared_ptr<Disk> disk, std::string directory)
      : disk_(std::move(disk)), directory_(std::move(directory)) {}
  [[nodiscard]] Result<void> open();
  [[nodiscard]] Result<void> read_file(std::uint64_t number);
  [[nodiscard]] Result<void> begin_file();
  [[nodiscard]] std::string path_of(std::uint64_t number) const;

  struct Place {
    std::uint64_t file = 0, offset = 0;  // of the answer
    std::uint32_t bytes = 0;
  };
  struct File {
    std::uint64_t number = 0, bytes = 0;
    std::unique_ptr<ReadFile> reader;
  };
  const std::shared_ptr<Disk> disk_;
  const std::string directory_;
  std::shared_ptr<void> lock_;
  std::mutex mutex_;
  // Guarded by mutex_, all of it.
  std::vector<File> files_;  // oldest first; the last is written
  std::unique_ptr<WriteFile> writer_;
  std::unordered_map<std::string, Place> places_;
};

// Where one function keeps its answers, once it is known. Threads  any.
class AnswerPlace {
 public:
  void keep_at(std::shared_ptr<Disk> disk, std::string directory);
  [[nodiscard]] std::shared_ptr<AnswerStore> store();  // null: nowhere

 private:
  std::mutex mutex_;
  std::shared_ptr<Disk> disk_;  // guarded by mutex_, as is all below
  std::string directory_;
  std::shared_ptr<AnswerStore> store_;
  bool tried_ = false;
};

// Collects the places of functions that are made on this thread while it lives: functions are made before it is known
// where their pipeline keeps its state.
class NewAnswerPlaces {
 public:
  NewAnswerPlaces();
  NewAnswerPlaces(const NewAnswerPlaces&) = delete;
  NewAnswerPlaces& operator=(const NewAnswerPlaces&) = delete;
  ~NewAnswerPlaces();
  // Below the folder of the pipeline's state.
  void keep_at(const std::shared_ptr<Disk>& disk, const std::string& state_directory);

  static void add(const std::shared_ptr<AnswerPlace>& place);

 private:
  NewAnswerPlaces* const outer_;
  std::vector<std::shared_ptr<AnswerPlace>> places_;
};

}  // namespace thalweg::functions
