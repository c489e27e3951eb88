#include "engine/durable/patient_disk.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace thalweg::durable {

// Who waits, and how it goes on.
class PatientDisk::Waits {
 public:
  explicit Waits(std::shared_ptr<Clock> clock) : clock_(std::move(clock)) {}

  // `mend` is called before every further try.
  template <class Call, class Mend>
  auto patiently(Call call, Mend mend) -> decltype(call()) {
    constexpr std::int64_t kShortestMs = 10;
    constexpr std::int64_t kLongestMs = 2000;
    auto done = call();
    if (done || done.error().code != Code::kUnavailable) return done;
    begin(done.error().message);
    for (std::int64_t pause_ms = kShortestMs; !done && done.error().code == Code::kUnavailable;
         pause_ms = std::min(2 * pause_ms, kLongestMs)) {
      if (!pause(pause_ms)) break;
      if (Result<void> mended = mend(); !mended) {
        // What is there now is not known to be whole: it must not be written on.
        done = fail(std::move(mended).error());
        break;
      }
      done = call();
    }
    end();
    return done;
  }
  template <class Call>
  auto patiently(Call call) -> decltype(call()) {
    return patiently(std::move(call), [] { return Result<void>(); });
  }

  void give_up() {
    {
      std::lock_guard lock(mutex_);
      gave_up_ = true;
    }
    changed_.notify_all();
  }
  [[nodiscard]] DiskWait status() const {
    std::lock_guard lock(mutex_);
    DiskWait out = status_;
    out.waiting = now_ > 0;
    return out;
  }

 private:
  void begin(const std::string& reason) {
    std::lock_guard lock(mutex_);
    if (now_++ == 0) status_.since_ns = clock_->monotonic_ns();
    ++status_.waits;
    status_.reason = reason;
  }
  void end() {
    std::lock_guard lock(mutex_);
    if (--now_ == 0) status_.waited_ns += clock_->monotonic_ns() - status_.since_ns;
  }
  // False: nobody waits any more.
  bool pause(std::int64_t ms) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, std::chrono::milliseconds(ms), [this] { return gave_up_; });
  }

  const std::shared_ptr<Clock> clock_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  DiskWait status_;  // guarded by mutex_, as is all below
  int now_ = 0;
  bool gave_up_ = false;
};

class PatientDisk::Writer final : public WriteFile {
 public:
  Writer(std::unique_ptr<WriteFile> below, std::uint64_t size, std::shared_ptr<Waits> waits)
      : below_(std::move(below)), size_(size), waits_(std::move(waits)) {}
  Result<void> append(std::string_view bytes) override {
    TRY(waits_->patiently([&] { return below_->append(bytes); }, [&] { return below_->truncate(size_); }));
    size_ += bytes.size();
    return {};
  }
  Result<void> truncate(std::uint64_t size) override {
    TRY(waits_->patiently([&] { return below_->truncate(size); }));
    size_ = size;
    return {};
  }
  Result<void> sync() override {
    return waits_->patiently([&] { return below_->sync(); });
  }
  Result<std::uint64_t> size() override { return below_->size(); }

 private:
  const std::unique_ptr<WriteFile> below_;
  std::uint64_t size_;  // of what was written whole
  const std::shared_ptr<Waits> waits_;
};

PatientDisk::PatientDisk(std::shared_ptr<Disk> below, std::shared_ptr<Clock> clock)
    : below_(std::move(below)), waits_(std::make_shared<Waits>(std::move(clock))) {}

PatientDisk::~PatientDisk() = default;

void PatientDisk::give_up() { waits_->give_up(); }

DiskWait PatientDisk::status() const { return waits_->status(); }

Result<FileStat> PatientDisk::stat(const std::string& path) { return below_->stat(path); }

Result<std::unique_ptr<ReadFile>> PatientDisk::open_read(const std::string& path) { return below_->open_read(path); }

Result<std::unique_ptr<WriteFile>> PatientDisk::open_write(const std::string& path, WriteMode mode) {
  std::unique_ptr<WriteFile> file = TRY(waits_->patiently([&] { return below_->open_write(path, mode); }));
  std::uint64_t size = mode == WriteMode::kAppend ? TRY(file->size()) : 0;
  return std::make_unique<Writer>(std::move(file), size, waits_);
}

Result<void> PatientDisk::rename(const std::string& from, const std::string& to) {
  return waits_->patiently([&] { return below_->rename(from, to); });
}

Result<void> PatientDisk::remove(const std::string& path) {
  return waits_->patiently([&] { return below_->remove(path); });
}

Result<void> PatientDisk::make_directories(const std::string& path) {
  return waits_->patiently([&] { return below_->make_directories(path); });
}

Result<std::vector<std::string>> PatientDisk::list(const std::string& directory) { return below_->list(directory); }

Result<void> PatientDisk::sync_directory(const std::string& directory) {
  return waits_->patiently([&] { return below_->sync_directory(directory); });
}

Result<std::shared_ptr<void>> PatientDisk::lock(const std::string& path) { return below_->lock(path); }

}  // namespace thalweg::durable
