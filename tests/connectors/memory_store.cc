#include "tests/connectors/memory_store.h"

namespace thalweg::objects {

namespace {
std::unexpected<Error> gone() { return fail(Code::kUnavailable, "the store is gone"); }
}  // namespace

bool MemoryStore::dies() {
  ++calls_;
  return die_at_ != 0 && (calls_ > die_at_ || (calls_ == die_at_ && !done_));
}

void MemoryStore::die_at_call(std::uint64_t number, bool done) {
  const std::lock_guard lock(mutex_);
  calls_ = 0;
  die_at_ = number;
  done_ = done;
}

void MemoryStore::live() {
  const std::lock_guard lock(mutex_);
  calls_ = die_at_ = 0;
}

Result<ListPage> MemoryStore::list(const std::string& prefix, bool by_folder, const std::string& page) {
  const std::lock_guard lock(mutex_);
  if (dies()) return gone();
  ListPage out;
  std::string last;
  for (auto it = objects_.lower_bound(prefix); it != objects_.end() && it->first.starts_with(prefix); ++it) {
    const std::size_t slash = by_folder ? it->first.find('/', prefix.size()) : std::string::npos;
    const std::string shown = slash == std::string::npos ? it->first : it->first.substr(0, slash + 1);
    if (shown <= page || shown == last) continue;
    if (out.objects.size() + out.prefixes.size() == page_size) {
      out.next = last;
      break;
    }
    last = shown;
    if (slash != std::string::npos)
      out.prefixes.push_back(shown);
    else
      out.objects.push_back({it->first, it->second.content.size(), it->second.etag, 0, ""});
  }
  if (die_at_ == calls_ && die_at_ != 0) return gone();
  return out;
}

Result<ObjectInfo> MemoryStore::head(const std::string& key) {
  const std::lock_guard lock(mutex_);
  if (dies() || (die_at_ == calls_ && die_at_ != 0)) return gone();
  const auto it = objects_.find(key);
  if (it == objects_.end()) return fail(Code::kNotFound, key + " is not there");
  return ObjectInfo{key, it->second.content.size(), it->second.etag, 0, ""};
}

Result<std::string> MemoryStore::get(const std::string& key, std::uint64_t offset, std::uint64_t bytes,
                                     const std::string& etag) {
  const std::lock_guard lock(mutex_);
  if (dies() || (die_at_ == calls_ && die_at_ != 0)) return gone();
  const auto it = objects_.find(key);
  if (it == objects_.end()) return fail(Code::kNotFound, key + " is not there");
  if (!etag.empty() && etag != it->second.etag) return fail(Code::kUnavailable, key + " was changed");
  if (offset >= it->second.content.size()) return std::string{};
  return it->second.content.substr(offset, bytes);
}

Result<Written> MemoryStore::put(const std::string& key, const std::string& bytes, const Condition& condition) {
  const std::lock_guard lock(mutex_);
  if (dies()) return gone();
  const auto it = objects_.find(key);
  const bool absent = it == objects_.end();
  const bool refused = (condition.kind == Condition::Kind::kAbsent && !absent) ||
                       (condition.kind == Condition::Kind::kUnchanged && (absent || it->second.etag != condition.etag));
  if (refused && keeps_conditions) return Written{};
  const std::string etag = "\"" + std::to_string(++versions_) + "\"";
  objects_[key] = {bytes, etag};
  if (die_at_ == calls_ && die_at_ != 0) return gone();
  return Written{true, etag};
}

Result<void> MemoryStore::remove(const std::string& key) {
  const std::lock_guard lock(mutex_);
  if (dies()) return gone();
  objects_.erase(key);
  if (die_at_ == calls_ && die_at_ != 0) return gone();
  return {};
}

class MemoryStore::MemoryUpload final : public Upload {
 public:
  MemoryUpload(MemoryStore& store, std::string key) : store_(store), key_(std::move(key)) {}
  Result<void> add(std::string bytes) override {
    content_ += bytes;
    return {};
  }
  Result<Written> finish() override { return store_.put(key_, content_, Condition::none()); }

 private:
  MemoryStore& store_;
  const std::string key_;
  std::string content_;
};

Result<std::unique_ptr<Upload>> MemoryStore::upload(const std::string& key) {
  return std::make_unique<MemoryUpload>(*this, key);
}

}  // namespace thalweg::objects
