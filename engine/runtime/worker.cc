#include "engine/runtime/worker.h"

#include <algorithm>
#include <utility>

#include "engine/io/kept_piece.h"
#include "engine/runtime/takeover.h"

namespace thalweg {

// ---------------------------------------------------------------- what operators see

class Worker::Context : public OperatorContext {
 public:
  Context(Worker& worker, NodeId node) : worker_(worker), node_(node) {}
  void emit(Batch batch) override { worker_.emit_from(node_, std::move(batch)); }
  [[nodiscard]] Commit commit() const override { return worker_.spec_.time; }
  [[nodiscard]] bool is_end() const override { return worker_.spec_.is_end; }
  void report(ErrorKind kind, std::string message, SourceSpan where, std::optional<Key> key) override {
    worker_.report(node_, kind, std::move(message), where, key);
  }
  void fail(Error error) override { worker_.shared_.fail_run(std::move(error)); }
  [[nodiscard]] Env& env() override { return worker_.shared_.env; }
  [[nodiscard]] std::int64_t wall_ns() override { return worker_.wall_ns(); }
  [[nodiscard]] WorkerId worker() const override { return worker_.id_; }
  [[nodiscard]] std::uint32_t num_workers() const override { return worker_.num_workers(); }
  [[nodiscard]] std::vector<std::string> all_to_all(std::string mine) override {
    return worker_.all_to_all(std::move(mine));
  }
  [[nodiscard]] bool stopping() const override { return worker_.abandoned(); }
  void remember(std::string_view question, std::string_view answer) override {
    worker_.journal_answer(node_, question, answer);
  }
  [[nodiscard]] std::optional<std::string> recall(const std::string& question) override {
    return worker_.recall(node_, question);
  }
  [[nodiscard]] bool remembers() const override { return worker_.shared_.durability != nullptr; }

 private:
  Worker& worker_;
  NodeId node_;
};

Worker::Worker(RunShared& shared, WorkerId id) : shared_(shared), id_(id) {
  nodes_.resize(shared.plan.nodes.size());
  answers_.resize(num_workers());
}

Worker::~Worker() = default;

Result<void> Worker::build() {
  JoinFamilies families;
  for (const plan::Node& node : shared_.plan.nodes) {
    Node& mine = nodes_[node.id.value];
    mine.open_from.resize(node.inputs.size());
    if (shared_.is_kept(node.id)) continue;  // adopt() brings it
    if (const OperatorDescriptor* descriptor = shared_.graph.descriptors[node.id.value])
      mine.op = TRY(descriptor->make(node, shared_.plan));
    if (mine.op) mine.op->share(families);
  }
  return {};
}

void Worker::adopt(Worker& old) {
  for (const plan::Node& node : shared_.plan.nodes)
    if (shared_.is_kept(node.id))
      nodes_[node.id.value].op = std::move(old.nodes_[shared_.takeover.kept[node.id.value]->value].op);
  for (const Node& node : old.nodes_)
    if (node.op) node.op->retire();
}

// Under a test's clock it follows from the commit; the end of input comes right after what was there.
std::int64_t Worker::wall_ns() {
  if (!shared_.options.test_times) return spec_.wall_ns != 0 ? spec_.wall_ns : shared_.env.clock->wall_ns();
  if (!spec_.is_end) test_time_ = spec_.time;
  return shared_.options.test_clock_start_ns +
         static_cast<std::int64_t>(test_time_) * shared_.options.test_clock_per_time_ns;
}

// ---------------------------------------------------------------- which commit is next

void Worker::run() { id_.value == 0 ? coordinate() : follow(); }

CommitSpec Worker::next_commit() {
  WakeFlag& wake = shared_.exchange->wake(id_.value);
  for (;;) {
    std::uint32_t seen = wake.seen();
    if (abandoned()) return {.over = true};
    if (shared_.fill_wanted.exchange(false)) {
      std::lock_guard lock(shared_.mutex);
      auto wall_ms = static_cast<std::uint64_t>(shared_.env.clock->wall_ns() / 1'000'000) & ~std::uint64_t{1};
      return {.time = std::max(shared_.frontier.at, wall_ms), .takes_input = false, .is_fill = true};
    }
    bool stopping = shared_.ingest->stopping();
    if (shared_.durability && shared_.durability->snapshot_due()) take_snapshot();
    if (!stopping && shared_.pause_wanted) {
      if (shared_.durability) shared_.durability->drain();
      {
        std::lock_guard lock(shared_.mutex);
        shared_.paused = shared_.pause_wanted;
      }
      shared_.changed.notify_all();
      wake.wait(seen);
      continue;
    }
    if (!stopping && !shared_.scripts.empty()) return {.time = shared_.scripts.begin()->first, .has_script = true};
    if (!stopping && std::ranges::any_of(shared_.egress, [](const auto& sink) { return sink && sink->is_behind(); })) {
      wake.wait(seen);
      continue;
    }
    std::uint64_t last = 0;
    {
      std::lock_guard lock(shared_.mutex);
      last = shared_.durability ? shared_.closed.at : shared_.frontier.at;
    }
    auto wall_ms = static_cast<std::uint64_t>(shared_.env.clock->wall_ns() / 1'000'000) & ~std::uint64_t{1};
    std::uint64_t next =
        shared_.options.test_times ? std::max<std::uint64_t>(last, 2) : std::max({last, wall_ms, std::uint64_t{2}});
    if (shared_.ingest->has_work()) return {.time = next};
    if (!stopping && shared_.refused_waits) return {.time = next};
    if (!stopping && shared_.tick.exchange(false)) return {.time = next};
    constexpr std::int64_t kMovesWaitNs = 5'000'000'000;
    if (!stopping && shared_.durability && shared_.ingest->moves_wait(kMovesWaitNs)) return {.time = next};
    if (shared_.ingest->all_ended() && !shared_.ingest->stopping() && !shared_.endless) {
      if (hear_of_refusals()) continue;
      return {.time = shared_.options.test_times ? kEndCommit : next, .is_end = true, .takes_input = false};
    }
    if (stopping) return {.over = true};
    wake.wait(seen);
  }
}

// At the end of the input: rows that outputs have refused by now are to be taken in first.
bool Worker::hear_of_refusals() {
  if (std::ranges::none_of(shared_.refusals_are_read, [](bool read) { return read; })) return false;
  if (shared_.durability) shared_.durability->drain();
  for (std::size_t node = 0; node < shared_.egress.size(); ++node)
    if (shared_.egress[node] && shared_.refusals_are_read[node]) shared_.egress[node]->drain();
  return shared_.refused_waits;
}

// Once.
bool Worker::holds_before(const CommitSpec& spec) {
  Commit at = shared_.options.pause_before;
  if (at == 0 || spec.over || spec.is_fill || (spec.time < at && !spec.is_end)) return false;
  std::lock_guard lock(shared_.mutex);
  if (std::exchange(shared_.held, true)) return false;
  shared_.pause_wanted = true;
  return true;
}

void Worker::announce(const CommitSpec& spec) {
  shared_.running.store(num_workers(), std::memory_order_release);
  shared_.odd_wanted.store(0, std::memory_order_release);
  if (!spec.is_odd) shared_.journal_bytes = 0;
  if (spec.takes_input && !spec.over && !spec.replay) shared_.ingest->open_commit();
  {
    std::lock_guard lock(shared_.mutex);
    shared_.spec = spec;
    ++shared_.generation;
  }
  if (num_workers() > 1) shared_.exchange->wake_all();
}

void Worker::coordinate() {
  bool durable = shared_.durability != nullptr;
  bool runs = shared_.recording ? replay_recording() : !durable || recover();
  while (runs) {
    CommitSpec spec = next_commit();
    if (spec.over) break;
    if (holds_before(spec)) continue;
    if (durable) spec.wall_ns = shared_.env.clock->wall_ns();
    if (!run_whole(spec)) break;
    if (auto kept = shared_.letters->prepare(spec.time); !kept) {
      shared_.fail_run(std::move(kept).error());
      break;
    }
    if (durable)
      make_durable(spec);
    else
      publish(spec);
    if (spec.has_script) shared_.scripts.erase(shared_.scripts.begin());
    if (spec.is_end) break;
  }
  if (durable && runs) end_durably();
  announce({.over = true});
}

void Worker::follow() {
  WakeFlag& wake = shared_.exchange->wake(id_.value);
  std::uint64_t done = 0;
  for (;;) {
    std::uint32_t seen = wake.seen();
    CommitSpec spec;
    {
      std::lock_guard lock(shared_.mutex);
      if (shared_.generation == done)
        spec.time = 0;
      else
        spec = shared_.spec;
      if (shared_.generation != done)
        done = shared_.generation;
      else
        spec.over = false;
    }
    if (spec.over) return;
    if (spec.time == 0) {
      wake.wait(seen);
      continue;
    }
    run_commit(spec);
  }
}

// ---------------------------------------------------------------- one commit

bool Worker::run_commit(const CommitSpec& spec) {
  spec_ = spec;
  commit_errors_.clear();
  error_rows_ = 0;
  start_nodes();
  bool complete = feed(spec) && close_nodes();
  if (complete) finish_commit(spec);
  WakeFlag& first = shared_.exchange->wake(0);
  if (shared_.running.fetch_sub(1, std::memory_order_acq_rel) == 1) first.wake();
  if (id_.value != 0) return complete;
  for (;;) {  // W2
    std::uint32_t seen = first.seen();
    if (shared_.running.load(std::memory_order_acquire) == 0) break;
    first.wait(seen);
  }
  return complete && !abandoned();
}

void Worker::start_nodes() {
  for (const plan::Node& node : shared_.plan.nodes) {
    Node& mine = nodes_[node.id.value];
    mine.closed = false;
    const auto& incoming = shared_.graph.incoming[node.id.value];
    for (std::size_t i = 0; i < incoming.size(); ++i)
      mine.open_from[i] = shared_.graph.edges[incoming[i]].exchanges ? num_workers() : 1;
  }
}

bool Worker::feed(const CommitSpec& spec) {
  if (spec.is_odd) {
    for (NodeId id : shared_.graph.order) {
      Node& node = nodes_[id.value];
      if (!node.op || !node.op->wants_odd()) continue;
      Context context(*this, id);
      node.op->start_odd(context);
    }
    return true;
  }
  if (spec.is_fill) fill();
  if (id_.value == 0 && !spec.replay && !spec.is_fill) take_refused();
  if (spec.has_script && id_.value == 0) push_script(spec);
  if (spec.replay) return feed_replay(*spec.replay);
  if (!spec.takes_input) return true;
  WakeFlag& wake = shared_.exchange->wake(id_.value);
  for (;;) {
    std::uint32_t seen = wake.seen();
    if (abandoned()) return false;
    bool received = drain_inboxes();
    Ingest::Item item;
    switch (shared_.ingest->take(item)) {
      case Ingest::Taken::kItem: decode(std::move(item)); break;
      case Ingest::Taken::kClosed:
        if (num_workers() > 1) shared_.exchange->wake_all();  // others may sleep, waiting for more input
        return true;
      case Ingest::Taken::kAbandoned: shared_.abandon = true; return false;
      case Ingest::Taken::kWait:
        if (!received) wake.wait(seen);
        break;
    }
  }
}

bool Worker::close_nodes() {
  WakeFlag& wake = shared_.exchange->wake(id_.value);
  for (NodeId id : shared_.graph.order) {
    for (;;) {
      std::uint32_t seen = wake.seen();
      if (abandoned()) return false;
      bool received = drain_inboxes();
      bool ready = std::ranges::all_of(nodes_[id.value].open_from, [](std::uint32_t open) { return open == 0; });
      if (ready) break;
      if (!received) wake.wait(seen);
    }
    close_node(id);
    if (abandoned()) return false;
    nodes_[id.value].closed = true;
    for (std::uint32_t e : shared_.graph.outgoing[id.value]) {
      const Edge& edge = shared_.graph.edges[e];
      edge_closed(e);
      if (!edge.exchanges) continue;
      for (std::uint32_t to = 0; to < num_workers(); ++to)
        if (to != id_.value)
          shared_.exchange->send(id_.value, to,
                                 {.what = Message::What::kEdgeClosed, .edge = e, .batch = {}, .text = {}});
    }
  }
  return true;
}

void Worker::edge_closed(std::uint32_t e) {
  const Edge& edge = shared_.graph.edges[e];
  const auto& incoming = shared_.graph.incoming[edge.to.value];
  auto at = static_cast<std::size_t>(std::ranges::find(incoming, e) - incoming.begin());
  --nodes_[edge.to.value].open_from[at];
}

void Worker::close_node(NodeId id) {
  if (spec_.is_fill && shared_.is_kept(id)) return;
  Node& node = nodes_[id.value];
  const plan::Node& planned = shared_.plan.node(id);
  if (std::holds_alternative<plan::ErrorLog>(planned.params)) return emit_error_log(id);
  if (const auto* output = std::get_if<plan::Output>(&planned.params)) return close_output(id, *output);
  if (std::holds_alternative<plan::Export>(planned.params)) {
    if (!shared_.exports[id.value]) return;
    shared_.exports[id.value]->shard(id_.value).close(
        spec_.time, shared_.env.clock->monotonic_ns(),
        [&](const Key& key) { report(id, ErrorKind::kValue, "duplicate key: " + to_text(key), planned.span, key); });
    return;
  }
  if (!node.op) return;
  Context context(*this, id);
  std::int64_t start = shared_.env.clock->monotonic_ns();
  node.op->close(context);
  NodeCounters& counter = shared_.counter(id_, id);
  counter.busy_ns.fetch_add(static_cast<std::uint64_t>(shared_.env.clock->monotonic_ns() - start),
                            std::memory_order_relaxed);
}

namespace {

// Rows without ERROR cells. Those with one are told to `on_error` if they are insertions.
Batch without_errors(Batch batch, const std::function<void(const Batch&, std::size_t)>& on_error) {
  bool tagged = std::ranges::any_of(batch.columns, [](const Column& column) { return column.has_tags(); });
  if (!tagged) return batch;
  std::vector<std::uint32_t> kept;
  kept.reserve(batch.num_rows);
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    if (!batch.row_has_error(row))
      kept.push_back(row);
    else if (batch.diff(row) > 0)
      on_error(batch, row);
  }
  return kept.size() == batch.num_rows ? batch : batch.gather(kept);
}

}  // namespace

namespace {

// Without keys, equal rows were added up; sinks get each by itself.
Batch one_row_per_unit(Batch batch) {
  if (!batch.diffs || std::ranges::all_of(*batch.diffs, [](Diff d) { return d == 1 || d == -1; })) return batch;
  std::vector<std::uint32_t> rows;
  std::vector<Diff> diffs;
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    Diff d = batch.diff(row);
    for (Diff n = 0; n < (d < 0 ? -d : d); ++n) {
      rows.push_back(row);
      diffs.push_back(d < 0 ? -1 : 1);
    }
  }
  Batch out = batch.gather(rows);
  out.set_diffs(std::move(diffs));
  return out;
}

}  // namespace

void Worker::skip_error_row(NodeId id, const Batch& batch, std::size_t row) {
  std::optional<Key> key;
  if (batch.keys.written()) key = batch.keys[row];
  const plan::Node& output = shared_.plan.node(id);
  report(id, ErrorKind::kSkipped, "Error value encountered in output, skipping the row", output.span, key);
  const Schema& schema = shared_.plan.node(output.inputs[0]).schema;
  if (shared_.rejects_are_read[id.value])
    commit_errors_.back().record = std::make_shared<const BadRecord>(BadRecord{
        .message = "a cell is ERROR", .raw = row_as_json(schema, batch, row), .position = key ? to_text(*key) : ""});
  if (!spec_.replay) shared_.letters->note_error_row(id_, id, schema, batch, row);
}

void Worker::close_output(NodeId id, const plan::Output& /*output*/) {
  Node& node = nodes_[id.value];
  Egress* egress = shared_.egress[id.value].get();
  if (!egress || egress->discards()) return;
  if (!node.staged.empty()) {
    Batch all = one_row_per_unit(consolidate(Batch::concat(std::exchange(node.staged, {}))));
    all = without_errors(std::move(all), [&](const Batch& batch, std::size_t row) { skip_error_row(id, batch, row); });
    egress->write(spec_.time, std::move(all));
  }
  if (id_.value == 0) egress->end(spec_.time);
}

void Worker::finish_commit(const CommitSpec& spec) {
  bool wants_odd = false;
  for (const plan::Node& node : shared_.plan.nodes) {
    Node& mine = nodes_[node.id.value];
    if (!mine.op) continue;
    wants_odd |= !spec.is_odd && mine.op->wants_odd();
    StateSize state = mine.op->state();
    NodeCounters& counter = shared_.counter(id_, node.id);
    counter.state_rows.store(state.rows, std::memory_order_relaxed);
    counter.state_bytes.store(state.bytes, std::memory_order_relaxed);
    counter.late_rows.store(state.late_rows, std::memory_order_relaxed);
    counter.rounds.store(state.rounds, std::memory_order_relaxed);
    counter.last_rounds.store(state.last_rounds, std::memory_order_relaxed);
    counter.round_rows.store(state.round_rows, std::memory_order_relaxed);
  }
  if (wants_odd) shared_.odd_wanted.fetch_add(1);
  std::int64_t now = shared_.env.clock->monotonic_ns();
  std::uint64_t published = 0;
  {
    std::lock_guard lock(shared_.mutex);
    published = shared_.frontier.at;
    if (spec.replay && !spec.is_rerun) commit_errors_.clear();  // they were logged then
    for (DataError& error : commit_errors_) {
      if (shared_.errors.size() >= RunShared::kErrorsMax) shared_.errors.pop_front();
      shared_.errors.push_back(error);
    }
  }
  for (const DataError& error : commit_errors_) shared_.count_error(error.kind);
  for (const auto& table : shared_.exports)
    if (table) table->shard(id_.value).trim(published, table->limits(shared_.options), now);
}

void Worker::publish(const CommitSpec& spec) {
  if (auto settled = shared_.letters->settle(spec.time); !settled) shared_.fail_run(std::move(settled).error());
  Frontier frontier{spec.is_end ? spec.time : spec.time + 2, spec.is_end};
  for (const auto& table : shared_.exports)
    if (table) table->publish(frontier);
  {
    std::lock_guard lock(shared_.mutex);
    shared_.frontier = frontier;
  }
  ++shared_.commits;
  std::int64_t now = shared_.env.clock->monotonic_ns();
  if (spec.takes_input) shared_.note_duration(spec.time, shared_.ingest->opened_ns(), now);
  for (std::int64_t arrived : shared_.ingest->take_arrivals()) shared_.latency.observe(now - arrived);
  if (spec.takes_input) shared_.ingest->tell_committed();
  shared_.changed.notify_all();
}

// ---------------------------------------------------------------- input

// T1: what is emitted here reaches rebuilt nodes only (see send).
void Worker::fill() {
  for (NodeId id : shared_.graph.order) {
    if (!shared_.takeover.filled[id.value]) continue;
    const plan::Node& node = shared_.plan.node(id);
    if (const auto* rows = std::get_if<plan::StaticRows>(&node.params)) {
      BatchBuilder builder(node.schema);
      if (id_.value == 0 && rows->rows)
        for (const plan::StaticRow& row : *rows->rows) builder.push(row.key, row.cells, row.diff);
      emit_from(id, builder.finish());
      continue;
    }
    Context context(*this, id);
    if (nodes_[id.value].op && nodes_[id.value].op->replay(context)) continue;
    auto exported = export_of(shared_.plan, id);
    if (!exported || !shared_.exports[exported->value]) {
      shared_.fail_run(Error{Code::kInternal, "nothing tells the rows of " + node.label, node.span, {}});
      return;
    }
    emit_from(id, shared_.exports[exported->value]->shard(id_.value).all_rows());
  }
}

void Worker::push_script(const CommitSpec& spec) {
  auto found = shared_.scripts.find(spec.time);
  if (found == shared_.scripts.end()) return;
  for (auto& [node, batch] : found->second) emit_from(node, std::move(batch));
}

namespace {

class DecodedRows : public RowSink {
 public:
  DecodedRows(std::function<void(Batch)> rows, std::function<void(BadRecord)> bad)
      : rows_(std::move(rows)), bad_(std::move(bad)) {}
  void rows(Batch batch) override { rows_(std::move(batch)); }
  void bad_record(BadRecord record) override { bad_(std::move(record)); }

 private:
  std::function<void(Batch)> rows_;
  std::function<void(BadRecord)> bad_;
};

Batch without_errors(Batch batch) {
  bool has_tags = std::any_of(batch.columns.begin(), batch.columns.end(), [](const Column& c) { return c.has_tags(); });
  if (!has_tags) return batch;
  std::vector<std::uint32_t> good;
  for (std::uint32_t row = 0; row < batch.num_rows; ++row)
    if (!batch.row_has_error(row)) good.push_back(row);
  return good.size() == batch.num_rows ? batch : batch.gather(good);
}

}  // namespace

// Connectors give the columns that are read; the others stand there as None, so that column numbers hold.
Batch with_unread_fields(const plan::Node& node, Batch batch) {
  const auto& fields = std::get<plan::Source>(node.params).fields;
  if (batch.columns.size() == fields.size()) return batch;
  std::vector<Column> all;
  std::size_t next = 0;
  for (const plan::SourceField& field : fields)
    all.push_back(field.used ? std::move(batch.columns[next++])
                             : Column::constant(field.type, Value::none(), batch.num_rows));
  batch.columns = std::move(all);
  return batch;
}

void Worker::decode(Ingest::Item item) {
  if (!item.replayed.empty()) shared_.letters->note_replayed(id_, std::move(item.replayed));
  if (!item.piece) {
    std::uint64_t sub_order = 0;
    return take_in(std::move(item.batch), item.source, item.order, sub_order, true);
  }
  shared_.source_bytes[item.source].fetch_add(item.piece->bytes(), std::memory_order_relaxed);
  // A recording holds rows: what their files were is not there any more when it is replayed.
  const bool by_origin = journals() && !shared_.durability->options().is_recording;
  auto* kept = by_origin ? dynamic_cast<KeptPiece*>(item.piece.get()) : nullptr;
  const std::string origin = kept ? kept->origin() : std::string();
  std::uint64_t rows = decode(*item.piece, item.source, item.order, origin.empty());
  if (!origin.empty()) journal_piece(item.source, item.order, rows, origin);
}

std::uint64_t Worker::decode(Piece& piece, std::uint32_t source, std::uint64_t order, bool journaled) {
  std::uint64_t sub_order = 0;
  std::uint64_t rows = 0;
  DecodedRows sink(
      [&](Batch batch) {
        rows += batch.num_rows;
        take_in(std::move(batch), source, order, sub_order, journaled);
      },
      [&](const BadRecord& record) {
        if (journaled && journals()) journal_bad(shared_.source_keys[source], record);
        report_bad(source, record);
      });
  piece.decode(sink);
  return rows;
}

void Worker::take_in(Batch batch, std::uint32_t source, std::uint64_t order, std::uint64_t& sub_order, bool journaled) {
  NodeId node = shared_.source_nodes[source];
  // Source data never ends a run: where ERROR values do, such rows stay out. What was wrong is reported as a record.
  if (shared_.plan.terminate_on_error) batch = without_errors(std::move(batch));
  // Pieces are numbered; chunks within a piece come after one another.
  batch.order = (order << 20) + sub_order++;
  if (journaled) journal_rows(source, batch);
  batch = with_unread_fields(shared_.plan.node(node), std::move(batch));
  shared_.source_rows[source].fetch_add(batch.num_rows, std::memory_order_relaxed);
  emit_from(node, std::move(batch));
}

void Worker::report_bad(std::uint32_t source, const BadRecord& record) {
  NodeId node = shared_.source_nodes[source];
  shared_.source_errors[source].fetch_add(1, std::memory_order_relaxed);
  std::string message = located_message(record);
  bool keeps_row = record.kind == BadRecord::Kind::kValue && !shared_.plan.terminate_on_error;
  if (record.fatal) shared_.fail_run(Error{Code::kBadData, message, shared_.plan.node(node).span, {}});
  report(node, keeps_row ? ErrorKind::kValue : ErrorKind::kRecord, std::move(message), shared_.plan.node(node).span,
         std::nullopt);
  if (shared_.rejects_are_read[node.value]) commit_errors_.back().record = std::make_shared<const BadRecord>(record);
  if (!spec_.replay) shared_.letters->note_record(id_, node, record);
}

// Rows that outputs refused since the last commit are input of this one.
void Worker::take_refused() {
  if (!shared_.refused_waits.exchange(false)) return;
  std::vector<RunShared::Refused> all;
  {
    std::lock_guard lock(shared_.mutex);
    all = std::exchange(shared_.refused, {});
  }
  for (RunShared::Refused& one : all) {
    for (RefusedRow& row : one.rows) {
      if (journals()) journal_bad(shared_.refusal_keys[one.output.value], row.record);
      report_refused(one.output, std::move(row.record), row.key);
    }
    std::erase_if(refused_to_, [&](const auto& before) { return before.first == one.output; });
    refused_to_.emplace_back(one.output, one.commit);
  }
}

void Worker::report_refused(NodeId output, BadRecord record, std::optional<Key> key) {
  DataError error{.kind = ErrorKind::kSkipped,
                  .message = "the output refused the row: " + located_message(record),
                  .node = output,
                  .span = shared_.plan.node(output).span,
                  .key = key,
                  .commit = spec_.time,
                  .record = nullptr};
  error.record = std::make_shared<const BadRecord>(std::move(record));
  commit_errors_.push_back(std::move(error));
}

// ---------------------------------------------------------------- rows on their way

void Worker::emit_from(NodeId node, Batch batch) {
  if (batch.empty()) return;
  shared_.counter(id_, node).rows_out.fetch_add(batch.num_rows, std::memory_order_relaxed);
  constexpr std::size_t kCutAbove = kChunkRows + kChunkRows / 2;
  if (batch.num_rows <= kCutAbove) return send_to_all(node, std::move(batch));
  for (std::size_t begin = 0; begin < batch.num_rows; begin += kChunkRows)
    send_to_all(node, batch.slice(begin, std::min(begin + kChunkRows, batch.num_rows)));
}

// All edges but the last get copies.
void Worker::send_to_all(NodeId node, Batch batch) {
  const std::vector<std::uint32_t>& outgoing = shared_.graph.outgoing[node.value];
  if (outgoing.empty()) return;
  for (std::size_t i = 0; i + 1 < outgoing.size(); ++i) send(shared_.graph.edges[outgoing[i]], batch);
  send(shared_.graph.edges[outgoing.back()], std::move(batch));
}

void Worker::send(const Edge& edge, Batch batch) {
  if (spec_.is_fill && shared_.is_kept(edge.to)) return;
  std::uint32_t workers = num_workers();
  if (workers == 1 || !edge.exchanges) return push(edge.to, edge.port, std::move(batch));
  auto to_worker = [&](std::uint32_t to, Batch part) {
    if (to == id_.value)
      push(edge.to, edge.port, std::move(part));
    else
      shared_.exchange->send(id_.value, to,
                             {.what = Message::What::kRows, .edge = edge.id, .batch = std::move(part), .text = {}});
  };
  if (edge.route.by == Route::By::kOne) return to_worker(0, std::move(batch));
  if (edge.route.by == Route::By::kAll) {
    batch.materialise_keys();
    for (std::uint32_t to = 0; to < workers; ++to) to_worker(to, batch);
    return;
  }
  std::vector<std::uint32_t> targets;
  route_rows(edge.route, batch, workers, targets);
  std::vector<std::vector<std::uint32_t>> rows(workers);
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) rows[targets[row]].push_back(row);
  // Others first: they can start while this worker goes on with its own part.
  for (std::uint32_t step = 1; step <= workers; ++step) {
    std::uint32_t to = (id_.value + step) % workers;
    if (rows[to].empty()) continue;
    to_worker(to, rows[to].size() == batch.num_rows ? batch : batch.gather(rows[to]));
  }
}

void Worker::push(NodeId id, std::uint32_t port, Batch batch) {
  Node& node = nodes_[id.value];
  shared_.counter(id_, id).rows_in.fetch_add(batch.num_rows, std::memory_order_relaxed);
  if (node.op) {
    Context context(*this, id);
    node.op->push(port, std::move(batch), context);
    return;
  }
  if (const auto& table = shared_.exports[id.value]) {
    if (table->events()) return table->shard(id_.value).stage_events(std::move(batch), spec_.time);
    return table->shard(id_.value).stage(std::move(batch));
  }
  Egress* egress = shared_.egress[id.value].get();
  if (!egress) return;
  if (egress->discards()) return egress->count_discarded(batch.num_rows);
  // S2: what only grows needs no consolidation and no room.
  const plan::Node& planned = shared_.plan.node(id);
  bool grows = !planned.inputs.empty() && shared_.plan.node(planned.inputs[0]).append_only && !batch.diffs;
  if (!grows) {
    node.staged.push_back(std::move(batch));
    return;
  }
  batch = without_errors(std::move(batch), [&](const Batch& rows, std::size_t row) { skip_error_row(id, rows, row); });
  egress->write(spec_.time, std::move(batch));
}

bool Worker::drain_inboxes() {
  bool any = false;
  std::uint32_t workers = num_workers();
  if (workers == 1) return false;
  Message message;
  for (std::uint32_t from = 0; from < workers; ++from)
    while (from != id_.value && shared_.exchange->receive(id_.value, from, message)) {
      any = true;
      if (message.what == Message::What::kAllToAll)
        answers_[from].push_back(std::move(message.text));
      else
        receive(std::move(message));
      message = {};
    }
  return any;
}

void Worker::receive(Message message) {
  if (message.what == Message::What::kEdgeClosed) return edge_closed(message.edge);
  const Edge& edge = shared_.graph.edges[message.edge];
  push(edge.to, edge.port, std::move(message.batch));
}

std::vector<std::string> Worker::all_to_all(std::string mine) {
  std::uint32_t workers = num_workers();
  std::vector<std::string> all(workers);
  for (std::uint32_t to = 0; to < workers; ++to)
    if (to != id_.value)
      shared_.exchange->send(id_.value, to, {.what = Message::What::kAllToAll, .edge = 0, .batch = {}, .text = mine});
  all[id_.value] = std::move(mine);
  WakeFlag& wake = shared_.exchange->wake(id_.value);
  for (std::uint32_t from = 0; from < workers; ++from) {
    if (from == id_.value) continue;
    while (answers_[from].empty()) {
      std::uint32_t seen = wake.seen();
      if (abandoned()) return all;
      if (!drain_inboxes()) wake.wait(seen);
    }
    all[from] = std::move(answers_[from].front());
    answers_[from].pop_front();
  }
  return all;
}

// ---------------------------------------------------------------- errors

void Worker::report(NodeId node, ErrorKind kind, std::string message, SourceSpan where, std::optional<Key> key) {
  DataError error{
      .kind = kind, .message = std::move(message), .node = node, .span = where, .key = key, .commit = spec_.time};
  if (!error.span.known()) error.span = shared_.plan.node(node).span;
  if (shared_.plan.terminate_on_error && kind != ErrorKind::kRecord && (!spec_.replay || spec_.is_rerun))
    shared_.fail_run(Error{Code::kDataError, error.message, error.span, {}});
  commit_errors_.push_back(std::move(error));
}

namespace {

std::string_view kind_text(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kValue: return "value";
    case ErrorKind::kSkipped: return "skipped";
    case ErrorKind::kRecord: return "record";
  }
  UNREACHABLE();
}

std::vector<Value> rejected_row(const BadRecord& record, const plan::Node& node) {
  const auto* source = std::get_if<plan::Source>(&node.params);
  const std::string& name = source ? source->name : std::get<plan::Output>(node.params).name;
  return {Value::str(record.raw), Value::str(record.message), Value::str(name), Value::str(record.position)};
}

}  // namespace

std::vector<Value> Worker::error_row(const DataError& error) const {
  std::string file;
  std::int64_t line = 0;
  std::int64_t column = 0;
  if (shared_.options.locate) shared_.options.locate(error.span, file, line, column);
  const plan::Node& at = shared_.plan.node(error.node);
  return {Value::of(static_cast<std::int64_t>(error.commit)),
          Value::str(std::string(kind_text(error.kind))),
          Value::str(error.message),
          Value::str(at.label.empty() ? std::string(plan::operator_name(at.params)) : at.label),
          Value::str(file),
          Value::of(line),
          Value::of(column),
          error.key ? Value::of(*error.key) : Value::none(),
          Value::str(shared_.plan.name)};
}

void Worker::emit_error_log(NodeId id) {
  const plan::Node& node = shared_.plan.node(id);
  const auto& log = std::get<plan::ErrorLog>(node.params);
  BatchBuilder builder(node.schema);
  for (const DataError& error : commit_errors_) {
    if (shared_.after_errors[error.node.value]) continue;
    if (!log.all && std::ranges::find(log.operators, error.node) == log.operators.end()) continue;
    if (log.rejected_records && !error.record) continue;
    std::vector<Value> row =
        log.rejected_records ? rejected_row(*error.record, shared_.plan.node(error.node)) : error_row(error);
    // The count keeps equal errors apart; the worker keeps those of different workers apart.
    std::vector<Value> identity = row;
    identity.push_back(Value::of(static_cast<std::int64_t>(error_rows_++)));
    identity.push_back(Value::of(static_cast<std::int64_t>(id_.value)));
    builder.push(key_of_values(identity), row);
  }
  if (builder.num_rows() > 0) emit_from(id, builder.finish());
}

void RunShared::take_refused(Refused rows) {
  {
    std::lock_guard lock(mutex);
    refused.push_back(std::move(rows));
  }
  refused_waits = true;
  if (exchange) exchange->wake(0).wake();
}

void RunShared::note_refused(NodeId output, const std::string& why, std::optional<Key> key, Commit commit) {
  if (refusals_are_read[output.value]) return;  // it is reported by the commit that takes it in
  count_error(ErrorKind::kSkipped);
  std::lock_guard lock(mutex);
  if (errors.size() >= kErrorsMax) errors.pop_front();
  errors.push_back({.kind = ErrorKind::kSkipped,
                    .message = "the output refused the row: " + why,
                    .node = output,
                    .span = plan.node(output).span,
                    .key = key,
                    .commit = commit,
                    .record = nullptr});
}

void RunShared::fail_run(Error error) {
  {
    std::lock_guard lock(mutex);
    if (!failure) failure = std::move(error);
  }
  abandon = true;
  if (ingest && !gave_away) ingest->stop();
  if (exchange) exchange->wake_all();
  changed.notify_all();
}

}  // namespace thalweg
