#include "engine/durable/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/base/bytes.h"
#include "engine/base/failpoint.h"

namespace thalweg::durable {

using bytes::checksum;
using bytes::put_number;
using bytes::put_text;
using bytes::take_number;
using bytes::take_text;

namespace {

constexpr std::uint32_t kManifestMagic = 0x464D5754;  // TWMF
constexpr std::uint64_t kSmallFileMax = 64ULL << 20;
constexpr std::uint64_t kPackedBytesMax = 1ULL << 20;  // parts up to this size share a file
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

std::uint64_t Part::bytes() const {
  std::uint64_t sum = 0;
  for (const auto& piece : pieces) sum += piece->size();
  return sum;
}

// ---------------------------------------------------------------- opening

Result<std::unique_ptr<Store>> Store::open(std::shared_ptr<Disk> disk, std::string directory) {
  std::unique_ptr<Store> store(new Store(std::move(disk), std::move(directory)));
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
  for (const Manifest& manifest : kept_) last = std::max(last, manifest.info.generation);
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
    Result<void> good = manifest ? verify(*manifest) : Result<void>(fail(manifest.error()));
    if (!good) {
      if (!first_problem) first_problem = good.error().message;
      events_.push_back(fmt::format("a snapshot cannot be used: {}", good.error().message));
      continue;
    }
    if (!snapshot_) {
      snapshot_ = manifest->info;
      used_ = kept_.size();
    }
    kept_.push_back(std::move(*manifest));
  }
  if (!snapshot_) return fail(refused(directory_, first_problem.value_or("CURRENT cannot be read")));
  return {};
}

Result<Store::Manifest> Store::read_manifest(std::uint64_t number) const {
  std::string bytes = TRY(read_all(*disk_, path(manifest_name(number)), kSmallFileMax));
  return decode(bytes);
}

Result<void> Store::verify(const Manifest& manifest) const {
  for (const PartEntry& entry : manifest.parts) TRY(read_entry(entry));
  return {};
}

Result<std::string> Store::read_entry(const PartEntry& entry) const {
  auto file = TRY(disk_->open_read(path("seg/" + entry.file)));
  std::uint64_t size = TRY(file->stat()).size;
  if (entry.bytes > size || entry.offset > size - entry.bytes)
    return fail(Code::kBadData, fmt::format("seg/{} is too short", entry.file));
  std::string out(entry.bytes, '\0');
  std::size_t have = 0;
  while (have < out.size()) {
    std::size_t n = TRY(file->read_at(entry.offset + have, out.data() + have, out.size() - have));
    if (n == 0) return fail(Code::kBadData, fmt::format("seg/{} ends too early", entry.file));
    have += n;
  }
  if (checksum(out) != entry.hash)
    return fail(Code::kBadData, fmt::format("seg/{} is damaged ({})", entry.file, entry.name));
  return out;
}

// The log must reach back to the snapshot: its first record after it follows the one that the snapshot knew last.
Result<void> Store::find_first_record() {
  const auto& records = log_->found();
  std::uint64_t epoch = snapshot_ ? snapshot_->epoch : 0;
  std::uint64_t hash = snapshot_ ? kept_[used_].log_hash : 0;
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
  if (snapshot_)
    for (const PartEntry& entry : kept_[used_].parts) out.push_back(entry.name);
  return out;
}

Result<std::string> Store::read_part(const std::string& name) const {
  if (snapshot_)
    for (const PartEntry& entry : kept_[used_].parts)
      if (entry.name == name) return read_entry(entry);
  return fail(Code::kNotFound, "the snapshot has no part " + name);
}

Result<std::uint64_t> Store::part_bytes(const std::string& name) const {
  if (snapshot_)
    for (const PartEntry& entry : kept_[used_].parts)
      if (entry.name == name) return entry.bytes;
  return fail(Code::kNotFound, "the snapshot has no part " + name);
}

// ---------------------------------------------------------------- going on

Result<void> Store::start(std::uint64_t next_epoch) {
  std::uint64_t hash = snapshot_ ? kept_[used_].log_hash : 0;
  if (!log_->found().empty()) hash = log_->found().back().hash;
  TRY(log_->start(generation_, next_epoch, hash));
  return clean_up();
}

std::string Store::encode(const Manifest& manifest) {
  std::string out;
  put_number(out, kManifestMagic);
  put_number(out, kFormat);
  put_number(out, manifest.info.number);
  put_number(out, manifest.info.epoch);
  put_number(out, manifest.info.generation);
  put_number(out, manifest.info.wall_ns);
  put_number(out, manifest.info.duration_ns);
  put_number(out, manifest.info.written_bytes);
  put_number(out, manifest.log_hash);
  put_number<std::uint64_t>(out, manifest.parts.size());
  for (const PartEntry& entry : manifest.parts) {
    put_text(out, entry.name);
    put_text(out, entry.file);
    put_number(out, entry.offset);
    put_number(out, entry.bytes);
    put_number(out, entry.hash);
  }
  put_number(out, checksum(out));
  return out;
}

Result<Store::Manifest> Store::decode(std::string_view bytes) {
  auto damaged = [] { return fail(Code::kBadData, "a manifest is damaged"); };
  if (bytes.size() < 16) return damaged();
  std::string_view body = bytes.substr(0, bytes.size() - 8);
  std::string_view tail = bytes.substr(bytes.size() - 8);
  std::uint64_t sum = 0;
  std::uint32_t magic = 0;
  std::uint32_t format = 0;
  std::uint64_t parts = 0;
  if (!take_number(tail, sum) || sum != checksum(body)) return damaged();
  Manifest out;
  if (!take_number(body, magic) || magic != kManifestMagic || !take_number(body, format)) return damaged();
  if (format > kFormat)
    return fail(Code::kBadData,
                fmt::format("it was written by a newer version (format {}, this one reads up to {})", format, kFormat));
  bool read = take_number(body, out.info.number) && take_number(body, out.info.epoch) &&
              take_number(body, out.info.generation) && take_number(body, out.info.wall_ns) &&
              take_number(body, out.info.duration_ns) && take_number(body, out.info.written_bytes) &&
              take_number(body, out.log_hash) && take_number(body, parts);
  for (std::uint64_t i = 0; read && i < parts; ++i) {
    PartEntry entry;
    read = take_text(body, entry.name) && take_text(body, entry.file) && take_number(body, entry.offset) &&
           take_number(body, entry.bytes) && take_number(body, entry.hash);
    out.info.bytes += entry.bytes;
    out.parts.push_back(std::move(entry));
  }
  if (!read) return damaged();
  return out;
}

// The file's name is the hash of what is in it: one that is there already has it all, and was synced.
Result<std::string> Store::write_file(const std::vector<const Part*>& parts, bool& is_new) {
  XXH3_state_t* state = XXH3_createState();
  XXH3_128bits_reset(state);
  for (const Part* part : parts)
    for (const auto& piece : part->pieces) XXH3_128bits_update(state, piece->data(), piece->size());
  XXH128_hash_t hash = XXH3_128bits_digest(state);
  XXH3_freeState(state);
  std::string name = fmt::format("{:016x}{:016x}.part", hash.high64, hash.low64);
  std::uint64_t bytes = 0;
  for (const Part* part : parts) bytes += part->bytes();
  auto there = disk_->stat(path("seg/" + name));
  is_new = !there || there->size != bytes;
  if (!is_new) return name;
  std::string temporary = path("seg/" + name + ".tmp");
  {
    auto file = TRY(disk_->open_write(temporary, Disk::WriteMode::kTruncate));
    for (const Part* part : parts)
      for (const auto& piece : part->pieces)
        if (!piece->empty()) TRY(file->append(*piece));
    if (!makes_mistake("store.names_parts_before_sync")) TRY(file->sync());
  }
  TRY(disk_->rename(temporary, path("seg/" + name)));
  return name;
}

Result<SnapshotInfo> Store::write_snapshot(std::uint64_t epoch, std::uint64_t log_hash, std::vector<Part> parts,
                                           Clock& clock) {
  std::int64_t began = clock.monotonic_ns();
  Manifest manifest;
  manifest.info = {.number = next_number_++,
                   .epoch = epoch,
                   .generation = generation_,
                   .bytes = 0,
                   .written_bytes = 0,
                   .wall_ns = clock.wall_ns(),
                   .duration_ns = 0};
  manifest.log_hash = log_hash;
  auto write = [&](const std::vector<const Part*>& together) -> Result<void> {
    bool is_new = false;
    std::string file = TRY(write_file(together, is_new));
    std::uint64_t offset = 0;
    for (const Part* part : together) {
      XXH3_state_t* state = XXH3_createState();
      XXH3_64bits_reset(state);
      for (const auto& piece : part->pieces) XXH3_64bits_update(state, piece->data(), piece->size());
      manifest.parts.push_back({part->name, file, offset, part->bytes(), XXH3_64bits_digest(state)});
      XXH3_freeState(state);
      offset += part->bytes();
    }
    manifest.info.bytes += offset;
    if (is_new) manifest.info.written_bytes += offset;
    return {};
  };
  std::vector<const Part*> small;
  for (const Part& part : parts) {
    if (part.bytes() > kPackedBytesMax)
      TRY(write({&part}));
    else
      small.push_back(&part);
  }
  if (!small.empty()) TRY(write(small));
  manifest.info.duration_ns = clock.monotonic_ns() - began;
  TRY(replace_file(*disk_, path(manifest_name(manifest.info.number)), encode(manifest)));
  if (makes_mistake("store.drops_the_log_before_current")) TRY(log_->drop_below(epoch + 1));
  TRY(swap_current(manifest.info.number));
  SnapshotInfo info = manifest.info;
  kept_.insert(kept_.begin(), std::move(manifest));
  used_ = 0;
  snapshot_ = info;
  if (kept_.size() > kGenerations) kept_.resize(kGenerations);
  TRY(clean_up());
  return info;
}

// At every moment CURRENT is there and names a snapshot that is whole (D1).
Result<void> Store::swap_current(std::uint64_t number) {
  for (int i = kGenerations - 1; i > 0; --i) {
    auto before = read_all(*disk_, path(std::string(kCurrent[i - 1])), kSmallFileMax);
    if (!before && before.error().code == Code::kNotFound) continue;
    if (!before) return fail(std::move(before).error());
    if (decode_number(*before)) TRY(replace_file(*disk_, path(std::string(kCurrent[i])), *before));
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
    auto manifest = std::ranges::find_if(kept_, [&](const Manifest& one) { return one.info.number == *number; });
    if (manifest == kept_.end()) return {};
    oldest = std::min(oldest, manifest->info.epoch);
    for (const PartEntry& entry : manifest->parts) files.insert(entry.file);
  }
  for (const std::string& name : TRY(disk_->list(directory_)))
    if (name.starts_with("manifest-") && !named.contains(name)) TRY(disk_->remove(path(name)));
  for (const std::string& name : TRY(disk_->list(path("seg"))))
    if (!files.contains(name)) TRY(disk_->remove(path("seg/" + name)));
  if (oldest == ~std::uint64_t{0} || oldest == 0) return {};
  return log_->drop_below(oldest + 1);
}

std::vector<SnapshotInfo> Store::snapshots() const {
  std::vector<SnapshotInfo> out;
  for (const Manifest& manifest : kept_) out.push_back(manifest.info);
  return out;
}

}  // namespace thalweg::durable
