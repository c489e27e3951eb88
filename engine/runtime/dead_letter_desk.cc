#include "engine/runtime/dead_letter_desk.h"

#include <algorithm>
#include <utility>

namespace thalweg {

namespace {

constexpr char kPart[] = "engine";
constexpr std::size_t kWorkerLettersMax = 10'000;  // of a commit
constexpr std::size_t kWorkerBytesMax = 32U << 20;

std::string text_setting(const Setting& args, const char* name) {
  const Setting* found = args.find(name);
  return found && found->as_text() ? *found->as_text() : std::string();
}

bool is_path(const std::string& path_or_table) { return path_or_table.find_first_of("/.") != std::string::npos; }

}  // namespace

LetterPolicy letter_policy(const plan::Node& node) {
  LetterPolicy out;
  const Setting* args = nullptr;
  if (const auto* source = std::get_if<plan::Source>(&node.params)) {
    args = &source->args;
    out.connector = source->name;
    out.type = source->connector;
  } else if (const auto* output = std::get_if<plan::Output>(&node.params)) {
    args = &output->args;
    out.connector = output->name;
    out.type = output->connector;
  }
  if (!args) return out;
  out.keeps = text_setting(*args, "on_bad_row") != "skip" && text_setting(*args, "on_error") != "skip";
  std::string file = text_setting(*args, "dead_letter");
  constexpr std::string_view kScheme = "file://";
  if (file.starts_with(kScheme)) file.erase(0, kScheme.size());
  if (is_path(file)) out.file = std::move(file);
  return out;
}

DeadLetterDesk::DeadLetterDesk(const plan::Plan& plan, Env& env, std::uint32_t workers) : env_(env), mine_(workers) {
  for (const plan::Node& node : plan.nodes) policies_.push_back(letter_policy(node));
}

void DeadLetterDesk::use(std::shared_ptr<durable::DeadLetters> store, bool durable) {
  store_ = std::move(store);
  durable_ = durable;
}

std::vector<std::string> DeadLetterDesk::files() const {
  std::vector<std::string> out;
  for (const LetterPolicy& policy : policies_)
    if (!policy.file.empty() && std::ranges::find(out, policy.file) == out.end()) out.push_back(policy.file);
  return out;
}

Result<void> DeadLetterDesk::resume(Commit durable_commit) {
  if (!store_) return {};
  if (!durable_) return store_->begin_run();
  TRY(store_->forget(kPart, durable_commit));
  for (const std::string& file : files()) {
    if (store_->file_mark(kPart, file).commit == 0)
      TRY(mark_start(*env_.disk, *store_, kPart, file));
    else
      TRY(settle_file(*env_.disk, *store_, kPart, file, std::max<Commit>(durable_commit, 1)));
  }
  return {};
}

void DeadLetterDesk::add(WorkerId worker, DeadLetter letter) {
  Mine& mine = mine_[worker.value];
  mine.bytes += letter.payload.size() + letter.reason.size();
  if (mine.letters.size() >= kWorkerLettersMax || mine.bytes > kWorkerBytesMax) {
    ++mine.lost;
    return;
  }
  mine.letters.push_back(std::move(letter));
}

void DeadLetterDesk::note_record(WorkerId worker, NodeId source, const BadRecord& record) {
  const LetterPolicy& policy = policies_[source.value];
  if (!policy.keeps || (!store_ && policy.file.empty())) return;
  DeadLetter letter{
      .kind = record.kind == BadRecord::Kind::kValue ? DeadLetter::Kind::kValue : DeadLetter::Kind::kRecord,
      .connector = policy.connector,
      .type = policy.type,
      .reason = record.message,
      .position = record.position,
      .payload = record.raw};
  letter.file = policy.file;
  add(worker, std::move(letter));
}

void DeadLetterDesk::note_error_row(WorkerId worker, NodeId output, const Schema& schema, const Batch& batch,
                                    std::size_t row) {
  const LetterPolicy& policy = policies_[output.value];
  if (!policy.keeps || (!store_ && policy.file.empty())) return;
  DeadLetter letter{.kind = DeadLetter::Kind::kErrorRow,
                    .connector = policy.connector,
                    .type = policy.type,
                    .reason = "a cell is ERROR",
                    .position = batch.keys.written() ? to_text(batch.keys[row]) : std::string(),
                    .payload = row_as_json(schema, batch, row)};
  letter.print = row_print(schema, batch, row);
  letter.file = policy.file;
  add(worker, std::move(letter));
}

void DeadLetterDesk::note_replayed(WorkerId worker, std::vector<std::uint64_t> ids) {
  std::ranges::move(ids, std::back_inserter(mine_[worker.value].replayed));
}

Result<void> DeadLetterDesk::prepare(Commit commit) {
  durable::DeadLetters::Entry entry{.part = kPart, .commit = commit};
  std::uint64_t lost = 0;
  for (Mine& mine : mine_) {
    std::ranges::move(mine.letters, std::back_inserter(entry.letters));
    std::ranges::move(mine.replayed, std::back_inserter(entry.replayed));
    lost += mine.lost;
    mine = {};
  }
  if (lost > 0 && store_) store_->note_lost(lost, "a commit had more dead letters than are kept");
  if (entry.empty()) return {};
  for (DeadLetter& letter : entry.letters) letter.commit = commit;
  if (std::ranges::any_of(entry.letters, [](const DeadLetter& letter) { return !letter.file.empty(); })) {
    std::lock_guard lock(mutex_);
    unsettled_.emplace_back(commit, durable_ ? std::vector<DeadLetter>() : entry.letters);
  }
  if (!store_) return {};
  const std::uint64_t letters = entry.letters.size();
  auto kept = store_->keep(std::move(entry), durable_);
  if (kept || durable_) return kept;
  store_->note_lost(letters, kept.error().message);  // the pipeline goes on
  return {};
}

Result<void> DeadLetterDesk::settle(Commit commit) {
  std::vector<DeadLetter> letters;
  {
    std::lock_guard lock(mutex_);
    bool any = false;
    std::erase_if(unsettled_, [&](auto& one) {
      if (one.first > commit) return false;
      any = true;
      std::ranges::move(one.second, std::back_inserter(letters));
      return true;
    });
    if (!any) return {};
  }
  for (const std::string& file : files()) {
    if (durable_) {
      TRY(settle_file(*env_.disk, *store_, kPart, file, commit));
      continue;
    }
    std::vector<DeadLetter> of_file;
    std::ranges::copy_if(letters, std::back_inserter(of_file),
                         [&](const DeadLetter& letter) { return letter.file == file; });
    TRY(append_letters(*env_.disk, file, of_file, false));
  }
  return {};
}

}  // namespace thalweg
