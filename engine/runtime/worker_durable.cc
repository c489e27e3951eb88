// What a worker does beside running commits where the state of the run is kept: commits of an earlier run are run
// again, new ones are made durable before anybody hears of them.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/base/crash_point.h"
#include "engine/runtime/worker.h"
#include "engine/state/archive.h"

namespace thalweg {

namespace {

Frontier frontier_after(const CommitSpec& spec) { return {spec.is_end ? spec.time : spec.time + 2, spec.is_end}; }

void show(RunShared& shared, const Frontier& frontier) {
  for (const auto& table : shared.exports)
    if (table) table->publish(frontier);
  {
    std::lock_guard lock(shared.mutex);
    shared.frontier = frontier;
  }
  shared.changed.notify_all();
}

void release(const RunShared& shared, Commit commit) {
  for (const auto& egress : shared.egress)
    if (egress) egress->release(commit + 1);  // and the odd one after it
}

// What becomes known once a commit is durable.
struct Arrived {
  CommitSpec spec;
  std::vector<std::int64_t> arrivals;
  std::int64_t opened_ns = 0;
  std::vector<std::pair<std::uint32_t, std::string>> positions;
};

void count(RunShared& shared, const Arrived& commit) {
  ++shared.commits;
  std::int64_t now = shared.env.clock->monotonic_ns();
  if (commit.spec.takes_input) shared.note_duration(commit.spec.time, commit.opened_ns, now);
  for (std::int64_t arrived : commit.arrivals) shared.latency.observe(now - arrived);
  if (commit.spec.takes_input) shared.ingest->tell_committed();
}

Result<std::vector<SavedOutput>> save_outputs(const RunShared& shared, const std::vector<std::string>& ids,
                                              Commit commit) {
  std::vector<SavedOutput> out;
  for (std::size_t node = 0; node < shared.egress.size(); ++node) {
    if (!shared.egress[node] || shared.egress[node]->discards()) continue;
    Egress::Saved saved = TRY(shared.egress[node]->save(commit + 1));
    SavedOutput one{.id = ids[node],
                    .print = shared.state_prints[node],
                    .saved = std::move(saved.saved),
                    .written = saved.written,
                    .waiting = {}};
    for (auto& [of, batch] : saved.waiting) {
      StateWriter writer;
      writer.put_batch(batch);
      one.waiting.emplace_back(of, writer.take());
    }
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

// ---------------------------------------------------------------- recovery

bool Worker::run_whole(const CommitSpec& spec) {
  announce(spec);
  if (!run_commit(spec)) return false;
  if (shared_.odd_wanted.load() == 0) return true;
  CommitSpec odd{.time = spec.time + 1, .is_odd = true, .takes_input = false};
  odd.wall_ns = spec.wall_ns;
  odd.replay = spec.replay;
  announce(odd);
  return run_commit(odd);
}

bool Worker::recover() {
  Durability& durability = *shared_.durability;
  Frontier closed = shared_.frontier;  // of the snapshot; nobody else is there yet
  for (;;) {
    auto next = durability.next_replay();
    if (!next) {
      shared_.fail_run(std::move(next).error());
      return false;
    }
    if (!*next) break;
    if (abandoned() || shared_.ingest->stopping()) return false;
    CommitReplay& replay = **next;
    CommitSpec spec{.time = replay.record.time,
                    .is_end = replay.record.is_end,
                    .takes_input = replay.record.takes_input,
                    .has_script = replay.record.has_script,
                    .is_fill = replay.record.is_fill};
    spec.wall_ns = replay.record.wall_ns;
    spec.replay = &replay;
    if (!run_whole(spec)) return false;
    crash_point("recovery.replayed");
    if (spec.has_script) shared_.scripts.erase(spec.time);
    closed = {spec.time + 2, false};
    ++shared_.commits;
  }
  closed.done = false;
  if (durability.options().positions_only && durability.durable() > 0)
    closed.at = std::max<Commit>(closed.at, durability.durable() + 2);
  if (auto begun = durability.begin(std::max<Commit>(closed.at, 2), shared_.planned,
                                    [&wake = shared_.exchange->wake(0)] { wake.wake(); });
      !begun) {
    shared_.fail_run(std::move(begun).error());
    return false;
  }
  crash_point("recovery.begun");
  release(shared_, durability.durable());
  show(shared_, closed);
  {
    std::lock_guard lock(shared_.mutex);
    shared_.closed = closed;
    shared_.recovered = true;
  }
  shared_.changed.notify_all();
  shared_.start_sources();
  return true;
}

bool Worker::feed_replay(CommitReplay& replay) {
  for (std::size_t i = id_.value; i < replay.rows.size(); i += num_workers()) {
    if (abandoned()) return false;
    emit_replayed(replay.rows[i]);
    drain_inboxes();
  }
  for (std::size_t i = id_.value; i < replay.pieces.size(); i += num_workers()) {
    if (abandoned()) return false;
    decode_replayed(replay, replay.pieces[i]);
    drain_inboxes();
  }
  for (std::size_t i = id_.value; i < replay.bad.size(); i += num_workers()) report_replayed(replay.bad[i]);
  return true;
}

void Worker::decode_replayed(const CommitReplay& replay, const CommitReplay::Piece& piece) {
  static const BlobMap kNone;
  auto found = std::ranges::find(shared_.source_keys, piece.source);
  if (found == shared_.source_keys.end())
    return shared_.fail_run(Error{Code::kBadData, "the log of commits has rows of a source that is not there", {}, {}});
  auto source = static_cast<std::uint32_t>(found - shared_.source_keys.begin());
  SourceSpan span = shared_.plan.node(shared_.source_nodes[source]).span;
  auto kept = replay.kept->find(piece.source);
  auto again = shared_.read_again(source, piece.origin, kept == replay.kept->end() ? kNone : kept->second);
  if (!again) return shared_.fail_run(std::move(again).error().at(span));
  std::uint64_t rows = decode(**again, source, piece.order, false);
  if (rows == piece.rows) return;
  shared_.fail_run(
      Error{Code::kBadData,
            fmt::format("input that is run again gives {} rows where it gave {}: the state was written by a "
                        "version that reads it in another way",
                        rows, piece.rows),
            span,
            {{"go back to that version and stop the pipeline in order: a checkpoint needs no input again", {}}}});
}

void Worker::emit_replayed(const CommitReplay::Rows& rows) {
  auto found = std::ranges::find(shared_.source_keys, rows.source);
  if (found == shared_.source_keys.end())
    return shared_.fail_run(Error{Code::kBadData, "the log of commits has rows of a source that is not there", {}, {}});
  auto source = static_cast<std::uint32_t>(found - shared_.source_keys.begin());
  const plan::Node& node = shared_.plan.node(shared_.source_nodes[source]);
  std::vector<Type> types;
  for (const plan::SourceField& field : std::get<plan::Source>(node.params).fields)
    if (field.used) types.push_back(field.type);
  StateReader reader(rows.batch);
  Result<Batch> batch = reader.batch(types);
  if (!batch) return shared_.fail_run(std::move(batch).error().at(node.span));
  std::uint64_t order = batch->order;
  Batch whole = with_unread_fields(node, std::move(*batch));
  whole.order = order;
  shared_.source_rows[source].fetch_add(whole.num_rows, std::memory_order_relaxed);
  emit_from(node.id, std::move(whole));
}

void Worker::report_replayed(const CommitReplay::Bad& bad) {
  auto found = std::ranges::find(shared_.source_keys, bad.source);
  if (found == shared_.source_keys.end()) {
    auto output = std::ranges::find(shared_.refusal_keys, bad.source);
    if (output == shared_.refusal_keys.end()) return;
    const NodeId node{static_cast<std::uint32_t>(output - shared_.refusal_keys.begin())};
    return report_refused(node, bad.record, std::nullopt);
  }
  report_bad(static_cast<std::uint32_t>(found - shared_.source_keys.begin()), bad.record);
}

// ---------------------------------------------------------------- the record of a commit

void Worker::note_journal(std::size_t before) {
  CommitJournal& journal = shared_.journals[id_.value];
  if (shared_.journal_bytes.fetch_add(journal.bytes() - before) > shared_.durability->record_bytes_max())
    journal.clear();
}

void Worker::journal_rows(std::uint32_t source, const Batch& batch) {
  if (!journals() || shared_.journal_bytes > shared_.durability->record_bytes_max()) return;
  std::size_t before = shared_.journals[id_.value].bytes();
  shared_.journals[id_.value].rows(shared_.source_keys[source], batch);
  note_journal(before);
}

void Worker::journal_piece(std::uint32_t source, std::uint64_t order, std::uint64_t rows, std::string_view origin) {
  if (shared_.journal_bytes > Durability::kRecordBytesMax) return;
  std::size_t before = shared_.journals[id_.value].bytes();
  shared_.journals[id_.value].piece(shared_.source_keys[source], order, rows, origin);
  note_journal(before);
}

void Worker::journal_bad(const Key& source, const BadRecord& record) {
  if (!journals()) return;
  std::size_t before = shared_.journals[id_.value].bytes();
  shared_.journals[id_.value].bad_record(source, record);
  note_journal(before);
}

void Worker::journal_answer(NodeId node, std::string_view question, std::string_view answer) {
  if (!journals()) return;
  std::size_t before = shared_.journals[id_.value].bytes();
  shared_.journals[id_.value].answer(shared_.node_keys[node.value], question, answer);
  note_journal(before);
}

std::optional<std::string> Worker::recall(NodeId node, const std::string& question) {
  if (!spec_.replay) return std::nullopt;
  auto of_node = spec_.replay->answers.find(shared_.node_keys[node.value]);
  if (of_node == spec_.replay->answers.end()) return std::nullopt;
  // A question reaches one worker only: nobody else touches its answers.
  auto answers = of_node->second.find(question);
  if (answers == of_node->second.end() || answers->second.empty()) return std::nullopt;
  std::string answer = std::move(answers->second.front());
  answers->second.erase(answers->second.begin());
  return answer;
}

void Worker::make_durable(const CommitSpec& spec) {
  Durability& durability = *shared_.durability;
  CommitRecord record{.time = spec.time,
                      .wall_ns = spec.wall_ns,
                      .is_end = spec.is_end,
                      .has_script = spec.has_script,
                      .takes_input = spec.takes_input,
                      .is_fill = spec.is_fill,
                      .by_snapshot = false,
                      .marks = {},
                      .entries = {}};
  Arrived arrived{spec, shared_.ingest->take_arrivals(), spec.takes_input ? shared_.ingest->opened_ns() : 0, {}};
  std::size_t bytes = shared_.journal_bytes;
  for (Ingest::Move& move : shared_.ingest->take_moves()) {
    for (const auto& [name, blob] : move.puts) bytes += name.size() + (blob ? blob->size() : 0);
    arrived.positions.emplace_back(move.source, move.position);
    record.marks.push_back({shared_.source_keys[move.source], std::move(move.position), std::move(move.puts)});
  }
  for (const auto& [output, commit] : std::exchange(refused_to_, {}))
    record.marks.push_back(Durability::refusals_mark(shared_.refusal_keys[output.value], commit));
  record.by_snapshot = spec.is_fill || bytes > durability.record_bytes_max();
  for (CommitJournal& journal : shared_.journals) record.entries.push_back(journal.take());
  Frontier frontier = frontier_after(spec);
  {
    std::lock_guard lock(shared_.mutex);
    shared_.closed = frontier;
  }
  if (record.by_snapshot && durability.options().is_recording)
    return shared_.fail_run(Error{Code::kTooLarge,
                                  fmt::format("a commit took in more than {} MB, and a recording cannot hold that",
                                              Durability::kRecordedBytesMax >> 20),
                                  {},
                                  {}});
  if (record.by_snapshot) {
    record.entries.clear();
    (void)durability.wait_for_snapshot();
    durability.took(record);
    take_snapshot();
    if (auto saved = durability.wait_for_snapshot(); !saved) return shared_.fail_run(std::move(saved).error());
  }
  bool early = durability.options().visible_early;
  if (early) show(shared_, frontier);
  durability.commit(std::move(record),
                    [&shared = shared_, arrived = std::move(arrived), frontier, early](const Result<void>& done) {
                      if (!done) return shared.fail_run(Error(done.error()));
                      crash_point("commit.durable");
                      if (auto settled = shared.letters->settle(arrived.spec.time); !settled)
                        return shared.fail_run(std::move(settled).error());
                      release(shared, arrived.spec.time);
                      count(shared, arrived);
                      if (!early) show(shared, frontier);
                      crash_point("commit.before_confirm");
                      for (const auto& [source, position] : arrived.positions) shared.confirm(source, position);
                    });
  if (durability.is_behind()) durability.drain();
}

// ---------------------------------------------------------------- snapshots

void Worker::take_snapshot() {
  struct Collected {
    std::mutex mutex;
    std::map<PartName, std::vector<std::shared_ptr<const std::string>>> parts;
  };
  auto collected = std::make_shared<Collected>();
  auto saved = shared_.save_all([collected](const PartName& name) -> StateWriter::Sink {
    std::vector<std::shared_ptr<const std::string>>* pieces = nullptr;
    {
      std::lock_guard lock(collected->mutex);
      pieces = &collected->parts[name];
    }
    return [pieces, collected](std::string&& piece) {
      pieces->push_back(std::make_shared<const std::string>(std::move(piece)));
    };
  });
  if (!saved) return shared_.durability->snapshot_failed(saved.error());
  {
    std::lock_guard lock(shared_.mutex);
    saved->frontier = {shared_.closed.done ? shared_.closed.at + 2 : shared_.closed.at, false};
  }
  std::vector<durable::Part> parts;
  for (auto& [name, pieces] : collected->parts) parts.push_back({Durability::part_name(name), std::move(pieces)});
  parts.push_back(Durability::plan_part(shared_.planned.nodes));
  Commit commit = shared_.durability->last();
  shared_.durability->snapshot(std::move(*saved), std::move(parts),
                               [&shared = shared_, commit] { return save_outputs(shared, shared.output_ids, commit); });
}

void Worker::end_durably() {
  Durability& durability = *shared_.durability;
  durability.drain();
  if (abandoned() || !durability.options().snapshot_at_end) return;
  // What outputs have written need not be in the snapshot.
  for (const auto& egress : shared_.egress)
    if (egress) egress->drain();
  (void)durability.wait_for_snapshot();
  if (!durability.is_saved()) {
    take_snapshot();
    (void)durability.wait_for_snapshot();  // the log has it all
  }
}

}  // namespace thalweg
