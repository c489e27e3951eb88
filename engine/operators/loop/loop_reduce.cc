// engine/operators/loop/loop_reduce.cc
//
// A groupby inside a loop. Per group: the history of the rows that its reducers read, and the rounds from which on
// its result is another (steps). In a commit the state of the reducers is made only for the groups that change, from
// their history up to the round of the first change; from there it follows the rounds.
//
// R1  A group that changed in round r is looked at in every later round in which it has history: there its result, or
//     that of the last commit, may change. The steps of the last commit say what it was; only the new one is computed.
// R2  In the first commit no group has a past: the state of the reducers goes from round to round as outside of loops.
#include <algorithm>
#include <map>

#include "engine/operators/loop/history.h"
#include "engine/operators/loop/loop_node.h"
#include "engine/operators/loop/partitioned.h"
#include "engine/operators/reducers/reducer_set.h"
#include "engine/plan/rewrite/liveness.h"
#include "engine/state/group_ids.h"

namespace thalweg {

namespace {

class LoopReduce : public LoopNode {
 public:
  LoopReduce(const plan::Node& node, const plan::GroupBy& params, const plan::Node& input)
      : params_(params),
        schema_(node.schema),
        input_(input.schema),
        keys_needed_(node.keys_needed),
        by_(group_columns(params)),
        groups_(types_of(input.schema, by_)),
        rows_(input.schema, read_columns(params), reads_keys(params)),
        history_(rows_),
        results_(node.schema, result_columns(node.schema, by_.size()), false) {}

  void push(std::size_t port, Batch batch, std::uint64_t round, OperatorContext& out) override;
  void run(std::uint64_t round, OperatorContext& out) override;
  [[nodiscard]] std::optional<std::uint64_t> next_round() const override {
    return agenda_.empty() ? std::nullopt : std::optional(agenda_.begin()->first);
  }
  void end_commit() override;
  [[nodiscard]] StateSize state() const override {
    return {history_.size(),
            groups_.bytes() + rows_.bytes() + history_.bytes() + results_.bytes() + steps_.capacity() * sizeof(Steps)};
  }

 private:
  static constexpr std::uint32_t kUntouched = 0xFFFFFFFFU;
  static constexpr std::size_t kTouchedKept = 4096;
  // From this round on the group has this result, or none.
  struct Step {
    std::uint32_t round = 0;
    bool present = false;
    RowWord result;
    [[nodiscard]] bool same_result(const Step& other) const {
      return present == other.present && (!present || result == other.result);
    }
  };
  using Steps = std::vector<Step>;
  // A group that changed in this commit.
  struct Touched {
    std::uint32_t group = 0;
    std::uint32_t past = 0;          // entries of its history that earlier commits left
    std::uint32_t fed = 0;           // of those: how many the reducers have
    std::uint32_t due = kUntouched;  // round in which it was last put on the list of those to evaluate
  };
  // What its result was in the last commit.
  struct Recalled {
    std::uint32_t at = 0;  // steps that are behind
    Steps steps;           // from the first change on
    Step before;           // and the one before them
  };
  struct Emission {
    std::vector<std::uint32_t> groups;
    std::vector<RowWord> results;
    std::vector<Diff> diffs;
    // `first`: where the rows of this group begin; equal ones are added up.
    void add(std::size_t first, std::uint32_t group, const Step& step, Diff diff);
  };

  static std::vector<Type> types_of(const Schema& schema, const plan::Columns& columns) {
    std::vector<Type> types;
    for (std::uint32_t column : columns) types.push_back(schema.columns[column].type);
    return types;
  }
  static plan::Columns group_columns(const plan::GroupBy& params) {
    plan::Columns columns = params.by;
    if (params.instance) columns.push_back(*params.instance);
    return columns;
  }
  static plan::Columns read_columns(const plan::GroupBy& params) {
    plan::Columns columns = params.sort_by;
    if (params.reducers.empty()) columns.clear();
    for (const plan::Reducer& reducer : params.reducers)
      columns.insert(columns.end(), reducer.args.begin(), reducer.args.end());
    std::ranges::sort(columns);
    columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
    return columns;
  }
  static bool reads_keys(const plan::GroupBy& params) {
    return std::ranges::any_of(params.reducers,
                               [](const plan::Reducer& reducer) { return plan::reads_row_key(reducer.kind); });
  }
  static plan::Columns result_columns(const Schema& schema, std::size_t groups) {
    plan::Columns columns;
    for (std::size_t c = groups; c < schema.size(); ++c) columns.push_back(static_cast<std::uint32_t>(c));
    return columns;
  }

  void take(Batch batch, std::uint64_t round, OperatorContext& out);
  Batch without_group_errors(Batch batch) const;
  void touch(std::span<const std::uint32_t> groups, std::uint64_t round);
  void recall(std::uint32_t at, std::uint64_t round);
  void feed_past(std::uint32_t at, std::uint64_t round);
  void flush_feed();
  void evaluate(std::span<const std::uint32_t> due, std::uint64_t round, OperatorContext& out);
  void step(std::uint32_t at, const Step& now, Emission& emission);
  Batch batch_of(const Emission& emission) const;
  void end_touched(std::uint32_t at);

  const plan::GroupBy params_;
  const Schema schema_;
  const Schema input_;
  const bool keys_needed_;
  const plan::Columns by_;
  GroupIds groups_;
  RowCode rows_;  // of what the reducers read
  History history_;
  RowCode results_;           // of the reducers' columns
  std::vector<Steps> steps_;  // by group
  bool has_past_ = false;

  // In a commit:
  Partitioned input_rows_;              // of this round
  std::optional<ReducerSet> reducers_;  // of touched groups, by their place in touched_
  std::vector<std::uint32_t> touch_;    // by group: in touched_, or kUntouched
  std::vector<Touched> touched_;
  std::vector<Recalled> recalled_;                              // by place in touched_, if there is a past
  std::map<std::uint64_t, std::vector<std::uint32_t>> agenda_;  // touched ones to evaluate, by round
  std::vector<std::uint32_t> due_;                              // in this round
  std::vector<std::uint32_t> feed_to_;                          // past rows for the reducers
  std::vector<RowWord> feed_rows_;
  std::vector<Diff> feed_diffs_;
  std::vector<std::uint32_t> group_of_;    // scratch
  std::vector<std::uint32_t> touched_of_;  // scratch
  std::vector<RowWord> words_;             // scratch
};

Batch LoopReduce::without_group_errors(Batch batch) const {
  if (std::ranges::none_of(by_, [&](std::uint32_t c) { return batch.columns[c].has_tags(); })) return batch;
  std::vector<std::uint32_t> kept;
  for (std::uint32_t row = 0; row < batch.num_rows; ++row)
    if (std::ranges::none_of(by_, [&](std::uint32_t c) { return batch.columns[c].tag(row) == CellTag::kError; }))
      kept.push_back(row);
  return kept.size() == batch.num_rows ? batch : batch.gather(kept);
}

void LoopReduce::push(std::size_t, Batch batch, std::uint64_t, OperatorContext&) {
  input_rows_.add(std::move(batch));
  if (input_rows_.is_long()) input_rows_.cut(by_);
}

void LoopReduce::take(Batch batch, std::uint64_t round, OperatorContext& out) {
  batch = without_group_errors(std::move(batch));
  if (batch.empty()) return;
  if (rows_.with_key()) batch.materialise_keys();
  groups_.assign(batch, by_, group_of_);
  if (!reducers_) reducers_ = ReducerSet::make(params_, input_, false).value();
  touch(group_of_, round);
  reducers_->update(batch, touched_of_, out.commit());
  rows_.encode(batch, words_);
  constexpr std::size_t kAhead = 8;
  for (std::size_t i = 0; i < batch.num_rows; ++i) {
    if (i + 2 * kAhead < batch.num_rows) history_.prefetch(group_of_[i + 2 * kAhead]);
    if (i + kAhead < batch.num_rows) history_.prefetch_entries(group_of_[i + kAhead]);
    if (history_.empty(group_of_[i])) groups_.add_reference(group_of_[i]);
    history_.append(group_of_[i], words_[i], round, batch.diff(i));
  }
}

// Before the first change of a commit reaches a group, its past up to this round goes to the reducers.
void LoopReduce::touch(std::span<const std::uint32_t> groups, std::uint64_t round) {
  std::uint32_t highest = *std::ranges::max_element(groups);
  if (highest >= touch_.size()) {
    touch_.resize(highest + 1, kUntouched);
    steps_.resize(touch_.size());
  }
  touched_of_.clear();
  for (std::uint32_t group : groups) {
    std::uint32_t at = touch_[group];
    if (at == kUntouched) {
      at = touch_[group] = static_cast<std::uint32_t>(touched_.size());
      touched_.push_back({.group = group});
      if (has_past_) recall(at, round);
    }
    touched_of_.push_back(at);
    if (touched_[at].due == round) continue;
    touched_[at].due = static_cast<std::uint32_t>(round);
    due_.push_back(at);
  }
  reducers_->reserve(touched_.size());
  flush_feed();
}

// What earlier commits left of a group: its rows up to this round for the reducers, its steps from here on put aside,
// the rounds in which it is to be looked at.
void LoopReduce::recall(std::uint32_t at, std::uint64_t round) {
  Touched& touched = touched_[at];
  history_.settle(touched.group);
  touched.past = history_.past(touched.group);
  Steps& steps = steps_[touched.group];
  auto from = std::ranges::lower_bound(steps, round, {}, &Step::round);
  Recalled& recalled = recalled_.emplace_back();
  recalled.steps.assign(from, steps.end());
  steps.erase(from, steps.end());
  if (!steps.empty()) recalled.before = steps.back();
  feed_past(at, round);
  std::uint64_t last = round;
  for (const History::Entry& entry : history_.entries(touched.group).subspan(touched.fed)) {
    if (entry.round == last) continue;
    last = entry.round;
    agenda_[last].push_back(at);
  }
}

void LoopReduce::feed_past(std::uint32_t at, std::uint64_t round) {
  Touched& touched = touched_[at];
  auto entries = history_.entries(touched.group);
  for (; touched.fed < touched.past && entries[touched.fed].round <= round; ++touched.fed) {
    feed_to_.push_back(at);
    feed_rows_.push_back(entries[touched.fed].word());
    feed_diffs_.push_back(entries[touched.fed].diff);
  }
}

void LoopReduce::flush_feed() {
  if (feed_to_.empty()) return;
  Batch batch;
  batch.num_rows = feed_to_.size();
  batch.columns.resize(input_.size());
  for (std::size_t i = 0; i < rows_.columns().size(); ++i)
    batch.columns[rows_.columns()[i]] = rows_.decode(i, feed_rows_);
  if (rows_.with_key()) batch.keys = rows_.decode_keys(feed_rows_);
  batch.set_diffs(std::exchange(feed_diffs_, {}));
  reducers_->update(batch, feed_to_, 0);
  feed_to_.clear();
  feed_rows_.clear();
}

void LoopReduce::Emission::add(std::size_t first, std::uint32_t group, const Step& step, Diff diff) {
  if (!step.present) return;
  for (std::size_t i = first; i < groups.size(); ++i) {
    if (!(results[i] == step.result)) continue;
    diffs[i] += diff;
    if (diffs[i] != 0) return;
    results[i] = results.back();
    diffs[i] = diffs.back();
    groups.pop_back();
    results.pop_back();
    diffs.pop_back();
    return;
  }
  groups.push_back(group);
  results.push_back(step.result);
  diffs.push_back(diff);
}

// Goes on to the round of `now`: gives what is other than in the round before, less what was so in the last commit.
void LoopReduce::step(std::uint32_t at, const Step& now, Emission& emission) {
  std::uint32_t group = touched_[at].group;
  Steps& steps = steps_[group];
  const Step before = steps.empty() ? Step{} : steps.back();
  std::size_t first = emission.groups.size();
  if (!now.same_result(before)) {
    emission.add(first, group, before, -1);
    emission.add(first, group, now, 1);
    steps.push_back(now);
    if (now.present) results_.add_reference(now.result);
  }
  if (!has_past_) return;
  Recalled& old = recalled_[at];
  if (old.at == old.steps.size() || old.steps[old.at].round != now.round) return;
  emission.add(first, group, old.at > 0 ? old.steps[old.at - 1] : old.before, 1);
  emission.add(first, group, old.steps[old.at], -1);
  ++old.at;
}

Batch LoopReduce::batch_of(const Emission& emission) const {
  Batch batch;
  batch.num_rows = emission.groups.size();
  for (std::size_t c = 0; c < by_.size(); ++c) batch.columns.push_back(groups_.cells().gather(c, emission.groups));
  for (std::size_t i = 0; i < results_.columns().size(); ++i)
    batch.columns.push_back(results_.decode(i, emission.results));
  if (keys_needed_) batch.keys = group_keys(params_, schema_, batch.columns, batch.num_rows);
  batch.set_diffs(emission.diffs);
  return batch;
}

void LoopReduce::evaluate(std::span<const std::uint32_t> due, std::uint64_t round, OperatorContext& out) {
  std::vector<std::uint32_t> present;
  for (std::uint32_t at : due)
    if (reducers_->has_result(at)) present.push_back(at);
  Batch results;
  results.num_rows = present.size();
  results.columns.resize(by_.size());
  reducers_->append_results(present, [](std::size_t, std::string_view) {}, results.columns);
  results_.encode(results, words_);
  Emission emission;
  std::size_t next = 0;
  for (std::uint32_t at : due) {
    Step now{.round = static_cast<std::uint32_t>(round),
             .present = next < present.size() && present[next] == at,
             .result = {}};
    if (now.present) now.result = words_[next++];
    step(at, now, emission);
  }
  if (!emission.groups.empty()) out.emit(batch_of(emission));
  for (RowWord word : words_) results_.release(word);
}

void LoopReduce::run(std::uint64_t round, OperatorContext& out) {
  input_rows_.drain(by_, [&](Batch batch) { take(std::move(batch), round, out); });
  if (auto planned = agenda_.find(round); planned != agenda_.end()) {
    for (std::uint32_t at : planned->second) {
      if (touched_[at].due == round) continue;
      touched_[at].due = static_cast<std::uint32_t>(round);
      due_.push_back(at);
    }
    agenda_.erase(planned);
  }
  if (due_.empty()) return;
  if (has_past_) {
    for (std::uint32_t at : due_) feed_past(at, round);
    flush_feed();
  }
  for (std::size_t begin = 0; begin < due_.size(); begin += kChunkRows)
    evaluate(std::span(due_).subspan(begin, std::min(kChunkRows, due_.size() - begin)), round, out);
  due_.clear();
}

void LoopReduce::end_touched(std::uint32_t at) {
  std::uint32_t group = touched_[at].group;
  for (const Step& step : recalled_[at].steps)
    if (step.present) results_.release(step.result);
  history_.settle(group);
  if (!history_.empty(group)) return;
  for (const Step& step : steps_[group])
    if (step.present) results_.release(step.result);
  steps_[group].clear();
  groups_.drop_reference(group);
}

void LoopReduce::end_commit() {
  input_rows_.clear();
  due_.clear();
  agenda_.clear();
  if (touched_.empty()) return;
  for (std::uint32_t at = 0; at < touched_.size(); ++at) {
    touch_[touched_[at].group] = kUntouched;
    if (has_past_) end_touched(at);
  }
  has_past_ = true;
  touched_.clear();
  recalled_.clear();
  if (touched_.capacity() > kTouchedKept) touched_.shrink_to_fit();
  reducers_.reset();
  groups_.drop_unreferenced();
  rows_.maintain();
  results_.maintain();
}

}  // namespace

Result<std::unique_ptr<LoopNode>> make_loop_reduce(const plan::Node& node, const plan::Plan& plan) {
  const auto& params = std::get<plan::GroupBy>(node.params);
  const plan::Node& input = plan.node(node.inputs[0]);
  TRY(ReducerSet::make(params, input.schema, false));  // what is wrong with them is said here
  return std::make_unique<LoopReduce>(node, params, input);
}

}  // namespace thalweg
