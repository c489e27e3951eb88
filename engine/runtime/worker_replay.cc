// A run over a recording: its commits once more, in the place of the sources.
#include <algorithm>
#include <chrono>

#include "engine/runtime/worker.h"

namespace thalweg {

namespace {

void show(RunShared& shared, const Frontier& frontier) {
  for (const auto& table : shared.exports)
    if (table) table->publish(frontier);
  {
    std::lock_guard lock(shared.mutex);
    shared.frontier = frontier;
  }
  ++shared.commits;
  shared.changed.notify_all();
}

}  // namespace

// As long after the first commit as it was when it was recorded.
bool Worker::wait_for_pace(std::int64_t recorded_ns) {
  const ReplayOptions& how = *shared_.options.durability->replay;
  if (how.pace != ReplayOptions::Pace::kOwn) return true;
  const std::int64_t now = shared_.env.clock->monotonic_ns();
  if (!replay_began_) replay_began_ = {now, recorded_ns};
  const auto due = replay_began_->first +
                   static_cast<std::int64_t>(static_cast<double>(recorded_ns - replay_began_->second) / how.speed);
  constexpr std::int64_t kSliceNs = 50'000'000;  // so that a stop is seen
  for (std::int64_t left = due - now; left > 0; left = due - shared_.env.clock->monotonic_ns()) {
    if (abandoned() || shared_.ingest->stopping()) return false;
    std::unique_lock lock(shared_.mutex);
    shared_.changed.wait_for(lock, std::chrono::nanoseconds(std::min(left, kSliceNs)), [] { return false; });
  }
  return true;
}

bool Worker::rerun(CommitReplay& replay) {
  if (!wait_for_pace(replay.record.wall_ns)) return false;
  WakeFlag& wake = shared_.exchange->wake(id_.value);
  for (;;) {
    const std::uint32_t seen = wake.seen();
    if (abandoned() || shared_.ingest->stopping()) return false;
    if (std::ranges::none_of(shared_.egress, [](const auto& sink) { return sink && sink->is_behind(); })) break;
    wake.wait(seen);
  }
  CommitSpec spec{.time = replay.record.time,
                  .is_end = replay.record.is_end,
                  .takes_input = replay.record.takes_input,
                  .has_script = replay.record.has_script,
                  .is_fill = false};
  spec.wall_ns = replay.record.wall_ns;
  spec.replay = &replay;
  spec.is_rerun = true;
  if (!run_whole(spec)) return false;
  if (spec.has_script) shared_.scripts.erase(shared_.scripts.begin(), shared_.scripts.upper_bound(spec.time));
  show(shared_, {spec.is_end ? spec.time : spec.time + 2, spec.is_end});
  return true;
}

bool Worker::replay_recording() {
  Recording& recording = *shared_.recording;
  const ReplayOptions& how = *shared_.options.durability->replay;
  const bool at_once = how.pace == ReplayOptions::Pace::kOneCommit && recording.commits() > 0;
  const std::size_t commits = at_once ? 1 : recording.commits();
  bool ended = false;
  for (std::size_t i = 0; i < commits; ++i) {
    auto replay = at_once ? recording.read_all() : recording.read(i);
    if (!replay) {
      shared_.fail_run(std::move(replay).error());
      return false;
    }
    if (!rerun(**replay)) return false;
    ended = (*replay)->record.is_end;
  }
  if (ended) return false;
  if (how.continue_after) {
    shared_.start_sources();
    return true;
  }
  CommitSpec end{.time = std::max<Commit>(shared_.frontier.at, 2), .is_end = true, .takes_input = false};
  if (run_whole(end)) show(shared_, {end.time, true});
  return false;
}

}  // namespace thalweg
