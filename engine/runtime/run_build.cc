// How a run is put together: its nodes, sources and outputs, and the state that it goes on with.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/io/kept_piece.h"
#include "engine/plan/fingerprint.h"
#include "engine/plan/rewrite/liveness.h"
#include "engine/runtime/run_impl.h"
#include "engine/runtime/takeover.h"

namespace thalweg {

namespace {

// What the pipeline says, else the shortest time that one of its connectors asks for, else the default.
std::int64_t autocommit_of(const plan::Plan& plan, const RunOptions& options) {
  if (plan.autocommit_ms > 0) return plan.autocommit_ms;
  std::optional<std::int64_t> shortest;
  for (const plan::Node& node : plan.nodes) {
    const auto* source = std::get_if<plan::Source>(&node.params);
    const Setting* asked = source ? source->args.find("autocommit_duration_ms") : nullptr;
    if (asked && asked->as_int() && *asked->as_int() > 0)
      shortest = std::min(shortest.value_or(*asked->as_int()), *asked->as_int());
  }
  return shortest.value_or(options.autocommit_ms);
}

}  // namespace

RunImpl::RunImpl(const plan::Plan& plan, const RunOptions& options, std::shared_ptr<Env> env)
    : owner_(std::make_shared<RunShared>(std::move(env))), shared_(*owner_) {
  shared_.plan = plan;
  shared_.fingerprints = plan::fingerprints(plan);
  shared_.state_prints = plan::fingerprints(plan, plan::Secrets::kLeftOut);
  plan::mark_liveness(shared_.plan);
  shared_.options = options;
  wait_for_room();
}

void RunImpl::wait_for_room() {
  if (auto disk = std::dynamic_pointer_cast<durable::PatientDisk>(shared_.env.disk)) disks_.push_back(disk);
  if (!shared_.options.durability || !shared_.options.durability->disk) return;
  disks_.push_back(std::make_shared<durable::PatientDisk>(shared_.options.durability->disk, shared_.env.clock));
  shared_.options.durability->disk = disks_.back();
}

Result<void> RunImpl::build(ConnectorFactory& connectors, const RunImpl* old) {
  retired_ = old != nullptr;  // until it has taken over, nothing that it shares is its own
  if (old)
    shared_.takeover = plan_takeover(old->shared_.plan, old->shared_.fingerprints, shared_.plan, shared_.fingerprints,
                                     shared_.options.workers);
  shared_.graph = TRY(build_graph(shared_.plan));
  shared_.after_errors = depends_on_error_log(shared_.plan);
  shared_.rejects_are_read = nodes_with_read_rejects(shared_.plan);
  shared_.refusals_are_read = outputs_with_read_refusals(shared_.plan);
  std::uint32_t workers = std::max<std::uint32_t>(1, shared_.options.workers);
  std::size_t nodes = shared_.plan.nodes.size();
  shared_.exchange = std::make_unique<Exchange>(workers);
  shared_.ingest = old ? old->shared_.ingest
                       : std::make_shared<Ingest>(shared_.env, autocommit_of(shared_.plan, shared_.options), waker());
  TRY(open_state(workers));
  TRY(open_letters(workers, old != nullptr));
  shared_.counters = std::vector<NodeCounters>(workers * nodes);
  shared_.egress.resize(nodes);
  shared_.exports.resize(nodes);
  for (const plan::Node& node : shared_.plan.nodes) {
    if (shared_.is_kept(node.id))
      keep_node(node, *old);
    else
      TRY(build_node(node, connectors, workers));
  }
  if (old) keep_sources(*old);
  std::size_t sources = shared_.source_nodes.size();
  shared_.source_rows = std::vector<std::atomic<std::uint64_t>>(sources);
  shared_.source_errors = std::vector<std::atomic<std::uint64_t>>(sources);
  shared_.source_bytes = std::vector<std::atomic<std::uint64_t>>(sources);
  shared_.source_messages.resize(sources);
  shared_.source_idle.resize(sources);
  for (std::uint32_t i = 0; i < workers; ++i) {
    workers_.push_back(std::make_unique<Worker>(shared_, WorkerId{i}));
    TRY(workers_.back()->build());
  }
  std::shared_ptr<const SavedRun> saved = std::exchange(shared_.options.restore, nullptr);
  if (shared_.recording)
    TRY(check_recording());
  else if (shared_.durability)
    TRY(load_verified());
  else if (saved)
    TRY(load_workers(shared_, workers_, *saved));
  for (const plan::Node& node : shared_.plan.nodes)
    if (shared_.egress[node.id.value] && (shared_.durability || !shared_.is_kept(node.id))) TRY(open_output(node));
  return {};
}

// ---------------------------------------------------------------- nodes

void RunImpl::keep_node(const plan::Node& node, const RunImpl& old) {
  std::size_t before = shared_.takeover.kept[node.id.value]->value;
  shared_.egress[node.id.value] = old.shared_.egress[before];
  shared_.exports[node.id.value] = old.shared_.exports[before];
  if (std::holds_alternative<plan::UtcNow>(node.params) || std::holds_alternative<plan::Inactivity>(node.params)) {
    look_every(old.shared_.tick_ns);
    shared_.endless = shared_.endless || old.shared_.endless;
  }
}

void RunImpl::keep_sources(const RunImpl& old) {
  shared_.source_nodes.resize(old.shared_.source_nodes.size());
  for (const plan::Node& node : shared_.plan.nodes) {
    if (!std::holds_alternative<plan::Source>(node.params)) continue;
    auto at = std::ranges::find(old.shared_.source_nodes, *shared_.takeover.kept[node.id.value]);
    shared_.source_nodes[static_cast<std::size_t>(at - old.shared_.source_nodes.begin())] = node.id;
  }
}

Result<void> RunImpl::build_node(const plan::Node& node, ConnectorFactory& connectors, std::uint32_t workers) {
  if (const auto* source = std::get_if<plan::Source>(&node.params)) {
    Result<std::unique_ptr<Source>> made = connectors.make_source(*source, shared_.env);
    if (!made) return fail(std::move(made).error().at(node.span));
    bool held = (*made)->is_static() || shared_.options.test_times;
    const Setting* bound = source->args.find("max_backlog_size");
    std::int64_t records_max = bound && bound->as_int() ? *bound->as_int() : 0;
    std::uint32_t id =
        shared_.ingest->add_source(held, static_cast<std::size_t>(std::max<std::int64_t>(0, records_max)));
    shared_.source_nodes.push_back(node.id);
    std::optional<SourceThread::Resume> resume;
    if (shared_.recording) {
      shared_.source_keys.push_back(shared_.node_keys[node.id.value]);
      resume = recorded_end(shared_.source_keys.back());
    } else if (shared_.durability) {
      Key key = shared_.node_keys[node.id.value];
      shared_.source_keys.push_back(key);
      resume.emplace();
      if (const SourceMark* mark = shared_.durability->mark_of(key)) resume->position = mark->position;
      resume->blobs = shared_.durability->blobs_of(key);
    }
    sources_.push_back(std::make_unique<SourceThread>(owner_, id, std::move(*made), std::move(resume)));
  } else if (const auto* now = std::get_if<plan::UtcNow>(&node.params)) {
    look_every(std::min(now->refresh_ns, now->initial_delay_ns > 0 ? now->initial_delay_ns : now->refresh_ns));
    shared_.endless = !shared_.options.test_times;
  } else if (const auto* pauses = std::get_if<plan::Inactivity>(&node.params)) {
    look_every(pauses->refresh_ns);
  } else if (const auto* rows = std::get_if<plan::StaticRows>(&node.params)) {
    add_scripts(node, *rows);
  } else if (const auto* output = std::get_if<plan::Output>(&node.params)) {
    const Schema& schema = shared_.plan.node(node.inputs[0]).schema;
    Result<std::unique_ptr<Sink>> made = connectors.make_sink(*output, schema, shared_.env);
    if (!made) return fail(std::move(made).error().at(node.span));
    SourceSpan span = node.span;
    shared_.egress[node.id.value] =
        std::make_shared<Egress>(std::move(*made), schema, output->name, shared_.env, failure_of(span));
    shared_.egress[node.id.value]->tell_room_to(waker());
    keep_letters_of(node);
    if (shared_.durability) shared_.egress[node.id.value]->hold();
  } else if (const auto* table = std::get_if<plan::Export>(&node.params); table && shared_.options.exports) {
    auto& made = shared_.exports[node.id.value];
    made = std::make_shared<ExportTable>(table->name, shared_.plan.node(node.inputs[0]).schema, workers,
                                         is_event_stream(shared_.plan, node.inputs[0]), table->indexes);
    if (table->retain_ns) made->retain(*table->retain_ns, shared_.options);
  }
  return {};
}

void RunImpl::look_every(std::int64_t ns) {
  constexpr std::int64_t kTickNsMin = 1'000'000;
  ns = std::max(ns, kTickNsMin);
  shared_.tick_ns = shared_.tick_ns == 0 ? ns : std::min(shared_.tick_ns, ns);
}

void RunImpl::add_scripts(const plan::Node& node, const plan::StaticRows& rows) {
  std::map<std::uint64_t, BatchBuilder> by_time;
  if (rows.rows)
    for (const plan::StaticRow& row : *rows.rows)
      by_time.try_emplace(row.time, node.schema).first->second.push(row.key, row.cells, row.diff);
  for (auto& [time, builder] : by_time) shared_.scripts[time].emplace_back(node.id, builder.finish());
  num_scripts_ = shared_.scripts.size();
}

// ---------------------------------------------------------------- dead letters

Result<void> RunImpl::open_letters(std::uint32_t workers, bool in_place) {
  shared_.letters = std::make_unique<DeadLetterDesk>(shared_.plan, shared_.env, workers);
  std::shared_ptr<durable::DeadLetters> store = shared_.options.dead_letters;
  if (shared_.durability)
    store = TRY(durable::DeadLetters::open(
        shared_.options.durability->disk ? shared_.options.durability->disk : shared_.env.disk, shared_.env.clock,
        shared_.options.durability->directory + "/dlq", shared_.options.dead_letter_limits, true));
  shared_.letters->use(std::move(store), shared_.durability != nullptr);
  if (in_place) return {};
  return shared_.letters->resume(shared_.durability ? shared_.durability->durable() + 1 : 0);
}

void RunImpl::keep_letters_of(const plan::Node& output) {
  Egress& egress = *shared_.egress[output.id.value];
  const bool durable = shared_.durability != nullptr;
  const std::string& id = durable ? shared_.output_ids[output.id.value] : std::get<plan::Output>(output.params).name;
  egress.keep_letters(letter_policy(output), shared_.letters->store(), "output " + id, durable);
  egress.refusals().tell_to(refusal_of(output.id));
  read_refusals_of(output);
}

void RunImpl::read_refusals_of(const plan::Node& output) {
  if (!shared_.refusals_are_read[output.id.value]) return;
  Commit from = 0;
  if (shared_.durability) from = shared_.durability->refusals_read(shared_.refusal_keys[output.id.value]);
  shared_.egress[output.id.value]->refusals().be_read(
      [weak = std::weak_ptr(owner_), id = output.id](Commit commit, std::vector<RefusedRow> rows) {
        if (auto shared = weak.lock()) shared->take_refused({id, commit, std::move(rows)});
      },
      from);
}

// ---------------------------------------------------------------- a run over a recording

SourceThread::Resume RunImpl::recorded_end(const Key& source) const {
  auto found = shared_.recording->ends().find(source);
  if (found == shared_.recording->ends().end()) return {};
  return {found->second.position, found->second.blobs};
}

Result<void> RunImpl::check_recording() const {
  for (const auto& [source, end] : shared_.recording->ends())
    if (std::ranges::find(shared_.source_keys, source) == shared_.source_keys.end())
      return fail(Error{Code::kBadData,
                        fmt::format("the recording in '{}' has the input of a source that the pipeline does not have, "
                                    "or reads in another way",
                                    shared_.options.durability->directory),
                        {},
                        {{"what is computed from the sources may be another, but not they themselves", {}}}});
  return {};
}

// ---------------------------------------------------------------- where state is kept

Result<void> RunImpl::open_state(std::uint32_t workers) {
  if (!shared_.options.durability) return {};
  const DurabilityOptions& options = *shared_.options.durability;
  if (options.replay) {
    shared_.recording = TRY(Recording::open(options.disk ? options.disk : shared_.env.disk, options.directory));
  } else {
    shared_.durability = TRY(Durability::open(options, shared_.env_owner, verify_));
    if (options.is_recording && shared_.durability->resumes())
      return fail(Error{Code::kInvalidArgument,
                        fmt::format("there is a recording in '{}' already", options.directory),
                        {},
                        {{"take another folder, or move it away", {}}}});
  }
  shared_.journals.resize(workers);
  shared_.output_ids.resize(shared_.plan.nodes.size());
  shared_.refusal_keys.resize(shared_.plan.nodes.size());
  std::vector<std::uint32_t> places = occurrences(shared_.state_prints);
  std::map<Key, std::uint32_t> outputs;
  for (const plan::Node& node : shared_.plan.nodes) {
    SavedNode now{shared_.state_prints[node.id.value], state_fingerprint(shared_.plan, node.id), node.label};
    std::string text;
    for (const Key& part : {now.print, now.shape}) text += fmt::format("{:x} {:x} ", part.hi, part.lo);
    shared_.planned.nodes.push_back(std::move(now));
    shared_.node_keys.push_back(key_of_bytes(text + std::to_string(places[node.id.value])));
    if (!std::holds_alternative<plan::Output>(node.params)) continue;
    // An output is the same whatever is written to it.
    Key key = key_of_bytes(plan::node_text(node));
    std::string id = fmt::format("{:016x}{:016x}.{}", key.hi, key.lo, outputs[key]++);
    shared_.planned.outputs.push_back({id, shared_.state_prints[node.id.value]});
    shared_.refusal_keys[node.id.value] = key_of_bytes("refused by " + id);
    shared_.output_ids[node.id.value] = std::move(id);
  }
  if (shared_.recording) return {};
  shared_.confirm = [this](std::uint32_t source, const std::string& position) { sources_[source]->confirm(position); };
  shared_.read_again = [this](std::uint32_t source, std::string_view origin, const BlobMap& kept) {
    const auto* reader = dynamic_cast<const ReadsAgain*>(&sources_[source]->source());
    if (reader) return reader->read_again(origin, kept);
    return Result<std::unique_ptr<Piece>>(
        fail(Code::kBadData, "the log of commits names input that its source cannot read again"));
  };
  shared_.save_all = [this](const PartSink& sink) { return save_workers(shared_, workers_, sink); };
  return {};
}

// What comes of damage says so, whatever it looked like.
Result<void> RunImpl::load_verified() {
  Result<void> loaded = load_state();
  if (Result<void> good = shared_.durability->verified(); !good) {
    is_damaged_ = true;
    return good;
  }
  return loaded;
}

Result<void> RunImpl::load_state() {
  if (!shared_.durability->other_sources(shared_.source_keys).empty())
    return fail(another_pipeline("a source that it has read is not there any more, or is read in another way"));
  if (!shared_.durability->saved()) return check_log();
  SavedRun saved = *shared_.durability->saved();
  std::vector<SavedNode> before = TRY(shared_.durability->saved_plan());
  if (!is_same_plan(before)) TRY(plan_changes(before, saved));
  auto loaded = load_workers(shared_, workers_, saved);
  if (!loaded && loaded.error().code == Code::kBadData) return fail(another_pipeline(loaded.error().message));
  return loaded;
}

bool RunImpl::is_same_plan(const std::vector<SavedNode>& before) const {
  return before.size() == shared_.plan.nodes.size() &&
         std::ranges::all_of(shared_.plan.nodes, [&](const plan::Node& node) {
           return std::ranges::count(before, node_now(node)) ==
                  std::ranges::count_if(shared_.plan.nodes,
                                        [&](const plan::Node& other) { return node_now(other) == node_now(node); });
         });
}

Result<void> RunImpl::check_log() {
  if (!shared_.durability->has_replays()) return {};
  std::optional<LogPlan> before = TRY(shared_.durability->log_plan());
  if (!before) return {};
  if (!is_same_plan(before->nodes)) TRY(check_log_of(*before));
  std::vector<OutputPrint>& outputs = shared_.planned.outputs;
  for (OutputPrint& output : before->outputs)
    if (std::ranges::find(outputs, output.id, &OutputPrint::id) == outputs.end()) outputs.push_back(std::move(output));
  return {};
}

Result<void> RunImpl::check_log_of(const LogPlan& before) const {
  for (const plan::Node& node : shared_.plan.nodes) {
    const SavedNode& now = node_now(node);
    const bool is_new = std::ranges::count(before.nodes, now) < std::ranges::count(shared_.planned.nodes, now);
    if (is_new && std::holds_alternative<plan::StaticRows>(node.params))
      return fail(another_pipeline("rows written in the file are new or different"));
    if (is_new && std::holds_alternative<plan::Remember>(node.params))
      return fail(
          another_pipeline(fmt::format("{} is new or different, and what its functions would have answered is "
                                       "not known",
                                       node.label)));
    if (!std::holds_alternative<plan::Output>(node.params)) continue;
    const std::string& id = shared_.output_ids[node.id.value];
    auto known = std::ranges::find(before.outputs, id, &OutputPrint::id);
    if (known == before.outputs.end()) continue;  // it gets all rows
    if (!(known->print == now.print) || shared_.after_errors[node.id.value])
      return fail(
          another_pipeline(fmt::format("the output {} gets other rows now, and what it got is not known", node.label)));
  }
  return {};
}

Result<void> RunImpl::plan_changes(const std::vector<SavedNode>& before, SavedRun& saved) {
  if (shared_.durability->has_replays()) {
    Error refused = another_pipeline("it was changed, and the run before it did not end in order");
    refused.notes.push_back({"or start it once more as it was and stop it in order: then it may be changed", {}});
    return fail(std::move(refused));
  }
  std::vector<Key> prints = shared_.state_prints;
  std::vector<bool> taken(before.size());
  std::string added;
  for (const plan::Node& node : shared_.plan.nodes) {
    std::size_t at = 0;
    while (at < before.size() && (taken[at] || !(before[at] == node_now(node)))) ++at;
    if (at < before.size()) {
      taken[at] = true;
      continue;
    }
    prints[node.id.value] = key_of_bytes("new " + std::to_string(node.id.value));
    if (added.empty()) added = node.label;
  }
  for (const plan::Node& node : shared_.plan.nodes) {
    if (!std::holds_alternative<plan::Output>(node.params)) continue;
    SavedOutput output = TRY(shared_.durability->saved_output(shared_.output_ids[node.id.value]));
    bool known = !(output.print == Key{});
    if (known && prints[node.id.value] != shared_.state_prints[node.id.value])
      return fail(
          another_pipeline(fmt::format("the output {} gets other rows now, and what it got is not known", node.label)));
  }
  plan::Plan same = shared_.plan;
  shared_.takeover = plan_takeover(same, prints, shared_.plan, shared_.state_prints, shared_.options.workers);
  if (!shared_.takeover.possible)
    return fail(another_pipeline(
        fmt::format("{}{}", added.empty() ? "" : added + " is new or different, and ", shared_.takeover.why_not)));
  std::vector<std::uint32_t> places = occurrences(shared_.state_prints);
  std::erase_if(saved.parts, [&](const SavedPart& part) {
    return std::ranges::none_of(shared_.plan.nodes, [&](const plan::Node& node) {
      return shared_.is_kept(node.id) && shared_.state_prints[node.id.value] == part.name.node &&
             places[node.id.value] == part.name.occurrence;
    });
  });
  shared_.fill_wanted = true;
  return {};
}

Error RunImpl::another_pipeline(const std::string& why) const {
  return Error{Code::kBadData,
               fmt::format("the state in '{}' is not of this pipeline as it is now: {}",
                           shared_.options.durability->directory, why),
               {},
               {{"undo the change, or move the folder away to start anew from the inputs", {}}}};
}

Result<void> RunImpl::open_output(const plan::Node& node) {
  Egress& egress = *shared_.egress[node.id.value];
  SinkContext context;
  context.pipeline = shared_.plan.name;
  if (!shared_.durability) return egress.open(std::move(context));
  Durability& durability = *shared_.durability;
  const std::string& id = shared_.output_ids[node.id.value];
  SavedOutput saved = TRY(durability.saved_output(id));
  context.sink_id = id;
  context.state_path = durability.path_for(id);
  context.state_disk = &durability.disk();
  context.exactly_once = shared_.options.durability->exactly_once;
  context.generation = durability.generation();
  context.resume_from = durability.resumes() ? durability.durable() + 2 : 0;
  context.saved = std::move(saved.saved);
  auto opened = egress.open(std::move(context));
  if (!opened) return fail(std::move(opened).error().at(node.span));
  if (auto last = egress.last_commit(); last && *last > durability.durable() + 1)
    return fail(Error{Code::kBadData,
                      fmt::format("the output already has commit {}, but the state knows of commits up to {} only: "
                                  "another run has written to it, or the state is an older copy",
                                  *last, durability.durable()),
                      node.span,
                      {}});
  std::vector<std::pair<Commit, Batch>> waiting;
  for (const auto& [commit, bytes] : saved.waiting) {
    StateReader reader(bytes);
    waiting.emplace_back(commit, TRY(reader.batch(shared_.plan.node(node.inputs[0]).schema)));
  }
  egress.release(durability.durable() + 1);
  return egress.resume(saved.written, std::move(waiting));
}

// ---------------------------------------------------------------- in the place of another run

Takeover RunImpl::takeover_by(const plan::Plan& plan, const RunOptions& options) const {
  Takeover out;
  if (shared_.durability) {
    out.why_not = "its state is kept";
    return out;
  }
  if (options.workers != shared_.options.workers || options.autocommit_ms != shared_.options.autocommit_ms) {
    out.why_not = "the number of workers or the length of commits is another";
    return out;
  }
  if (shared_.commits < num_scripts_) {
    out.why_not = "it has only just begun";
    return out;
  }
  plan::Plan next = plan;
  std::vector<Key> prints = plan::fingerprints(next);
  plan::mark_liveness(next);
  return plan_takeover(shared_.plan, shared_.fingerprints, next, prints, options.workers);
}

void RunImpl::take_over(RunImpl& old) {
  old.retired_ = true;
  old.shared_.gave_away = true;
  for (std::size_t i = 0; i < workers_.size(); ++i) workers_[i]->adopt(*old.workers_[i]);
  for (const plan::Node& node : shared_.plan.nodes) {
    if (!shared_.is_kept(node.id) || !shared_.egress[node.id.value]) continue;
    shared_.egress[node.id.value]->tell_failures_to(failure_of(node.span));
    shared_.egress[node.id.value]->refusals().tell_to(refusal_of(node.id));
    shared_.egress[node.id.value]->refusals().be_read(nullptr, 0);
    read_refusals_of(node);
    shared_.egress[node.id.value]->tell_room_to(waker());
    old.handed_over_.push_back(*shared_.takeover.kept[node.id.value]);
  }
  {
    std::scoped_lock lock(shared_.mutex, old.shared_.mutex);
    shared_.frontier = old.shared_.frontier;
    shared_.source_idle = old.shared_.source_idle;
    shared_.all_idle_ns = old.shared_.all_idle_ns;
    shared_.caught_up = old.shared_.caught_up;
    shared_.source_messages = old.shared_.source_messages;
  }
  shared_.commits = old.shared_.commits.load();
  shared_.error_count = old.shared_.error_count.load();
  for (std::size_t i = 0; i < shared_.errors_by_kind.size(); ++i)
    shared_.errors_by_kind[i] = old.shared_.errors_by_kind[i].load();
  for (std::size_t i = 0; i < shared_.source_nodes.size(); ++i) {
    shared_.source_rows[i] = old.shared_.source_rows[i].load();
    shared_.source_errors[i] = old.shared_.source_errors[i].load();
    shared_.source_bytes[i] = old.shared_.source_bytes[i].load();
  }
  sources_ = std::move(old.sources_);
  for (const auto& source : sources_) source->move_to(owner_);
  shared_.ingest->wake_others(waker());
  shared_.fill_wanted = true;
  shared_.pause_wanted = true;  // after it
  retired_ = false;
}

}  // namespace thalweg
