#include "connectors/file/follow.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "engine/types/batch.h"

namespace thalweg {

namespace {

constexpr std::int64_t kMs = 1'000'000;
// File systems count time in ticks of up to 10 ms; some network ones in seconds, but those are polled by size as well.
constexpr std::int64_t kFreshNs = 50 * kMs;
constexpr std::size_t kDeltaBytes = 1 << 20;

bool same_version(const FileStat& a, const FileStat& b) {
  return a.mtime_ns == b.mtime_ns && a.ctime_ns == b.ctime_ns && a.size == b.size && a.inode == b.inode &&
         a.device == b.device;
}

// Nothing that `_metadata` says of the file has changed.
bool tells_the_same(const FileStat& a, const FileStat& b) {
  return a.mtime_ns == b.mtime_ns && a.size == b.size && a.uid == b.uid && a.inode == b.inode;
}

std::string_view without_line_end(std::string_view record) {
  if (record.ends_with('\n')) record.remove_suffix(1);
  if (record.ends_with('\r')) record.remove_suffix(1);
  return record;
}

Key hash_of(std::string_view bytes, std::uint64_t seed) {
  XXH128_hash_t h = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {h.high64, h.low64};
}

// Collects single records into blocks of their own.
class DeltaBlock {
 public:
  void add(std::string_view record, std::uint64_t line, const Key* key) {
    info.record_offsets.push_back(static_cast<std::uint32_t>(bytes.size()));
    info.record_lines.push_back(line);
    if (key) info.keys.push_back(*key);
    bytes += record;
    if (!bytes.ends_with('\n')) bytes += '\n';
  }
  [[nodiscard]] bool full() const { return bytes.size() >= kDeltaBytes; }
  [[nodiscard]] bool empty() const { return bytes.empty(); }
  [[nodiscard]] BlockRef take_block(BlockPool& pool) {
    auto block = pool.take(bytes.size());
    std::memcpy(block->data(), bytes.data(), bytes.size());
    block->seal(bytes.size());
    bytes.clear();
    return block;
  }

  std::string bytes;
  BlockInfo info;
};

}  // namespace

Key row_key_of(const Key& row, std::uint32_t occurrence) {
  return occurrence == 0 ? row : key_of_part(row, occurrence);
}

void each_row_key(const FileSourceShared& shared, std::string_view block, std::uint64_t key_source,
                  std::string_view header_text, const std::function<void(const Key& row, std::size_t at)>& use) {
  const std::uint64_t seed = key_source ^ XXH3_64bits(header_text.data(), header_text.size());
  for (std::size_t at = 0; at < block.size();) {
    std::size_t n = shared.cutter->record_end(block.substr(at));
    if (n == 0) n = block.size() - at;
    use(hash_of(without_line_end(block.substr(at, n)), seed), at);
    at += n;
  }
}

FollowFileSource::FollowFileSource(std::shared_ptr<FileSourceShared> shared) : shared_(std::move(shared)) {}

Result<void> FollowFileSource::run(SourceContext& context) {
  context_ = &context;
  const FileReadSettings& settings = shared_->settings;
  if (!settings.dead_letter.empty()) TRY(BadRowPolicy::check_dead_letters(context.env(), settings.dead_letter));
  Clock& clock = *context.env().clock;
  TRY(restore());
  if (TRY(scan(true))) commit();  // of files, each is committed by itself; this is for what is gone
  std::int64_t next_poll = clock.monotonic_ns() + settings.refresh_ns;
  while (!stopped_ && !shared_->policy->failed()) {
    context.idle();
    if (!context.wait(ns_to_wait(next_poll), watcher_.fd())) return {};
    bool poll_is_due = clock.monotonic_ns() >= next_poll;
    bool changed = TRY(handle_changes(poll_is_due));
    changed |= TRY(consume_due_rests());
    if (stopped_) return {};
    if (changed) commit();
    // A look at very many files must not keep a core busy.
    if (poll_is_due) next_poll = clock.monotonic_ns() + std::max(settings.refresh_ns, 20 * scan_ns_);
  }
  return {};
}

std::int64_t FollowFileSource::ns_to_wait(std::int64_t next_poll) const {
  std::int64_t now = context_->env().clock->monotonic_ns();
  std::int64_t due = next_poll;
  for (const auto& [path, file] : files_)
    if (file.rest_since && !shared_->append_only)
      due = std::min(due, *file.rest_since + shared_->settings.partial_line_ns);
  return std::max<std::int64_t>(due - now, kMs / 10);
}

Result<bool> FollowFileSource::handle_changes(bool poll_is_due) {
  Watcher::Changes changes = watcher_.take();
  bool unknown = std::any_of(changes.written.begin(), changes.written.end(),
                             [&](const std::string& path) { return !files_.contains(path); });
  bool changed = false;
  for (const std::string& path : changes.written) {
    auto found = files_.find(path);
    if (found == files_.end()) continue;
    auto stat = disk().stat(path);
    if (stat && stat->is_regular)
      changed |= TRY(look_at(found->second, *stat, true));
    else
      changes.rescan = true;
    if (stopped_) return changed;
  }
  if (changes.rescan || unknown || poll_is_due) changed |= TRY(scan(false));
  return changed;
}

FollowedFile& FollowFileSource::follow(const std::string& path) {
  auto [at, is_new] = files_.try_emplace(path);
  FollowedFile& file = at->second;
  if (is_new) {
    file.path = path;
    file.shared_path = std::make_shared<const std::string>(path);
    file.key_source = key_source_of(shared_->source_name, path);
    if (keeps_) file.store.keep_in_blobs();
  }
  return file;
}

Result<bool> FollowFileSource::scan(bool first) {
  std::int64_t began = context_->env().clock->monotonic_ns();
  auto scanned = scan_files(disk(), shared_->settings.selection);
  if (!scanned && first) return fail(std::move(scanned).error());
  if (!scanned) {
    context_->warn(scanned.error().message);
    return false;
  }
  ++scans_;
  bool nothing = scanned->root_missing || scanned->files.empty();
  if (nothing && !warned_missing_)
    context_->warn(fmt::format("there is nothing at '{}' yet; waiting", shared_->settings.selection.path));
  warned_missing_ = nothing;
  if (first)
    for (const std::string& warning : scanned->warnings) context_->warn(warning);
  if (!shared_->files && !is_pattern(shared_->settings.selection.path))
    scanned->directories.push_back(parent_directory(shared_->settings.selection.path));
  // Watches come before the files are read: what is written meanwhile is seen after.
  if (!static_) watcher_.set_directories(scanned->directories);
  bool changed = false;
  for (const FoundFile& found : scanned->files) {
    bool is_new = !files_.contains(found.path);
    FollowedFile& file = follow(found.path);
    file.seen_in_scan = scans_;
    bool differs = TRY(is_new ? start_over(file) : look_at(file, found.stat, false));
    if (stopped_ || context_->stopping()) return changed;
    if (first && differs && !static_) commit();
    changed |= differs;
  }
  for (auto it = files_.begin(); it != files_.end();) {
    if (it->second.seen_in_scan == scans_) {
      ++it;
      continue;
    }
    changed |= TRY(take_back_all(it->second));
    if (stopped_) return changed;
    forget_file(it->second);
    it = files_.erase(it);
  }
  scan_ns_ = context_->env().clock->monotonic_ns() - began;
  return changed;
}

void FollowFileSource::warn(FollowedFile& file, const Error& error) {
  if (static_ && error.code == Code::kUnavailable && !lost_) lost_ = error;
  if (file.last_warning == error.message) return;
  file.last_warning = error.message;
  context_->warn(error.message);
}

Result<void> FollowFileSource::run_static(SourceContext& context) {
  context_ = &context;
  static_ = true;
  TRY(restore());
  TRY(scan(true));
  if (lost_) return fail(*lost_);
  if (!stopped_ && !context.stopping() && !shared_->policy->failed()) commit();
  return {};
}

Result<bool> FollowFileSource::start_over(FollowedFile& file) {
  auto stat = disk().stat(file.path);
  if (!stat) return false;  // gone again; the next scan knows
  if (is_by_file(shared_->settings.format)) return read_whole(file);
  return compression_of(file.path) == Compression::kNone ? read_appended(file, final_at_once()) : read_again(file);
}

// `certain`: something was written, even if no time tells.
Result<bool> FollowFileSource::look_at(FollowedFile& file, const FileStat& stat, bool certain) {
  const bool same = same_version(file.stat, stat);
  const bool aged = context_->env().clock->wall_ns() - stat.mtime_ns >= kFreshNs;
  if (same && (!file.fresh || !(aged || certain))) return false;
  if (is_by_file(shared_->settings.format)) return read_whole(file);
  if (compression_of(file.path) != Compression::kNone) return read_again(file);
  if (TRY(is_appended(file, stat))) return read_appended(file, final_at_once());
  // A large file is not read again only because its times may lie: its last bytes must do.
  constexpr std::uint64_t kCheapBytes = 256 * 1024;
  if (same && stat.size > kCheapBytes && TRY(has_same_tail(file))) {
    file.fresh = !aged;
    file.dirty = true;
    return false;
  }
  return read_again(file);
}

// The bytes that were read are still there, and there are more.
Result<bool> FollowFileSource::is_appended(const FollowedFile& file, const FileStat& stat) {
  if (file.stat.inode != stat.inode || file.stat.device != stat.device || stat.size <= file.end) return false;
  return has_same_tail(file);
}

Result<bool> FollowFileSource::has_same_tail(const FollowedFile& file) {
  auto handle = disk().open_read(file.path);
  if (!handle) return false;
  std::string now(file.tail.size(), '\0');
  std::size_t have = 0;
  while (have < now.size()) {
    auto n = (*handle)->read_at(file.end - now.size() + have, now.data() + have, now.size() - have);
    if (!n || *n == 0) return false;  // reading it again will tell
    have += *n;
  }
  return now == file.tail;
}

Result<bool> FollowFileSource::settle_partial(FollowedFile& file, ReadFile& handle) {
  if (file.partial.empty()) return false;
  char next[2] = {};
  std::size_t n = TRY(handle.read_at(file.consumed, next, 2));
  end_if_referred(file);
  bool ends = n >= 1 && (next[0] == '\n' || (n == 2 && next[0] == '\r' && next[1] == '\n'));
  std::string partial = std::exchange(file.partial, {});
  if (ends) {
    std::size_t skipped = next[0] == '\n' ? 1 : 2;
    file.consumed += skipped;
    file.tail.append(next, skipped);
    file.end += skipped;
    return false;
  }
  // The record goes on: the row that was made of its beginning is taken back.
  file.consumed -= partial.size();
  file.next_line = file.partial_line;
  auto block = shared_->pool->take(partial.size());
  std::memcpy(block->data(), partial.data(), partial.size());
  block->seal(partial.size());
  file.store.drop_last(block->size());
  BlockInfo info = info_of(file);
  info.first_line = file.partial_line;
  info.diff = -1;
  if (keys_by_row()) {
    Key row = hash_of(without_line_end(partial), row_seed(file));
    RowCounts::Slot& slot = file.counts.at(row);
    info.keys.push_back(row_key_of(row, --slot.before));
    info.record_offsets.push_back(0);
  }
  std::size_t bytes = block->size();
  deliver(file, std::move(block), bytes, std::move(info));
  return true;
}

Result<bool> FollowFileSource::read_appended(FollowedFile& file, bool final) {
  auto handle = disk().open_read(file.path);
  auto stat = handle ? (*handle)->stat() : Result<FileStat>(fail(handle.error()));
  if (!stat) {
    if (stat.error().code != Code::kNotFound) warn(file, stat.error());
    return false;
  }
  bool is_other = file.end > 0 && (stat->inode != file.stat.inode || stat->size < file.end);
  // A partial row with metadata cannot be told from the rest of its segment, a partial header concerns every row.
  bool is_tangled = !file.partial.empty() && (file.partial_is_header || shared_->layout.metadata);
  if (is_other || is_tangled) return read_again(file);
  bool changed = false;
  file.dirty = true;
  count_rows(file);
  changed |= TRY(settle_partial(file, **handle));
  if (stopped_) return changed;
  const std::uint64_t base = file.consumed;
  FileWalk walk(shared_, *context_, file.path);
  // The tail belongs to the bytes before `end`; reading begins before them where a record is still incomplete.
  std::string tail = file.tail;
  std::uint64_t again = file.end > base ? file.end - base : 0;
  tail.resize(tail.size() > again ? tail.size() - again : 0);
  walk.open(**handle, {.offset = base,
                       .line = file.next_line,
                       .header = file.header,
                       .file_bytes = stat->size,
                       .tail = std::move(tail)});
  const std::uint64_t now = static_cast<std::uint64_t>(context_->env().clock->wall_ns());
  file.stat = *stat;
  file.fresh = static_cast<std::int64_t>(now) - stat->mtime_ns < kFreshNs;
  while (true) {
    std::uint64_t before = walk.reader().consumed();
    auto cut = walk.next(final);
    if (!cut) {
      warn(file, cut.error());
      file.fresh = true;  // the next look goes on from here
      break;
    }
    file.header = walk.header();
    if (!walk.header_text().empty()) file.header_text = walk.header_text();
    file.next_line = walk.reader().line();
    file.consumed = base + walk.reader().consumed();
    bool unended = final && walk.reader().consumed() > before && file.consumed == walk.end_offset() &&
                   !walk.tail().ends_with('\n');
    if (unended && !shared_->append_only) note_partial(file, *cut);
    if (!*cut) break;
    deliver_cut(file, std::move(**cut));
    changed = true;
    if (stopped_ || context_->stopping()) return changed;
  }
  file.tail = walk.tail();
  file.end = walk.end_offset();
  bool has_rest = file.end > file.consumed;
  file.rest_since.reset();
  if (has_rest) file.rest_since = context_->env().clock->monotonic_ns();
  return changed;
}

// The last cut of a final read is the one record without its end; no cut: it was the header or a comment.
void FollowFileSource::note_partial(FollowedFile& file, const std::optional<BlockReader::Cut>& cut) {
  file.partial_is_header = !cut;
  file.partial = "header";
  if (!cut) return;
  file.partial = cut->block->view().substr(0, cut->block->size() - 1);  // sealing added a line end
  file.partial_line = cut->first_line;
}

Result<bool> FollowFileSource::consume_due_rests() {
  if (shared_->append_only) return false;
  bool changed = false;
  std::int64_t now = context_->env().clock->monotonic_ns();
  for (auto& [path, file] : files_) {
    if (!file.rest_since || now - *file.rest_since < shared_->settings.partial_line_ns) continue;
    changed |= TRY(read_appended(file, true));
    if (stopped_) break;
  }
  return changed;
}

BlockInfo FollowFileSource::info_of(const FollowedFile& file) const {
  BlockInfo info{.path = file.shared_path, .key_source = file.key_source, .csv_header = file.header};
  if (shared_->layout.metadata)
    info.metadata = metadata_of(*shared_, disk(), {file.path, file.stat}, context_->env().clock->wall_ns());
  return info;
}

std::uint64_t FollowFileSource::row_seed(const FollowedFile& file) {
  return file.key_source ^ XXH3_64bits(file.header_text.data(), file.header_text.size());
}

Key FollowFileSource::row_hash(std::string_view record, std::uint64_t seed) {
  return hash_of(without_line_end(record), seed);
}

void FollowFileSource::key_records(FollowedFile& file, const Block& block, BlockInfo& info,
                                   std::vector<std::uint32_t>* occurrences) {
  std::uint64_t seed = row_seed(file);
  std::string_view data = block.view();
  std::size_t at = 0;
  while (at < data.size()) {
    std::size_t n = shared_->cutter->record_end(data.substr(at));
    if (n == 0) n = data.size() - at;
    Key row = hash_of(without_line_end(data.substr(at, n)), seed);
    info.record_offsets.push_back(static_cast<std::uint32_t>(at));
    const std::uint32_t occurrence = file.counts.at(row).before++;
    info.keys.push_back(row_key_of(row, occurrence));
    if (occurrences) occurrences->push_back(occurrence);
    at += n;
  }
}

void FollowFileSource::deliver_cut(FollowedFile& file, BlockReader::Cut cut) {
  BlockInfo info = info_of(file);
  info.first_line = cut.first_line;
  std::size_t bytes = cut.block->size();
  if (!shared_->append_only) file.store.add(cut.block, bytes, cut.first_line, info.metadata);
  std::unique_ptr<PieceOrigin> origin = origin_of(file, bytes);
  if (keys_by_row()) key_records(file, *cut.block, info, origin ? &origin->occurrences : nullptr);
  deliver(file, std::move(cut.block), bytes, std::move(info), std::move(origin));
}

void FollowFileSource::deliver(FollowedFile& file, BlockRef block, std::size_t bytes, BlockInfo info,
                               std::unique_ptr<PieceOrigin> origin) {
  file.last_warning.clear();
  if (stopped_) return;
  stopped_ = !context_->deliver(
      std::make_unique<FilePiece>(shared_, std::move(block), bytes, std::move(info), std::move(origin)));
}

// Reads all of the file as it is now and delivers the difference to what it was.
Result<bool> FollowFileSource::read_again(FollowedFile& file) {
  auto handle = disk().open_read(file.path);
  auto stat = handle ? (*handle)->stat() : Result<FileStat>(fail(handle.error()));
  if (!stat) {
    if (stat.error().code != Code::kNotFound) warn(file, stat.error());
    return false;
  }
  if (shared_->append_only) {
    bool is_replaced = stat->inode != file.stat.inode || stat->size < file.consumed;
    if (!is_replaced) {
      warn(file, Error{Code::kBadData,
                       fmt::format("'{}' was changed other than by appending; the source is append-only, so "
                                   "what it was before is kept",
                                   file.path),
                       {},
                       {}});
      file.stat = *stat;
      file.fresh = false;
      return false;
    }
    // A new file under the old name: its rows are new ones.
    FollowedFile next;
    next.path = file.path;
    next.shared_path = file.shared_path;
    next.key_source = key_of_part(Key{file.key_source, 0}, stat->inode ^ static_cast<std::uint64_t>(stat->ctime_ns)).lo;
    next.seen_in_scan = file.seen_in_scan;
    next.number = file.number;
    next.store.begin_numbers_at(file.store.next_number());
    file = std::move(next);
    file.dirty = true;
    if (compression_of(file.path) == Compression::kNone) return read_appended(file, final_at_once());
    handle = TRY(disk().open_read(file.path));
  }
  FollowedFile next;
  if (keeps_) next.store.keep_in_blobs();
  next.number = file.number;
  next.store.begin_numbers_at(file.store.next_number());
  next.dirty = true;
  next.path = file.path;
  next.shared_path = file.shared_path;
  next.key_source = file.key_source;
  next.stat = *stat;
  next.seen_in_scan = file.seen_in_scan;
  next.fresh = context_->env().clock->wall_ns() - stat->mtime_ns < kFreshNs;
  const bool whole = shared_->is_whole(file.path);
  FileWalk walk(shared_, *context_, file.path);
  walk.open(**handle, {.file_bytes = stat->size});
  BlockInfo info = info_of(next);
  while (true) {
    std::uint64_t before = walk.reader().consumed();
    auto cut = walk.next(whole || static_);
    if (!cut) {
      // Half an archive, say: the old rows stay until the file changes again. What may work later is tried again.
      warn(file, cut.error());
      if (cut.error().code == Code::kUnavailable) return false;
      file.stat = next.stat;
      file.fresh = next.fresh;
      return false;
    }
    bool unended = static_ && !whole && walk.reader().consumed() > before &&
                   walk.reader().consumed() == walk.end_offset() && !walk.tail().ends_with('\n');
    if (unended) note_partial(next, *cut);
    if (!*cut) break;
    next.header = walk.header();
    next.store.add((*cut)->block, (*cut)->block->size(), (*cut)->first_line, info.metadata);
    if (context_->stopping()) return false;
  }
  next.header = walk.header();
  next.header_text = walk.header_text();
  next.next_line = walk.reader().line();
  next.consumed = walk.reader().consumed();
  next.tail = walk.tail();
  next.end = walk.end_offset();
  if (next.end > next.consumed && !whole) next.rest_since = context_->env().clock->monotonic_ns();
  return replace_content(file, next);
}

Result<bool> FollowFileSource::replace_content(FollowedFile& file, FollowedFile& next) {
  end_if_referred(file);
  count_rows(file);
  bool all_differ = shared_->layout.metadata || next.header_text != file.header_text;
  bool changed = false;
  if (all_differ) {
    changed |= TRY(take_back_all(file));
    next.store.each(*shared_->pool, [&](ContentStore::Segment segment) {
      BlockInfo info = info_of(next);
      info.metadata = segment.metadata;
      info.first_line = segment.first_line;
      if (keys_by_row()) key_records(next, *segment.block, info);
      deliver(file, std::move(segment.block), segment.bytes, std::move(info));
      changed = true;
      return !stopped_;
    });
  } else {
    changed |= TRY(difference(file, next));
  }
  for (auto& [number, blob] : file.store.take_all_away()) put_chunk(file, number, blob);
  file = std::move(next);
  return changed;
}

Result<bool> FollowFileSource::difference(FollowedFile& old, FollowedFile& next) {
  const std::uint64_t seed = row_seed(next);
  const bool keyed = keys_by_row();
  RowCounts counts = keyed ? std::move(old.counts) : RowCounts{};
  auto each_record = [&](const ContentStore& store, auto&& use) {
    store.each(*shared_->pool, [&](ContentStore::Segment segment) {
      std::string_view data = segment.block->view();
      std::uint64_t line = segment.first_line;
      for (std::size_t at = 0; at < data.size();) {
        std::size_t n = shared_->cutter->record_end(data.substr(at));
        if (n == 0) n = data.size() - at;
        std::string_view record = data.substr(at, n);
        use(record, hash_of(without_line_end(record), seed), line);
        line += count_lines(record);
        at += n;
      }
      return !stopped_;
    });
  };
  if (!keyed) each_record(old.store, [&](std::string_view, const Key& row, std::uint64_t) { ++counts.at(row).before; });
  each_record(next.store, [&](std::string_view, const Key& row, std::uint64_t) { ++counts.at(row).now; });
  bool changed = false;
  DeltaBlock delta;
  auto flush = [&](FollowedFile& file, Diff diff) {
    if (delta.empty()) return;
    BlockInfo fresh = info_of(file);
    fresh.diff = diff;
    fresh.keys = std::exchange(delta.info.keys, {});
    fresh.record_offsets = std::exchange(delta.info.record_offsets, {});
    fresh.record_lines = std::exchange(delta.info.record_lines, {});
    BlockRef block = delta.take_block(*shared_->pool);
    std::size_t bytes = block->size();
    deliver(old, std::move(block), bytes, std::move(fresh));
    changed = true;
  };
  auto add = [&](std::string_view record, std::uint64_t line, const Key& row, std::uint32_t from, std::uint32_t to,
                 FollowedFile& file, Diff diff) {
    for (std::uint32_t i = from; i < to; ++i) {
      Key key = row_key_of(row, i);
      delta.add(record, line, keyed ? &key : nullptr);
      if (delta.full()) flush(file, diff);
    }
  };
  // The first time that a row is met settles all of its occurrences; then both counts are equal.
  each_record(old.store, [&](std::string_view record, const Key& row, std::uint64_t line) {
    RowCounts::Slot& slot = counts.at(row);
    if (slot.before <= slot.now) return;
    add(record, line, row, slot.now, slot.before, old, -1);
    slot.before = slot.now;
  });
  flush(old, -1);
  each_record(next.store, [&](std::string_view record, const Key& row, std::uint64_t line) {
    RowCounts::Slot& slot = counts.at(row);
    if (slot.now <= slot.before) return;
    add(record, line, row, slot.before, slot.now, next, 1);
    slot.before = slot.now;
  });
  flush(next, 1);
  if (keyed) {
    counts.turn_over();
    next.counts = std::move(counts);
  }
  return changed;
}

Result<bool> FollowFileSource::take_back_all(FollowedFile& file) {
  end_if_referred(file);
  bool changed = false;
  RowCounts again;
  file.store.each(*shared_->pool, [&](ContentStore::Segment segment) {
    BlockInfo info = info_of(file);
    info.metadata = segment.metadata;
    info.first_line = segment.first_line;
    info.diff = -1;
    if (keys_by_row() && shared_->decoder) {
      std::swap(file.counts, again);  // keys are given as they were the first time
      key_records(file, *segment.block, info);
      std::swap(file.counts, again);
    }
    deliver(file, std::move(segment.block), segment.bytes, std::move(info));
    changed = true;
    return !stopped_;
  });
  return changed;
}

Result<bool> FollowFileSource::read_whole(FollowedFile& file) {
  auto stat = disk().stat(file.path);
  if (!stat) return false;
  auto content = read_whole_file(*shared_, *context_, file.path, stat->size);
  const bool as_before = tells_the_same(file.stat, *stat);
  file.stat = *stat;
  file.dirty = true;
  file.fresh = context_->env().clock->wall_ns() - stat->mtime_ns < kFreshNs;
  if (!content) {
    if (content.error().code == Code::kUnavailable) file.stat = {};  // is tried again
    if (content.error().code != Code::kNotFound) warn(file, content.error());
    return false;
  }
  if (!*content) {  // it has become too large
    bool changed = TRY(take_back_all(file));
    empty_store(file);
    file.content = {};
    return changed;
  }
  auto& [block, bytes] = **content;
  Key hash = hash_of({block->data(), bytes}, 1);
  // Only to have looked again is no change, though `seen_at` would be another.
  if (hash == file.content && (as_before || !shared_->layout.metadata)) return false;
  TRY(take_back_all(file));  // nothing if the source is append-only: then nothing was kept
  file.content = hash;
  empty_store(file);
  BlockInfo info = info_of(file);
  if (!shared_->append_only) file.store.add(block, bytes, 0, info.metadata);
  deliver(file, std::move(block), bytes, std::move(info));
  return true;
}

}  // namespace thalweg
