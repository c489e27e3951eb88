#include "connectors/objects/state_disk.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "connectors/objects/state_lock.h"

namespace thalweg::objects {

namespace {

constexpr std::string_view kTemporary = ".tmp";
constexpr std::size_t kOffsetDigits = 20;
constexpr char kContent = 'c';  // the first byte of a piece; a seal has nothing else
constexpr char kSeal = 's';
constexpr std::uint64_t kListMax = 5'000'000;

std::string piece_key(const std::string& key, std::uint64_t offset) { return fmt::format("{}/{:020}", key, offset); }

std::optional<std::uint64_t> offset_of(std::string_view name) {
  std::uint64_t out = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), out);
  if (name.size() != kOffsetDigits || error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return out;
}

std::unexpected<Error> not_there(const std::string& path) {
  return fail(Code::kNotFound, fmt::format("'{}' is not there", path));
}

}  // namespace

struct StateDisk::Draft {
  std::string content;             // not yet uploaded
  std::unique_ptr<Upload> upload;  // of a large one
  bool published = false;
};

class StateDisk::Lock final {
 public:
  Lock(std::shared_ptr<ObjectStore> store, const std::string& key, const StateDiskOptions& options)
      : holder(std::move(store), key, options.clock, options.rng, options.lease_ns) {}
  StateLock holder;
};

// ---------------------------------------------------------------- files that are read

class StateDisk::Reader final : public ReadFile {
 public:
  Reader(std::shared_ptr<StateDisk> disk, std::vector<Extent> extents)
      : disk_(std::move(disk)), extents_(std::move(extents)) {}

  Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t bytes) override {
    auto after = std::ranges::upper_bound(extents_, offset, {}, &Extent::offset);
    if (after == extents_.begin()) return 0;
    const auto at = static_cast<std::size_t>(after - extents_.begin()) - 1;
    const Extent& extent = extents_[at];
    if (offset - extent.offset >= extent.bytes) return 0;
    auto block = TRY(disk_->cache_.get(extents_, at));
    const std::uint64_t from = offset - extent.offset;
    const std::size_t n = std::min<std::size_t>(bytes, block->size() - from);
    block->copy(into, n, from);
    return n;
  }
  Result<FileStat> stat() override {
    FileStat out;
    out.is_regular = true;
    if (!extents_.empty()) out.size = extents_.back().offset + extents_.back().bytes;
    return out;
  }

 private:
  const std::shared_ptr<StateDisk> disk_;
  const std::vector<Extent> extents_;
};

// ---------------------------------------------------------------- files that are written as a whole

class StateDisk::Temporary final : public WriteFile {
 public:
  Temporary(StateDisk& disk, std::string key, std::shared_ptr<Draft> draft)
      : disk_(disk), key_(std::move(key)), draft_(std::move(draft)) {}

  Result<void> append(std::string_view bytes) override {
    draft_->content += bytes;
    size_ += bytes.size();
    while (draft_->content.size() >= 2 * Upload::kPartBytesMin) {
      if (!draft_->upload) draft_->upload = TRY(disk_.store_->upload(key_));
      std::string rest = draft_->content.substr(Upload::kPartBytesMin);
      draft_->content.resize(Upload::kPartBytesMin);
      TRY(draft_->upload->add(std::exchange(draft_->content, std::move(rest))));
    }
    return {};
  }
  Result<void> truncate(std::uint64_t size) override {
    if (size == size_) return {};
    if (draft_->upload) return fail(Code::kIo, "what was uploaded cannot be cut");
    draft_->content.resize(size);
    size_ = size;
    return {};
  }
  Result<void> sync() override { return {}; }  // the rename is what makes it durable
  Result<std::uint64_t> size() override { return size_; }

 private:
  StateDisk& disk_;
  const std::string key_;  // under which it will be published
  const std::shared_ptr<Draft> draft_;
  std::uint64_t size_ = 0;
};

Result<void> StateDisk::publish(const std::string& key, Draft& draft) {
  TRY(check_lock());
  if (draft.upload) {
    if (!draft.content.empty()) TRY(draft.upload->add(std::exchange(draft.content, {})));
    const Written written = TRY(draft.upload->finish());
    const std::lock_guard lock(mutex_);
    etags_[key] = written.etag;
    return {};
  }
  std::optional<std::string> known;
  bool is_known = false;
  {
    const std::lock_guard lock(mutex_);
    const auto it = etags_.find(key);
    is_known = it != etags_.end();
    if (is_known) known = it->second;
  }
  if (!is_known) {
    auto there = store_->head(key);
    if (!there && there.error().code != Code::kNotFound) return fail(std::move(there).error());
    if (there) known = there->etag;
  }
  const Condition condition = known ? Condition::unchanged(*known) : Condition::absent();
  const Written written = TRY(store_->put(key, draft.content, condition));
  const std::lock_guard lock(mutex_);
  if (!written.done) {
    etags_.erase(key);
    return fail(lock_lost(store_->name() + "/" + key));
  }
  etags_[key] = written.etag;
  return {};
}

Result<void> StateDisk::rename(const std::string& from, const std::string& to) {
  std::shared_ptr<Draft> draft;
  {
    const std::lock_guard lock(mutex_);
    const auto it = drafts_.find(from);
    if (it != drafts_.end()) draft = it->second;
  }
  if (!draft) return not_there(from);
  if (from != to + std::string(kTemporary))
    return fail(Code::kInvalidArgument, fmt::format("'{}' can only become '{}' without `.tmp`", from, from));
  Result<void> done = publish(key_of(to), *draft);
  const std::lock_guard lock(mutex_);
  drafts_.erase(from);
  return done;
}

// ---------------------------------------------------------------- files that grow

class StateDisk::GrowingFile final : public WriteFile {
 public:
  GrowingFile(std::shared_ptr<StateDisk> disk, std::string key) : disk_(std::move(disk)), key_(std::move(key)) {}
  GrowingFile(const GrowingFile&) = delete;
  GrowingFile& operator=(const GrowingFile&) = delete;
  ~GrowingFile() override { disk_->closed(key_); }

  Result<void> append(std::string_view bytes) override {
    waiting_ += bytes;
    return {};
  }
  Result<void> truncate(std::uint64_t size) override {
    if (size < durable_ || size > durable_ + waiting_.size())
      return fail(Code::kIo, "a file that is written cannot be cut below what is durable");
    waiting_.resize(size - durable_);
    return {};
  }
  Result<void> sync() override {
    if (!waiting_.empty()) {
      const Written written =
          TRY(disk_->store_->put(piece_key(key_, durable_), kContent + waiting_, Condition::absent()));
      if (!written.done) return fail(lock_lost(disk_->store_->name() + "/" + key_));
      durable_ += waiting_.size();
      waiting_.clear();
    }
    return disk_->check_lock();
  }
  Result<std::uint64_t> size() override { return durable_ + waiting_.size(); }

 private:
  const std::shared_ptr<StateDisk> disk_;
  const std::string key_;
  std::string waiting_;
  std::uint64_t durable_ = 0;
};

// One that an earlier writer left: it is cut, never written on.
class StateDisk::OldFile final : public WriteFile {
 public:
  OldFile(std::shared_ptr<StateDisk> disk, std::string key, std::vector<Piece> pieces)
      : disk_(std::move(disk)), key_(std::move(key)), pieces_(std::move(pieces)) {}

  Result<void> append(std::string_view /*bytes*/) override {
    return fail(Code::kInvalidArgument, "a file of an earlier run is not written on");
  }
  // From the end: at every moment what is there is a beginning of what was there. A seal stays where it is.
  Result<void> truncate(std::uint64_t size) override {
    TRY(disk_->check_lock());
    disk_->forget_layout(key_);
    while (!pieces_.empty() && pieces_.back().offset >= size && pieces_.back().offset > 0) {
      if (pieces_.back().bytes > 0) TRY(disk_->store_->remove(pieces_.back().info.key));
      pieces_.pop_back();
    }
    if (pieces_.empty()) return {};
    Piece& last = pieces_.back();
    if (last.offset + last.bytes <= size) return {};
    std::string content = TRY(disk_->store_->get(last.info.key, 0, last.bytes + 1, last.info.etag));
    content.resize(size - last.offset + 1);
    const Written written = TRY(disk_->store_->put(last.info.key, content, Condition::unchanged(last.info.etag)));
    if (!written.done) return fail(lock_lost(disk_->store_->name() + "/" + key_));
    last.bytes = size - last.offset;
    last.info.etag = written.etag;
    disk_->forget_layout(key_);
    return {};
  }
  Result<void> sync() override { return disk_->check_lock(); }
  Result<std::uint64_t> size() override { return pieces_.empty() ? 0 : pieces_.back().offset + pieces_.back().bytes; }

 private:
  const std::shared_ptr<StateDisk> disk_;
  const std::string key_;
  std::vector<Piece> pieces_;
};

// A small one that was published as a whole and is written on.
class StateDisk::WholeFile final : public WriteFile {
 public:
  WholeFile(std::shared_ptr<StateDisk> disk, std::string key, std::string content, std::string etag)
      : disk_(std::move(disk)), key_(std::move(key)), content_(std::move(content)), etag_(std::move(etag)) {}

  Result<void> append(std::string_view bytes) override {
    content_ += bytes;
    dirty_ = true;
    return {};
  }
  Result<void> truncate(std::uint64_t size) override {
    dirty_ = dirty_ || size != content_.size();
    content_.resize(size);
    return {};
  }
  Result<void> sync() override {
    TRY(disk_->check_lock());
    if (!dirty_) return {};
    const Written written = TRY(disk_->store_->put(key_, content_, Condition::unchanged(etag_)));
    if (!written.done) return fail(lock_lost(disk_->store_->name() + "/" + key_));
    etag_ = written.etag;
    dirty_ = false;
    {
      const std::lock_guard lock(disk_->mutex_);
      disk_->etags_[key_] = etag_;
    }
    return disk_->check_lock();
  }
  Result<std::uint64_t> size() override { return content_.size(); }

  static constexpr std::uint64_t kBytesMax = 16U << 20;

 private:
  const std::shared_ptr<StateDisk> disk_;
  const std::string key_;
  std::string content_;
  std::string etag_;
  bool dirty_ = false;
};

// ---------------------------------------------------------------- names

StateDisk::StateDisk(std::shared_ptr<ObjectStore> store, StateDiskOptions options)
    : store_(std::move(store)), options_(std::move(options)), cache_(store_) {}

std::string StateDisk::key_of(const std::string& path) const {
  std::string_view rest = path;
  if (!options_.base.empty() && rest.starts_with(options_.base)) rest.remove_prefix(options_.base.size());
  while (rest.starts_with('/') || rest.starts_with("./")) rest.remove_prefix(rest.starts_with('/') ? 1 : 2);
  return options_.prefix + std::string(rest);
}

Result<std::vector<std::string>> StateDisk::piece_keys(const std::string& key) {
  std::vector<std::string> out;
  for (const ObjectInfo& one : TRY(list_all(*store_, key + "/", kListMax)))
    if (offset_of(std::string_view(one.key).substr(key.size() + 1))) out.push_back(one.key);
  return out;
}

// Pieces behind a gap are what removals have left.
Result<std::vector<StateDisk::Piece>> StateDisk::pieces_of(const std::string& key) {
  std::vector<Piece> out;
  std::uint64_t next = 0;
  for (ObjectInfo& one : TRY(list_all(*store_, key + "/", kListMax))) {
    const auto offset = offset_of(std::string_view(one.key).substr(key.size() + 1));
    if (!offset || one.size == 0 || *offset != next) continue;
    const std::uint64_t bytes = one.size - 1;
    if (bytes == 0 && out.empty()) return out;  // sealed before anything was written
    out.push_back({std::move(one), *offset, bytes});
    next += bytes;
    if (bytes == 0) break;
  }
  return out;
}

Result<std::vector<Extent>> StateDisk::extents_of(const std::string& path) {
  const std::string key = key_of(path);
  {
    const std::lock_guard lock(mutex_);
    const auto it = layouts_.find(key);
    if (it != layouts_.end()) return it->second;
  }
  std::vector<Extent> out;
  auto there = store_->head(key);
  if (there) {
    for (std::uint64_t at = 0; at < there->size; at += Extent::kBytesMax)
      out.push_back({key, there->etag, at, at, std::min(Extent::kBytesMax, there->size - at)});
    if (there->size == 0) out.push_back({key, there->etag, 0, 0, 0});
    const std::lock_guard lock(mutex_);
    etags_[key] = there->etag;
    return out;
  }
  if (there.error().code != Code::kNotFound) return fail(std::move(there).error());
  const std::vector<Piece> pieces = TRY(pieces_of(key));
  const std::lock_guard lock(mutex_);
  if (pieces.empty()) {
    etags_[key] = std::nullopt;
    return out;
  }
  for (const Piece& piece : pieces)
    if (piece.bytes > 0) out.push_back({piece.info.key, piece.info.etag, 1, piece.offset, piece.bytes});
  if (pieces.back().bytes == 0) layouts_[key] = out;
  return out;
}

void StateDisk::closed(const std::string& key) {
  forget_layout(key);
  std::shared_ptr<Lock> lock;
  {
    const std::lock_guard guard(mutex_);
    lock = lock_.lock();
  }
  if (lock) lock->holder.closed(key);
}

void StateDisk::forget_layout(const std::string& key) {
  const std::lock_guard lock(mutex_);
  layouts_.erase(key);
}

Result<FileStat> StateDisk::stat(const std::string& path) {
  const auto extents = TRY(extents_of(path));
  FileStat out;
  if (extents.empty()) {
    // A folder is there if something is in it.
    if (TRY(store_->list(key_of(path) + "/", true, "")).objects.empty()) return not_there(path);
    out.is_directory = true;
    return out;
  }
  out.is_regular = true;
  out.size = extents.back().offset + extents.back().bytes;
  return out;
}

Result<std::unique_ptr<ReadFile>> StateDisk::open_read(const std::string& path) {
  auto extents = TRY(extents_of(path));
  if (extents.empty()) return not_there(path);
  return std::make_unique<Reader>(shared_from_this(), std::move(extents));
}

Result<std::unique_ptr<WriteFile>> StateDisk::open_write(const std::string& path, WriteMode mode) {
  if (path.ends_with(kTemporary)) {
    auto draft = std::make_shared<Draft>();
    const std::lock_guard lock(mutex_);
    drafts_[path] = draft;
    return std::make_unique<Temporary>(*this, key_of(path.substr(0, path.size() - kTemporary.size())), draft);
  }
  const std::string key = key_of(path);
  if (mode == WriteMode::kAppend) {
    auto there = store_->head(key);
    if (!there && there.error().code != Code::kNotFound) return fail(std::move(there).error());
    if (there && there->size > WholeFile::kBytesMax)
      return fail(Code::kTooLarge, fmt::format("'{}' is too large to be written on", path));
    if (there) {
      std::string content = TRY(store_->get(key, 0, there->size, there->etag));
      return std::make_unique<WholeFile>(shared_from_this(), key, std::move(content), there->etag);
    }
    std::vector<Piece> pieces = TRY(pieces_of(key));
    if (!pieces.empty()) return std::make_unique<OldFile>(shared_from_this(), key, std::move(pieces));
  }
  TRY(declare(key));
  return std::make_unique<GrowingFile>(shared_from_this(), key);
}

// A growing file goes by its first piece; what is left of one whose removal was broken off has none.
Result<bool> StateDisk::is_growing_file(const std::string& key, bool& is_left_over) {
  const ListPage page = TRY(store_->list(key + "/", true, ""));
  if (page.objects.empty()) return false;
  const ObjectInfo& first = page.objects.front();
  const auto offset = offset_of(std::string_view(first.key).substr(key.size() + 1));
  is_left_over = offset && (*offset > 0 || first.size <= 1);
  return offset && !is_left_over;
}

Result<std::vector<std::string>> StateDisk::list(const std::string& directory) {
  const std::string prefix = key_of(directory) + "/";
  std::vector<std::string> out;
  std::string page;
  do {
    ListPage found = TRY(store_->list(prefix, true, page));
    for (const ObjectInfo& one : found.objects) out.push_back(one.key.substr(prefix.size()));
    for (std::string& below : found.prefixes) {
      below.pop_back();
      bool is_left_over = false;
      TRY(is_growing_file(below, is_left_over));
      if (!is_left_over) out.push_back(below.substr(prefix.size()));
    }
    page = std::move(found.next);
  } while (!page.empty());
  std::ranges::sort(out);
  return out;
}

// The first piece first: from then on the file is not there. The seal last: until then its writer is stopped by it.
Result<void> StateDisk::remove_pieces(const std::string& key) {
  for (const std::string& piece : TRY(piece_keys(key))) TRY(store_->remove(piece));
  return {};
}

Result<void> StateDisk::remove(const std::string& path) {
  {
    const std::lock_guard lock(mutex_);
    if (drafts_.erase(path) > 0) return {};
  }
  TRY(check_lock());
  const std::string key = key_of(path);
  forget_layout(key);
  TRY(store_->remove(key));
  {
    const std::lock_guard lock(mutex_);
    etags_[key] = std::nullopt;
  }
  return remove_pieces(key);
}

Result<void> StateDisk::make_directories(const std::string& /*path*/) { return {}; }
Result<void> StateDisk::sync_directory(const std::string& /*directory*/) { return check_lock(); }

// ---------------------------------------------------------------- the lock

Result<std::shared_ptr<void>> StateDisk::lock(const std::string& path) {
  auto lock = std::make_shared<Lock>(store_, key_of(path), options_);
  const std::vector<std::string> open = TRY(lock->holder.take());
  // K2: what the last owner had open grows no more, whether it had begun or not.
  for (const std::string& key : open) {
    bool asked_at_beginning = false;
    while (true) {
      const std::vector<Piece> pieces = TRY(pieces_of(key));
      if (!pieces.empty() && pieces.back().bytes == 0) break;
      // Nothing is there, or a seal: two attempts tell.
      if (pieces.empty() && asked_at_beginning) break;
      asked_at_beginning = pieces.empty();
      const std::uint64_t end = pieces.empty() ? 0 : pieces.back().offset + pieces.back().bytes;
      const Written sealed = TRY(store_->put(piece_key(key, end), std::string(1, kSeal), Condition::absent()));
      if (sealed.done) break;
    }
  }
  TRY(lock->holder.settle());
  const std::lock_guard guard(mutex_);
  lock_ = lock;
  return std::shared_ptr<void>(lock, lock.get());
}

Result<void> StateDisk::check_lock() {
  std::shared_ptr<Lock> lock;
  {
    const std::lock_guard guard(mutex_);
    lock = lock_.lock();
  }
  return lock ? lock->holder.check() : Result<void>();
}

Result<void> StateDisk::declare(const std::string& key) {
  std::shared_ptr<Lock> lock;
  {
    const std::lock_guard guard(mutex_);
    lock = lock_.lock();
  }
  return lock ? lock->holder.declare(key) : Result<void>();
}

}  // namespace thalweg::objects
