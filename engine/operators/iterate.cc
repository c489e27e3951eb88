// engine/operators/iterate.cc
//
// A fixpoint: variables V with V(0) = inputs and V(r+1) = body(V(r)), incremental over rounds and over commits.
//
// The differences of V by round obey: at round 0 those of the inputs; at round 1 those of body's result at round 0
// minus those of the inputs; at round r + 1 those of body's result at round r. A commit starts with the changes of the
// inputs and goes through the rounds that have changes, up to the last one in which any touched row has history.
// The result is the sum over all rounds.
//
// I1  The result equals iterating from the inputs as of the commit, never from the previous fixpoint.
// I2  `limit` counts applications of the body; without it kRoundsMax rounds fail the run.
// Its history is not saved but the net rows of its inputs, from which one commit makes it again when it is loaded.
// One worker runs a loop (rounds are short; what surrounds the loop is spread as always). A loop inside a loop is a
// function of its inputs to the outer one, evaluated anew where they change.
#include <algorithm>
#include <deque>

#include "engine/operators/loop/loop_node.h"
#include "engine/operators/quiet_context.h"
#include "engine/operators/registry.h"
#include "engine/state/saved_rows.h"

namespace thalweg::operators {

namespace {

constexpr std::uint64_t kRoundsMax = 100'000;

Batch negated(Batch batch) {
  std::vector<Diff> diffs(batch.num_rows);
  for (std::size_t i = 0; i < diffs.size(); ++i) diffs[i] = -batch.diff(i);
  batch.set_diffs(std::move(diffs));
  return batch;
}

// Without what nobody reads: rows that differ only there are one row.
Batch as_read(Batch batch, const plan::Node& node) {
  if (batch.empty()) return batch;
  if (!node.keys_needed) batch.keys = {};
  for (std::size_t c = 0; c < batch.columns.size() && c < node.used.size(); ++c)
    if (!node.used[c]) batch.columns[c] = Column::constant(node.schema.columns[c].type, Value::none(), batch.num_rows);
  return batch;
}

// Rounds take back what commits only add.
plan::Plan growing_nowhere(plan::Plan body) {
  for (plan::Node& node : body.nodes) node.append_only = false;
  return body;
}

bool is_row_by_row(const plan::Params& params) {
  return std::holds_alternative<plan::Project>(params) || std::holds_alternative<plan::Filter>(params) ||
         std::holds_alternative<plan::Rekey>(params) || std::holds_alternative<plan::Flatten>(params) ||
         std::holds_alternative<plan::RemoveErrors>(params) || std::holds_alternative<plan::Concat>(params) ||
         std::holds_alternative<plan::FilterForgetting>(params);
}

bool is_bilinear(const plan::Params& params) {
  const auto* join = std::get_if<plan::Join>(&params);
  return join && join->how == plan::JoinHow::kInner;
}

// Its differences of a round have no row twice.
bool gives_distinct_rows(const plan::Plan& body, const plan::Node& node) {
  if (std::ranges::find(node.used, false) != node.used.end()) return false;
  if (const auto* groupby = std::get_if<plan::GroupBy>(&node.params)) return !groupby->always_one_row;
  const auto* project = std::get_if<plan::Project>(&node.params);
  if (!project) return false;
  const plan::Node& input = body.node(node.inputs[0]);
  std::vector<bool> passed(input.schema.size(), false);
  for (const plan::ExprPtr& expr : project->exprs)
    if (expr->kind == plan::ExprKind::kColumn) passed[expr->column] = true;
  return std::ranges::find(passed, false) == passed.end() && gives_distinct_rows(body, input);
}

bool is_plain_groupby(const plan::Params& params) {
  const auto* groupby = std::get_if<plan::GroupBy>(&params);
  return groupby && !groupby->always_one_row;
}

// The net rows of an input so far, as bytes: changes one after another, added up when there are twice as many as rows.
class InputLog {
 public:
  explicit InputLog(std::vector<Type> types) : types_(std::move(types)) {}
  void add(const Batch& delta) {
    StateWriter bytes;
    bytes.put_batch(delta);
    pieces_.push_back(bytes.take());
    changes_ += delta.num_rows;
    bytes_ += pieces_.back().size();
    constexpr std::size_t kChangesMin = 1024;
    if (changes_ >= kChangesMin && changes_ >= 2 * net_) compact();
  }
  [[nodiscard]] Batch rows() const {
    std::vector<Batch> parts;
    for (const std::string& piece : pieces_) {
      Result<Batch> part = StateReader(piece).batch(types_);
      ENSURE(part.has_value());
      parts.push_back(std::move(*part));
    }
    return parts.empty() ? Batch{} : consolidate(Batch::concat(std::move(parts)));
  }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] const std::vector<Type>& types() const { return types_; }

 private:
  void compact() {
    if (pieces_.size() > 1) {
      Batch net = rows();
      StateWriter bytes;
      bytes.put_batch(net);
      pieces_.clear();
      pieces_.push_back(bytes.take());
      changes_ = net.num_rows;
      bytes_ = pieces_[0].size();
    }
    net_ = changes_;
  }

  std::vector<Type> types_;
  std::vector<std::string> pieces_;
  std::size_t changes_ = 0;  // in all pieces
  std::size_t net_ = 0;      // of them when they were last added up
  std::size_t bytes_ = 0;
};

class Iterate : public Operator {
 public:
  Iterate(const plan::Node& node, const plan::Iterate& params)
      : params_(params), body_(growing_nowhere(*params.body)), span_(node.span) {
    inputs_.resize(node.inputs.size());
    for (NodeId input : params.loop_inputs) logs_.emplace_back(column_types(body_.node(input).schema));
    nodes_.resize(body_.nodes.size());
    readers_.resize(body_.nodes.size());
    for (const plan::Node& inner : body_.nodes) outputs_.emplace_back(*this, inner.id);
    for (const plan::Node& inner : body_.nodes)
      for (std::uint32_t port = 0; port < inner.inputs.size(); ++port)
        readers_[inner.inputs[port].value].push_back({inner.id, port});
  }

  Result<void> build();
  void push(std::size_t port, Batch batch, OperatorContext&) override {
    batch.materialise_keys();
    inputs_[port].push_back(std::move(batch));
  }
  void close(OperatorContext& context) override;
  [[nodiscard]] StateSize state() const override {
    StateSize size;
    for (const auto& node : nodes_) {
      if (!node) continue;
      StateSize inner = node->state();
      size.rows += inner.rows;
      size.bytes += inner.bytes;
    }
    size.rounds = rounds_;
    size.last_rounds = last_rounds_;
    size.round_rows = round_rows_;
    for (const InputLog& log : logs_) size.bytes += log.bytes();
    return size;
  }

  void save(StateWriter& out) const override {
    out.put_bool(!first_commit_);
    for (const InputLog& log : logs_) {
      Batch rows = log.rows();
      for (std::size_t from = 0; from < rows.num_rows; from += kChunkRows)
        put_chunk(rows.slice(from, std::min(from + kChunkRows, rows.num_rows)), out);
      end_chunks(out);
    }
  }
  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    bool begun = TRY(in.boolean());
    ran_ = ran_ || (begun && mine.takes_single());
    for (std::size_t port = 0; port < logs_.size(); ++port) {
      bool has_keys = body_.node(params_.loop_inputs[port]).keys_needed;
      TRY(load_chunks(in, logs_[port].types(), has_keys, [&](Batch batch) -> Result<void> {
        if (mine.takes_single()) inputs_[port].push_back(std::move(batch));
        return {};
      }));
    }
    return {};
  }
  Result<void> finish_load() override { return ran_ ? QuietContext().close(*this) : Result<void>(); }

 private:
  struct Reader {
    NodeId node;
    std::uint32_t port;
  };
  [[nodiscard]] std::size_t num_variables() const { return params_.next.size(); }
  // Where the rows of a node of the body go: to its readers, at once.
  class Output : public LoopContext {
   public:
    Output(Iterate& loop, NodeId node) : loop_(loop), node_(node) {}
    void attach(OperatorContext& outer) { outer_ = &outer; }
    void emit(Batch batch) override {
      if (!batch.empty()) loop_.deliver(node_, std::move(batch));
    }

   private:
    Iterate& loop_;
    const NodeId node_;
  };
  void run_round(std::uint64_t round);
  void run_node(const plan::Node& inner, std::uint64_t round);
  void deliver(NodeId from, Batch batch);
  void stage_inputs();
  void report_errors(const Batch& out, OperatorContext& context) const;
  [[nodiscard]] std::optional<std::uint64_t> next_round(std::uint64_t round) const;
  void advance_variables(std::uint64_t round);

  const plan::Iterate params_;
  const plan::Plan body_;
  const SourceSpan span_;
  std::vector<std::unique_ptr<LoopNode>> nodes_;  // null for inputs and for rows written in the body
  std::deque<Output> outputs_;                    // by node
  std::vector<std::vector<Reader>> readers_;
  std::uint64_t round_ = 0;
  std::uint64_t rounds_ = 0, last_rounds_ = 0, round_rows_ = 0;  // see StateSize
  std::vector<std::vector<Batch>> inputs_;                       // staged, by port
  std::vector<Batch> constants_round_;                           // by port: what LoopInput gives in the round to run
  std::vector<Batch> variables_;                                 // by variable: its difference in the round to run
  std::vector<bool> distinct_;               // by variable: its next value gives no row twice in a round
  std::vector<std::vector<Batch>> results_;  // by variable: of `next` in the round just run
  std::vector<Batch> total_;                 // differences of the output variable, all rounds
  std::vector<InputLog> logs_;               // by port
  bool first_commit_ = true;
  bool ran_ = false;  // before it was saved
};

Result<void> Iterate::build() {
  for (NodeId next : params_.next) distinct_.push_back(gives_distinct_rows(body_, body_.node(next)));
  for (const plan::Node& inner : body_.nodes) {
    const OperatorDescriptor* descriptor = find_operator(plan::operator_name(inner.params));
    if (!descriptor) continue;
    auto& mine = nodes_[inner.id.value];
    if (is_row_by_row(inner.params))
      mine = make_loop_stateless(TRY(descriptor->make(inner, body_)));
    else if (is_bilinear(inner.params))
      mine = make_loop_join(inner, body_);
    else if (is_plain_groupby(inner.params))
      mine = TRY(make_loop_reduce(inner, body_));
    else
      mine = make_loop_grouped(inner, body_, *descriptor);
  }
  return {};
}

void Iterate::deliver(NodeId from, Batch batch) {
  if (!body_.node(from).keys_needed) batch.keys = {};
  for (std::size_t v = 0; v < num_variables(); ++v)
    if (params_.next[v] == from) results_[v].push_back(as_read(batch, body_.node(from)));
  const std::vector<Reader>& readers = readers_[from.value];
  for (std::size_t i = 0; i < readers.size(); ++i) {
    LoopNode* node = nodes_[readers[i].node.value].get();
    if (node)
      node->push(readers[i].port, i + 1 < readers.size() ? batch : std::move(batch), round_,
                 outputs_[readers[i].node.value]);
  }
}

void Iterate::run_node(const plan::Node& inner, std::uint64_t round) {
  if (const auto* input = std::get_if<plan::LoopInput>(&inner.params)) {
    bool is_variable = input->input < num_variables();
    const Batch& batch = is_variable ? variables_[input->input] : constants_round_[input->input];
    if (is_variable || round == 0) outputs_[inner.id.value].emit(batch);
  } else if (const auto* rows = std::get_if<plan::StaticRows>(&inner.params)) {
    if (!first_commit_ || round != 0 || !rows->rows) return;
    BatchBuilder builder(inner.schema);
    for (const plan::StaticRow& row : *rows->rows) builder.push(row.key, row.cells, row.diff);
    outputs_[inner.id.value].emit(builder.finish());
  } else if (nodes_[inner.id.value]) {
    nodes_[inner.id.value]->run(round, outputs_[inner.id.value]);
  }
}

void Iterate::run_round(std::uint64_t round) {
  round_ = round;
  results_.assign(num_variables(), {});
  for (const plan::Node& inner : body_.nodes) run_node(inner, round);
}

void Iterate::advance_variables(std::uint64_t round) {
  for (std::size_t v = 0; v < num_variables(); ++v) {
    std::vector<Batch> parts = std::move(results_[v]);
    if (round == 0 && !variables_[v].empty()) parts.push_back(negated(variables_[v]));
    variables_[v] = parts.empty() ? Batch{} : Batch::concat(std::move(parts));
    if (round == 0 || !distinct_[v]) variables_[v] = consolidate(variables_[v]);
  }
  if (!variables_[params_.output].empty()) total_.push_back(variables_[params_.output]);
}

std::optional<std::uint64_t> Iterate::next_round(std::uint64_t round) const {
  bool more = std::ranges::any_of(variables_, [](const Batch& batch) { return !batch.empty(); });
  if (more) return round + 1;
  std::optional<std::uint64_t> next;
  for (const auto& node : nodes_) {
    if (!node) continue;
    std::optional<std::uint64_t> wanted = node->next_round();
    if (wanted && (!next || *wanted < *next)) next = wanted;
  }
  return next;
}

void Iterate::stage_inputs() {
  variables_.assign(num_variables(), Batch{});
  constants_round_.assign(inputs_.size(), Batch{});
  for (std::size_t port = 0; port < inputs_.size(); ++port) {
    std::vector<Batch> staged = std::exchange(inputs_[port], {});
    if (staged.empty()) continue;
    Batch delta = consolidate(as_read(Batch::concat(std::move(staged)), body_.node(params_.loop_inputs[port])));
    if (!delta.empty()) logs_[port].add(delta);
    (port < num_variables() ? variables_ : constants_round_)[port] = std::move(delta);
  }
}

// Only errors of the fixpoint are logged.
void Iterate::report_errors(const Batch& out, OperatorContext& context) const {
  if (std::ranges::none_of(out.columns, [](const Column& column) { return column.has_tags(); })) return;
  for (std::uint32_t row = 0; row < out.num_rows; ++row) {
    if (out.diff(row) <= 0 || !out.row_has_error(row)) continue;
    std::optional<Key> key;
    if (out.keys.written()) key = out.keys[row];
    context.report(ErrorKind::kValue, "Error value in the fixpoint", span_, key);
  }
}

void Iterate::close(OperatorContext& context) {
  bool any = std::ranges::any_of(inputs_, [](const auto& staged) { return !staged.empty(); });
  if (!any && !first_commit_) return;
  stage_inputs();
  for (Output& output : outputs_) output.attach(context);
  total_.clear();
  if (!variables_[params_.output].empty()) total_.push_back(variables_[params_.output]);

  std::optional<std::uint64_t> round = 0;
  while (round && (!params_.limit || *round < *params_.limit)) {
    if (context.stopping()) return;
    if (*round > kRoundsMax) {
      context.fail(Error{Code::kDataError,
                         "iterate did not reach a fixpoint in " + std::to_string(kRoundsMax) +
                             " rounds; set `limit:` or mend the body",
                         span_,
                         {}});
      return;
    }
    run_round(*round);
    advance_variables(*round);
    ++rounds_;
    last_rounds_ = *round + 1;
    for (const Batch& change : variables_) round_rows_ += change.num_rows;
    std::optional<std::uint64_t> next = next_round(*round);
    // A round that nothing feeds, but in which history is due, starts with empty variables.
    round = next;
  }
  for (const auto& node : nodes_)
    if (node) node->end_commit();
  first_commit_ = false;
  if (total_.empty()) return;
  Batch out = consolidate(Batch::concat(std::exchange(total_, {})));
  if (out.empty()) return;
  report_errors(out, context);
  context.emit(std::move(out));
}

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan&) {
  auto iterate = std::make_unique<Iterate>(node, std::get<plan::Iterate>(node.params));
  TRY(iterate->build());
  return iterate;
}

std::vector<Route> routes(const plan::Node& node) {
  return std::vector<Route>(node.inputs.size(), Route{Route::By::kOne, {}});
}
Route spread(const plan::Node&) { return {Route::By::kOne, {}}; }

}  // namespace

const OperatorDescriptor kIterate{
    .name = "iterate", .routes = routes, .output_route = spread, .make = make, .state_version = 1};

}  // namespace thalweg::operators
