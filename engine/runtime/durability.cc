#include "engine/runtime/durability.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "engine/base/ensure.h"
#include "engine/base/bytes.h"
#include "engine/base/crash_point.h"

namespace thalweg {

namespace {

using bytes::put_number;
using bytes::put_text;
using bytes::take_number;
using bytes::take_text;
using durable::Part;

constexpr std::uint32_t kMetaVersion = 1;
constexpr std::string_view kRefusedTo = "\1refused to ";
constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kIntervalNs = 60 * kSecond;
constexpr std::int64_t kRetryNs = 10 * kSecond;  // after a snapshot that could not be written
constexpr std::uint64_t kLogBytesMin = 16ULL << 20;
constexpr std::uint64_t kLogBytesLong = 64ULL << 20;

Blob blob_of(std::string bytes) { return std::make_shared<const std::string>(std::move(bytes)); }

std::string hex_of(const Key& key) { return fmt::format("{:016x}{:016x}", key.hi, key.lo); }

std::optional<Key> key_of_hex(std::string_view text) {
  Key key;
  if (text.size() < 32) return std::nullopt;
  auto one = [&](std::size_t at, std::uint64_t& into) {
    const char* begin = text.data() + at;
    auto [end, error] = std::from_chars(begin, begin + 16, into, 16);
    return error == std::errc() && end == begin + 16;
  };
  if (!one(0, key.hi) || !one(16, key.lo)) return std::nullopt;
  return key;
}

std::string name_of(const PartName& part) {
  return fmt::format("node/{}.{}.{}", hex_of(part.node), part.occurrence, part.worker);
}

std::optional<PartName> part_of_name(std::string_view name) {
  if (!name.starts_with("node/")) return std::nullopt;
  name.remove_prefix(5);
  auto key = key_of_hex(name);
  if (!key || name.size() < 36 || name[32] != '.') return std::nullopt;
  PartName out{.node = *key};
  const char* end = name.data() + name.size();
  auto [dot, error] = std::from_chars(name.data() + 33, end, out.occurrence);
  if (error != std::errc() || dot == end || *dot != '.') return std::nullopt;
  auto [last, problem] = std::from_chars(dot + 1, end, out.worker);
  if (problem != std::errc() || last != end) return std::nullopt;
  return out;
}

std::string encode_meta(const SavedRun& state) {
  std::string out;
  put_number(out, kMetaVersion);
  put_number(out, state.frontier.at);
  put_number<std::uint8_t>(out, state.frontier.done ? 1 : 0);
  put_number(out, state.workers);
  put_number(out, state.commits);
  for (std::uint64_t errors : state.errors) put_number(out, errors);
  put_number(out, state.test_time);
  return out;
}

bool decode_meta(std::string_view from, SavedRun& state) {
  std::uint32_t version = 0;
  std::uint8_t done = 0;
  bool read = take_number(from, version) && version == kMetaVersion && take_number(from, state.frontier.at) &&
              take_number(from, done) && take_number(from, state.workers) && take_number(from, state.commits);
  for (std::uint64_t& errors : state.errors) read = read && take_number(from, errors);
  state.frontier.done = done != 0;
  return read && take_number(from, state.test_time);
}

std::string encode_output(const SavedOutput& output) {
  std::string out;
  put_number(out, output.print.hi);
  put_number(out, output.print.lo);
  put_text(out, output.saved);
  put_number<std::uint8_t>(out, output.written ? 1 : 0);
  put_number<std::uint64_t>(out, output.written.value_or(0));
  put_number<std::uint64_t>(out, output.waiting.size());
  for (const auto& [commit, batch] : output.waiting) {
    put_number(out, commit);
    put_text(out, batch);
  }
  return out;
}

bool decode_output(std::string_view from, SavedOutput& output) {
  std::uint8_t written = 0;
  std::uint64_t commit = 0;
  std::uint64_t count = 0;
  bool read = take_number(from, output.print.hi) && take_number(from, output.print.lo) &&
              take_text(from, output.saved) && take_number(from, written) && take_number(from, commit) &&
              take_number(from, count);
  if (written != 0) output.written = commit;
  for (std::uint64_t i = 0; read && i < count; ++i) {
    std::string batch;
    read = take_number(from, commit) && take_text(from, batch);
    output.waiting.emplace_back(commit, std::move(batch));
  }
  return read;
}

}  // namespace

// ---------------------------------------------------------------- recovery

Result<std::unique_ptr<Durability>> Durability::open(const DurabilityOptions& options, const std::shared_ptr<Env>& env,
                                                     durable::Store::Verify verify) {
  if (verify == durable::Store::Verify::kBeside) {
    auto opened = open_with(options, env, verify);
    // What is damaged is passed over by those that verify first.
    if (opened || opened.error().code != Code::kBadData) return opened;
  }
  return open_with(options, env, durable::Store::Verify::kFirst);
}

Result<std::unique_ptr<Durability>> Durability::open_with(const DurabilityOptions& options,
                                                          const std::shared_ptr<Env>& env,
                                                          durable::Store::Verify verify) {
  std::unique_ptr<Durability> out(new Durability(options, env));
  out->store_ = TRY(durable::Store::open(options.disk ? options.disk : env->disk, options.directory, verify));
  TRY(out->store_->disk().make_directories(options.directory + "/sinks"));
  crash_point("recovery.opened");
  TRY(out->load_snapshot());
  TRY(out->scan_marks());
  if (options.positions_only) {
    out->saved_ = nullptr;
    out->next_record_ = out->store_->log().found().size();
    out->last_ = out->durable_;
  }
  return out;
}

Durability::~Durability() { close(); }

void Durability::close() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    wake_ = nullptr;
  }
  changed_.notify_all();
  if (writer_.joinable()) writer_.join();
  if (store_) last_status_ = status();
  std::unique_ptr<durable::Store> store;
  {
    std::lock_guard lock(mutex_);
    store = std::move(store_);
  }
}

Result<void> Durability::load_snapshot() {
  next_record_ = store_->first_record();
  snapshots_ = store_->snapshots();
  if (!store_->snapshot()) return {};
  durable_ = last_ = saved_to_ = store_->snapshot()->epoch;
  auto saved = std::make_shared<SavedRun>();
  std::string meta = TRY(store_->read_part("meta"));
  if (!decode_meta(meta, *saved)) return fail(Code::kBadData, "the snapshot was written by a newer version");
  for (const std::string& name : store_->part_names()) {
    if (auto part = part_of_name(name)) {
      SavedPart one{.name = *part, .bytes = TRY(store_->part_bytes(name)), .open = {}};
      one.open = [this, name]() -> StateReader::Pull {
        auto opened = store_->open_part(name);
        if (!opened) return [error = opened.error()]() -> Result<std::string_view> { return fail(Error(error)); };
        return [reader = std::shared_ptr<durable::PartReader>(std::move(*opened))] { return reader->next(); };
      };
      saved->parts.push_back(std::move(one));
      continue;
    }
    constexpr std::string_view kSource = "source/";
    auto key = name.starts_with(kSource) ? key_of_hex(std::string_view(name).substr(kSource.size())) : std::nullopt;
    if (!key) continue;
    std::string rest = name.substr(kSource.size() + 32);
    if (rest == ".position")
      marks_[*key] = {*key, TRY(store_->read_part(name)), {}};
    else if (rest.starts_with("/"))
      saved_blobs_[name] = blobs_[*key][rest.substr(1)] = blob_of(TRY(store_->read_part(name)));
  }
  saved_ = std::move(saved);
  return {};
}

// Sources start where the newest commit of the log left them.
Result<void> Durability::scan_marks() {
  replayed_blobs_ = blobs_;
  const auto& records = store_->log().found();
  for (std::size_t i = next_record_; i < records.size(); ++i) {
    std::string bytes = TRY(store_->log().read(records[i]));
    auto replay = TRY(decode_commit(std::move(bytes)));
    if (replay->record.by_snapshot)
      return fail(Error{Code::kBadData,
                        fmt::format("the state in '{}' cannot be used: commit {} is only in a snapshot that cannot be "
                                    "read",
                                    store_->directory(), replay->record.time),
                        {},
                        {{"restore the folder from a backup, or move it away to start anew from the inputs", {}}}});
    apply(replay->record.marks);
    durable_ = replay->record.time;
  }
  return {};
}

void Durability::apply(const std::vector<SourceMark>& marks) {
  for (const SourceMark& mark : marks) {
    marks_[mark.source] = {mark.source, mark.position, {}};
    BlobMap& blobs = blobs_[mark.source];
    for (const auto& [name, blob] : mark.puts) {
      if (blob)
        blobs[name] = blob;
      else
        blobs.erase(name);
    }
  }
}

const SourceMark* Durability::mark_of(const Key& source) const {
  auto found = marks_.find(source);
  return found == marks_.end() ? nullptr : &found->second;
}

const BlobMap& Durability::blobs_of(const Key& source) const {
  static const BlobMap kNone;
  auto found = blobs_.find(source);
  return found == blobs_.end() ? kNone : found->second;
}

Commit Durability::refusals_read(const Key& output) const {
  const SourceMark* mark = mark_of(output);
  if (!mark || !mark->position.starts_with(kRefusedTo)) return 0;
  std::string_view left = std::string_view(mark->position).substr(kRefusedTo.size());
  Commit out = 0;
  return take_number(left, out) ? out : 0;
}

SourceMark Durability::refusals_mark(const Key& output, Commit commit) {
  SourceMark out{output, std::string(kRefusedTo), {}};
  put_number(out.position, commit);
  return out;
}

std::vector<Key> Durability::other_sources(const std::vector<Key>& known) const {
  std::vector<Key> out;
  for (const auto& [key, mark] : marks_)
    if (std::ranges::find(known, key) == known.end() && !mark.position.starts_with(kRefusedTo)) out.push_back(key);
  return out;
}

Result<SavedOutput> Durability::saved_output(const std::string& id) const {
  SavedOutput out{.id = id, .print = {}, .saved = {}, .written = std::nullopt, .waiting = {}};
  auto bytes = store_->read_part("sink/" + id);
  if (!bytes && bytes.error().code == Code::kNotFound) return out;
  if (!bytes) return fail(std::move(bytes).error());
  if (!decode_output(*bytes, out)) return fail(Code::kBadData, "what a snapshot says of an output cannot be read");
  return out;
}

Part Durability::plan_part(const std::vector<SavedNode>& nodes) { return {"plan", {blob_of(encode_nodes(nodes))}}; }

Result<std::vector<SavedNode>> Durability::saved_plan() const {
  std::string bytes = TRY(store_->read_part("plan"));
  std::string_view left = bytes;
  std::vector<SavedNode> out;
  if (!take_nodes(left, out)) return fail(Code::kBadData, "what a snapshot says of the plan cannot be read");
  return out;
}

Result<std::optional<LogPlan>> Durability::log_plan() const {
  if (store_->snapshot()) return std::optional<LogPlan>();
  return read_log_plan(store_->disk(), store_->directory());
}

void Durability::keep_for_replay(const CommitReplay& replay) {
  for (const auto& [source, name] : std::exchange(replayed_away_, {})) replayed_blobs_[source].erase(name);
  for (const SourceMark& mark : replay.record.marks)
    for (const auto& [name, blob] : mark.puts) {
      if (!blob) {
        replayed_away_.emplace_back(mark.source, name);
        continue;
      }
      if (!replayed_away_.empty()) std::erase(replayed_away_, std::pair(mark.source, name));
      replayed_blobs_[mark.source][name] = blob;
    }
}

Result<std::unique_ptr<CommitReplay>> Durability::next_replay() {
  const auto& records = store_->log().found();
  if (next_record_ >= records.size()) {
    replayed_blobs_.clear();
    return std::unique_ptr<CommitReplay>();
  }
  std::string bytes = TRY(store_->log().read(records[next_record_++]));
  auto replay = TRY(decode_commit(std::move(bytes)));
  last_ = replay->record.time;
  changed_since_ = true;
  keep_for_replay(*replay);
  replay->kept = &replayed_blobs_;
  return replay;
}

// ---------------------------------------------------------------- commits

Result<void> Durability::begin(Commit next, const LogPlan& plan, std::function<void()> wake) {
  if (!store_->snapshot() && !options_.is_recording) TRY(write_log_plan(store_->disk(), store_->directory(), plan));
  crash_point("recovery.plan_written");
  TRY(store_->start(next));
  std::lock_guard lock(mutex_);
  wake_ = std::move(wake);
  snapshot_ns_ = env_->clock->monotonic_ns();
  const auto& records = store_->log().found();
  std::uint64_t bytes = 0;
  for (std::size_t i = store_->first_record(); i < records.size(); ++i) bytes += records[i].length;
  log_bytes_at_ = 0 - bytes;  // what was run again counts as long as it is in no snapshot
  writer_ = std::thread([this] { write_snapshots(); });
  return {};
}

void Durability::commit(CommitRecord record, std::function<void(const Result<void>&)> done) {
  apply(record.marks);
  last_ = record.time;
  {
    std::lock_guard lock(mutex_);
    changed_since_ = true;
  }
  Commit time = record.time;
  store_->log().append(time, encode(record), std::move(done));
}

void Durability::took(CommitRecord& record) {
  apply(record.marks);
  record.marks.clear();
  last_ = record.time;
}

void Durability::snapshot_failed(Error error) {
  {
    std::lock_guard lock(mutex_);
    wanted_ = false;
    snapshot_error_ = std::move(error);
    retry_ns_ = env_->clock->monotonic_ns() + kRetryNs;
  }
  changed_.notify_all();
}

std::string Durability::part_name(const PartName& part) { return name_of(part); }

bool Durability::is_behind() { return store_->log().waiting() > kWaitingBytesMax; }

void Durability::drain() { store_->log().drain(); }

// ---------------------------------------------------------------- snapshots

std::vector<Part> Durability::source_parts(std::map<std::string, Blob>& blobs) const {
  std::vector<Part> out;
  for (const auto& [key, mark] : marks_)
    out.push_back({fmt::format("source/{}.position", hex_of(key)), {blob_of(mark.position)}});
  for (const auto& [key, of_source] : blobs_)
    for (const auto& [name, blob] : of_source) {
      std::string part = fmt::format("source/{}/{}", hex_of(key), name);
      out.push_back({.name = part, .pieces = {blob}, .is_blob = true});
      blobs.emplace(std::move(part), blob);
    }
  return out;
}

void Durability::snapshot(SavedRun state, std::vector<Part> parts,
                          std::function<Result<std::vector<SavedOutput>>()> outputs) {
  Job job{.epoch = last_,
          .log_hash = store_->log().last_hash(),
          .parts = std::move(parts),
          .blobs = {},
          .outputs = std::move(outputs)};
  job.parts.push_back({"meta", {blob_of(encode_meta(state))}});
  for (Part& part : source_parts(job.blobs)) job.parts.push_back(std::move(part));
  store_->log().roll();
  std::uint64_t log_bytes = store_->log().bytes();
  std::lock_guard lock(mutex_);
  ENSURE(!writing_);
  writing_ = true;
  wanted_ = false;
  changed_since_ = false;
  log_bytes_at_ = log_bytes;
  snapshot_ns_ = env_->clock->monotonic_ns();
  job_ = std::move(job);
  changed_.notify_all();
}

bool Durability::log_is_long() const {
  std::uint64_t bytes = store_->log().bytes() - log_bytes_at_;
  std::uint64_t last = snapshots_.empty() ? 0 : snapshots_.front().bytes;
  std::int64_t age = env_->clock->monotonic_ns() - snapshot_ns_;
  if (options_.snapshot_interval_ns > 0) return age >= options_.snapshot_interval_ns;
  // By itself: so often that running the log again takes no longer than loading the state.
  if (bytes >= std::max(kLogBytesLong, last)) return true;
  if (bytes >= std::max(kLogBytesMin, last / 4)) return age >= kIntervalNs;
  return age >= 10 * kIntervalNs;
}

bool Durability::snapshot_due() {
  std::lock_guard lock(mutex_);
  if (writing_) return false;
  if (wanted_) return true;
  if (env_->clock->monotonic_ns() < retry_ns_) return false;
  return changed_since_ && !options_.snapshots_on_command && log_is_long();
}

bool Durability::is_saved() {
  std::lock_guard lock(mutex_);
  return !changed_since_ && !writing_ && !snapshot_error_;
}

void Durability::want_snapshot() {
  if (options_.is_recording) return;
  std::function<void()> wake;
  {
    std::lock_guard lock(mutex_);
    wanted_ = true;
    snapshot_error_.reset();
    wake = wake_;
  }
  if (wake) wake();
}

Result<void> Durability::wait_for_snapshot() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return stop_ || !writing_; });
  if (snapshot_error_) return fail(*snapshot_error_);
  return {};
}

std::chrono::nanoseconds Durability::wake_every() const {
  constexpr std::int64_t kLongestNs = kSecond;
  std::int64_t interval = options_.snapshot_interval_ns;
  return std::chrono::nanoseconds(interval > 0 ? std::min(interval, kLongestNs) : kLongestNs);
}

void Durability::write_snapshots() {
  std::unique_lock lock(mutex_);
  while (!stop_) {
    if (!job_) {
      // A quiet pipeline has to be woken for what time makes due: a snapshot, positions that moved without rows.
      bool woken = changed_.wait_for(lock, wake_every(), [&] { return stop_ || job_.has_value(); });
      if (!woken && wake_) wake_();
      continue;
    }
    Job job = std::move(*job_);
    job_.reset();
    for (Part& part : job.parts) {
      auto blob = job.blobs.find(part.name);
      auto saved = saved_blobs_.find(part.name);
      part.unchanged = blob != job.blobs.end() && saved != saved_blobs_.end() && saved->second == blob->second;
    }
    lock.unlock();
    // D1 of the store: all that the snapshot takes for granted is durable before it is.
    store_->log().drain();
    auto outputs = job.outputs();
    if (outputs)
      for (const SavedOutput& output : *outputs)
        job.parts.push_back({"sink/" + output.id, {blob_of(encode_output(output))}});
    auto written = outputs ? store_->write_snapshot(job.epoch, job.log_hash, std::move(job.parts), *env_->clock)
                           : Result<durable::SnapshotInfo>(fail(std::move(outputs).error()));
    lock.lock();
    writing_ = false;
    snapshot_error_.reset();
    if (written) {
      saved_to_ = job.epoch;
      saved_blobs_ = std::move(job.blobs);
      ++snapshots_written_;
      snapshots_ = store_->snapshots();
    } else {
      snapshot_error_ = written.error();
      retry_ns_ = env_->clock->monotonic_ns() + kRetryNs;
      changed_since_ = true;
    }
    changed_.notify_all();
  }
}

DurabilityStatus Durability::status() const {
  std::lock_guard lock(mutex_);
  if (!store_) return last_status_;
  DurabilityStatus out;
  out.on = true;
  out.directory = store_->directory();
  out.generation = store_->generation();
  out.snapshots = snapshots_;
  out.snapshots_written = snapshots_written_;
  out.log_bytes = store_->log().bytes() - log_bytes_at_;
  out.log_syncs = store_->log().sync_count();
  if (snapshot_error_) out.last_error = snapshot_error_->message;
  return out;
}

}  // namespace thalweg
