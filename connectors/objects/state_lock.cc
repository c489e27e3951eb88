#include "connectors/objects/state_lock.h"

#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <sstream>

namespace thalweg::objects {

namespace {

constexpr std::string_view kHead = "thalweg state lock 1";
constexpr std::uint64_t kLockBytesMax = 1 << 20;

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// Processes can be asked after only within one kernel and one namespace of process numbers.
std::string this_host() {
  char space[64] = {};
  const ssize_t size = ::readlink("/proc/self/ns/pid", space, sizeof space - 1);
  return file_text("/proc/sys/kernel/random/boot_id") + " " + std::string(space, size > 0 ? size : 0);
}

// In ticks since the kernel started; 0: no such process.
std::uint64_t start_of(std::int64_t pid) {
  const std::string stat = file_text(fmt::format("/proc/{}/stat", pid));
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos) return 0;
  std::istringstream rest(stat.substr(name_end + 1));
  std::string word;
  for (int i = 0; i < 20 && rest >> word; ++i) {
  }
  std::uint64_t out = 0;
  std::from_chars(word.data(), word.data() + word.size(), out);
  return out;
}

}  // namespace

// No time mends it: whoever waits for what may work later must not wait for this.
Error lock_lost(const std::string& where) {
  return {Code::kPermission,
          fmt::format("another run has taken the state over ({} was changed); this one stops writing", where),
          {},
          {}};
}

StateLock::StateLock(std::shared_ptr<ObjectStore> store, std::string key, std::shared_ptr<Clock> clock,
                     std::shared_ptr<Rng> rng, std::int64_t lease_ns)
    : store_(std::move(store)), key_(std::move(key)), clock_(std::move(clock)), lease_ns_(lease_ns) {
  ours_.held = true;
  ours_.owner = fmt::format("{:016x}{:016x}", rng->next(), rng->next());
  ours_.host = this_host();
  ours_.pid = ::getpid();
  ours_.started = start_of(ours_.pid);
}

StateLock::~StateLock() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  const std::lock_guard lock(mutex_);
  if (lost_ || etag_.empty()) return;
  ours_.held = false;
  (void)renew();
}

std::string StateLock::encode(const Content& content) {
  std::string out =
      fmt::format("{}\nstate {}\nowner {}\nhost {}\npid {} {}\ncount {}\n", kHead, content.held ? "held" : "free",
                  content.owner, content.host, content.pid, content.started, content.count);
  for (const std::string& key : content.open) out += "open " + key + "\n";
  return out;
}

std::optional<StateLock::Content> StateLock::decode(std::string_view text) {
  std::istringstream lines{std::string(text)};
  std::string line;
  if (!std::getline(lines, line) || line != kHead) return std::nullopt;
  Content out;
  while (std::getline(lines, line)) {
    const std::size_t blank = line.find(' ');
    if (blank == std::string::npos) return std::nullopt;
    const std::string name = line.substr(0, blank);
    const std::string value = line.substr(blank + 1);
    if (name == "state") out.held = value == "held";
    if (name == "owner") out.owner = value;
    if (name == "host") out.host = value;
    if (name == "open") out.open.push_back(value);
    if (name == "pid") std::istringstream(value) >> out.pid >> out.started;
    if (name == "count") std::istringstream(value) >> out.count;
  }
  return out;
}

bool StateLock::is_dead(const Content& content) const {
  if (content.host != ours_.host || content.pid <= 0) return false;
  if (::kill(static_cast<pid_t>(content.pid), 0) != 0 && errno == ESRCH) return true;
  return start_of(content.pid) != content.started;
}

Result<std::vector<std::string>> StateLock::take() {
  const auto pause = std::chrono::nanoseconds(std::max<std::int64_t>(lease_ns_ / 30, 1'000'000));
  std::string seen;
  std::int64_t since = 0;
  const std::lock_guard lock(mutex_);
  while (true) {
    auto there = store_->head(key_);
    if (!there && there.error().code != Code::kNotFound) return fail(std::move(there).error());
    Condition condition = Condition::absent();
    ours_.open.clear();
    ours_.count = 0;
    if (there) {
      auto text = store_->get(key_, 0, kLockBytesMax, there->etag);
      if (!text) continue;  // changed meanwhile, or gone
      const auto last = decode(*text);
      if (!last)
        return fail(Code::kBadData, fmt::format("{}/{} is no lock of a pipeline's state", store_->name(), key_));
      const std::int64_t now = clock_->monotonic_ns();
      if (seen.empty()) since = now;
      if (!seen.empty() && seen != there->etag && last->held)
        return fail(Code::kUnavailable, fmt::format("{}/{} is held by another run", store_->name(), key_));
      seen = there->etag;
      if (last->held && !is_dead(*last) && now - since < lease_ns_) {
        std::this_thread::sleep_for(pause);
        continue;
      }
      condition = Condition::unchanged(there->etag);
      ours_.open = last->open;
      ours_.count = last->count + 1;
    }
    const std::int64_t asked = clock_->monotonic_ns();
    const Written written = TRY(store_->put(key_, encode(ours_), condition));
    if (!written.done) continue;
    etag_ = written.etag;
    renewed_ns_ = asked;
    break;
  }
  TRY(check_conditions());
  return ours_.open;
}

// K4
Result<void> StateLock::check_conditions() {
  const std::string key = key_ + ".conditions";
  TRY(store_->put(key, "1", Condition::none()));
  const Written made = TRY(store_->put(key, "2", Condition::absent()));
  const Written changed = TRY(store_->put(key, "3", Condition::unchanged("\"0123456789abcdef0123456789abcdef\"")));
  TRY(store_->remove(key));
  if (!made.done && !changed.done) return {};
  return fail(Error{Code::kInvalidArgument,
                    fmt::format("{} does not keep {}: two runs could write the same state", store_->name(),
                                made.done ? "If-None-Match" : "If-Match"),
                    {},
                    {{"use a server that does, or `!persistence.Backend.filesystem`", {}}}});
}

Result<void> StateLock::renew() {
  if (lost_) return fail(*lost_);
  ++ours_.count;
  const std::int64_t asked = clock_->monotonic_ns();
  const Written written = TRY(store_->put(key_, encode(ours_), Condition::unchanged(etag_)));
  if (!written.done) {
    lost_ = lock_lost(store_->name() + "/" + key_);
    return fail(*lost_);
  }
  etag_ = written.etag;
  renewed_ns_ = asked;
  return {};
}

Result<void> StateLock::settle() {
  const std::lock_guard lock(mutex_);
  ours_.open.clear();
  TRY(renew());
  thread_ = std::thread([this] { keep_alive(); });
  return {};
}

Result<void> StateLock::declare(const std::string& key) {
  const std::lock_guard lock(mutex_);
  ours_.open.push_back(key);
  return renew();
}

void StateLock::closed(const std::string& key) {
  const std::lock_guard lock(mutex_);
  std::erase(ours_.open, key);
}

Result<void> StateLock::check() {
  const std::lock_guard lock(mutex_);
  if (lost_) return fail(*lost_);
  return clock_->monotonic_ns() - renewed_ns_ < lease_ns_ ? Result<void>() : renew();
}

void StateLock::keep_alive() {
  std::unique_lock lock(mutex_);
  while (!changed_.wait_for(lock, std::chrono::nanoseconds(lease_ns_ / 3), [&] { return stop_; })) {
    if (lost_) return;
    (void)renew();  // what fails for now is tried again; check() tells whoever writes
  }
}

}  // namespace thalweg::objects
