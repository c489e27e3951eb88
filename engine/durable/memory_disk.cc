#include "engine/durable/memory_disk.h"

#include <algorithm>

namespace thalweg::durable {

namespace {

constexpr std::size_t kSectorBytes = 512;

std::unexpected<Error> broken(const std::string& what, const std::string& path) {
  return fail(Code::kIo, what + " '" + path + "': the disk fails (as a test asked for)");
}

std::string directory_of(const std::string& path) {
  std::size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace

class MemoryDisk::Reader final : public ReadFile {
 public:
  Reader(std::shared_ptr<MemoryDisk> disk, std::shared_ptr<Inode> inode)
      : disk_(std::move(disk)), inode_(std::move(inode)) {}
  Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t bytes) override {
    std::lock_guard lock(disk_->mutex_);
    if (offset >= inode_->seen.size()) return std::size_t{0};
    return inode_->seen.copy(into, bytes, offset);
  }
  Result<FileStat> stat() override {
    std::lock_guard lock(disk_->mutex_);
    return FileStat{.size = inode_->seen.size(), .inode = inode_->number, .is_regular = true};
  }

 private:
  const std::shared_ptr<MemoryDisk> disk_;
  const std::shared_ptr<Inode> inode_;
};

class MemoryDisk::Writer final : public WriteFile {
 public:
  Writer(std::shared_ptr<MemoryDisk> disk, std::shared_ptr<Inode> inode, std::string path)
      : disk_(std::move(disk)), inode_(std::move(inode)), path_(std::move(path)), boot_(disk_->boots_) {}
  Result<void> append(std::string_view bytes) override {
    std::lock_guard lock(disk_->mutex_);
    Fate fate = next();
    if (fate == Fate::kPartly) inode_->seen += bytes.substr(0, bytes.size() / 2);
    if (fate != Fate::kDone) return broken("cannot write", path_);
    std::size_t room = disk_->room_for(bytes.size());
    inode_->seen += bytes.substr(0, room);
    if (room == bytes.size()) return {};
    return fail(Code::kUnavailable, "cannot write '" + path_ + "': No space left on device");
  }
  Result<void> truncate(std::uint64_t size) override {
    std::lock_guard lock(disk_->mutex_);
    if (next() != Fate::kDone) return broken("cannot truncate", path_);
    inode_->seen.resize(size);
    return {};
  }
  Result<void> sync() override {
    std::lock_guard lock(disk_->mutex_);
    if (next() != Fate::kDone) return broken("cannot sync", path_);
    inode_->settled = inode_->seen;
    return {};
  }
  Result<std::uint64_t> size() override {
    std::lock_guard lock(disk_->mutex_);
    return inode_->seen.size();
  }

 private:
  // A handle of an earlier start is of no use.
  Fate next() { return boot_ == disk_->boots_ ? disk_->next_call() : Fate::kFailed; }
  const std::shared_ptr<MemoryDisk> disk_;
  const std::shared_ptr<Inode> inode_;
  const std::string path_;
  const std::uint64_t boot_;
};

class MemoryDisk::Lock {
 public:
  Lock(std::shared_ptr<MemoryDisk> disk, std::string path)
      : disk_(std::move(disk)), path_(std::move(path)), boot_(disk_->boots_) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() {
    std::lock_guard lock(disk_->mutex_);
    if (boot_ == disk_->boots_) disk_->locks_.erase(path_);
  }

 private:
  const std::shared_ptr<MemoryDisk> disk_;
  const std::string path_;
  const std::uint64_t boot_;
};

MemoryDisk::Fate MemoryDisk::next_call() {
  ++calls_;
  if (die_at_ && calls_ >= *die_at_) return calls_ == *die_at_ && calls_ % 2 == 0 ? Fate::kPartly : Fate::kFailed;
  if (fail_at_ && calls_ == *fail_at_) return calls_ % 2 == 0 ? Fate::kPartly : Fate::kFailed;
  return Fate::kDone;
}

std::size_t MemoryDisk::room_for(std::size_t bytes) const {
  if (!capacity_) return bytes;
  std::uint64_t used = 0;
  for (const auto& [name, inode] : names_) used += inode->seen.size();
  return std::min<std::uint64_t>(bytes, *capacity_ > used ? *capacity_ - used : 0);
}

Result<std::shared_ptr<MemoryDisk::Inode>> MemoryDisk::find(const std::string& path) const {
  auto found = names_.find(path);
  if (found == names_.end()) return fail(Code::kNotFound, "there is no '" + path + "'");
  return found->second;
}

Result<FileStat> MemoryDisk::stat(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (directories_.contains(without_slash(path))) return FileStat{.is_directory = true};
  auto inode = TRY(find(path));
  return FileStat{.size = inode->seen.size(), .inode = inode->number, .is_regular = true};
}

Result<std::unique_ptr<ReadFile>> MemoryDisk::open_read(const std::string& path) {
  std::lock_guard lock(mutex_);
  return std::make_unique<Reader>(shared_from_this(), TRY(find(path)));
}

Result<std::unique_ptr<WriteFile>> MemoryDisk::open_write(const std::string& path, WriteMode mode) {
  std::lock_guard lock(mutex_);
  if (next_call() != Fate::kDone) return broken("cannot open for writing", path);
  if (!directories_.contains(directory_of(path)))
    return fail(Code::kNotFound, "there is no directory for '" + path + "'");
  std::shared_ptr<Inode>& inode = names_[path];
  if (!inode) {
    inode = std::make_shared<Inode>();
    inode->number = ++inodes_;
  } else if (mode == WriteMode::kTruncate) {
    inode->seen.clear();
  }
  return std::make_unique<Writer>(shared_from_this(), inode, path);
}

void MemoryDisk::settle_names(const std::string& directory) {
  std::erase_if(settled_names_, [&](const auto& entry) { return directory_of(entry.first) == directory; });
  for (const auto& [name, inode] : names_)
    if (directory_of(name) == directory) settled_names_[name] = inode;
}

Result<void> MemoryDisk::rename(const std::string& from, const std::string& to) {
  std::lock_guard lock(mutex_);
  Fate fate = next_call();
  if (fate == Fate::kFailed) return broken("cannot rename to", to);
  auto inode = TRY(find(from));
  names_.erase(from);
  names_[to] = inode;
  if (fate == Fate::kPartly) return broken("cannot sync directory of", to);
  settle_names(directory_of(to));
  return {};
}

Result<void> MemoryDisk::remove(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (next_call() != Fate::kDone) return broken("cannot remove", path);
  TRY(find(path));
  names_.erase(path);
  return {};
}

// Directories are there at once and for good: no program of ours depends on losing one.
Result<void> MemoryDisk::make_directories(const std::string& path) {
  std::lock_guard lock(mutex_);
  std::string whole = without_slash(path);
  for (std::size_t at = 0; at <= whole.size(); ++at)
    if (at == whole.size() || whole[at] == '/') directories_.insert(whole.substr(0, at));
  return {};
}

Result<std::vector<std::string>> MemoryDisk::list(const std::string& directory) {
  std::lock_guard lock(mutex_);
  std::string whole = without_slash(directory);
  if (!directories_.contains(whole)) return fail(Code::kNotFound, "there is no '" + directory + "'");
  std::set<std::string> found;
  for (const auto& [name, inode] : names_)
    if (directory_of(name) == whole) found.insert(name.substr(whole.size() + 1));
  for (const std::string& other : directories_)
    if (other != whole && directory_of(other) == whole) found.insert(other.substr(whole.size() + 1));
  return std::vector<std::string>(found.begin(), found.end());
}

Result<void> MemoryDisk::sync_directory(const std::string& directory) {
  std::lock_guard lock(mutex_);
  if (next_call() != Fate::kDone) return broken("cannot sync directory", directory);
  settle_names(without_slash(directory));
  return {};
}

Result<std::shared_ptr<void>> MemoryDisk::lock(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (!locks_.insert(path).second) return fail(Code::kUnavailable, "'" + path + "' is locked by another process");
  return std::shared_ptr<void>(std::make_shared<Lock>(shared_from_this(), path));
}

std::uint64_t MemoryDisk::calls() const {
  std::lock_guard lock(mutex_);
  return calls_;
}

void MemoryDisk::fail_call(std::uint64_t number) {
  std::lock_guard lock(mutex_);
  fail_at_ = number;
}

void MemoryDisk::die_at_call(std::uint64_t number) {
  std::lock_guard lock(mutex_);
  die_at_ = number;
}

void MemoryDisk::set_capacity(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  capacity_ = bytes;
}

bool MemoryDisk::dead() const {
  std::lock_guard lock(mutex_);
  return die_at_ && calls_ >= *die_at_;
}

std::string MemoryDisk::mixed(const Inode& inode, Rng& random) {
  if (inode.seen == inode.settled) return inode.settled;
  std::size_t longest = std::max(inode.seen.size(), inode.settled.size());
  std::size_t shortest = std::min(inode.seen.size(), inode.settled.size());
  std::string out(shortest + random.next() % (longest - shortest + 1), '\0');
  for (std::size_t at = 0; at < out.size(); at += kSectorBytes) {
    const std::string& from = random.next() % 2 == 0 ? inode.seen : inode.settled;
    for (std::size_t i = at; i < std::min(at + kSectorBytes, out.size()); ++i)
      if (i < from.size()) out[i] = from[i];
  }
  return out;
}

void MemoryDisk::restart(Rng& random, bool power) {
  std::lock_guard lock(mutex_);
  ++boots_;
  locks_.clear();
  fail_at_.reset();
  die_at_.reset();
  if (!power) return;
  std::set<std::string> all;
  for (const auto& [name, inode] : names_) all.insert(name);
  for (const auto& [name, inode] : settled_names_) all.insert(name);
  Names now;
  for (const std::string& name : all) {
    const Names& from = random.next() % 2 == 0 ? names_ : settled_names_;
    if (auto found = from.find(name); found != from.end()) now[name] = found->second;
  }
  std::set<Inode*> done;
  for (auto& [name, inode] : now) {
    if (!done.insert(inode.get()).second) continue;
    inode->seen = mixed(*inode, random);
    inode->settled = inode->seen;
  }
  names_ = now;
  settled_names_ = std::move(now);
}

void MemoryDisk::flip_bit(const std::string& path, std::uint64_t bit) {
  std::lock_guard lock(mutex_);
  auto found = names_.find(path);
  if (found == names_.end() || found->second->seen.empty()) return;
  std::size_t at = bit / 8 % found->second->seen.size();
  found->second->seen[at] = static_cast<char>(found->second->seen[at] ^ (1 << bit % 8));
  if (at < found->second->settled.size()) found->second->settled[at] = found->second->seen[at];
}

}  // namespace thalweg::durable
