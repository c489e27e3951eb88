#include "engine/runtime/ingest.h"

#include <algorithm>
#include <utility>

#include "engine/io/counted_piece.h"

namespace thalweg {

Ingest::Ingest(Env& env, std::int64_t autocommit_ms, std::function<void()> wake_workers)
    : env_(env),
      autocommit_ns_(autocommit_ms * 1'000'000),
      wake_workers_(std::make_shared<const std::function<void()>>(std::move(wake_workers))) {}

void Ingest::wake_others(std::function<void()> wake_workers) {
  std::lock_guard lock(mutex_);
  wake_workers_ = std::make_shared<const std::function<void()>>(std::move(wake_workers));
}

void Ingest::wake() {
  std::shared_ptr<const std::function<void()>> call;
  {
    std::lock_guard lock(mutex_);
    call = wake_workers_;
  }
  (*call)();
}

std::uint32_t Ingest::add_source(bool held, std::size_t records_max) {
  sources_.push_back(std::make_unique<SourceState>());
  sources_.back()->held = held;
  sources_.back()->records_max = records_max;
  return static_cast<std::uint32_t>(sources_.size() - 1);
}

namespace {

// A batch's own bytes, near enough for backpressure.
std::size_t batch_bytes(const Batch& batch) {
  std::size_t bytes = batch.num_rows * (sizeof(Key) + sizeof(Diff));
  for (const Column& column : batch.columns) bytes += column.size() * phys_bytes(column.phys());
  return bytes;
}

}  // namespace

bool Ingest::has_room(const SourceState& source) {
  if (source.queued_bytes >= kQueuedBytesMax) return false;
  if (source.records_max == 0) return true;
  return (source.delivers_one ? source.queued_records : source.records_pending) < source.records_max;
}

bool Ingest::deliver(std::uint32_t id, std::unique_ptr<Piece> piece, Batch batch) {
  Entry entry;
  entry.bytes = piece ? piece->bytes() : batch_bytes(batch);
  const auto* counted = dynamic_cast<const CountedPiece*>(piece.get());
  entry.records = counted ? counted->num_records() : piece ? 1 : batch.num_rows;
  entry.piece = std::move(piece);
  entry.batch = std::move(batch);
  {
    std::unique_lock lock(mutex_);
    SourceState& source = *sources_[id];
    entry.arrived_ns = env_.clock->monotonic_ns();
    if (!stopping_ && !has_room(source)) {
      room_.wait(lock, [&] { return stopping_ || has_room(source); });
      source.stalled_ns += env_.clock->monotonic_ns() - entry.arrived_ns;
    }
    if (stopping_) return false;
    source.queued_bytes += entry.bytes;
    source.queued_records += entry.records;
    source.records_pending += entry.records;
    source.delivers_one = true;
    source.queue.push_back(std::move(entry));
  }
  wake();
  return true;
}

void Ingest::move_to(SourceState& source, std::string position, Puts puts) {
  source.position = std::move(position);
  std::ranges::move(puts, std::back_inserter(source.puts));
  if (!source.moved) source.moved_ns = env_.clock->monotonic_ns();
  source.moved = true;
}

void Ingest::end_transaction(std::uint32_t id, std::string position, Puts puts) {
  {
    std::lock_guard lock(mutex_);
    SourceState& source = *sources_[id];
    source.delivers_one = false;
    // Nothing since the last end: only the position moves on.
    if (!source.queue.empty() && source.queue.back().is_end) {
      Entry& last = source.queue.back();
      last.position = std::move(position);
      last.moves = true;
      std::ranges::move(puts, std::back_inserter(last.puts));
      return;
    }
    if (source.queue.empty() && !source.in_transaction) return move_to(source, std::move(position), std::move(puts));
    Entry entry;
    entry.is_end = true;
    entry.moves = true;
    entry.position = std::move(position);
    entry.puts = std::move(puts);
    source.queue.push_back(std::move(entry));
    ++source.ends_queued;
  }
  wake();
}

void Ingest::end_source(std::uint32_t id) {
  {
    std::lock_guard lock(mutex_);
    SourceState& source = *sources_[id];
    source.ended = true;
    Entry entry;
    entry.is_end = true;
    source.queue.push_back(std::move(entry));
    ++source.ends_queued;
  }
  wake();
}

bool Ingest::inject(std::uint32_t id, std::unique_ptr<Piece> piece, std::vector<std::uint64_t> replayed) {
  {
    std::lock_guard lock(mutex_);
    if (stopping_) return false;
    Item item;
    item.source = id;
    item.piece = std::move(piece);
    item.replayed = std::move(replayed);
    sources_[id]->injected.push_back(std::move(item));
  }
  wake();
  return true;
}

bool Ingest::may_enter(const SourceState& source, bool sealed) const {
  if (source.queue.empty() || source.queue.front().is_end) return false;
  if (source.in_transaction) return true;
  if (sealed && !source.held) return false;  // I4: all static sources are in the commit that was opened for them
  bool is_long =
      source.queued_bytes > kEarlyBytes || (source.records_max > 0 && source.queued_records >= source.records_max);
  return source.held || source.ends_queued > 0 || is_long;
}

void Ingest::pop_ends(SourceState& source) {
  while (!source.queue.empty() && source.queue.front().is_end) {
    Entry& end = source.queue.front();
    if (end.moves) move_to(source, std::move(end.position), std::move(end.puts));
    source.queue.pop_front();
    --source.ends_queued;
    ++source.let_in;
    if (!source.held || source.ended) source.in_transaction = false;
  }
}

Ingest::Taken Ingest::take(Item& out) {
  std::unique_lock lock(mutex_);
  if (abandoned_) return Taken::kAbandoned;
  if (!open_) return Taken::kClosed;
  bool sealed = commit_bytes_ > kCommitBytesMax || env_.clock->monotonic_ns() - opened_ns_ > autocommit_ns_;
  bool waiting = false;
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    std::size_t id = (cursor_ + i) % sources_.size();
    SourceState& source = *sources_[id];
    pop_ends(source);
    if (!source.injected.empty() && !sealed) {
      out = std::move(source.injected.front());
      source.injected.pop_front();
      out.order = source.next_order++;
      return Taken::kItem;
    }
    if (may_enter(source, sealed)) {
      Entry entry = std::move(source.queue.front());
      source.queue.pop_front();
      bool was_full = !has_room(source);
      source.queued_bytes -= entry.bytes;
      source.queued_records -= entry.records;
      source.records_let_in += entry.records;
      commit_bytes_ += entry.bytes;
      source.in_transaction = true;
      if (arrivals_.size() < kArrivalsMax) arrivals_.push_back(entry.arrived_ns);
      cursor_ = source.held ? id : id + 1;
      out.source = static_cast<std::uint32_t>(id);
      out.order = source.next_order++;
      out.piece = std::move(entry.piece);
      out.batch = std::move(entry.batch);
      lock.unlock();
      if (was_full) room_.notify_all();
      return Taken::kItem;
    }
    bool more_to_come = source.in_transaction || (source.held && !source.ended);
    waiting |= more_to_come;
  }
  if (waiting && stopping_) {
    abandoned_ = true;
    lock.unlock();
    wake();
    return Taken::kAbandoned;
  }
  if (waiting) return Taken::kWait;
  open_ = false;
  closed_.push_back(close_commit());
  collect_moves();
  return Taken::kClosed;
}

std::vector<Ingest::TakenIn> Ingest::close_commit() {
  std::vector<TakenIn> out;
  for (std::uint32_t id = 0; id < sources_.size(); ++id) {
    SourceState& source = *sources_[id];
    if (source.closed_in == source.let_in && source.records_let_in == 0) continue;
    source.closed_in = source.let_in;
    out.push_back({id, source.let_in, std::exchange(source.records_let_in, 0)});
  }
  return out;
}

void Ingest::collect_moves() {
  for (std::uint32_t id = 0; id < sources_.size(); ++id) {
    SourceState& source = *sources_[id];
    if (!source.moved || source.in_transaction) continue;
    source.moved = false;
    moves_.push_back({id, source.position, std::exchange(source.puts, {})});
  }
}

bool Ingest::moves_wait(std::int64_t longer_than_ns) {
  std::lock_guard lock(mutex_);
  return std::ranges::any_of(sources_, [&](const auto& source) {
    return source->moved && !source->in_transaction && env_.clock->monotonic_ns() - source->moved_ns > longer_than_ns;
  });
}

std::vector<Ingest::Move> Ingest::take_moves() {
  std::lock_guard lock(mutex_);
  if (!open_ && moves_.empty()) collect_moves();
  return std::exchange(moves_, {});
}

bool Ingest::has_work() {
  std::lock_guard lock(mutex_);
  return std::ranges::any_of(sources_, [&](const auto& source) {
    return may_enter(*source, false) || !source->injected.empty() ||
           (source->ended && !source->queue.empty() && source->queue.size() > source->ends_queued);
  });
}

bool Ingest::all_ended() {
  std::lock_guard lock(mutex_);
  return std::ranges::all_of(sources_, [](const auto& source) {
    return source->ended && source->injected.empty() && source->queue.size() == source->ends_queued;
  });
}

void Ingest::open_commit() {
  std::lock_guard lock(mutex_);
  open_ = true;
  commit_bytes_ = 0;
  opened_ns_ = env_.clock->monotonic_ns();
}

void Ingest::listen(std::uint32_t source, std::function<void(std::uint64_t)> on_committed) {
  std::lock_guard lock(telling_);
  if (listeners_.size() <= source) listeners_.resize(source + 1);
  listeners_[source] = std::move(on_committed);
}

void Ingest::tell_committed() {
  std::lock_guard telling(telling_);
  std::vector<TakenIn> visible;
  {
    std::lock_guard lock(mutex_);
    if (closed_.empty()) return;
    visible = std::move(closed_.front());
    closed_.pop_front();
    for (const TakenIn& taken : visible) sources_[taken.source]->records_pending -= taken.records;
  }
  room_.notify_all();
  for (const TakenIn& taken : visible)
    if (taken.source < listeners_.size() && listeners_[taken.source]) listeners_[taken.source](taken.transactions);
}

std::vector<std::int64_t> Ingest::take_arrivals() {
  std::lock_guard lock(mutex_);
  return std::exchange(arrivals_, {});
}

std::int64_t Ingest::opened_ns() {
  std::lock_guard lock(mutex_);
  return opened_ns_;
}

std::optional<std::int64_t> Ingest::oldest_waiting_ns() {
  std::lock_guard lock(mutex_);
  std::optional<std::int64_t> oldest;
  auto take = [&](std::int64_t ns) { oldest = oldest ? std::min(*oldest, ns) : ns; };
  if (!arrivals_.empty()) take(arrivals_.front());
  for (const auto& source : sources_)
    if (!source->queue.empty() && !source->queue.front().is_end) take(source->queue.front().arrived_ns);
  return oldest;
}

Ingest::Queue Ingest::queue(std::uint32_t id) {
  std::lock_guard lock(mutex_);
  const SourceState& source = *sources_[id];
  Queue out{source.queued_bytes, static_cast<std::uint64_t>(source.stalled_ns), 0};
  if (!source.queue.empty() && !source.queue.front().is_end)
    out.lag_ns = env_.clock->monotonic_ns() - source.queue.front().arrived_ns;
  return out;
}

void Ingest::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  wake();
}

bool Ingest::stopping() {
  std::lock_guard lock(mutex_);
  return stopping_;
}

bool Ingest::ended(std::uint32_t id) {
  std::lock_guard lock(mutex_);
  return sources_[id]->ended;
}

}  // namespace thalweg
