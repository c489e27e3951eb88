#include "engine/runtime/saved_state.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <thread>

#include "engine/runtime/shared.h"
#include "engine/runtime/worker.h"

namespace thalweg {

namespace {

constexpr std::string_view kExportKind = "export";
constexpr std::uint32_t kExportVersion = 1;

void append_shape(const plan::Node& node, std::string& out) {
  for (const ColumnSpec& column : node.schema.columns) {
    out += column.type.to_text();
    out += '\n';
  }
  for (bool used : node.used) out += used ? '1' : '0';
  out += node.keys_needed ? 'k' : '-';
  out += node.append_only ? 'a' : '-';
}

}  // namespace

Key state_fingerprint(const plan::Plan& plan, NodeId node) {
  std::string text;
  append_shape(plan.node(node), text);
  for (NodeId input : plan.node(node).inputs) append_shape(plan.node(input), text);
  return key_of_bytes(text);
}

std::vector<std::uint32_t> occurrences(const std::vector<Key>& fingerprints) {
  std::map<Key, std::uint32_t> seen;
  std::vector<std::uint32_t> out;
  out.reserve(fingerprints.size());
  for (const Key& print : fingerprints) out.push_back(seen[print]++);
  return out;
}

// ---------------------------------------------------------------- in memory

struct MemoryParts::Store {
  using Pieces = std::vector<std::string>;
  std::mutex mutex;
  std::map<PartName, std::shared_ptr<Pieces>> parts;
};

MemoryParts::MemoryParts() : store_(std::make_shared<Store>()) {}

PartSink MemoryParts::sink() {
  return [store = store_](const PartName& name) -> StateWriter::Sink {
    auto pieces = std::make_shared<Store::Pieces>();
    {
      std::lock_guard lock(store->mutex);
      store->parts[name] = pieces;
    }
    return [pieces](std::string&& piece) { pieces->push_back(std::move(piece)); };
  };
}

void MemoryParts::open_in(SavedRun& run) const {
  for (SavedPart& part : run.parts) {
    std::shared_ptr<Store::Pieces> pieces = store_->parts.at(part.name);
    part.open = [pieces]() -> StateReader::Pull {
      return [pieces, next = std::size_t{0}]() mutable -> Result<std::string_view> {
        return next < pieces->size() ? std::string_view((*pieces)[next++]) : std::string_view();
      };
    };
  }
}

// ---------------------------------------------------------------- one worker

Result<void> Worker::save_nodes(const PartSink& sink, std::vector<SavedPart>& out) const {
  std::vector<std::uint32_t> places = occurrences(shared_.state_prints);
  for (const plan::Node& node : shared_.plan.nodes) {
    const Operator* op = nodes_[node.id.value].op.get();
    const OperatorDescriptor* descriptor = shared_.graph.descriptors[node.id.value];
    ExportTable* table = shared_.exports[node.id.value].get();
    if (!table && (!op || descriptor->stateless)) continue;
    if (op && descriptor->state_version == 0) {
      if (op->state().rows == 0) continue;
      return fail(Code::kInternal, "the state of '" + std::string(descriptor->name) + "' cannot be saved", node.span);
    }
    PartName name{shared_.state_prints[node.id.value], places[node.id.value], id_.value};
    StateWriter writer(sink(name));
    Key print = state_fingerprint(shared_.plan, node.id);
    if (table) {
      writer.begin_block(kExportKind, kExportVersion, print);
      table->shard(id_.value).save(writer);
    } else {
      writer.begin_block(descriptor->name, descriptor->state_version, print);
      op->save(writer);
    }
    writer.end_block();
    writer.finish();
    out.push_back({name, writer.bytes(), {}});
  }
  return {};
}

Result<void> Worker::load_node(NodeId id, const SavedPart& part, const ShardFilter& mine) {
  StateReader reader(part.bytes, part.open());
  Key print = state_fingerprint(shared_.plan, id);
  if (ExportTable* table = shared_.exports[id.value].get()) {
    TRY(reader.begin_block(kExportKind, kExportVersion, print));
    TRY(table->shard(id_.value).load(reader, mine));
  } else {
    const OperatorDescriptor* descriptor = shared_.graph.descriptors[id.value];
    TRY(reader.begin_block(descriptor->name, descriptor->state_version, print));
    TRY(nodes_[id.value].op->load(reader, mine));
  }
  TRY(reader.end_block());
  if (reader.remaining() > 0) return reader.corrupt("there is more than one block");
  return {};
}

Result<void> Worker::load_nodes(const SavedRun& saved) {
  std::vector<std::uint32_t> places = occurrences(shared_.state_prints);
  std::map<PartName, const SavedPart*> parts;
  for (const SavedPart& part : saved.parts) parts[part.name] = &part;
  bool same = saved.workers == num_workers();
  ShardFilter mine = same ? ShardFilter() : ShardFilter(id_, num_workers());
  for (const plan::Node& node : shared_.plan.nodes) {
    Operator* op = nodes_[node.id.value].op.get();
    const OperatorDescriptor* descriptor = shared_.graph.descriptors[node.id.value];
    bool is_export = shared_.exports[node.id.value] != nullptr;
    if (!is_export && (!op || descriptor->stateless || descriptor->state_version == 0)) continue;
    if (!shared_.takeover.kept.empty() && !shared_.is_kept(node.id)) continue;  // it is filled
    for (std::uint32_t worker = 0; worker < saved.workers; ++worker) {
      if (same && worker != id_.value) continue;
      auto found = parts.find({shared_.state_prints[node.id.value], places[node.id.value], worker});
      if (found == parts.end())
        return fail(Code::kBadData, "the saved state has nothing of '" + node.label + "'", node.span);
      Result<void> loaded = load_node(node.id, *found->second, mine);
      if (!loaded) return fail(std::move(loaded).error().at(node.span));
    }
    if (op) TRY(op->finish_load());
  }
  test_time_ = saved.test_time;
  return {};
}

// ---------------------------------------------------------------- all workers

namespace {

// On threads of their own; the first error of any.
Result<void> on_all(std::size_t workers, const std::function<Result<void>(std::size_t)>& work) {
  std::vector<Result<void>> results(workers);
  std::vector<std::thread> threads;
  for (std::size_t i = 1; i < workers; ++i) threads.emplace_back([&, i] { results[i] = work(i); });
  if (workers > 0) results[0] = work(0);
  for (std::thread& thread : threads) thread.join();
  for (Result<void>& result : results)
    if (!result) return result;
  return {};
}

}  // namespace

Result<SavedRun> save_workers(const RunShared& shared, std::span<const std::unique_ptr<Worker>> workers,
                              const PartSink& sink) {
  SavedRun out;
  out.workers = static_cast<std::uint32_t>(workers.size());
  out.commits = shared.commits;
  for (std::size_t i = 0; i < out.errors.size(); ++i) out.errors[i] = shared.errors_by_kind[i];
  out.test_time = workers[0]->test_time();
  MemoryParts memory;
  PartSink into = sink ? sink : memory.sink();
  std::vector<std::vector<SavedPart>> parts(workers.size());
  TRY(on_all(workers.size(), [&](std::size_t i) { return workers[i]->save_nodes(into, parts[i]); }));
  for (std::vector<SavedPart>& of_worker : parts) std::ranges::move(of_worker, std::back_inserter(out.parts));
  if (!sink) memory.open_in(out);
  return out;
}

Result<void> load_workers(RunShared& shared, std::span<const std::unique_ptr<Worker>> workers, const SavedRun& saved) {
  std::map<Key, std::uint32_t> nodes;
  for (const Key& print : shared.state_prints) ++nodes[print];
  for (const SavedPart& part : saved.parts)
    if (auto found = nodes.find(part.name.node); found == nodes.end() || part.name.occurrence >= found->second)
      return fail(Code::kBadData, "the saved state is of another pipeline: it holds what this one does not compute");
  TRY(on_all(workers.size(), [&](std::size_t i) { return workers[i]->load_nodes(saved); }));
  std::erase_if(shared.scripts,
                [&](const auto& script) { return saved.frontier.done || script.first < saved.frontier.at; });
  shared.frontier = saved.frontier;
  shared.commits = saved.commits;
  for (std::size_t i = 0; i < saved.errors.size(); ++i) {
    shared.errors_by_kind[i] = saved.errors[i];
    shared.error_count += saved.errors[i];
  }
  for (const auto& table : shared.exports)
    if (table) table->begin_at(saved.frontier);
  return {};
}

}  // namespace thalweg
