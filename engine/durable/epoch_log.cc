#include "engine/durable/epoch_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/ensure.h"
#include "engine/base/failpoint.h"
#include "engine/base/bytes.h"
#include "engine/base/crash_point.h"

namespace thalweg::durable {

using bytes::checksum;
using bytes::put_number;
using bytes::take_number;

namespace {

constexpr std::uint32_t kSegmentMagic = 0x474C5754;  // TWLG
constexpr std::uint32_t kRecordMagic = 0x524C5754;   // TWLR
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kSegmentHead = 4 + 4 + 8 + 8 + 8;
constexpr std::size_t kRecordHead = 4 + 4 + 8 + 8 + 8 + 8 + 8;
constexpr std::size_t kGroupBytesMax = 32U << 20;

struct SegmentHead {
  std::uint64_t first_epoch = 0;
  std::uint64_t previous = 0;
};

std::string encode_head(const SegmentHead& head) {
  std::string out;
  put_number(out, kSegmentMagic);
  put_number(out, kVersion);
  put_number(out, head.first_epoch);
  put_number(out, head.previous);
  put_number(out, checksum(out));
  return out;
}

std::optional<SegmentHead> decode_head(std::string_view bytes) {
  if (bytes.size() < kSegmentHead) return std::nullopt;
  std::string_view whole = bytes.substr(0, kSegmentHead);
  std::string_view left = whole;
  std::uint32_t magic = 0;
  std::uint32_t version = 0;
  SegmentHead head;
  std::uint64_t sum = 0;
  bool read = take_number(left, magic) && take_number(left, version) && take_number(left, head.first_epoch) &&
              take_number(left, head.previous) && take_number(left, sum);
  if (!read || magic != kSegmentMagic || version != kVersion) return std::nullopt;
  if (sum != checksum(whole.substr(0, kSegmentHead - 8))) return std::nullopt;
  return head;
}

struct Record {
  std::uint64_t epoch = 0;
  std::uint64_t generation = 0;
  std::uint64_t previous = 0;
  std::uint64_t durable = 0;  // bytes of the segment that were durable before it was written
  std::uint64_t hash = 0;
  std::string_view payload;
  [[nodiscard]] std::size_t bytes() const { return kRecordHead + payload.size(); }
};

// The checksum covers the head and the payload; it is the record's hash in the chain as well.
std::uint64_t hash_of(std::string_view head, std::string_view payload) {
  return XXH3_64bits_withSeed(payload.data(), payload.size(), checksum(head));
}

// The head of a record; its payload follows. `durable` is known only when it is written (set_durable).
std::string head_of(const Record& record) {
  std::string out;
  put_number(out, kRecordMagic);
  put_number(out, static_cast<std::uint32_t>(record.payload.size()));
  put_number(out, record.epoch);
  put_number(out, record.generation);
  put_number(out, record.previous);
  put_number<std::uint64_t>(out, 0);
  put_number(out, hash_of(out, record.payload));
  return out;
}

std::uint64_t number_at(const std::string& bytes, std::size_t at) {
  std::uint64_t v = 0;
  std::memcpy(&v, bytes.data() + at, sizeof v);
  return v;
}

constexpr std::size_t kPreviousAt = 4 + 4 + 8 + 8;
constexpr std::size_t kDurableAt = kPreviousAt + 8;
constexpr std::size_t kHashAt = kDurableAt + 8;

// The hash of the chain does not depend on it; the stored sum does.
void set_durable(std::string& head, std::uint64_t durable) {
  std::uint64_t sum = number_at(head, kHashAt) ^ durable;
  std::memcpy(head.data() + kDurableAt, &durable, sizeof durable);
  std::memcpy(head.data() + kHashAt, &sum, sizeof sum);
}

std::optional<Record> decode_record(std::string_view bytes) {
  std::string_view left = bytes;
  std::uint32_t magic = 0;
  std::uint32_t length = 0;
  Record record;
  std::uint64_t sum = 0;
  bool read = take_number(left, magic) && take_number(left, length) && take_number(left, record.epoch) &&
              take_number(left, record.generation) && take_number(left, record.previous) &&
              take_number(left, record.durable) && take_number(left, sum);
  if (!read || magic != kRecordMagic || length > left.size()) return std::nullopt;
  record.payload = left.substr(0, length);
  // `durable` is not part of the hash (it is written last), but of a sum of its own: see below.
  std::string head(bytes.substr(0, 4 + 4 + 8 + 8 + 8));
  put_number<std::uint64_t>(head, 0);
  record.hash = hash_of(head, record.payload);
  if ((sum ^ record.durable) != record.hash) return std::nullopt;
  return record;
}

Error damaged(const std::string& segment, std::uint64_t at, std::string_view why) {
  return Error{Code::kBadData,
               fmt::format("the log of commits is damaged: {} at byte {}: {}", segment, at, why),
               {},
               {{"what was committed cannot be told any more; restore the folder from a backup, or move it away to "
                 "start anew from the inputs",
                 {}}}};
}

}  // namespace

// ---------------------------------------------------------------- opening

Result<std::unique_ptr<EpochLog>> EpochLog::open(std::shared_ptr<Disk> disk, std::string directory) {
  std::unique_ptr<EpochLog> log(new EpochLog(std::move(disk), std::move(directory)));
  TRY(log->disk_->make_directories(log->directory_));
  TRY(log->scan());
  return log;
}

EpochLog::~EpochLog() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

Result<void> EpochLog::scan() {
  std::vector<std::string> names = TRY(disk_->list(directory_));
  std::erase_if(names, [](const std::string& name) { return !name.ends_with(".log"); });
  for (std::size_t i = 0; i < names.size(); ++i) TRY(scan_segment(names[i], i + 1 == names.size()));
  // G3
  if (!segments_.empty() && !makes_mistake("log.acts_before_it_syncs")) {
    auto file = TRY(disk_->open_write(path_of(segments_.back().name), Disk::WriteMode::kAppend));
    TRY(file->sync());
  }
  return disk_->sync_directory(directory_);
}

Result<void> EpochLog::scan_segment(const std::string& name, bool last) {
  std::string bytes = TRY(read_all(*disk_, path_of(name), ~std::uint64_t{0}));
  std::optional<SegmentHead> head = decode_head(bytes);
  if (!head) {
    // A segment is made durable before a record of it is acknowledged: without a head it holds none.
    if (!last) return fail(damaged(name, 0, "its head cannot be read, and others follow"));
    TRY(cut(name, 0, bytes));
    return disk_->remove(path_of(name));
  }
  if (segments_.empty()) hash_ = head->previous;
  if (head->previous != hash_) return fail(damaged(name, 0, "it does not follow the segment before it"));
  segments_.push_back({name, head->first_epoch});
  std::uint64_t at = kSegmentHead;
  while (at < bytes.size()) {
    std::optional<Record> record = decode_record(std::string_view(bytes).substr(at));
    bool follows = record && (record->previous == hash_ || makes_mistake("log.does_not_check_the_chain")) &&
                   (found_.empty() || record->epoch > found_.back().epoch);
    if (!follows) break;
    found_.push_back({record->epoch, record->generation, record->previous, record->hash, name, at + kRecordHead,
                      record->payload.size()});
    hash_ = record->hash;
    at += record->bytes();
  }
  if (at == bytes.size()) return {};
  if (!last) return fail(damaged(name, at, "a record cannot be read, and others follow"));
  // G2: a later record that was written when these bytes were durable says that they are damaged, not torn.
  for (std::uint64_t next = at + 1; next + kRecordHead <= bytes.size(); ++next) {
    std::optional<Record> later = decode_record(std::string_view(bytes).substr(next));
    if (later && later->durable > at)
      return fail(damaged(name, at, fmt::format("a record cannot be read, and one follows at byte {}", next)));
  }
  return cut(name, at, std::string_view(bytes).substr(at));
}

Result<void> EpochLog::cut(const std::string& name, std::uint64_t at, std::string_view rest) {
  std::string quarantine = directory_ + "/quarantine";
  TRY(disk_->make_directories(quarantine));
  std::string kept = fmt::format("{}/{}.{}", quarantine, name, at);
  TRY(replace_file(*disk_, kept, rest));
  events_.push_back(
      fmt::format("{} bytes after the last whole record of {} were set aside as {}", rest.size(), name, kept));
  auto file = TRY(disk_->open_write(path_of(name), Disk::WriteMode::kAppend));
  TRY(file->truncate(at));
  return file->sync();
}

Result<std::string> EpochLog::read(const Found& record) const {
  auto file = TRY(disk_->open_read(path_of(record.segment)));
  std::string bytes(kRecordHead + record.length, '\0');
  std::size_t have = 0;
  while (have < bytes.size()) {
    std::size_t n = TRY(file->read_at(record.offset - kRecordHead + have, bytes.data() + have, bytes.size() - have));
    if (n == 0) break;
    have += n;
  }
  std::optional<Record> read = have == bytes.size() ? decode_record(bytes) : std::nullopt;
  if (!read || read->hash != record.hash)
    return fail(damaged(record.segment, record.offset, "a record is not what it was a moment ago"));
  return bytes.substr(kRecordHead);
}

Result<void> EpochLog::forget_after(std::size_t count) {
  if (count >= found_.size()) return {};
  const Found first = found_[count];
  std::uint64_t at = first.offset - kRecordHead;
  std::string bytes = TRY(read_all(*disk_, path_of(first.segment), ~std::uint64_t{0}));
  // Later segments first: at every moment what is there is a beginning of what was there.
  while (!segments_.empty() && segments_.back().name != first.segment) {
    std::string rest = TRY(read_all(*disk_, path_of(segments_.back().name), ~std::uint64_t{0}));
    TRY(cut(segments_.back().name, kSegmentHead, rest));
    TRY(disk_->remove(path_of(segments_.back().name)));
    TRY(disk_->sync_directory(directory_));
    segments_.pop_back();
  }
  TRY(cut(first.segment, at, std::string_view(bytes).substr(at)));
  found_.resize(count);
  hash_ = count > 0 ? found_.back().hash : first.previous;
  return {};
}

// ---------------------------------------------------------------- going on

Result<void> EpochLog::start(std::uint64_t generation, std::uint64_t next_epoch, std::uint64_t previous) {
  generation_ = generation;
  if (segments_.empty()) hash_ = previous;
  TRY(new_segment(next_epoch, hash_));
  thread_ = std::thread([this] { loop(); });
  return {};
}

Result<void> EpochLog::new_segment(std::uint64_t first_epoch, std::uint64_t previous) {
  // Names rise, also after a segment whose first record was lost with the process: the next one may be an earlier
  // epoch.
  {
    std::lock_guard lock(mutex_);
    if (!segments_.empty()) first_epoch = std::max(first_epoch, segments_.back().first_epoch + 1);
  }
  std::string name = fmt::format("{:020}-{:010}.log", first_epoch, generation_);
  file_ = TRY(disk_->open_write(path_of(name), Disk::WriteMode::kTruncate));
  TRY(file_->append(encode_head({first_epoch, previous})));
  crash_point("log.new_segment");
  TRY(file_->sync());
  TRY(disk_->sync_directory(directory_));
  written_ = durable_ = kSegmentHead;
  std::lock_guard lock(mutex_);
  segments_.push_back({std::move(name), first_epoch});
  return {};
}

void EpochLog::append(std::uint64_t epoch, std::string payload, Done done) {
  std::optional<Error> failed;
  {
    std::lock_guard lock(mutex_);
    failed = failed_;
    if (!failed) {
      ENSURE(payload.size() <= kRecordBytesMax);
      std::string head = head_of({.epoch = epoch, .generation = generation_, .previous = hash_, .payload = payload});
      hash_ = number_at(head, kHashAt);
      bytes_ += head.size() + payload.size();
      waiting_bytes_ += head.size() + payload.size();
      queue_.push_back({epoch, std::move(head), std::move(payload), std::move(done), std::exchange(rolls_, false)});
    }
  }
  if (failed) return done(fail(*failed));
  changed_.notify_all();
}

Result<void> EpochLog::write(std::deque<Waiting>& group) {
  constexpr std::size_t kJoinBytes = 64 * 1024;  // smaller ones are written together
  std::string joined;
  auto flush = [&]() -> Result<void> {
    if (!joined.empty()) TRY(file_->append(joined));
    joined.clear();
    return {};
  };
  for (Waiting& one : group) {
    if (one.rolls && written_ > kSegmentHead) {
      TRY(flush());
      TRY(file_->sync());
      TRY(new_segment(one.epoch, number_at(one.head, kPreviousAt)));
    }
    set_durable(one.head, durable_);
    joined += one.head;
    written_ += one.head.size() + one.payload.size();
    if (one.payload.size() < kJoinBytes) {
      joined += one.payload;
      if (joined.size() < kJoinBytes) continue;
      TRY(flush());
    } else {
      TRY(flush());
      TRY(file_->append(one.payload));
    }
  }
  TRY(flush());
  crash_point("log.before_sync");
  if (!makes_mistake("log.acknowledges_before_sync")) TRY(file_->sync());
  crash_point("log.after_sync");
  durable_ = written_;
  return {};
}

void EpochLog::loop() {
  for (;;) {
    std::deque<Waiting> group;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return stop_ || !queue_.empty(); });
      if (queue_.empty()) return;
      std::size_t bytes = 0;
      while (!queue_.empty() && bytes < kGroupBytesMax) {
        bytes += queue_.front().bytes();
        group.push_back(std::move(queue_.front()));
        queue_.pop_front();
      }
      busy_ = true;
    }
    std::size_t bytes = 0;
    for (const Waiting& one : group) bytes += one.bytes();
    Result<void> done = failed_ ? Result<void>(fail(*failed_)) : write(group);  // only this thread sets failed_
    {
      std::lock_guard lock(mutex_);
      if (!done && !failed_) failed_ = done.error();
      waiting_bytes_ -= bytes;
      ++syncs_;
    }
    for (Waiting& one : group) one.done(done);
    {
      std::lock_guard lock(mutex_);
      busy_ = false;
    }
    changed_.notify_all();
  }
}

void EpochLog::drain() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return queue_.empty() && !busy_; });
}

void EpochLog::roll() {
  std::lock_guard lock(mutex_);
  rolls_ = true;
}

Result<void> EpochLog::drop_below(std::uint64_t epoch) {
  for (;;) {
    std::string name;
    {
      std::lock_guard lock(mutex_);
      if (segments_.size() < 2 || segments_[1].first_epoch > epoch) return {};
      name = segments_.front().name;
      segments_.pop_front();
    }
    // One after another, oldest first: what a power cut leaves is an end of the log, without a hole.
    TRY(disk_->remove(path_of(name)));
    crash_point("log.removed_segment");
    if (!makes_mistake("log.forgets_the_order_of_removals")) TRY(disk_->sync_directory(directory_));
  }
}

std::uint64_t EpochLog::last_hash() {
  std::lock_guard lock(mutex_);
  return hash_;
}

std::uint64_t EpochLog::bytes() {
  std::lock_guard lock(mutex_);
  return bytes_;
}

std::uint64_t EpochLog::waiting() {
  std::lock_guard lock(mutex_);
  return waiting_bytes_;
}

std::uint64_t EpochLog::sync_count() {
  std::lock_guard lock(mutex_);
  return syncs_;
}

}  // namespace thalweg::durable
