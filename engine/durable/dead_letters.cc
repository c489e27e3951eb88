#include "engine/durable/dead_letters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "engine/base/bytes.h"

namespace thalweg {

namespace {

constexpr std::array<std::string_view, 4> kKinds{"record", "value", "row", "error"};

}  // namespace

std::string_view text_of(DeadLetter::Kind kind) { return kKinds[static_cast<std::size_t>(kind)]; }

std::optional<DeadLetter::Kind> dead_letter_kind(std::string_view text) {
  for (std::size_t i = 0; i < kKinds.size(); ++i)
    if (kKinds[i] == text) return static_cast<DeadLetter::Kind>(i);
  return std::nullopt;
}

namespace durable {

namespace {

using bytes::put_number;
using bytes::put_text;
using bytes::take_number;
using bytes::take_text;

constexpr std::uint32_t kMagic = 0x544C4444;  // "DDLT"
constexpr std::size_t kHeadBytes = 4 + 8 + 8;
constexpr std::uint64_t kFrameBytesMax = 1ULL << 30;
constexpr std::uint64_t kSegmentsMax = 8;
constexpr std::size_t kSaidMax = 10'000;
constexpr std::size_t kRefusedMax = 1U << 20;

enum class Frame : std::uint8_t { kEntry = 1, kForget = 2, kDrop = 3, kCarried = 4, kRun = 5, kFile = 6 };

void put_key(std::string& out, const Key& key) {
  put_number(out, key.hi);
  put_number(out, key.lo);
}

bool take_key(std::string_view& from, Key& key) { return take_number(from, key.hi) && take_number(from, key.lo); }

void put_letter(std::string& out, const DeadLetter& letter) {
  put_number(out, letter.id);
  put_number(out, static_cast<std::uint8_t>(letter.kind));
  put_text(out, letter.connector);
  put_text(out, letter.type);
  put_text(out, letter.reason);
  put_text(out, letter.position);
  put_text(out, letter.payload);
  put_text(out, letter.row);
  put_key(out, letter.print);
  put_text(out, letter.file);
}

bool take_letter(std::string_view& from, DeadLetter& letter) {
  std::uint8_t kind = 0;
  bool read = take_number(from, letter.id) && take_number(from, kind) && kind < kKinds.size() &&
              take_text(from, letter.connector) && take_text(from, letter.type) && take_text(from, letter.reason) &&
              take_text(from, letter.position) && take_text(from, letter.payload) && take_text(from, letter.row) &&
              take_key(from, letter.print) && take_text(from, letter.file);
  letter.kind = static_cast<DeadLetter::Kind>(kind);
  return read;
}

void put_ids(std::string& out, const std::vector<std::uint64_t>& ids) {
  put_number<std::uint64_t>(out, ids.size());
  for (std::uint64_t id : ids) put_number(out, id);
}

bool take_ids(std::string_view& from, std::vector<std::uint64_t>& ids) {
  std::uint64_t count = 0;
  if (!take_number(from, count)) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t id = 0;
    if (!take_number(from, id)) return false;
    ids.push_back(id);
  }
  return true;
}

std::string encode(const DeadLetters::Entry& entry, std::int64_t wall_ns) {
  std::string out;
  put_number(out, static_cast<std::uint8_t>(Frame::kEntry));
  put_text(out, entry.part);
  put_number(out, entry.commit);
  put_number(out, wall_ns);
  put_number<std::uint64_t>(out, entry.letters.size());
  for (const DeadLetter& letter : entry.letters) put_letter(out, letter);
  for (const std::vector<Key>* prints : {&entry.refused, &entry.absorbed}) {
    put_number<std::uint64_t>(out, prints->size());
    for (const Key& print : *prints) put_key(out, print);
  }
  put_ids(out, entry.replayed);
  return out;
}

bool decode(std::string_view from, DeadLetters::Entry& entry, std::int64_t& wall_ns) {
  std::uint8_t frame = 0;
  std::uint64_t count = 0;
  if (!take_number(from, frame) || !take_text(from, entry.part) || !take_number(from, entry.commit) ||
      !take_number(from, wall_ns) || !take_number(from, count))
    return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    DeadLetter letter{.commit = entry.commit, .wall_ns = wall_ns};
    if (!take_letter(from, letter)) return false;
    entry.letters.push_back(std::move(letter));
  }
  for (std::vector<Key>* prints : {&entry.refused, &entry.absorbed}) {
    if (!take_number(from, count)) return false;
    for (std::uint64_t i = 0; i < count; ++i) {
      Key print;
      if (!take_key(from, print)) return false;
      prints->push_back(print);
    }
  }
  return take_ids(from, entry.replayed);
}

// Equal letters of two runs are one: the record at the same place, the same row.
std::uint64_t hash_of(const DeadLetter& letter) {
  std::string all;
  put_number(all, static_cast<std::uint8_t>(letter.kind));
  put_text(all, letter.connector);
  put_text(all, letter.reason);
  if (letter.kind == DeadLetter::Kind::kRow || letter.kind == DeadLetter::Kind::kErrorRow) {
    put_key(all, letter.print);
  } else {
    put_text(all, letter.position);
    put_text(all, letter.payload);
  }
  return bytes::checksum(all);
}

}  // namespace

// ---------------------------------------------------------------- opening

Result<std::shared_ptr<DeadLetters>> DeadLetters::open(std::shared_ptr<Disk> disk, std::shared_ptr<Clock> clock,
                                                       std::string directory, DeadLetterLimits limits,
                                                       bool across_runs) {
  std::shared_ptr<DeadLetters> out(
      new DeadLetters(std::move(disk), std::move(clock), std::move(directory), limits, across_runs));
  std::lock_guard lock(out->mutex_);
  TRY(out->disk_->make_directories(out->directory_));
  if (!across_runs) {  // else the folder of the state around it is locked
    auto held = out->disk_->lock(out->directory_ + "/LOCK");
    if (!held) return fail(std::move(held.error()).with_note("the dead letters of a pipeline belong to one process"));
    out->lock_ = std::move(*held);
  }
  TRY(out->load());
  return out;
}

std::string DeadLetters::path_of(std::uint32_t number) const {
  return fmt::format("{}/letters-{:010}.log", directory_, number);
}

Result<void> DeadLetters::load() {
  loading_ = true;
  std::vector<std::uint32_t> numbers;
  for (const std::string& name : TRY(disk_->list(directory_))) {
    std::uint32_t number = 0;
    constexpr std::string_view kBefore = "letters-";
    if (!name.starts_with(kBefore) || !name.ends_with(".log")) continue;
    auto [end, error] = std::from_chars(name.data() + kBefore.size(), name.data() + name.size() - 4, number);
    if (error == std::errc() && end == name.data() + name.size() - 4) numbers.push_back(number);
  }
  std::ranges::sort(numbers);
  for (std::uint32_t number : numbers) TRY(load_segment(number, number == numbers.back()));
  loading_ = false;
  added_.clear();
  expired_ = 0;
  if (segments_.empty()) return roll();
  file_ = TRY(disk_->open_write(path_of(segments_.back().number), Disk::WriteMode::kAppend));
  return {};
}

Result<void> DeadLetters::load_segment(std::uint32_t number, bool last) {
  const std::string path = path_of(number);
  std::string whole = TRY(read_all(*disk_, path, limits_.bytes_max + kFrameBytesMax));
  segments_.push_back({.number = number});
  std::string_view left = whole;
  while (!left.empty()) {
    std::string_view frame = left;
    std::uint32_t magic = 0;
    std::uint64_t length = 0;
    std::uint64_t sum = 0;
    bool read = take_number(frame, magic) && take_number(frame, length) && take_number(frame, sum) && magic == kMagic &&
                length <= frame.size() && bytes::checksum(frame.substr(0, length)) == sum;
    const std::uint64_t offset = whole.size() - left.size() + kHeadBytes;
    if (!read || !apply(frame.substr(0, length), number, offset)) break;
    left.remove_prefix(kHeadBytes + length);
  }
  segments_.back().bytes = whole.size() - left.size();
  if (left.empty()) return {};
  last_error_ = fmt::format("{}: {} bytes at the end cannot be read", path, left.size());
  if (!last) return {};
  auto file = TRY(disk_->open_write(path, Disk::WriteMode::kAppend));
  TRY(file->truncate(segments_.back().bytes));
  return file->sync();
}

// ---------------------------------------------------------------- frames

bool DeadLetters::apply(std::string_view payload, std::uint32_t segment, std::uint64_t offset) {
  std::string_view from = payload;
  std::uint8_t frame = 0;
  if (!take_number(from, frame)) return false;
  switch (static_cast<Frame>(frame)) {
    case Frame::kEntry: return apply_entry(payload, segment, offset, payload.size());
    case Frame::kCarried: return apply_carried(from);
    case Frame::kForget: {
      std::string name;
      std::uint64_t after = 0;
      if (!take_text(from, name) || !take_number(from, after)) return false;
      Part& part = part_of(name);
      while (!part.said.empty() && part.said.back().commit > after) {
        undo(part, part.said.back());
        part.said.pop_back();
      }
      return true;
    }
    case Frame::kDrop: {
      std::vector<std::uint64_t> ids;
      if (!take_ids(from, ids)) return false;
      for (std::uint64_t id : ids)
        if (Meta* meta = find(id)) meta->gone = true;
      return true;
    }
    case Frame::kRun: {
      for (Part& part : parts_) {
        part.said.clear();
        part.refused.clear();
      }
      known_.clear();
      for (const Meta& meta : letters_)
        if (is_live(meta)) known_.insert(meta.hash);
      return true;
    }
    case Frame::kFile: {
      std::string name;
      std::string path;
      FileMark mark;
      if (!take_text(from, name) || !take_text(from, path) || !take_number(from, mark.commit) ||
          !take_number(from, mark.length))
        return false;
      part_of(name).files[path] = mark;
      return true;
    }
  }
  return false;
}

bool DeadLetters::apply_entry(std::string_view from, std::uint32_t segment, std::uint64_t offset,
                              std::uint64_t length) {
  Entry entry;
  std::int64_t wall_ns = 0;
  if (!decode(from, entry, wall_ns)) return false;
  Part& part = part_of(entry.part);
  const auto part_index = static_cast<std::uint32_t>(&part - parts_.data());
  if (!part.said.empty() && part.said.back().commit == entry.commit) {
    undo(part, part.said.back());
    part.said.pop_back();
  }
  Said said{.commit = entry.commit};
  for (const DeadLetter& letter : entry.letters) {
    Meta meta{.id = letter.id,
              .part = part_index,
              .commit = entry.commit,
              .kind = letter.kind,
              .connector = letter.connector,
              .wall_ns = wall_ns,
              .hash = hash_of(letter),
              .print = letter.print,
              .to_file = !letter.file.empty(),
              .segment = segment,
              .offset = offset,
              .length = length};
    next_id_ = std::max(next_id_, letter.id + 1);
    said.letters.push_back(letter.id);
    if (letter.kind == DeadLetter::Kind::kRow) {
      count_refused(part, letter.print, true);
      said.refused.push_back(letter.print);
    }
    ++added_[{letter.connector, letter.kind}];
    letters_.push_back(std::move(meta));
  }
  for (const Key& print : entry.refused) {
    count_refused(part, print, true);
    said.refused.push_back(print);
  }
  for (const Key& print : entry.absorbed) {
    count_refused(part, print, false);
    said.absorbed.push_back(print);
    // Its letter has nothing to say any more.
    for (Meta& meta : letters_)
      if (meta.part == part_index && meta.kind == DeadLetter::Kind::kRow && meta.print == print && !meta.gone) {
        meta.gone = true;
        said.withdrawn.push_back(meta.id);
        break;
      }
  }
  for (std::uint64_t id : entry.replayed) {
    Meta* meta = find(id);
    if (!meta || meta->gone) continue;
    meta->gone = true;
    said.replayed.push_back(id);
    if (meta->kind == DeadLetter::Kind::kRow) count_refused(part, meta->print, false);
  }
  part.said.push_back(std::move(said));
  if (part.said.size() > kSaidMax) part.said.pop_front();
  segments_.back().newest_ns = std::max(segments_.back().newest_ns, wall_ns);
  obey_limits();
  return true;
}

void DeadLetters::undo(Part& part, const Said& said) {
  for (std::uint64_t id : said.letters)
    if (Meta* meta = find(id)) meta->gone = true;
  for (const Key& print : said.refused) count_refused(part, print, false);
  for (const Key& print : said.absorbed) count_refused(part, print, true);
  for (std::uint64_t id : said.withdrawn)
    if (Meta* meta = find(id)) meta->gone = false;
  for (std::uint64_t id : said.replayed) {
    Meta* meta = find(id);
    if (!meta) continue;
    meta->gone = false;
    if (meta->kind == DeadLetter::Kind::kRow) count_refused(part, meta->print, true);
  }
}

void DeadLetters::count_refused(Part& part, const Key& print, bool more) {
  if (print == Key{}) return;  // a retraction that was refused
  if (more) {
    if (part.refused.size() < kRefusedMax) ++part.refused[print];
    return;
  }
  auto found = part.refused.find(print);
  if (found != part.refused.end() && --found->second == 0) part.refused.erase(found);
}

std::string DeadLetters::carried() const {
  std::string out;
  put_number(out, static_cast<std::uint8_t>(Frame::kCarried));
  put_number(out, next_id_);
  put_number<std::uint64_t>(out, parts_.size());
  for (const Part& part : parts_) {
    put_text(out, part.name);
    put_number<std::uint64_t>(out, part.refused.size());
    for (const auto& [print, count] : part.refused) {
      put_key(out, print);
      put_number(out, count);
    }
    put_number<std::uint64_t>(out, part.files.size());
    for (const auto& [path, mark] : part.files) {
      put_text(out, path);
      put_number(out, mark.commit);
      put_number(out, mark.length);
    }
  }
  // Letters that are gone, of the files that stay.
  std::vector<std::uint64_t> gone;
  for (const Meta& meta : letters_)
    if (meta.gone) gone.push_back(meta.id);
  put_ids(out, gone);
  return out;
}

bool DeadLetters::apply_carried(std::string_view from) {
  std::uint64_t count = 0;
  if (!take_number(from, next_id_) || !take_number(from, count)) return false;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::string name;
    std::uint64_t size = 0;
    if (!take_text(from, name) || !take_number(from, size)) return false;
    Part& part = part_of(name);
    part.refused.clear();
    for (std::uint64_t r = 0; r < size; ++r) {
      Key print;
      std::uint32_t times = 0;
      if (!take_key(from, print) || !take_number(from, times)) return false;
      part.refused[print] = times;
    }
    if (!take_number(from, size)) return false;
    for (std::uint64_t f = 0; f < size; ++f) {
      std::string path;
      FileMark mark;
      if (!take_text(from, path) || !take_number(from, mark.commit) || !take_number(from, mark.length)) return false;
      part.files[path] = mark;
    }
  }
  std::vector<std::uint64_t> gone;
  if (!take_ids(from, gone)) return false;
  for (std::uint64_t id : gone)
    if (Meta* meta = find(id)) meta->gone = true;
  return true;
}

// ---------------------------------------------------------------- writing

Result<void> DeadLetters::roll() {
  const std::uint32_t number = segments_.empty() ? 1 : segments_.back().number + 1;
  auto file = TRY(disk_->open_write(path_of(number), Disk::WriteMode::kTruncate));
  segments_.push_back({.number = number});
  file_ = std::move(file);
  TRY(write(carried(), true));
  return disk_->sync_directory(directory_);
}

Result<void> DeadLetters::write(const std::string& payload, bool sync) {
  if (!file_) return fail(Code::kIo, "the dead letters cannot be written any more: " + last_error_);
  std::string head;
  put_number(head, kMagic);
  put_number<std::uint64_t>(head, payload.size());
  put_number(head, bytes::checksum(payload));
  Segment& segment = segments_.back();
  auto written = file_->append(head + payload);
  if (written && sync) written = file_->sync();
  if (!written) {
    // What is on the platter of this file is not known: the next letters go into a new one.
    last_error_ = written.error().message;
    (void)file_->truncate(segment.bytes);
    file_.reset();
    return written;
  }
  const std::uint64_t offset = segment.bytes + kHeadBytes;
  segment.bytes += kHeadBytes + payload.size();
  apply(payload, segment.number, offset);
  return {};
}

void DeadLetters::limit_commit(Entry& entry) {
  std::uint64_t size = 0;
  std::size_t kept = 0;
  for (DeadLetter& letter : entry.letters) {
    if (letter.payload.size() > DeadLetter::kPayloadMax) letter.payload.resize(DeadLetter::kPayloadMax);
    size += letter.payload.size() + letter.row.size() + letter.reason.size();
    if (kept == limits_.commit_letters_max || (kept > 0 && size > limits_.commit_bytes_max)) break;
    ++kept;
  }
  lost_ += entry.letters.size() - kept;
  entry.letters.resize(kept);
}

void DeadLetters::leave_out_known(Entry& entry) {
  if (across_runs_ || known_.empty()) return;
  std::erase_if(entry.letters, [&](const DeadLetter& letter) {
    auto found = known_.find(hash_of(letter));
    if (found == known_.end()) return false;
    known_.erase(found);
    return true;
  });
}

Result<void> DeadLetters::keep(Entry entry, bool sync) {
  std::lock_guard lock(mutex_);
  leave_out_known(entry);
  const Part* part = find_part(entry.part);
  const bool again = part && !part->said.empty() && part->said.back().commit == entry.commit;
  if (entry.empty() && !again) return {};
  limit_commit(entry);
  std::uint64_t id = next_id_;
  for (DeadLetter& letter : entry.letters) letter.id = id++;
  const std::string payload = encode(entry, clock_->wall_ns());
  if (!file_ || segments_.back().bytes > limits_.bytes_max / kSegmentsMax) TRY(roll());
  return write(payload, sync);
}

Result<void> DeadLetters::forget(const std::string& part, std::uint64_t after) {
  std::lock_guard lock(mutex_);
  const Part* known = find_part(part);
  if (!known || known->said.empty() || known->said.back().commit <= after) return {};
  std::string payload;
  put_number(payload, static_cast<std::uint8_t>(Frame::kForget));
  put_text(payload, part);
  put_number(payload, after);
  return write(payload, true);
}

Result<void> DeadLetters::begin_run() {
  std::lock_guard lock(mutex_);
  std::string payload;
  put_number(payload, static_cast<std::uint8_t>(Frame::kRun));
  return write(payload, false);
}

std::unordered_map<Key, std::uint32_t> DeadLetters::refused(const std::string& part) const {
  std::lock_guard lock(mutex_);
  const Part* known = find_part(part);
  return known ? known->refused : std::unordered_map<Key, std::uint32_t>();
}

Result<std::uint64_t> DeadLetters::drop(const std::vector<std::uint64_t>& ids) {
  std::lock_guard lock(mutex_);
  std::vector<std::uint64_t> there;
  for (std::uint64_t id : ids)
    if (const Meta* meta = find(id); meta && is_live(*meta)) there.push_back(id);
  if (there.empty()) return 0;
  std::string payload;
  put_number(payload, static_cast<std::uint8_t>(Frame::kDrop));
  put_ids(payload, there);
  TRY(write(payload, true));
  return there.size();
}

void DeadLetters::obey_limits() {
  auto forget_oldest = [&] {
    if (is_live(letters_.front())) ++expired_;
    letters_.pop_front();
  };
  while (letters_.size() > limits_.letters_max) forget_oldest();
  std::uint64_t bytes = 0;
  for (const Segment& segment : segments_) bytes += segment.bytes;
  const std::int64_t oldest_ns = clock_->wall_ns() - limits_.age_ns_max;
  while (segments_.size() > 1 && !loading_ &&
         (bytes > limits_.bytes_max || (segments_.front().newest_ns < oldest_ns && segments_.front().newest_ns > 0))) {
    const Segment first = segments_.front();
    while (!letters_.empty() && letters_.front().segment == first.number) forget_oldest();
    if (!disk_->remove(path_of(first.number))) return;
    bytes -= first.bytes;
    segments_.pop_front();
  }
}

// ---------------------------------------------------------------- files of the user

DeadLetters::FileMark DeadLetters::file_mark(const std::string& part, const std::string& path) const {
  std::lock_guard lock(mutex_);
  const Part* known = find_part(part);
  if (!known) return {};
  auto found = known->files.find(path);
  return found == known->files.end() ? FileMark{} : found->second;
}

Result<void> DeadLetters::mark_file(const std::string& part, const std::string& path, FileMark mark) {
  std::lock_guard lock(mutex_);
  std::string payload;
  put_number(payload, static_cast<std::uint8_t>(Frame::kFile));
  put_text(payload, part);
  put_text(payload, path);
  put_number(payload, mark.commit);
  put_number(payload, mark.length);
  return write(payload, true);
}

Result<std::vector<DeadLetter>> DeadLetters::for_file(const std::string& part, const std::string& path,
                                                      std::uint64_t after, std::uint64_t to) const {
  std::lock_guard lock(mutex_);
  std::vector<DeadLetter> out;
  const Part* known = find_part(part);
  if (!known) return out;
  for (const Meta& meta : letters_) {
    if (meta.gone || !meta.to_file || meta.commit <= after || meta.commit > to || &parts_[meta.part] != known) continue;
    DeadLetter letter = TRY(read(meta));
    if (letter.file == path) out.push_back(std::move(letter));
  }
  return out;
}

// ---------------------------------------------------------------- readers

DeadLetters::Meta* DeadLetters::find(std::uint64_t id) {
  auto found = std::ranges::lower_bound(letters_, id, {}, &Meta::id);
  return found == letters_.end() || found->id != id ? nullptr : &*found;
}
const DeadLetters::Meta* DeadLetters::find(std::uint64_t id) const {
  auto found = std::ranges::lower_bound(letters_, id, {}, &Meta::id);
  return found == letters_.end() || found->id != id ? nullptr : &*found;
}

bool DeadLetters::is_live(const Meta& meta) const {
  return !meta.gone && meta.wall_ns >= clock_->wall_ns() - limits_.age_ns_max;
}

bool DeadLetters::matches(const Meta& meta, const Query& query) const {
  return is_live(meta) && meta.id > query.after && (query.connector.empty() || meta.connector == query.connector) &&
         (!query.kind || meta.kind == *query.kind);
}

DeadLetters::Part& DeadLetters::part_of(const std::string& name) {
  for (Part& part : parts_)
    if (part.name == name) return part;
  parts_.push_back({.name = name});
  return parts_.back();
}

const DeadLetters::Part* DeadLetters::find_part(const std::string& name) const {
  for (const Part& part : parts_)
    if (part.name == name) return &part;
  return nullptr;
}

Result<DeadLetter> DeadLetters::read(const Meta& meta) const {
  auto file = TRY(disk_->open_read(path_of(meta.segment)));
  std::string payload(meta.length, '\0');
  std::size_t have = 0;
  while (have < payload.size()) {
    const std::size_t n = TRY(file->read_at(meta.offset + have, payload.data() + have, payload.size() - have));
    if (n == 0) break;
    have += n;
  }
  Entry entry;
  std::int64_t wall_ns = 0;
  if (have == payload.size() && decode(payload, entry, wall_ns))
    for (DeadLetter& letter : entry.letters)
      if (letter.id == meta.id) return std::move(letter);
  return fail(Code::kIo, fmt::format("dead letter {} cannot be read from {}", meta.id, path_of(meta.segment)));
}

Result<std::vector<DeadLetter>> DeadLetters::list(const Query& query) const {
  std::lock_guard lock(mutex_);
  std::vector<DeadLetter> out;
  for (const Meta& meta : letters_) {
    if (!matches(meta, query)) continue;
    if (out.size() == query.limit) break;
    out.push_back(TRY(read(meta)));
  }
  return out;
}

std::vector<std::uint64_t> DeadLetters::ids(const Query& query) const {
  std::lock_guard lock(mutex_);
  std::vector<std::uint64_t> out;
  for (const Meta& meta : letters_) {
    if (!matches(meta, query)) continue;
    if (out.size() == query.limit) break;
    out.push_back(meta.id);
  }
  return out;
}

Result<DeadLetter> DeadLetters::get(std::uint64_t id) const {
  std::lock_guard lock(mutex_);
  const Meta* meta = find(id);
  if (!meta || !is_live(*meta)) return fail(Code::kNotFound, fmt::format("there is no dead letter {}", id));
  return read(*meta);
}

DeadLetters::Stats DeadLetters::stats() const {
  std::lock_guard lock(mutex_);
  Stats out{.expired = expired_, .lost = lost_, .added = added_, .last_error = last_error_};
  for (const Meta& meta : letters_) out.letters += is_live(meta) ? 1 : 0;
  for (const Segment& segment : segments_) out.bytes += segment.bytes;
  return out;
}

void DeadLetters::note_lost(std::uint64_t letters, std::string why) {
  std::lock_guard lock(mutex_);
  lost_ += letters;
  last_error_ = std::move(why);
}

}  // namespace durable
}  // namespace thalweg
