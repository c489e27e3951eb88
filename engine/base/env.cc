#include "engine/base/env.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <random>

#include "engine/base/file_births.h"

namespace thalweg {

namespace {

Code code_of(int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR: return Code::kNotFound;
    case EACCES:
    case EPERM:
    case EROFS: return Code::kPermission;
    case ENOSPC:
    case EDQUOT: return Code::kUnavailable;  // there may be room later
    default: return Code::kIo;
  }
}

std::unexpected<Error> io_error(const std::string& what, const std::string& path) {
  int error = errno;
  return fail(code_of(error), what + " '" + path + "': " + std::strerror(error));
}

class RealClock : public Clock {
 public:
  std::int64_t wall_ns() override { return now(CLOCK_REALTIME); }
  std::int64_t monotonic_ns() override { return now(CLOCK_MONOTONIC); }

 private:
  static std::int64_t now(clockid_t clock) {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<std::int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
  }
};

class RealRng : public Rng {
 public:
  std::uint64_t next() override {
    thread_local std::mt19937_64 generator{std::random_device{}()};
    return generator();
  }
};

FileStat from_stat(const struct stat& s) {
  return FileStat{.size = static_cast<std::uint64_t>(s.st_size),
                  .inode = s.st_ino,
                  .device = s.st_dev,
                  .mtime_ns = static_cast<std::int64_t>(s.st_mtim.tv_sec) * 1'000'000'000 + s.st_mtim.tv_nsec,
                  .ctime_ns = static_cast<std::int64_t>(s.st_ctim.tv_sec) * 1'000'000'000 + s.st_ctim.tv_nsec,
                  .uid = s.st_uid,
                  .is_directory = S_ISDIR(s.st_mode),
                  .is_regular = S_ISREG(s.st_mode)};
}

class Descriptor {
 public:
  Descriptor(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { ::close(fd_); }
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] Result<FileStat> stat() const {
    struct stat s{};
    if (::fstat(fd_, &s) != 0) return io_error("cannot stat", path_);
    return from_stat(s);
  }

 private:
  int fd_;
  std::string path_;
};

class RealReadFile : public ReadFile {
 public:
  RealReadFile(int fd, std::string path) : file_(fd, std::move(path)) {}
  Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t bytes) override {
    for (;;) {
      ssize_t n = ::pread(file_.fd(), into, bytes, static_cast<off_t>(offset));
      if (n >= 0) return static_cast<std::size_t>(n);
      if (errno != EINTR) return io_error("cannot read", file_.path());
    }
  }
  Result<FileStat> stat() override { return file_.stat(); }

 private:
  Descriptor file_;
};

class RealWriteFile : public WriteFile {
 public:
  RealWriteFile(int fd, std::string path) : file_(fd, std::move(path)) {}
  Result<void> append(std::string_view bytes) override {
    while (!bytes.empty()) {
      ssize_t n = ::write(file_.fd(), bytes.data(), bytes.size());
      if (n < 0) {
        if (errno == EINTR) continue;
        return io_error("cannot write", file_.path());
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return {};
  }
  Result<void> truncate(std::uint64_t size) override {
    if (::ftruncate(file_.fd(), static_cast<off_t>(size)) != 0) return io_error("cannot truncate", file_.path());
    if (::lseek(file_.fd(), static_cast<off_t>(size), SEEK_SET) < 0) return io_error("cannot seek in", file_.path());
    return {};
  }
  Result<void> sync() override {
    // Pipes and terminals cannot be synced; that is no error.
    if (::fdatasync(file_.fd()) == 0 || errno == EINVAL || errno == EROFS) return {};
    // Whatever it was, what is on the platter is not known any more: nobody may try again.
    return fail(Code::kIo, "cannot sync '" + file_.path() + "': " + std::strerror(errno));
  }
  Result<std::uint64_t> size() override { return TRY(file_.stat()).size; }

 private:
  Descriptor file_;
};

class RealDisk : public Disk, public FileBirths {
 public:
  Result<FileStat> stat(const std::string& path) override {
    struct stat s{};
    if (::stat(path.c_str(), &s) != 0) return io_error("cannot stat", path);
    return from_stat(s);
  }
  std::optional<std::int64_t> birth_ns(const std::string& path) override {
    struct statx s{};
    if (::statx(AT_FDCWD, path.c_str(), 0, STATX_BTIME, &s) != 0 || (s.stx_mask & STATX_BTIME) == 0)
      return std::nullopt;
    return s.stx_btime.tv_sec * 1'000'000'000 + s.stx_btime.tv_nsec;
  }
  Result<std::unique_ptr<ReadFile>> open_read(const std::string& path) override {
    int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return io_error("cannot open", path);
    return std::make_unique<RealReadFile>(fd, path);
  }
  Result<std::unique_ptr<WriteFile>> open_write(const std::string& path, WriteMode mode) override {
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | (mode == WriteMode::kAppend ? O_APPEND : O_TRUNC);
    int fd = ::open(path.c_str(), flags, 0644);
    if (fd < 0) return io_error("cannot open for writing", path);
    return std::make_unique<RealWriteFile>(fd, path);
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return io_error("cannot rename to", to);
    return sync_directory(to.substr(0, to.find_last_of('/') + 1));
  }
  Result<void> sync_directory(const std::string& path) override {
    std::string directory = path.empty() ? "." : path;
    int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return io_error("cannot open directory", directory);
    Descriptor handle(fd, directory);
    if (::fsync(fd) != 0 && errno != EINVAL) return io_error("cannot sync directory", directory);
    return {};
  }
  Result<std::shared_ptr<void>> lock(const std::string& path) override {
    int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0) return io_error("cannot open for locking", path);
    auto handle = std::make_shared<Descriptor>(fd, path);
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return std::shared_ptr<void>(std::move(handle));
    if (errno != EWOULDBLOCK) return io_error("cannot lock", path);
    return fail(Code::kUnavailable, "'" + path + "' is locked by another process");
  }
  Result<void> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return io_error("cannot remove", path);
    return {};
  }
  Result<void> make_directories(const std::string& path) override {
    for (std::size_t at = 1; at <= path.size(); ++at) {
      if (at < path.size() && path[at] != '/') continue;
      std::string part = path.substr(0, at);
      if (::mkdir(part.c_str(), 0755) != 0 && errno != EEXIST) return io_error("cannot make directory", part);
    }
    return {};
  }
  Result<std::vector<std::string>> list(const std::string& directory) override {
    DIR* handle = ::opendir(directory.c_str());
    if (!handle) return io_error("cannot list directory", directory);
    std::vector<std::string> names;
    while (dirent* entry = ::readdir(handle)) {
      std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    ::closedir(handle);
    std::ranges::sort(names);
    return names;
  }
};

}  // namespace

std::optional<std::int64_t> birth_ns(Disk& disk, const std::string& path) {
  auto* births = dynamic_cast<FileBirths*>(&disk);
  return births ? births->birth_ns(path) : std::nullopt;
}

Result<std::string> read_all(Disk& disk, const std::string& path, std::uint64_t bytes_max) {
  auto file = TRY(disk.open_read(path));
  std::uint64_t size = TRY(file->stat()).size;
  if (size > bytes_max) return fail(Code::kTooLarge, "'" + path + "' is larger than " + std::to_string(bytes_max));
  std::string out(size, '\0');
  std::size_t have = 0;
  while (have < out.size()) {
    std::size_t n = TRY(file->read_at(have, out.data() + have, out.size() - have));
    if (n == 0) break;
    have += n;
  }
  out.resize(have);
  return out;
}

Result<void> replace_file(Disk& disk, const std::string& path, std::string_view content) {
  std::string temporary = path + ".tmp";
  {
    auto file = TRY(disk.open_write(temporary, Disk::WriteMode::kTruncate));
    TRY(file->append(content));
    TRY(file->sync());
  }
  return disk.rename(temporary, path);
}

Env real_env() {
  Env env;
  env.clock = std::make_shared<RealClock>();
  env.rng = std::make_shared<RealRng>();
  env.disk = std::make_shared<RealDisk>();
  env.variable = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value ? std::optional<std::string>(value) : std::nullopt;
  };
  return env;
}

}  // namespace thalweg
