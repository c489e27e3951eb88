#include "daemon/serve/switch_sink.h"

#include <algorithm>

#include "engine/plan/fingerprint.h"
#include "engine/types/batch_bytes.h"

namespace thalweg::daemon {
namespace {

constexpr std::uint64_t kCompactRowsMin = 4096;

// Outputs that nobody reads keys of have none; equal rows are then told apart by their number only.
Batch with_keys(Batch batch) {
  batch.materialise_keys();
  if (batch.keys.absent()) batch.keys = KeyColumn(std::vector<Key>(batch.num_rows));
  return batch;
}

Batch negated(Batch batch) {
  std::vector<Diff> diffs(batch.num_rows);
  for (std::size_t i = 0; i < batch.num_rows; ++i) diffs[i] = -batch.diff(i);
  batch.set_diffs(std::move(diffs));
  return batch;
}

// Sinks get every row by itself.
Batch one_row_per_unit(const Batch& batch) {
  std::vector<std::uint32_t> rows;
  std::vector<Diff> diffs;
  for (bool deletions : {true, false})
    for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
      Diff d = batch.diff(row);
      if ((d < 0) != deletions) continue;
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

void OutputContents::add(const Batch& batch) {
  if (!known_ || batch.empty()) return;
  parts_.push_back(with_keys(batch));
  rows_ += batch.num_rows;
  if (rows_ > 2 * rows_compacted_ + kCompactRowsMin) compact();
}

void OutputContents::compact() {
  Batch all = consolidate(Batch::concat(std::exchange(parts_, {})));
  rows_ = rows_compacted_ = all.num_rows;
  if (bytes_of(all) > bytes_max_) {  // SW2
    known_ = false;
    rows_ = rows_compacted_ = 0;
    return;
  }
  if (!all.empty()) parts_.push_back(std::move(all));
}

Batch OutputContents::difference_from(const OutputContents& old) const {
  std::vector<Batch> all = parts_;
  for (const Batch& part : old.parts_) all.push_back(negated(part));
  if (all.empty()) return {};
  return one_row_per_unit(consolidate(Batch::concat(std::move(all))));
}

Result<void> SwitchSink::open(const SinkContext& context) {
  context_ = context;
  context_.env = env_.get();
  if (held_ && !early_) return {};
  opened_ = true;
  return inner_->open(context_for_inner());
}

SinkContext SwitchSink::context_for_inner() {
  owner_ = std::make_shared<Owner>();
  owner_->now = this;
  SinkContext out = context_;
  out.reject = [owner = owner_](const Batch& batch, std::size_t row, Rejection why) {
    owner->now.load()->reject(batch, row, std::move(why));
  };
  out.keep_rejected = [owner = owner_]() -> Result<void> {
    const auto& keep = owner->now.load()->context_.keep_rejected;
    return keep ? keep() : Result<void>();
  };
  return out;
}

// What was refused is not in the output.
void SwitchSink::reject(const Batch& batch, std::size_t row, Rejection why) {
  const std::uint32_t only[] = {static_cast<std::uint32_t>(row)};
  contents_.add(negated(batch.gather(only)));
  if (context_.reject) context_.reject(batch, row, std::move(why));
}

Result<void> SwitchSink::begin(std::uint64_t commit) {
  if (held_ || !inner_) return {};
  return inner_->begin(commit);
}

Result<void> SwitchSink::write(std::uint64_t commit, const Batch& batch) {
  contents_.add(batch);
  if (held_ || !inner_) return {};
  return inner_->write(commit, batch);
}

Result<void> SwitchSink::end(std::uint64_t commit) {
  if (held_ || !inner_) return {};
  return inner_->end(commit);
}

Result<void> SwitchSink::close(bool complete) {
  if (!inner_ || !opened_) return {};  // handed over, or never needed
  return inner_->close(complete);
}

Result<void> SwitchSink::finish() {
  if (!inner_ || !opened_) return {};
  std::unique_ptr<Sink> sink = std::move(inner_);
  return sink->close(true);
}

Result<void> SwitchSink::write_commit(std::uint64_t commit, const Batch& batch) {
  if (batch.empty()) return {};
  TRY(inner_->begin(commit));
  TRY(inner_->write(commit, batch));
  return inner_->end(commit);
}

Result<void> SwitchSink::go_live(std::uint64_t commit) {
  if (!held_) return {};
  if (!contents_.known())
    return fail(Code::kTooLarge,
                "output `" + context_.name + "` got more rows than `limits.reload_bytes` while it was prepared");
  if (!opened_) TRY(inner_->open(context_for_inner()));
  opened_ = true;
  held_ = false;
  return write_commit(commit, contents_.difference_from(OutputContents(0)));
}

Result<void> SwitchSink::take_over(SwitchSink& old, std::uint64_t commit) {
  inner_ = std::move(old.inner_);  // before its environment: what was here goes while its own is still there
  env_ = old.env_;
  owner_ = std::move(old.owner_);
  if (owner_) owner_->now = this;
  opened_ = true;
  held_ = false;
  if (!contents_.known() || !old.contents_.known()) return {};
  return write_commit(commit, contents_.difference_from(old.contents_));
}

Result<std::unique_ptr<Sink>> SwitchFactory::make_sink(const plan::Output& output, const Schema& schema, Env& env) {
  auto own = std::make_shared<Env>(env);
  auto inner = TRY(connectors_.make_sink(output, schema, *own));
  auto sink = std::make_unique<SwitchSink>(std::move(own), std::move(inner), held_, bytes_max_);
  std::string identity = output_identity(output, schema);
  if (late_ && std::ranges::find(*late_, identity) == late_->end()) sink->open_early();
  sinks_.push_back({std::move(identity), output.name, output.connector, sink.get()});
  return std::unique_ptr<Sink>(std::move(sink));
}

std::string output_identity(const plan::Output& output, const Schema& schema) {
  plan::Plan alone;
  plan::Node node;
  node.params = output;
  node.schema = schema;
  alone.add(std::move(node));
  Key key = plan::fingerprint(alone);
  return std::to_string(key.hi) + "." + std::to_string(key.lo);
}

}  // namespace thalweg::daemon
