#include "connectors/file/output_file.h"

#include <fmt/format.h>

#include <algorithm>

#include "connectors/file/scan.h"

namespace thalweg {

std::string temporary_beside(Env& env, const std::string& path) {
  std::string directory = parent_directory(path);
  std::string name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  return fmt::format("{}/.{}.{:016x}.tmp", directory, name, env.rng->next());
}

Result<std::unique_ptr<OutputFile>> OutputFile::open(Env& env, std::string path, OnExisting on_existing) {
  TRY(env.disk->make_directories(parent_directory(path)));
  auto existing = env.disk->stat(path);
  if (existing && existing->is_directory) return fail(Code::kInvalidArgument, fmt::format("'{}' is a directory", path));
  if (!existing && existing.error().code != Code::kNotFound) return fail(std::move(existing).error());
  if (existing && on_existing == OnExisting::kFail)
    return fail(Code::kInvalidArgument, fmt::format("'{}' exists already (`on_existing: fail`)", path));
  std::unique_ptr<OutputFile> out(new OutputFile(env, std::move(path)));
  // What is no regular file (a pipe, /dev/null) cannot be replaced.
  bool in_place = on_existing == OnExisting::kAppend || (existing && !existing->is_regular);
  if (!in_place) out->temporary_ = temporary_beside(env, out->path_);
  out->file_ = TRY(env.disk->open_write(in_place ? out->path_ : out->temporary_,
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
  if (!temporary_.empty()) (void)env_.disk->remove(temporary_);
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
  if (temporary_.empty()) return {};
  TRY(env_.disk->rename(temporary_, path_));
  temporary_.clear();
  return {};
}

}  // namespace thalweg
