#include "engine/runtime/refusals.h"

#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "engine/state/archive.h"
#include "engine/types/encoding.h"
#include "engine/types/from_text.h"

namespace thalweg {

namespace {

void append_cell(const Value& value, std::string& out) {
  using Tag = Value::Tag;
  switch (value.tag()) {
    case Tag::kNone:
    case Tag::kError:
    case Tag::kPending: out += "null"; return;
    case Tag::kBool: out += value.as_bool() ? "true" : "false"; return;
    case Tag::kInt: out += std::to_string(value.as_int()); return;
    case Tag::kJson: out += value.as_text(); return;
    case Tag::kFloat:
      if (std::isfinite(value.as_float())) {
        out += value.to_text();
        return;
      }
      break;
    default: break;
  }
  out += json_quoted(value.to_text());
}

}  // namespace

std::string row_as_json(const Schema& schema, const Batch& batch, std::size_t row) {
  std::string out = "{";
  std::string errors;
  for (std::size_t c = 0; c < schema.size() && c < batch.columns.size(); ++c) {
    const Value value = batch.columns[c].value(schema.columns[c].type, row);
    if (c > 0) out += ',';
    out += json_quoted(schema.columns[c].name) + ":";
    append_cell(value, out);
    if (value.is_error()) errors += (errors.empty() ? "" : ",") + json_quoted(schema.columns[c].name);
  }
  if (!errors.empty()) out += ",\"_errors\":[" + errors + "]";
  return out + "}";
}

Key row_print(const Schema& schema, const Batch& batch, std::size_t row) {
  std::string all;
  if (batch.keys.written()) encode_key(batch.keys[row], all);
  for (std::size_t c = 0; c < schema.size() && c < batch.columns.size(); ++c)
    encode_cell(schema.columns[c].type, batch.columns[c], row, all);
  return key_of_bytes(all);
}

// ---------------------------------------------------------------- files

Result<void> append_letters(Disk& disk, const std::string& path, const std::vector<DeadLetter>& letters, bool sync) {
  std::string lines;
  for (const DeadLetter& letter : letters)
    lines += "{\"raw\":" + json_quoted(letter.payload) + ",\"reason\":" + json_quoted(letter.reason) +
             ",\"source\":" + json_quoted(letter.connector) + ",\"position\":" + json_quoted(letter.position) +
             ",\"kind\":" + json_quoted(text_of(letter.kind)) + "}\n";
  if (lines.empty()) return {};
  auto file = disk.open_write(path, Disk::WriteMode::kAppend);
  if (!file) return fail(std::move(file.error()).with_note("this is the `dead_letter` file"));
  TRY((*file)->append(lines));
  return sync ? (*file)->sync() : Result<void>();
}

Result<void> mark_start(Disk& disk, durable::DeadLetters& store, const std::string& part, const std::string& path) {
  if (store.file_mark(part, path).commit > 0) return {};
  auto file = disk.open_write(path, Disk::WriteMode::kAppend);
  if (!file) return fail(std::move(file.error()).with_note("this is the `dead_letter` file"));
  return store.mark_file(part, path, {1, TRY((*file)->size())});
}

Result<void> settle_file(Disk& disk, durable::DeadLetters& store, const std::string& part, const std::string& path,
                         Commit commit) {
  const durable::DeadLetters::FileMark mark = store.file_mark(part, path);
  auto file = disk.open_write(path, Disk::WriteMode::kAppend);
  if (!file) return fail(std::move(file.error()).with_note("this is the `dead_letter` file"));
  const std::uint64_t length = TRY((*file)->size());
  // What a run that ended in between wrote is written again as it was. A file that is shorter was taken away.
  if (length > mark.length) TRY((*file)->truncate(mark.length));
  const std::vector<DeadLetter> letters = TRY(store.for_file(part, path, mark.commit, commit));
  TRY(append_letters(disk, path, letters, true));
  return store.mark_file(part, path, {commit, TRY((*file)->size())});
}

// ---------------------------------------------------------------- one output

Refusals::Refusals(const Schema& schema, LetterPolicy policy, Disk& files)
    : schema_(schema), policy_(std::move(policy)), files_(files) {}

void Refusals::use(std::shared_ptr<durable::DeadLetters> store, std::string part, bool durable) {
  store_ = std::move(store);
  part_ = std::move(part);
  durable_ = durable;
}

void Refusals::tell_to(Told told) {
  std::lock_guard lock(mutex_);
  told_ = std::move(told);
}

void Refusals::be_read(Read read, Commit from) {
  std::lock_guard lock(mutex_);
  read_ = std::move(read);
  read_to_ = from;
}

// Commits that ended, and whose rows nobody has taken in before the run before this one ended.
Result<void> Refusals::tell_again(Commit written) {
  Read read;
  Commit from = 0;
  {
    std::lock_guard lock(mutex_);
    read = read_;
    from = read_to_;
  }
  if (!read) return {};
  std::map<Commit, std::vector<RefusedRow>> by_commit;
  const durable::DeadLetters::Query mine{
      .connector = policy_.connector, .kind = DeadLetter::Kind::kRow, .limit = std::numeric_limits<std::size_t>::max()};
  for (DeadLetter& letter : TRY(store_->list(mine)))
    if (letter.commit > from && letter.commit <= written)
      by_commit[letter.commit].push_back({{.message = std::move(letter.reason),
                                           .raw = std::move(letter.payload),
                                           .position = std::move(letter.position)},
                                          std::nullopt});
  for (auto& [commit, rows] : by_commit) read(commit, std::move(rows));
  return {};
}

Result<void> Refusals::resume(Commit written) {
  if (!store_ || !durable_) return {};
  TRY(store_->forget(part_, written));
  TRY(tell_again(written));
  if (!policy_.file.empty()) TRY(mark_start(files_, *store_, part_, policy_.file));
  refused_ = store_->refused(part_);
  return {};
}

void Refusals::connect(SinkContext& context) {
  context.reject = [this](const Batch& batch, std::size_t row, Rejection why) { reject(batch, row, std::move(why)); };
  context.keep_rejected = [this] { return keep(); };
}

void Refusals::begin(Commit commit) {
  commit_ = commit;
  entry_ = {.part = part_, .commit = commit};
  to_read_.clear();
  kept_ = !durable_;  // what an earlier try of the commit said does not hold
}

Batch Refusals::filter(Batch batch) {
  if (refused_.empty() || !batch.diffs) return batch;
  std::vector<std::uint32_t> rows;
  for (std::uint32_t row = 0; row < batch.num_rows; ++row) {
    if (batch.diff(row) < 0) {
      const Key print = row_print(schema_, batch, row);
      if (auto found = refused_.find(print); found != refused_.end()) {
        if (--found->second == 0) refused_.erase(found);
        entry_.absorbed.push_back(print);
        kept_ = false;
        continue;
      }
    }
    rows.push_back(row);
  }
  return rows.size() == batch.num_rows ? batch : batch.gather(rows);
}

void Refusals::reject(const Batch& batch, std::size_t row, Rejection why) {
  DeadLetter letter{.kind = DeadLetter::Kind::kRow,
                    .connector = policy_.connector,
                    .type = policy_.type,
                    .reason = std::move(why.reason),
                    .position = std::move(why.position),
                    .payload = why.payload.empty() ? row_as_json(schema_, batch, row) : std::move(why.payload)};
  letter.file = policy_.file;
  letter.commit = commit_;
  if (batch.diff(row) > 0) {
    letter.print = row_print(schema_, batch, row);
    ++refused_[letter.print];
  }
  StateWriter writer;
  const std::uint32_t only[] = {static_cast<std::uint32_t>(row)};
  Batch one = batch.gather(only);
  one.order = 0;
  writer.put_batch(one);
  letter.row = writer.take();
  ++total_;
  std::optional<Key> key;
  if (batch.keys.written()) key = batch.keys[row];
  Told told;
  bool is_read = false;
  {
    std::lock_guard lock(mutex_);
    told = told_;
    is_read = read_ != nullptr;
  }
  if (is_read)
    to_read_.push_back({{.message = letter.reason, .raw = letter.payload, .position = letter.position}, key});
  if (told) told(letter.position.empty() ? letter.reason : letter.position + ": " + letter.reason, key, commit_);
  kept_ = false;
  if (policy_.keeps)
    entry_.letters.push_back(std::move(letter));
  else if (!(letter.print == Key{}))
    entry_.refused.push_back(letter.print);
}

Result<void> Refusals::keep() {
  if (kept_) return {};
  kept_ = true;
  if (!store_) return {};
  auto kept = store_->keep(entry_, durable_);
  if (kept || durable_) return kept;
  store_->note_lost(entry_.letters.size(), kept.error().message);
  return {};
}

Result<void> Refusals::finish() {
  const bool any = !entry_.letters.empty();
  TRY(keep());
  if (!to_read_.empty()) {
    Read read;
    {
      std::lock_guard lock(mutex_);
      read = read_;
    }
    if (read) read(commit_, std::exchange(to_read_, {}));
  }
  if (!any || policy_.file.empty() || !policy_.keeps) return {};
  return write_file();
}

Result<void> Refusals::write_file() {
  if (store_ && durable_) return settle_file(files_, *store_, part_, policy_.file, commit_);
  return append_letters(files_, policy_.file, entry_.letters, false);
}

// ---------------------------------------------------------------- replays

Result<void> Refusals::replay(const DeadLetter& letter) {
  StateReader reader(letter.row);
  Result<Batch> row = reader.batch(schema_);
  if (!row || row->num_rows != 1)
    return fail(Code::kInvalidArgument, "the output has other columns now than the row of this dead letter");
  std::lock_guard lock(mutex_);
  waiting_.push_back({letter.id, letter.print, std::move(*row)});
  return {};
}

bool Refusals::has_replays() {
  std::lock_guard lock(mutex_);
  return !waiting_.empty();
}

Batch Refusals::take_replays() {
  std::vector<Replayed> waiting;
  {
    std::lock_guard lock(mutex_);
    waiting = std::exchange(waiting_, {});
  }
  std::vector<Batch> rows;
  for (Replayed& one : waiting) {
    if (store_ && !store_->get(one.id)) continue;  // dropped, or its row was taken back
    if (auto found = refused_.find(one.print); found != refused_.end() && --found->second == 0) refused_.erase(found);
    entry_.replayed.push_back(one.id);
    kept_ = false;
    rows.push_back(std::move(one.row));
  }
  return rows.empty() ? Batch{} : Batch::concat(std::move(rows));
}

}  // namespace thalweg
