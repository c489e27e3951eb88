// connectors/file/output_marker.h
//
// How far an output file is, in the state of the pipeline: which commit is the last that is in it whole, and how long
// it was then. Written after the file itself is durable.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/env.h"

namespace thalweg {

struct OutputMark {
  std::uint64_t commit = 0;
  std::string path;
  std::uint64_t length = 0;
  std::uint64_t tail_hash = 0;  // of the last kTailBytes
  std::int64_t opened_ns = 0;   // wall time, for rotation
};

class OutputMarker {
 public:
  static constexpr std::uint64_t kTailBytes = 4096;
  // `path`: of the file of marks, which need not be there.
  static Result<std::unique_ptr<OutputMarker>> open(Disk& disk, std::string path);
  [[nodiscard]] const std::optional<OutputMark>& last() const { return last_; }
  Result<void> put(OutputMark mark);

 private:
  OutputMarker(Disk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
  Disk& disk_;
  const std::string path_;
  std::optional<OutputMark> last_;
  std::unique_ptr<WriteFile> file_;
  std::uint64_t bytes_ = 0;
};

// Of the bytes of a file before `length`.
[[nodiscard]] Result<std::uint64_t> tail_hash_of(Disk& disk, const std::string& path, std::uint64_t length);

}  // namespace thalweg
