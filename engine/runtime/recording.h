// engine/runtime/recording.h
//
// A log of commits that is kept whole, to be run again in the place of the sources (`thalweg replay`).
//
// Threads  the coordinating worker.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/durable/epoch_log.h"
#include "engine/io/source.h"
#include "engine/runtime/commit_record.h"

namespace thalweg {

class Recording {
 public:
  // kNotFound: there is none in the folder.
  static Result<std::unique_ptr<Recording>> open(const std::shared_ptr<Disk>& disk, const std::string& directory);
  [[nodiscard]] std::size_t commits() const { return log_->found().size(); }
  [[nodiscard]] Result<std::unique_ptr<CommitReplay>> read(std::size_t commit) const;
  // All of them as one: the time is that of the first, the wall time that of the last.
  [[nodiscard]] Result<std::unique_ptr<CommitReplay>> read_all();
  // Where a source was at the end.
  struct End {
    std::string position;
    BlobMap blobs;
  };
  [[nodiscard]] const std::map<Key, End>& ends() const { return ends_; }

 private:
  std::unique_ptr<durable::EpochLog> log_;
  std::map<Key, End> ends_;
  std::vector<std::unique_ptr<CommitReplay>> parts_;  // of read_all: what its views point into
};

}  // namespace thalweg
