// engine/operators/remember.cc
//
// Answers of functions that may answer otherwise when asked again. A row's answers are computed when it first comes and
// kept, by row key and by what the functions read, until the row goes; so its retraction carries what was inserted.
//
// R1  Rows of a commit are staged and asked about together: a slow function overlaps its calls over the whole commit,
//     and rows that cancel within it are never asked about.
// R2  An answer outlives a commit only with its row. A row that goes and comes back in one commit keeps its answer.
// R3  Where the input only grows nothing is kept.
// R4  Where the run keeps its state, answers are part of the commit in which they came: when it is run again they are
//     recalled, with what was reported then, and nobody is asked.
#include <optional>
#include <string>
#include <unordered_map>

#include "engine/operators/registry.h"
#include "engine/state/saved_rows.h"
#include "engine/types/encoding.h"

namespace thalweg::operators {

namespace {

constexpr std::size_t kStagedRowsMax = 64 * 1024;

struct Answers {
  std::int64_t rows = 0;      // that live
  std::vector<Value> values;  // one per expression; empty while it is being asked for
};

class Remember : public Operator {
 public:
  Remember(std::shared_ptr<const expr::Program> program, std::vector<Type> types, plan::Columns reads, Schema input,
           bool keeps)
      : program_(std::move(program)),
        types_(std::move(types)),
        reads_(std::move(reads)),
        input_(std::move(input)),
        keeps_(keeps) {}

  void push(std::size_t, Batch batch, OperatorContext& context) override {
    if (batch.empty()) return;
    staged_rows_ += batch.num_rows;
    batch.materialise_keys();
    staged_.push_back(std::move(batch));
    if (staged_rows_ >= kStagedRowsMax) answer_staged(context);
  }

  void close(OperatorContext& context) override {
    answer_staged(context);
    for (const std::string& identity : touched_) {
      auto it = known_.find(identity);
      if (it == known_.end() || it->second.rows != 0) continue;
      bytes_ -= bytes_of(*it);
      known_.erase(it);
    }
    touched_.clear();
  }

  [[nodiscard]] StateSize state() const override { return {known_.size(), bytes_}; }

  void save(StateWriter& out) const override {
    std::vector<ColumnBuilder> cells = columns();
    std::size_t n = 0;
    auto flush = [&] {
      Batch batch;
      batch.num_rows = n;
      for (ColumnBuilder& cell : cells) batch.columns.push_back(cell.finish());
      put_chunk(batch, out);
      n = 0;
    };
    for (const auto& [identity, answers] : known_) {
      cells[0].push_text(identity);
      cells[1].push_int(answers.rows);
      for (std::size_t i = 0; i < types_.size(); ++i) cells[i + 2].push_value(types_[i], answers.values[i]);
      if (++n == kChunkRows) flush();
    }
    if (n > 0) flush();
    end_chunks(out);
  }

  Result<void> load(StateReader& in, const ShardFilter& mine) override {
    return load_chunks(in, saved_types(), false, [&](Batch batch) -> Result<void> {
      for (std::size_t row = 0; row < batch.num_rows; ++row) {
        std::string_view identity = batch.columns[0].views()[row].view();
        std::optional<Key> key = key_of(identity);
        if (!key) return in.corrupt("a remembered answer without a row key");
        if (!mine.takes_key(*key)) continue;
        auto [it, is_new] = known_.try_emplace(std::string(identity));
        if (!is_new) return in.corrupt("an answer is there twice");
        it->second.rows = batch.columns[1].i64()[row];
        for (std::size_t i = 0; i < types_.size(); ++i)
          it->second.values.push_back(batch.columns[i + 2].value(types_[i], row));
        bytes_ += bytes_of(*it);
      }
      return {};
    });
  }

 private:
  // Identity, rows, answers.
  [[nodiscard]] std::vector<Type> saved_types() const {
    std::vector<Type> types{Kind::kBytes, Kind::kInt};
    types.insert(types.end(), types_.begin(), types_.end());
    return types;
  }
  [[nodiscard]] std::vector<ColumnBuilder> columns() const {
    std::vector<ColumnBuilder> out;
    for (const Type& type : saved_types()) out.emplace_back(type);
    return out;
  }
  // The row key that an identity begins with.
  static std::optional<Key> key_of(std::string_view identity) {
    std::string prefix;
    encode_key(Key{}, prefix);
    if (identity.size() < prefix.size()) return std::nullopt;
    identity = identity.substr(0, prefix.size());
    if (!is_encoding(identity)) return std::nullopt;
    Value key = decode_all(identity);
    return key.tag() == Value::Tag::kPointer ? std::optional(key.as_key()) : std::nullopt;
  }

  using Entry = std::pair<const std::string, Answers>;  // does not move while it is known

  void answer_staged(OperatorContext& context) {
    if (staged_.empty()) return;
    Batch batch = Batch::concat(std::move(staged_));
    staged_.clear();
    staged_rows_ = 0;
    if (keeps_) batch = consolidate(batch);
    if (batch.empty()) return;
    if (keeps_) return answer_kept(std::move(batch), context);
    std::vector<Column> answers = answers_to(batch, context);
    for (Column& column : answers) batch.columns.push_back(std::move(column));
    context.emit(std::move(batch));
  }

  // What was reported of a row, beside being reported.
  class NotedErrors : public expr::RowErrors {
   public:
    NotedErrors(const Batch& batch, OperatorContext& context) : errors_(batch, context), batch_(batch) {}
    void report(std::size_t row, SourceSpan where, std::string_view message) override {
      if (batch_.diff(row) > 0) of_row_[row].emplace_back(message);
      errors_.report(row, where, message);
    }
    [[nodiscard]] const std::vector<std::string>* of(std::size_t row) const {
      auto found = of_row_.find(row);
      return found == of_row_.end() ? nullptr : &found->second;
    }

   private:
    ExpressionErrors errors_;
    const Batch& batch_;
    std::unordered_map<std::size_t, std::vector<std::string>> of_row_;
  };

  // One column per expression. Requires: keys.
  std::vector<Column> answers_to(const Batch& batch, OperatorContext& context) {
    if (!context.remembers()) {
      ExpressionErrors errors(batch, context);
      return program_->run(batch, errors);
    }
    std::vector<std::string> identities(batch.num_rows);
    std::vector<std::optional<std::string>> recalled(batch.num_rows);
    std::vector<std::uint32_t> open;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      identity_of(batch, row, identities[row]);
      recalled[row] = context.recall(identities[row]);
      if (!recalled[row]) open.push_back(row);
    }
    std::vector<Column> answers;
    if (!open.empty()) {
      Batch questions = open.size() == batch.num_rows ? batch : batch.gather(open);
      NotedErrors errors(questions, context);
      answers = program_->run(questions, errors);
      for (std::size_t at = 0; at < open.size(); ++at)
        context.remember(identities[open[at]], encode_answer(answers, at, errors.of(at)));
      if (open.size() == batch.num_rows) return answers;
    }
    std::vector<ColumnBuilder> out;
    for (const Type& type : types_) out.emplace_back(type, batch.num_rows);
    std::size_t next_open = 0;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      if (recalled[row])
        recall_answer(*recalled[row], batch, row, out, context);
      else
        for (std::size_t i = 0; i < types_.size(); ++i) out[i].push_cell(answers[i], next_open);
      next_open += recalled[row] ? 0 : 1;
    }
    std::vector<Column> columns;
    for (ColumnBuilder& builder : out) columns.push_back(builder.finish());
    return columns;
  }

  [[nodiscard]] std::string encode_answer(const std::vector<Column>& answers, std::size_t row,
                                          const std::vector<std::string>* errors) const {
    std::string out;
    for (std::size_t i = 0; i < types_.size(); ++i) encode_cell(types_[i], answers[i], row, out);
    if (errors)
      for (const std::string& message : *errors) encode_str(message, out);
    return out;
  }

  void recall_answer(std::string_view bytes, const Batch& batch, std::size_t row, std::vector<ColumnBuilder>& out,
                     OperatorContext& context) const {
    for (std::size_t i = 0; i < types_.size(); ++i) out[i].push_value(types_[i], decode(bytes));
    while (!bytes.empty()) context.report(ErrorKind::kValue, decode(bytes).as_text(), {}, batch.keys[row]);
  }

  void answer_kept(Batch batch, OperatorContext& context) {
    std::vector<Entry*> of_row;
    of_row.reserve(batch.num_rows);
    std::vector<std::uint32_t> fresh;                       // rows to ask about
    std::unordered_map<const Answers*, std::size_t> asked;  // their places in `fresh`
    std::string identity;
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      identity_of(batch, row, identity);
      auto [it, is_new] = known_.try_emplace(identity);
      it->second.rows += batch.diff(row);
      of_row.push_back(&*it);
      touched_.push_back(identity);
      if (is_new) {
        asked.emplace(&it->second, fresh.size());
        fresh.push_back(row);
      } else if (auto place = asked.find(&it->second); place != asked.end() && batch.diff(row) > 0) {
        fresh[place->second] = row;  // the row that stays is the one that errors are reported for
      }
    }
    ask(batch, fresh, of_row, context);
    std::vector<ColumnBuilder> out;
    for (const Type& type : types_) out.emplace_back(type, batch.num_rows);
    for (const Entry* entry : of_row)
      for (std::size_t i = 0; i < types_.size(); ++i) out[i].push_value(types_[i], entry->second.values[i]);
    for (ColumnBuilder& builder : out) batch.columns.push_back(builder.finish());
    context.emit(std::move(batch));
  }

  void ask(const Batch& batch, const std::vector<std::uint32_t>& fresh, const std::vector<Entry*>& of_row,
           OperatorContext& context) {
    if (fresh.empty()) return;
    Batch questions = batch.gather(fresh);
    std::vector<Column> answers = answers_to(questions, context);
    for (std::size_t at = 0; at < fresh.size(); ++at) {
      Answers& known = of_row[fresh[at]]->second;
      known.values.reserve(types_.size());
      for (std::size_t i = 0; i < types_.size(); ++i) known.values.push_back(answers[i].value(types_[i], at));
      bytes_ += bytes_of(*of_row[fresh[at]]);
    }
  }

  void identity_of(const Batch& batch, std::uint32_t row, std::string& out) const {
    out.clear();
    encode_key(batch.keys[row], out);
    for (std::uint32_t column : reads_) encode_cell(input_.columns[column].type, batch.columns[column], row, out);
  }

  static std::uint64_t bytes_of(const Entry& entry) {
    std::uint64_t bytes = entry.first.size() + sizeof entry + entry.second.values.size() * sizeof(Value);
    for (const Value& value : entry.second.values)
      if (value.tag() == Value::Tag::kStr || value.tag() == Value::Tag::kBytes || value.tag() == Value::Tag::kJson)
        bytes += value.as_text().size();
    return bytes;
  }

  std::shared_ptr<const expr::Program> program_;
  const std::vector<Type> types_;
  const plan::Columns reads_;
  const Schema input_;
  const bool keeps_;
  std::vector<Batch> staged_;
  std::size_t staged_rows_ = 0;
  std::unordered_map<std::string, Answers> known_;
  std::vector<std::string> touched_;  // identities of this commit's rows
  std::uint64_t bytes_ = 0;
};

Result<std::unique_ptr<Operator>> make(const plan::Node& node, const plan::Plan& plan) {
  std::vector<plan::ExprPtr> exprs = std::get<plan::Remember>(node.params).exprs;
  const plan::Node& input = plan.node(node.inputs[0]);
  std::vector<bool> used(input.schema.size(), false);
  bool uses_key = false;
  std::vector<Type> types;
  for (std::size_t i = 0; i < exprs.size(); ++i) {
    const std::size_t c = input.schema.size() + i;
    // What nobody reads is not asked for.
    if (c < node.used.size() && !node.used[c]) exprs[i] = plan::literal(Value::none(), exprs[i]->type.as_optional());
    plan::collect_columns(*exprs[i], used, uses_key);
    types.push_back(exprs[i]->type);
  }
  plan::Columns reads;
  for (std::uint32_t c = 0; c < used.size(); ++c)
    if (used[c]) reads.push_back(c);
  auto program = TRY(expr::Program::compile(std::move(exprs)));
  return std::make_unique<Remember>(std::move(program), std::move(types), std::move(reads), input.schema,
                                    !input.append_only);
}

}  // namespace

const OperatorDescriptor kRemember{
    .name = "remember", .routes = route_by_key, .output_route = spread_by_key, .make = make, .state_version = 1};

}  // namespace thalweg::operators
