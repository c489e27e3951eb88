#include "connectors/exec/source.h"

#include <algorithm>

#include <fmt/format.h>
#include <xxhash.h>

#include "connectors/formats/json_value.h"
#include "engine/base/bytes.h"

namespace thalweg {

namespace {

using process::LineProcess;

constexpr std::int64_t kSliceMs = 100;  // how soon a stop is seen
constexpr std::int64_t kRestartDelayMaxNs = 60'000'000'000;
constexpr std::size_t kBatchRows = 4096;

std::uint64_t key_source(const std::string& name) { return XXH3_64bits(name.data(), name.size()); }

}  // namespace

ExecSource::ExecSource(const plan::Source& source, ExecReadSettings settings)
    : name_(source.name),
      fields_(source.fields),
      upsert_(source.upsert),
      needs_keys_(source.needs_keys),
      settings_(std::move(settings)),
      policy_(settings_.bad_rows) {
  for (const plan::SourceField& field : fields_) {
    if (field.used) schema_.columns.push_back({field.name, field.type});
    has_primary_key_ = has_primary_key_ || field.primary_key;
  }
}

Result<void> ExecSource::run(SourceContext& context) {
  if (!settings_.dead_letters.empty()) TRY(BadRowPolicy::check_dead_letters(context.env(), settings_.dead_letters));
  offset_ = context.resume_position();
  restore_keys(context);
  std::int64_t failures = 0;
  std::int64_t delay_ns = settings_.restart_delay_ns;
  while (!context.stopping()) {
    progressed_ = false;
    pending_.clear();
    auto outcome = run_once(context);
    if (outcome) {
      if (*outcome == Outcome::kEnded) (void)commit(offset_, context);
      return {};
    }
    if (progressed_) {
      failures = 0;
      delay_ns = settings_.restart_delay_ns;
    }
    const bool for_good = outcome.error().code != Code::kUnavailable;
    if (settings_.is_static || for_good || ++failures > settings_.restarts_max) {
      if (failures > 1) outcome.error().message += fmt::format(" (after {} attempts)", failures);
      return fail(std::move(outcome).error());
    }
    context.warn(outcome.error().message + fmt::format("; starting again in {} ms", delay_ns / 1'000'000));
    context.idle();
    if (!context.wait(delay_ns)) return {};
    delay_ns = std::min(delay_ns * 2, kRestartDelayMaxNs);
  }
  return {};
}

Result<ExecSource::Outcome> ExecSource::run_once(SourceContext& context) {
  auto program = TRY(LineProcess::start(settings_.command));
  greet(*program);
  while (true) {
    if (context.stopping()) return stop(*program, context);
    if (auto line = program->take_line()) {
      ++line_;
      TRY(take(*line, context));
      continue;
    }
    if (program->output_ended()) return finish(*program, context);
    const std::int64_t now = context.env().clock->monotonic_ns();
    const bool own_commits = commits_itself_ || settings_.is_static;
    if (!pending_.empty() && !own_commits && now - pending_since_ns_ >= settings_.commit_ns) (void)commit("", context);
    if (pending_.empty()) context.idle();
    const std::int64_t due_ms =
        pending_.empty() || own_commits ? kSliceMs : (settings_.commit_ns - (now - pending_since_ns_)) / 1'000'000;
    TRY(program->pump(std::clamp<std::int64_t>(due_ms, 0, kSliceMs)));
  }
}

void ExecSource::greet(LineProcess& program) const {
  program.send(R"({"event":"start"})");
  if (!offset_.empty()) {
    program.send(R"({"event":"on_persisted_run"})");
    program.send(R"({"event":"seek","offset":)" + offset_ + "}");
  }
  program.send(R"({"event":"read"})");
}

// The program has closed its output: well, if it ends with status 0.
Result<ExecSource::Outcome> ExecSource::finish(LineProcess& program, SourceContext& context) {
  const std::int64_t begun = context.env().clock->monotonic_ns();
  while (true) {
    const auto end = program.wait_end(kSliceMs);
    if (end && program.succeeded()) return Outcome::kEnded;
    if (end) return fail(Code::kUnavailable, "`" + settings_.command.name + "` " + *end);
    if (context.stopping()) return Outcome::kStopped;
    if (context.env().clock->monotonic_ns() - begun > settings_.end_ns)
      return fail(Code::kUnavailable, "`" + settings_.command.name + "` closed its output and does not end");
  }
}

// What it still commits counts; what it does not is for the next run.
ExecSource::Outcome ExecSource::stop(LineProcess& program, SourceContext& context) {
  program.send(R"({"event":"end"})");
  program.close_input();
  const std::int64_t deadline = context.env().clock->monotonic_ns() + settings_.end_ns;
  while (!program.output_ended() && context.env().clock->monotonic_ns() < deadline) {
    if (auto line = program.take_line()) {
      if (!take(*line, context)) break;
    } else if (!program.pump(kSliceMs)) {
      break;
    }
  }
  return Outcome::kStopped;
}

Result<void> ExecSource::take(const std::string& line, SourceContext& context) {
  if (line.find_first_not_of(" \t") == std::string::npos) return {};
  const auto message = json::JsonObject::parse(line);
  if (!message) {
    bad("no JSON object", line, BadRecord::Kind::kRecord, context);
    return {};
  }
  if (const auto row = message->find("insert"); !row.empty())
    return change(row, message->find("key"), true, line, context);
  if (const auto row = message->find("delete"); !row.empty())
    return change(row, message->find("key"), false, line, context);
  if (const auto offset = message->find("commit"); !offset.empty()) {
    commits_itself_ = true;
    if (!settings_.is_static) (void)commit(offset == "null" ? std::string() : std::string(offset), context);
    return {};
  }
  if (const auto why = message->find("error"); !why.empty()) {
    const auto text = json::text_to_value(Type(Kind::kStr), why);
    return fail(Code::kUnavailable,
                "`" + settings_.command.name + "` says: " + (text ? text->as_text() : std::string(why)));
  }
  bad("a message has `insert`, `delete`, `commit` or `error`", line, BadRecord::Kind::kRecord, context);
  return {};
}

Result<void> ExecSource::change(std::string_view row, std::string_view key, bool insert, const std::string& line,
                                SourceContext& context) {
  const auto object = json::JsonObject::parse(row);
  if (!object) {
    bad("a row is a JSON object", line, BadRecord::Kind::kRecord, context);
    return {};
  }
  if (!insert && !settings_.deletions && !has_primary_key_)
    return fail(Code::kBadData, "`" + settings_.command.name +
                                    "` deletes a row: that takes a primary key, or `deletions_enabled: true`");
  auto cells = cells_of(*object, insert, line, context);
  if (!cells) return {};
  const auto row_key = key_of(*cells, key, insert);
  if (!row_key) {
    bad(insert ? "a part of the primary key cannot be read" : "the row to delete is not there", line,
        BadRecord::Kind::kRecord, context);
    return {};
  }
  if (pending_.empty()) pending_since_ns_ = context.env().clock->monotonic_ns();
  pending_.push_back({*row_key, std::move(*cells), insert ? 1 : -1});
  return {};
}

// One value per field, used or not.
std::optional<std::vector<Value>> ExecSource::cells_of(const json::JsonObject& object, bool insert,
                                                       const std::string& line, SourceContext& context) {
  const bool only_key = !insert && upsert_;
  std::vector<Value> out;
  for (const plan::SourceField& field : fields_) {
    if (!field.used && !field.primary_key) {
      out.push_back(Value::none());
      continue;
    }
    const std::string_view raw = object.find(field.external_name.empty() ? field.name : field.external_name);
    if (raw.empty()) {
      if (field.default_value)
        out.push_back(*field.default_value);
      else if (field.type.admits_none() || (only_key && !field.primary_key))
        out.push_back(Value::none());
      else
        out.push_back(Value::error());
      if (out.back().is_error()) bad("column `" + field.name + "` is missing", line, BadRecord::Kind::kValue, context);
      continue;
    }
    auto value = json::text_to_value(field.type, raw);
    if (!value)
      bad(fmt::format("column `{}`: {} is no `{}`", field.name, raw.substr(0, 100), field.type.to_text()), line,
          BadRecord::Kind::kValue, context);
    out.push_back(value ? std::move(*value) : Value::error());
  }
  return out;
}

std::optional<Key> ExecSource::key_of(const std::vector<Value>& cells, std::string_view key, bool insert) {
  if (has_primary_key_) {
    std::vector<Value> parts;
    for (std::size_t i = 0; i < fields_.size(); ++i)
      if (fields_[i].primary_key) parts.push_back(cells[i]);
    if (std::ranges::any_of(parts, &Value::is_error)) return std::nullopt;
    if (parts.size() == 1 && parts[0].tag() == Value::Tag::kPointer) return parts[0].as_key();
    return key_of_values(parts);
  }
  if (!key.empty())
    if (auto value = json::text_to_value(Type(Kind::kAny), key)) return key_of_values({std::move(*value)});
  if (!settings_.deletions) return sequence_key(key_source(name_), next_row_++);
  // Equal rows are told apart by how many of them there are.
  const Key content = key_of_values(cells);
  std::uint64_t& count = occurrences_[content];
  if (!insert && count == 0) return std::nullopt;
  const std::uint64_t index = insert ? count++ : --count;
  counted_.push_back(content);
  return key_of_values({Value::str(name_), Value::of(content), Value::of(static_cast<std::int64_t>(index))});
}

void ExecSource::bad(std::string message, const std::string& line, BadRecord::Kind kind, SourceContext& context) {
  BadRecord record;
  record.message = std::move(message);
  record.raw = line.substr(0, BadRecord::kRawBytesMax);
  record.position = fmt::format("{}:{}", settings_.command.name, line_);
  record.kind = kind;
  policy_.apply(record);
  if (settings_.bad_rows != BadRowPolicy::Action::kSkip || record.fatal) context.bad_record(std::move(record));
}

namespace {

constexpr std::string_view kNextRow = "next_row";
constexpr std::string_view kCount = "count/";

}  // namespace

void ExecSource::restore_keys(const SourceContext& context) {
  for (const auto& [name, blob] : context.saved()) {
    std::string_view rest = *blob;
    if (name == kNextRow) (void)bytes::take_number(rest, next_row_);
    if (!name.starts_with(kCount)) continue;
    Key key;
    std::uint64_t count = 0;
    if (bytes::take_number(rest, key.hi) && bytes::take_number(rest, key.lo) && bytes::take_number(rest, count))
      occurrences_[key] = count;
  }
}

void ExecSource::put_keys(SourceContext& context) {
  if (!context.keeps_positions()) return counted_.clear();
  if (!has_primary_key_ && !settings_.deletions && next_row_ > 0) {
    std::string value;
    bytes::put_number(value, next_row_);
    context.put(std::string(kNextRow), std::make_shared<const std::string>(std::move(value)));
  }
  for (const Key& key : std::exchange(counted_, {})) {
    std::string value;
    bytes::put_number(value, key.hi);
    bytes::put_number(value, key.lo);
    bytes::put_number(value, occurrences_[key]);
    context.put(fmt::format("{}{:016x}{:016x}", kCount, key.hi, key.lo),
                occurrences_[key] == 0 ? nullptr : std::make_shared<const std::string>(std::move(value)));
  }
}

bool ExecSource::commit(std::string offset, SourceContext& context) {
  if (!deliver(context)) return false;
  put_keys(context);
  if (!offset.empty()) offset_ = std::move(offset);
  context.commit(offset_);
  progressed_ = true;
  return true;
}

bool ExecSource::deliver(SourceContext& context) {
  for (std::size_t begin = 0; begin < pending_.size(); begin += kBatchRows) {
    BatchBuilder builder(schema_);
    std::vector<Value> used;
    for (std::size_t i = begin; i < std::min(pending_.size(), begin + kBatchRows); ++i) {
      used.clear();
      for (std::size_t f = 0; f < fields_.size(); ++f)
        if (fields_[f].used) used.push_back(pending_[i].cells[f]);
      builder.push(pending_[i].key, used, pending_[i].diff);
    }
    Batch batch = builder.finish();
    batch.order = ++order_;
    if (!context.deliver(std::move(batch))) return false;
  }
  pending_.clear();
  return true;
}

}  // namespace thalweg
