#include "connectors/objects/object_files.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

namespace thalweg::objects {

namespace {

constexpr std::uint64_t kRangeBytes = 8U << 20;

std::string literal_prefix(const std::string& path) {
  return is_pattern(path) ? path.substr(0, path.find_first_of("*?[")) : path;
}

// The etag is what tells versions apart: it stands where a file has its inode.
FileStat stat_of(const ObjectInfo& object) {
  FileStat out;
  out.size = object.size;
  out.inode = XXH3_64bits(object.etag.data(), object.etag.size());
  out.mtime_ns = object.modified_ns;
  out.ctime_ns = object.modified_ns;
  out.is_regular = true;
  return out;
}

std::unexpected<Error> only_read() { return fail(Code::kInvalidArgument, "objects of a source are only read"); }

}  // namespace

// ---------------------------------------------------------------- reading one

class ObjectFiles::Reader final : public ReadFile {
 public:
  Reader(ObjectFiles& files, ObjectInfo info) : files_(files), info_(std::move(info)) {}

  Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t bytes) override {
    if (offset >= info_.size) return 0;
    const bool here = offset >= begin_ && offset < begin_ + range_.size();
    if (!here) TRY(fill(offset));
    const std::uint64_t at = offset - begin_;
    const std::size_t n = std::min<std::size_t>(bytes, range_.size() - at);
    range_.copy(into, n, at);
    return n;
  }
  Result<FileStat> stat() override { return stat_of(info_); }

 private:
  Result<void> fill(std::uint64_t offset) {
    const std::uint64_t wanted = std::min(kRangeBytes, info_.size - offset);
    std::optional<Result<std::string>> ahead;
    if (offset == 0) ahead = files_.take_ahead(info_);
    range_ = TRY(ahead ? std::move(*ahead) : files_.store_->get(info_.key, offset, wanted, info_.etag));
    begin_ = offset;
    if (range_.size() < wanted)
      return fail(Code::kUnavailable, fmt::format("{}/{}: {} bytes came instead of {}", files_.store_->name(),
                                                  info_.key, range_.size(), wanted));
    return {};
  }

  ObjectFiles& files_;
  const ObjectInfo info_;
  std::string range_;
  std::uint64_t begin_ = 0;
};

// ---------------------------------------------------------------- finding

ObjectFiles::ObjectFiles(std::shared_ptr<ObjectStore> store, ObjectSelection selection, std::size_t threads)
    : store_(std::move(store)), selection_(std::move(selection)), threads_max_(threads) {}

ObjectFiles::~ObjectFiles() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

// Names that begin with a dot are not finished, and a name that ends in `/` is how some tools write down a folder.
bool ObjectFiles::takes(const ObjectInfo& object) const {
  const std::string& key = object.key;
  if (key.empty() || key.ends_with('/')) return false;
  const std::string_view below = std::string_view(key).substr(literal_prefix(selection_.path).size());
  if (below.starts_with('.') || below.find("/.") != std::string_view::npos) return false;
  if (is_pattern(selection_.path) && !matches_path(selection_.path, key)) return false;
  if (!selection_.path_filter.empty() && !matches_name(selection_.path_filter, key)) return false;
  const std::size_t slash = key.rfind('/');
  return matches_name(selection_.object_pattern,
                      std::string_view(key).substr(slash == std::string::npos ? 0 : slash + 1));
}

Result<ScanResult> ObjectFiles::find() {
  const auto objects = TRY(list_all(*store_, literal_prefix(selection_.path), selection_.objects_max));
  ScanResult out;
  std::map<std::string, ObjectInfo> found;
  std::vector<FoundFile> fresh;
  for (const ObjectInfo& object : objects) {
    if (!takes(object)) continue;
    out.files.push_back({object.key, stat_of(object)});
    const auto before = found_.find(object.key);
    if (object.size <= kAheadBytesMax && (before == found_.end() || before->second.etag != object.etag))
      fresh.push_back(out.files.back());
    found.emplace(object.key, object);
  }
  const auto by_time = [](const FoundFile& a, const FoundFile& b) {
    return a.stat.mtime_ns != b.stat.mtime_ns ? a.stat.mtime_ns < b.stat.mtime_ns : a.path < b.path;
  };
  std::ranges::sort(out.files, by_time);
  std::ranges::sort(fresh, by_time);
  out.root_missing = out.files.empty();
  found_ = std::move(found);
  order_.clear();
  place_.clear();
  next_ahead_ = 0;
  for (FoundFile& file : fresh) {
    place_[file.path] = order_.size();
    order_.push_back(std::move(file.path));
  }
  const std::lock_guard lock(mutex_);
  ahead_.clear();
  queue_.clear();
  return out;
}

std::optional<std::string> ObjectFiles::owner(const std::string& path) const {
  const auto it = found_.find(path);
  if (it == found_.end() || it->second.owner.empty()) return std::nullopt;
  return it->second.owner;
}

Result<ObjectInfo> ObjectFiles::info_of(const std::string& path) {
  const auto it = found_.find(path);
  if (it != found_.end()) return it->second;
  return store_->head(path);
}

Result<FileStat> ObjectFiles::stat(const std::string& path) { return stat_of(TRY(info_of(path))); }

Result<std::unique_ptr<ReadFile>> ObjectFiles::open_read(const std::string& path) {
  ObjectInfo info = TRY(info_of(path));
  fetch_ahead(path);
  return std::make_unique<Reader>(*this, std::move(info));
}

// ---------------------------------------------------------------- fetching ahead

// The object itself and the next few of those that are new.
void ObjectFiles::fetch_ahead(const std::string& path) {
  const auto place = place_.find(path);
  if (place == place_.end() || threads_max_ < 2) return;
  next_ahead_ = std::max(next_ahead_, place->second);
  const std::size_t end = std::min(order_.size(), place->second + threads_max_);
  const std::lock_guard lock(mutex_);
  for (; next_ahead_ < end; ++next_ahead_) {
    auto one = std::make_shared<Ahead>();
    one->info = found_[order_[next_ahead_]];
    ahead_[one->info.key] = one;
    queue_.push_back(std::move(one));
    if (threads_.size() < threads_max_) threads_.emplace_back([this] { fetch(); });
  }
  changed_.notify_all();
}

std::optional<Result<std::string>> ObjectFiles::take_ahead(const ObjectInfo& info) {
  std::unique_lock lock(mutex_);
  const auto it = ahead_.find(info.key);
  if (it == ahead_.end() || it->second->info.etag != info.etag) return std::nullopt;
  const std::shared_ptr<Ahead> one = it->second;
  ahead_.erase(it);
  changed_.wait(lock, [&] { return one->done || stop_; });
  return std::move(one->content);
}

void ObjectFiles::fetch() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    const std::shared_ptr<Ahead> one = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    Result<std::string> content = store_->get(one->info.key, 0, one->info.size, one->info.etag);
    lock.lock();
    one->content = std::move(content);
    one->done = true;
    changed_.notify_all();
  }
}

// ---------------------------------------------------------------- what files of a source do not do

Result<std::unique_ptr<WriteFile>> ObjectFiles::open_write(const std::string& /*path*/, WriteMode /*mode*/) {
  return only_read();
}
Result<void> ObjectFiles::rename(const std::string& /*from*/, const std::string& /*to*/) { return only_read(); }
Result<void> ObjectFiles::remove(const std::string& /*path*/) { return only_read(); }
Result<void> ObjectFiles::make_directories(const std::string& /*path*/) { return only_read(); }
Result<std::vector<std::string>> ObjectFiles::list(const std::string& /*directory*/) { return only_read(); }
Result<void> ObjectFiles::sync_directory(const std::string& /*directory*/) { return only_read(); }
Result<std::shared_ptr<void>> ObjectFiles::lock(const std::string& /*path*/) { return only_read(); }

}  // namespace thalweg::objects
