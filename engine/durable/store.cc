#include "engine/durable/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/base/bytes.h"
#include "engine/base/crash_point.h"
#include "engine/base/failpoint.h"

namespace thalweg::durable {

using bytes::checksum;

namespace {

constexpr std::uint64_t kSmallFileMax = 1024;
constexpr std::uint64_t kManifestMax = 4ULL << 30;
constexpr std::string_view kCurrent[] = {"CURRENT", "CURRENT.1", "CURRENT.2"};

std::string manifest_name(std::uint64_t number) { return fmt::format("manifest-{:010}", number); }

// A small text with its own checksum: `17 9f…`.
std::string encode_number(std::uint64_t number) {
  std::string text = std::to_string(number);
  return fmt::format("{} {:016x}\n", text, checksum(text));
}

std::optional<std::uint64_t> decode_number(std::string_view text) {
  std::size_t blank = text.find(' ');
  if (blank == std::string_view::npos || blank == 0 || blank > 19) return std::nullopt;
  std::string digits(text.substr(0, blank));
  if (!std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; })) return std::nullopt;
  if (text != fmt::format("{} {:016x}\n", digits, checksum(digits))) return std::nullopt;
  return std::stoull(digits);
}

Error refused(const std::string& directory, std::string why) {
  return Error{Code::kBadData,
               fmt::format("the state in '{}' cannot be used: {}", directory, why),
               {},
               {{"restore the folder from a backup, or move it away to start anew from the inputs", {}}}};
}

}  // namespace

// ---------------------------------------------------------------- opening

Store::~Store() {
  if (verification_.valid()) verification_.wait();
}

Result<std::unique_ptr<Store>> Store::open(std::shared_ptr<Disk> disk, std::string directory, Verify verify) {
  std::unique_ptr<Store> store(new Store(std::move(disk), std::move(directory), verify));
  TRY(store->disk_->make_directories(store->directory_));
  TRY(store->disk_->make_directories(store->path("seg")));
  TRY(store->take_lock());
  TRY(store->disk_->sync_directory(store->directory_));
  TRY(store->read_current());
  store->log_ = TRY(EpochLog::open(store->disk_, store->path("elog")));
  for (const std::string& event : store->log_->events()) store->events_.push_back(event);
  if (store->fresh_ && !store->log_->found().empty())
    return fail(refused(store->directory_, "there is a log of commits, but no CURRENT"));
  if (store->fresh_) TRY(replace_file(*store->disk_, store->path("CURRENT"), encode_number(0)));
  TRY(store->find_first_record());
  TRY(store->next_generation());
  return store;
}

Result<void> Store::take_lock() {
  auto lock = disk_->lock(path("LOCK"));
  if (!lock && lock.error().code == Code::kUnavailable)
    return fail(
        Error{Code::kUnavailable, fmt::format("the state in '{}' is in use by another run", directory_), {}, {}});
  lock_ = TRY(std::move(lock));
  return {};
}

Result<void> Store::next_generation() {
  auto text = read_all(*disk_, path("GENERATION"), kSmallFileMax);
  if (!text && text.error().code != Code::kNotFound) return fail(std::move(text).error());
  std::uint64_t last = text ? decode_number(*text).value_or(0) : 0;
  for (const auto& manifest : kept_) last = std::max(last, manifest->info.generation);
  if (!log_->found().empty()) last = std::max(last, log_->found().back().generation);
  generation_ = makes_mistake("store.same_generation") ? 1 : last + 1;
  return replace_file(*disk_, path("GENERATION"), encode_number(generation_));
}

Result<void> Store::read_current() {
  std::vector<std::string> names = TRY(disk_->list(directory_));
  for (const std::string& name : names)
    if (name.starts_with("manifest-") && !name.ends_with(".tmp"))
      next_number_ = std::max<std::uint64_t>(next_number_, std::stoull("0" + name.substr(9)) + 1);
  if (std::ranges::find(names, kCurrent[0]) == names.end()) {
    if (next_number_ > 1) return fail(refused(directory_, "there are snapshots, but no CURRENT"));
    fresh_ = true;
    return {};
  }
  std::optional<std::string> first_problem;
  for (std::string_view current : kCurrent) {
    auto text = read_all(*disk_, path(std::string(current)), kSmallFileMax);
    if (!text && text.error().code == Code::kNotFound) continue;
    std::optional<std::uint64_t> number = text ? decode_number(*text) : std::nullopt;
    if (number == 0) {  // the beginning: no snapshot, all of the log
      if (!snapshot_ && first_problem)
        events_.push_back("no snapshot could be read; the state is made of the whole log");
      return {};
    }
    Result<Manifest> manifest =
        number ? read_manifest(*number) : Result<Manifest>(fail(Code::kBadData, fmt::format("{} is damaged", current)));
    // Older ones are looked at only when they are needed.
    Result<void> good = manifest ? Result<void>() : Result<void>(fail(manifest.error()));
    if (manifest && !snapshot_) good = verify(*manifest);
    if (!good) {
      if (!first_problem) first_problem = good.error().message;
      events_.push_back(fmt::format("a snapshot cannot be used: {}", good.error().message));
      continue;
    }
    kept_.push_back(std::make_shared<const Manifest>(std::move(*manifest)));
    if (!snapshot_) use(kept_.size() - 1);
  }
  if (!snapshot_) return fail(refused(directory_, first_problem.value_or("CURRENT cannot be read")));
  return {};
}

// Reading all of a large snapshot before any of it is used would be waiting for the disk alone.
Result<void> Store::verify(const Manifest& manifest) {
  constexpr std::uint64_t kBesideFrom = 64ULL << 20;
  if (verify_ == Verify::kFirst || manifest.info.bytes < kBesideFrom)
    return verify_chunks(*disk_, path("seg/"), manifest);
  verification_ = std::async(std::launch::async, [this, own = std::make_shared<const Manifest>(manifest)] {
                    return verify_chunks(*disk_, path("seg/"), *own);
                  }).share();
  return {};
}

Result<void> Store::verified() const { return verification_.valid() ? verification_.get() : Result<void>(); }

void Store::use(std::size_t kept) {
  used_ = kept_[kept];
  snapshot_ = used_->info;
  places_.clear();
  for (std::size_t i = 0; i < used_->parts.size(); ++i) places_.emplace(used_->parts[i].name, i);
}

Result<Manifest> Store::read_manifest(std::uint64_t number) const {
  return Manifest::decode(TRY(read_all(*disk_, path(manifest_name(number)), kManifestMax)));
}

// The log must reach back to the snapshot: its first record after it follows the one that the snapshot knew last.
Result<void> Store::find_first_record() {
  const auto& records = log_->found();
  std::uint64_t epoch = snapshot_ ? snapshot_->epoch : 0;
  std::uint64_t hash = used_ ? used_->log_hash : 0;
  first_record_ = 0;
  while (first_record_ < records.size() && records[first_record_].epoch <= epoch) ++first_record_;
  // Records are a chain: it is whole from the one on that the snapshot knows.
  bool reaches_back = first_record_ == records.size();
  for (std::size_t i = 0; i <= first_record_ && i < records.size(); ++i)
    reaches_back = reaches_back || records[i].previous == hash || (i < first_record_ && records[i].hash == hash);
  if (!reaches_back) return fail(refused(directory_, "commits between the snapshot and the log are missing"));
  return {};
}

std::vector<std::string> Store::part_names() const {
  std::vector<std::string> out;
  if (used_)
    for (const PackedPart& part : used_->parts) out.push_back(part.name);
  return out;
}

Result<std::size_t> Store::find_part(const std::string& name) const {
  auto found = places_.find(name);
  if (found == places_.end()) return fail(Code::kNotFound, "the snapshot has no part " + name);
  return found->second;
}

Result<std::unique_ptr<PartReader>> Store::open_part(const std::string& name) const {
  return std::make_unique<PartReader>(disk_, path("seg/"), used_, TRY(find_part(name)));
}

Result<std::string> Store::read_part(const std::string& name) const {
  auto reader = TRY(open_part(name));
  std::string out;
  out.reserve(TRY(part_bytes(name)));
  for (;;) {
    std::string_view window = TRY(reader->next());
    if (window.empty()) return out;
    out += window;
  }
}

Result<std::uint64_t> Store::part_bytes(const std::string& name) const {
  return used_->parts[TRY(find_part(name))].bytes;
}

// ---------------------------------------------------------------- going on

Result<void> Store::start(std::uint64_t next_epoch) {
  std::uint64_t hash = used_ ? used_->log_hash : 0;
  if (!log_->found().empty()) hash = log_->found().back().hash;
  TRY(log_->start(generation_, next_epoch, hash));
  return clean_up();
}

Result<SnapshotInfo> Store::write_snapshot(std::uint64_t epoch, std::uint64_t log_hash, std::vector<Part> parts,
                                           Clock& clock) {
  std::int64_t began = clock.monotonic_ns();
  Manifest manifest;
  manifest.info.number = next_number_++;
  manifest.info.epoch = epoch;
  manifest.info.generation = generation_;
  manifest.info.wall_ns = clock.wall_ns();
  manifest.log_hash = log_hash;
  PackWriter writer(*disk_, path("seg/"), fmt::format("{:010}-{:010}.pack", generation_, manifest.info.number),
                    kept_.empty() ? nullptr : kept_.front());
  for (Part& part : parts) {
    TRY(writer.add(part));
    part.pieces.clear();  // what is written need not be kept
  }
  crash_point("snapshot.before_sync");
  TRY(writer.finish());
  writer.move_into(manifest);
  manifest.info.duration_ns = clock.monotonic_ns() - began;
  crash_point("snapshot.before_manifest");
  TRY(replace_file(*disk_, path(manifest_name(manifest.info.number)), manifest.encode()));
  crash_point("snapshot.before_current");
  if (makes_mistake("store.drops_the_log_before_current")) TRY(log_->drop_below(epoch + 1));
  TRY(swap_current(manifest.info.number));
  crash_point("snapshot.after_current");
  kept_.insert(kept_.begin(), std::make_shared<const Manifest>(std::move(manifest)));
  use(0);
  if (kept_.size() > kGenerations) kept_.resize(kGenerations);
  TRY(clean_up());
  return kept_.front()->info;
}

// At every moment CURRENT is there and names a snapshot that is whole (D1).
Result<void> Store::swap_current(std::uint64_t number) {
  for (int i = kGenerations - 1; i > 0; --i) {
    auto before = read_all(*disk_, path(std::string(kCurrent[i - 1])), kSmallFileMax);
    if (!before && before.error().code == Code::kNotFound) continue;
    if (!before) return fail(std::move(before).error());
    if (decode_number(*before)) TRY(replace_file(*disk_, path(std::string(kCurrent[i])), *before));
    crash_point("snapshot.between_currents");
  }
  return replace_file(*disk_, path("CURRENT"), encode_number(number));
}

Result<void> Store::clean_up() {
  std::set<std::string> named;
  std::set<std::string> files;
  std::uint64_t oldest = ~std::uint64_t{0};
  for (std::string_view current : kCurrent) {
    auto text = read_all(*disk_, path(std::string(current)), kSmallFileMax);
    if (!text) continue;
    std::optional<std::uint64_t> number = decode_number(*text);
    if (!number) return {};  // what it named is not known: nothing is removed
    if (*number == 0) {
      oldest = 0;
      continue;
    }
    named.insert(manifest_name(*number));
    auto manifest = std::ranges::find_if(kept_, [&](const auto& one) { return one->info.number == *number; });
    if (manifest == kept_.end()) return {};
    oldest = std::min(oldest, (*manifest)->info.epoch);
    for (const PackFile& pack : (*manifest)->packs) files.insert(pack.name);
  }
  for (const std::string& name : TRY(disk_->list(directory_)))
    if (name.starts_with("manifest-") && !named.contains(name)) TRY(disk_->remove(path(name)));
  for (const std::string& name : TRY(disk_->list(path("seg"))))
    if (!files.contains(name)) TRY(disk_->remove(path("seg/" + name)));
  crash_point("snapshot.before_log_is_cut");
  if (oldest == ~std::uint64_t{0} || oldest == 0) return {};
  return log_->drop_below(oldest + 1);
}

std::vector<SnapshotInfo> Store::snapshots() const {
  std::vector<SnapshotInfo> out;
  for (const auto& manifest : kept_) out.push_back(manifest->info);
  return out;
}

}  // namespace thalweg::durable
