// connectors/file/output_file.h
//
// One file of output that other programs read while it grows.
//
// O1  In mode replace nothing touches the old content before the first commit: until then everything goes to a
//     temporary beside the target, which then takes its name. One that a killed process left behind is removed at the
//     next start of the same output.
// O2  After an error the file ends where the last commit ended.
// O3  A file that is gone on with may have bytes after what is known to be committed. As long as what is written is
// what
//     is there it stays; where it differs, and at cut_surplus(), the rest is cut off.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/env.h"

namespace thalweg {

enum class OnExisting : std::uint8_t { kReplace, kAppend, kFail };

// A name for what is to become a file: in the same directory, with a dot first and who made it at its end,
// `.NAME.OWNER-RANDOM.tmp`. As long as this lives the name is locked, so that what a killed process left over can be
// told from what another one is at.
class TemporaryName {
 public:
  static TemporaryName beside(Env& env, const std::string& path, const std::string& owner);
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  TemporaryName(std::string path, std::shared_ptr<void> lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  std::shared_ptr<void> lock_;
};

// What names of temporaries say of an output: the same at every start, and another one for any other.
[[nodiscard]] std::string owner_of_output(std::string_view pipeline, std::string_view output, std::string_view path);
// Removes the temporaries of this owner beside `path` that nobody is at, as far as it can.
void remove_left_over(Env& env, const std::string& path, const std::string& owner);

class OutputFile {
 public:
  // Creates missing directories. kInvalidArgument: the file exists (kFail). `owner`: of temporaries.
  static Result<std::unique_ptr<OutputFile>> open(Env& env, std::string path, OnExisting on_existing,
                                                  const std::string& owner);
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
  std::optional<TemporaryName> temporary_;  // none once the file has its name
  std::unique_ptr<WriteFile> file_;
  std::uint64_t committed_ = 0;
  std::uint64_t written_ = 0;
  std::string surplus_;  // what follows in a file that is gone on with
};

}  // namespace thalweg
