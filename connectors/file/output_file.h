// connectors/file/output_file.h
//
// One file of output that other programs read while it grows.
//
// O1  In mode replace nothing touches the old content before the first commit: until then everything goes to a
//     temporary beside the target, which then takes its name.
// O2  After an error the file ends where the last commit ended.
// O3  A file that is gone on with may have bytes after what is known to be committed. As long as what is written is
// what
//     is there it stays; where it differs, and at cut_surplus(), the rest is cut off.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/base/env.h"

namespace thalweg {

enum class OnExisting : std::uint8_t { kReplace, kAppend, kFail };

class OutputFile {
 public:
  // Creates missing directories. kInvalidArgument: the file exists (kFail).
  static Result<std::unique_ptr<OutputFile>> open(Env& env, std::string path, OnExisting on_existing);
  // Goes on after the first `length` bytes. kNotFound: there is no such file; kBadData: it is shorter.
  static Result<std::unique_ptr<OutputFile>> resume(Env& env, std::string path, std::uint64_t length);
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;
  ~OutputFile();

  // The file has content of an earlier run (kAppend).
  [[nodiscard]] bool has_content() const { return committed_ > 0; }
  Result<void> append(std::string_view bytes);
  // What was appended is durable and visible.
  Result<void> commit();
  [[nodiscard]] std::uint64_t bytes() const { return written_; }
  Result<void> cut_surplus();
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  OutputFile(Env& env, std::string path) : env_(env), path_(std::move(path)) {}
  std::unexpected<Error> undo(Error error);

  Env& env_;
  const std::string path_;
  std::string temporary_;  // empty once the file has its name
  std::unique_ptr<WriteFile> file_;
  std::uint64_t committed_ = 0;
  std::uint64_t written_ = 0;
  std::string surplus_;  // what follows in a file that is gone on with
};

// A name beside `path` that nobody has: same directory, begins with a dot.
[[nodiscard]] std::string temporary_beside(Env& env, const std::string& path);

}  // namespace thalweg
