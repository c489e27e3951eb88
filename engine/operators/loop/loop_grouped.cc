// engine/operators/loop/loop_grouped.cc
//
// A functional operator inside a loop, from the operator outside of loops: per group (the hash that its routes ask
// for) the history of its input rows is kept. A commit makes two instances, which get the groups that change: one with
// the history as it is now, one as it was. Each goes from round to round as it would from commit to commit outside;
// what the first gives less what the second gives is the difference of the round.
//
// G1  A group comes to the instances when it first changes in a commit, with all that is before that round; from there
//     it is fed in every round in which it has history.
// G2  In the first commit nothing was: there is one instance, and nothing to take off.
// Groups that share a hash are evaluated together: that costs time and is right all the same.
#include <algorithm>
#include <map>

#include "engine/operators/loop/history.h"
#include "engine/operators/loop/loop_node.h"
#include "engine/state/hash_index.h"

namespace thalweg {

namespace {

plan::Columns all_columns(const Schema& schema) {
  plan::Columns columns(schema.size());
  for (std::uint32_t c = 0; c < columns.size(); ++c) columns[c] = c;
  return columns;
}

// Keeps what an instance emits, or drops it.
class Collected : public LoopContext {
 public:
  Collected(OperatorContext& outer, bool keep) : keep_(keep) { outer_ = &outer; }
  void emit(Batch batch) override {
    if (keep_ && !batch.empty()) out_.push_back(std::move(batch));
  }
  [[nodiscard]] std::vector<Batch> take() { return std::exchange(out_, {}); }

 private:
  const bool keep_;
  std::vector<Batch> out_;
};

class Grouped : public LoopNode {
 public:
  Grouped(const plan::Node& node, const plan::Plan& plan, const OperatorDescriptor& descriptor)
      : node_(node), plan_(plan), descriptor_(descriptor), routes_(descriptor.routes(node)) {
    routes_.resize(node.inputs.size(), Route{Route::By::kOne, {}});
    for (NodeId input : node.inputs) ports_.push_back(std::make_unique<Port>(plan.node(input)));
    whole_ = std::ranges::all_of(routes_, [](const Route& route) { return route.by == Route::By::kOne; });
  }

  void push(std::size_t port, Batch batch, std::uint64_t round, OperatorContext& out) override;
  void run(std::uint64_t round, OperatorContext& out) override;
  [[nodiscard]] std::optional<std::uint64_t> next_round() const override {
    return agenda_.empty() ? std::nullopt : std::optional(agenda_.begin()->first);
  }
  void end_commit() override;
  [[nodiscard]] StateSize state() const override {
    StateSize size;
    size.bytes = index_.bytes() + hash_of_.capacity() * 16;
    for (const auto& port : ports_) {
      size.rows += port->history.size();
      size.bytes += port->rows.bytes() + port->history.bytes();
    }
    return size;
  }

 private:
  static constexpr std::uint32_t kUntouched = 0xFFFFFFFFU;
  struct Port {
    explicit Port(const plan::Node& input)
        : rows(input.schema, all_columns(input.schema), input.keys_needed), history(rows) {}
    RowCode rows;
    History history;
    std::vector<Batch> staged;  // of the running round
  };
  // A group that changed in this commit; by port, entries that earlier commits left and how many of them were fed.
  struct Touched {
    std::uint32_t group = 0;
    std::uint32_t due = kUntouched;
    std::vector<std::uint32_t> past;
    std::vector<std::uint32_t> fed;
  };
  // Rows for the instances, by port.
  struct Feed {
    std::vector<RowWord> words;
    std::vector<Diff> diffs;
  };

  std::vector<std::uint64_t> group_hashes(std::size_t port, const Batch& batch) const;
  std::uint32_t group_of(std::uint64_t hash);
  std::uint32_t touch(std::uint32_t group, std::uint64_t round);
  void mark_due(std::uint32_t at, std::uint64_t round);
  void collect_past(Touched& touched, std::uint64_t end, std::vector<Feed>& feed);
  bool make_instances(OperatorContext& out);
  void step(Operator& instance, const std::vector<Feed>& feed, OperatorContext& context, bool with_staged);
  void forget_if_empty(std::uint32_t group);

  const plan::Node node_;
  const plan::Plan& plan_;
  const OperatorDescriptor& descriptor_;
  std::vector<Route> routes_;
  bool whole_ = false;  // one group: the operator may answer with rows over nothing
  std::vector<std::unique_ptr<Port>> ports_;
  HashIndex index_;                     // groups by hash
  std::vector<std::uint64_t> hash_of_;  // by group
  std::vector<std::uint32_t> free_;
  bool has_past_ = false;

  // In a commit:
  std::vector<std::uint32_t> touch_;  // by group: in touched_, or kUntouched
  std::vector<Touched> touched_;
  std::map<std::uint64_t, std::vector<std::uint32_t>> agenda_;
  std::vector<std::uint32_t> due_;    // in this round
  std::vector<std::uint32_t> fresh_;  // touched first in this round
  std::unique_ptr<Operator> now_;
  std::unique_ptr<Operator> before_;
};

std::vector<std::uint64_t> Grouped::group_hashes(std::size_t port, const Batch& batch) const {
  std::vector<std::uint64_t> hashes(batch.num_rows, 0);
  const Route& route = routes_[port];
  switch (route.by) {
    case Route::By::kAny:
    case Route::By::kOne:
    case Route::By::kAll: break;
    case Route::By::kKey:
      for (std::size_t i = 0; i < batch.num_rows; ++i) hashes[i] = hash_of_key(batch.keys[i]);
      break;
    case Route::By::kPointer: {
      const Column& column = batch.columns[route.columns[0]];
      for (std::size_t i = 0; i < batch.num_rows; ++i)
        if (column.is_value(i)) hashes[i] = hash_of_key(column.u128()[i]);
      break;
    }
    case Route::By::kColumns:
      for (std::uint32_t column : route.columns) batch.columns[column].hash_into(hashes);
      break;
  }
  return hashes;
}

std::uint32_t Grouped::group_of(std::uint64_t hash) {
  std::uint32_t group = index_.find(hash, [&](std::uint32_t other) { return hash_of_[other] == hash; });
  if (group != HashIndex::kNoRow) return group;
  if (free_.empty()) {
    group = static_cast<std::uint32_t>(hash_of_.size());
    hash_of_.push_back(hash);
    touch_.push_back(kUntouched);
  } else {
    group = free_.back();
    free_.pop_back();
    hash_of_[group] = hash;
  }
  index_.insert(hash, group);
  return group;
}

void Grouped::push(std::size_t p, Batch batch, std::uint64_t round, OperatorContext&) {
  if (batch.empty()) return;
  batch.materialise_keys();
  Port& port = *ports_[p];
  std::vector<std::uint64_t> hashes = group_hashes(p, batch);
  std::vector<RowWord> words;
  port.rows.encode(batch, words);
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    std::uint32_t group = group_of(hashes[row]);
    mark_due(touch(group, round), round);
    port.history.append(group, words[row], round, batch.diff(row));
  }
  port.staged.push_back(std::move(batch));
}

void Grouped::mark_due(std::uint32_t at, std::uint64_t round) {
  if (touched_[at].due == round) return;
  touched_[at].due = static_cast<std::uint32_t>(round);
  due_.push_back(at);
}

std::uint32_t Grouped::touch(std::uint32_t group, std::uint64_t round) {
  if (touch_[group] != kUntouched) return touch_[group];
  auto at = static_cast<std::uint32_t>(touched_.size());
  touch_[group] = at;
  touched_.push_back({.group = group,
                      .past = std::vector<std::uint32_t>(ports_.size()),
                      .fed = std::vector<std::uint32_t>(ports_.size())});
  if (!has_past_) return at;
  fresh_.push_back(at);
  for (std::size_t p = 0; p < ports_.size(); ++p) {
    ports_[p]->history.settle(group);
    touched_[at].past[p] = ports_[p]->history.past(group);
    std::uint64_t last = round;
    for (const History::Entry& entry : ports_[p]->history.entries(group)) {
      if (entry.round <= last) continue;
      last = entry.round;
      agenda_[last].push_back(at);
    }
  }
  return at;
}

// What the past has of a group in rounds before `end`, as far as it was not fed.
void Grouped::collect_past(Touched& touched, std::uint64_t end, std::vector<Feed>& feed) {
  for (std::size_t p = 0; p < ports_.size(); ++p) {
    auto entries = ports_[p]->history.entries(touched.group);
    for (std::uint32_t& at = touched.fed[p]; at < touched.past[p] && entries[at].round < end; ++at) {
      feed[p].words.push_back(entries[at].word());
      feed[p].diffs.push_back(entries[at].diff);
    }
  }
}

void Grouped::step(Operator& instance, const std::vector<Feed>& feed, OperatorContext& context, bool with_staged) {
  for (std::size_t p = 0; p < ports_.size(); ++p) {
    const Port& port = *ports_[p];
    if (!feed[p].words.empty()) {
      Batch batch;
      batch.num_rows = feed[p].words.size();
      for (std::size_t c = 0; c < port.rows.columns().size(); ++c)
        batch.columns.push_back(port.rows.decode(c, feed[p].words));
      if (port.rows.with_key()) batch.keys = port.rows.decode_keys(feed[p].words);
      batch.set_diffs(feed[p].diffs);
      instance.push(p, std::move(batch), context);
    }
    if (!with_staged) continue;
    for (const Batch& batch : port.staged) instance.push(p, batch, context);
  }
  instance.close(context);
}

bool Grouped::make_instances(OperatorContext& out) {
  for (std::unique_ptr<Operator>* instance : {&now_, &before_}) {
    if (*instance || (instance == &before_ && !has_past_)) continue;
    Result<std::unique_ptr<Operator>> made = descriptor_.make(node_, plan_);
    if (!made) {
      out.fail(std::move(made).error());
      return false;
    }
    *instance = std::move(*made);
  }
  return true;
}

void Grouped::run(std::uint64_t round, OperatorContext& out) {
  if (auto planned = agenda_.find(round); planned != agenda_.end()) {
    for (std::uint32_t at : planned->second) mark_due(at, round);
    agenda_.erase(planned);
  }
  bool over_nothing = whole_ && !has_past_ && round == 0 && !now_;
  if ((due_.empty() && !over_nothing) || !make_instances(out)) return;
  Collected dropped(out, false);
  if (!fresh_.empty()) {
    std::vector<Feed> earlier(ports_.size());
    for (std::uint32_t at : fresh_) collect_past(touched_[at], round, earlier);
    bool any = std::ranges::any_of(earlier, [](const Feed& feed) { return !feed.words.empty(); });
    if (any || (whole_ && round > 0)) {
      step(*now_, earlier, dropped, false);
      step(*before_, earlier, dropped, false);
    }
    fresh_.clear();
  }
  std::vector<Feed> at_round(ports_.size());
  if (has_past_)
    for (std::uint32_t at : due_) collect_past(touched_[at], round + 1, at_round);
  Collected result(out, true);
  step(*now_, at_round, result, true);
  std::vector<Batch> parts = result.take();
  if (has_past_) {
    step(*before_, at_round, result, false);
    for (Batch& batch : result.take()) {
      std::vector<Diff> diffs(batch.num_rows);
      for (std::size_t i = 0; i < diffs.size(); ++i) diffs[i] = -batch.diff(i);
      batch.set_diffs(std::move(diffs));
      parts.push_back(std::move(batch));
    }
    if (parts.size() > 1) parts = {consolidate(Batch::concat(std::move(parts)))};
  }
  for (auto& port : ports_) port->staged.clear();
  due_.clear();
  for (Batch& batch : parts)
    if (!batch.empty()) out.emit(std::move(batch));
}

void Grouped::forget_if_empty(std::uint32_t group) {
  for (auto& port : ports_) {
    port->history.settle(group);
    if (!port->history.empty(group)) return;
  }
  index_.erase(hash_of_[group], group);
  free_.push_back(group);
}

void Grouped::end_commit() {
  for (const Touched& touched : touched_) {
    touch_[touched.group] = kUntouched;
    if (has_past_) forget_if_empty(touched.group);
  }
  has_past_ |= !touched_.empty() || now_;
  touched_.clear();
  agenda_.clear();
  due_.clear();
  fresh_.clear();
  now_.reset();
  before_.reset();
  for (auto& port : ports_) {
    port->staged.clear();
    port->rows.maintain();
  }
}

}  // namespace

std::unique_ptr<LoopNode> make_loop_grouped(const plan::Node& node, const plan::Plan& plan,
                                            const OperatorDescriptor& descriptor) {
  return std::make_unique<Grouped>(node, plan, descriptor);
}

}  // namespace thalweg
