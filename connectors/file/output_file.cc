#include "connectors/file/output_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "connectors/file/scan.h"
#include "engine/base/bytes.h"

namespace thalweg {

namespace {

constexpr std::string_view kEnding = ".tmp";

}  // namespace

TemporaryName TemporaryName::beside(Env& env, const std::string& path, const std::string& owner) {
  constexpr int kTries = 8;  // another start may be looking at a name that was just made
  const std::string directory = parent_directory(path);
  const std::string name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  for (int i = 1;; ++i) {
    std::string temporary = fmt::format("{}/.{}.{}-{:016x}{}", directory, name, owner, env.rng->next(), kEnding);
    auto lock = env.disk->lock(temporary);
    if (lock) return {std::move(temporary), std::move(*lock)};
    // Where files cannot be locked, or there is no room for one: whoever writes to it waits, or says what is wrong.
    if (lock.error().code != Code::kUnavailable || i == kTries) return {std::move(temporary), nullptr};
  }
}

std::string owner_of_output(std::string_view pipeline, std::string_view output, std::string_view path) {
  std::string all;
  for (std::string_view part : {pipeline, output, path}) bytes::put_text(all, part);
  return fmt::format("{:016x}", bytes::checksum(all));
}

void remove_left_over(Env& env, const std::string& path, const std::string& owner) {
  constexpr std::size_t kRandom = 16;
  const std::string directory = parent_directory(path);
  const std::string mine = "." + owner + "-";
  const std::size_t tail = mine.size() + kRandom + kEnding.size();
  auto names = env.disk->list(directory);
  if (!names) return;
  for (const std::string& name : *names) {
    const bool is_ours = name.starts_with('.') && name.ends_with(kEnding) && name.size() > tail &&
                         std::string_view(name).substr(name.size() - tail, mine.size()) == mine;
    if (!is_ours) continue;
    const std::string left = directory + "/" + name;
    const auto lock = env.disk->lock(left);
    if (lock) (void)env.disk->remove(left);  // else somebody is at it
  }
}

Result<std::unique_ptr<OutputFile>> OutputFile::open(Env& env, std::string path, OnExisting on_existing,
                                                     const std::string& owner) {
  TRY(env.disk->make_directories(parent_directory(path)));
  auto existing = env.disk->stat(path);
  if (existing && existing->is_directory) return fail(Code::kInvalidArgument, fmt::format("'{}' is a directory", path));
  if (!existing && existing.error().code != Code::kNotFound) return fail(std::move(existing).error());
  if (existing && on_existing == OnExisting::kFail)
    return fail(Code::kInvalidArgument, fmt::format("'{}' exists already (`on_existing: fail`)", path));
  std::unique_ptr<OutputFile> out(new OutputFile(env, std::move(path)));
  // What is no regular file (a pipe, /dev/null) cannot be replaced.
  bool in_place = on_existing == OnExisting::kAppend || (existing && !existing->is_regular);
  if (!in_place) out->temporary_ = TemporaryName::beside(env, out->path_, owner);
  out->file_ = TRY(env.disk->open_write(in_place ? out->path_ : out->temporary_->path(),
                                        in_place ? Disk::WriteMode::kAppend : Disk::WriteMode::kTruncate));
  if (in_place && existing && existing->is_regular) out->committed_ = out->written_ = TRY(out->file_->size());
  return out;
}

Result<std::unique_ptr<OutputFile>> OutputFile::resume(Env& env, std::string path, std::uint64_t length) {
  constexpr std::uint64_t kSurplusMax = 64U << 20;  // more than that is written anew
  std::uint64_t size = TRY(env.disk->stat(path)).size;
  if (size < length)
    return fail(Code::kBadData, fmt::format("'{}' has {} bytes, {} were written to it", path, size, length));
  std::unique_ptr<OutputFile> out(new OutputFile(env, std::move(path)));
  out->file_ = TRY(env.disk->open_write(out->path_, Disk::WriteMode::kAppend));
  out->committed_ = out->written_ = length;
  if (size == length) return out;
  if (size - length > kSurplusMax) {
    TRY(out->file_->truncate(length));
    return out;
  }
  out->surplus_.resize(size - length);
  auto file = TRY(env.disk->open_read(out->path_));
  for (std::size_t have = 0; have < out->surplus_.size();) {
    std::size_t n = TRY(file->read_at(length + have, out->surplus_.data() + have, out->surplus_.size() - have));
    if (n == 0) return fail(Code::kIo, fmt::format("'{}' became shorter", out->path_));
    have += n;
  }
  return out;
}

Result<void> OutputFile::cut_surplus() {
  if (surplus_.empty()) return {};
  surplus_.clear();
  return file_->truncate(written_);
}

OutputFile::~OutputFile() {
  if (temporary_) (void)env_.disk->remove(temporary_->path());
}

std::unexpected<Error> OutputFile::undo(Error error) {
  // The error that matters is the first one.
  (void)file_->truncate(committed_);
  written_ = committed_;
  surplus_.clear();
  return fail(std::move(error));
}

Result<void> OutputFile::append(std::string_view bytes) {
  if (!surplus_.empty()) {
    std::size_t n = std::min(bytes.size(), surplus_.size());
    if (bytes.substr(0, n) == std::string_view(surplus_).substr(0, n)) {
      surplus_.erase(0, n);
      written_ += n;
      bytes.remove_prefix(n);
      if (bytes.empty()) return {};
    } else if (auto cut = cut_surplus(); !cut) {
      return undo(std::move(cut).error());
    }
  }
  if (auto done = file_->append(bytes); !done) return undo(std::move(done).error());
  written_ += bytes.size();
  return {};
}

Result<void> OutputFile::commit() {
  if (auto synced = file_->sync(); !synced) return undo(std::move(synced).error());
  committed_ = written_;
  if (!temporary_) return {};
  TRY(env_.disk->rename(temporary_->path(), path_));
  temporary_.reset();
  return {};
}

}  // namespace thalweg
