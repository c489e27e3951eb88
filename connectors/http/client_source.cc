#include "connectors/http/client_source.h"

#include <algorithm>
#include <unordered_map>

#include "connectors/formats/format.h"
#include "connectors/http/request_row.h"

namespace thalweg::web {
namespace {

constexpr std::size_t kBatchRows = 4096;
constexpr std::size_t kRecordBytesMax = 16U << 20;
constexpr std::int64_t kReconnectsMin = 5;  // of a stream that had begun

// The text at an RFC 6901 pointer, by way of objects; nothing if it leads nowhere.
std::optional<std::string> at_pointer(std::string text, std::string_view pointer) {
  while (pointer.starts_with('/')) {
    pointer.remove_prefix(1);
    const std::size_t end = std::min(pointer.find('/'), pointer.size());
    std::string token(pointer.substr(0, end));
    for (const auto& [from, to] : {std::pair{"~1", "/"}, std::pair{"~0", "~"}})
      for (std::size_t at = 0; (at = token.find(from, at)) != std::string::npos; ++at) token.replace(at, 2, to);
    pointer.remove_prefix(end);
    const auto object = json::JsonObject::parse(on_one_line(text));
    if (!object) return std::nullopt;
    text = std::string(object->find(token));
    if (text.empty()) return std::nullopt;
  }
  return text;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

}  // namespace

ClientSource::ClientSource(const plan::Source& source, ClientReadSettings settings)
    : name_(source.name),
      fields_(source.fields),
      upsert_(source.upsert),
      settings_(std::move(settings)),
      policy_(settings_.bad_rows),
      schema_(used_columns(fields_)),
      keyed_(has_primary_key(fields_)) {}

Result<void> ClientSource::run(SourceContext& context) {
  if (!settings_.dead_letters.empty()) TRY(BadRowPolicy::check_dead_letters(context.env(), settings_.dead_letters));
  Fetcher fetcher(
      settings_.fetch, context.env().rng, [&context](std::int64_t ns) { return context.wait(ns); },
      [&context] { return context.stopping(); });
  Result<void> done = settings_.is_static        ? read_once(fetcher, context)
                      : settings_.refresh_ns > 0 ? poll(fetcher, context)
                                                 : follow(fetcher, context);
  if (!done && context.stopping()) return {};
  return done;
}

// ---------------------------------------------------------------- rows

void ClientSource::bad(std::string message, std::string_view text, BadRecord::Kind kind, SourceContext& context) {
  BadRecord record;
  record.message = std::move(message);
  record.raw = std::string(text.substr(0, BadRecord::kRawBytesMax));
  record.position = settings_.fetch.url.host + settings_.fetch.url.target + ":" + std::to_string(record_);
  record.kind = kind;
  policy_.apply(record);
  context.bad_record(std::move(record));
}

void ClientSource::add_cells(std::vector<Value> cells, std::string_view text, std::vector<Row>& out,
                             SourceContext& context) {
  std::optional<Key> key = primary_key_of(fields_, cells);
  if (key) {
    for (std::size_t i = 0; i < cells.size(); ++i)
      if (fields_[i].primary_key && cells[i].is_error())
        return bad("a part of the primary key cannot be read", text, BadRecord::Kind::kRecord, context);
  } else if (settings_.refresh_ns > 0 || settings_.is_static) {
    std::string shown;
    for (const Value& cell : cells) shown += cell.to_text() + '\x1F';
    const auto occurrence = static_cast<std::int64_t>(occurrences_[shown]++);
    std::vector<Value> parts = {Value::str(name_), Value::of(occurrence)};
    parts.insert(parts.end(), cells.begin(), cells.end());
    key = key_of_values(parts);
  } else {
    key = Key{context.env().rng->next(), context.env().rng->next()};
  }
  out.push_back({*key, std::move(cells)});
}

// One record of a stream or line of an answer.
void ClientSource::add_record(std::string_view text, std::vector<Row>& out, SourceContext& context) {
  ++record_;
  if (settings_.format != ClientReadSettings::Format::kJson) {
    if (settings_.format == ClientReadSettings::Format::kPlaintext && !is_utf8(text))
      return bad("this is no UTF-8 text", text, BadRecord::Kind::kRecord, context);
    std::vector<Value> cells;
    for (const plan::SourceField& field : fields_)
      cells.push_back(field.type.is(Kind::kBytes) ? Value::bytes(std::string(text)) : Value::str(std::string(text)));
    return add_cells(std::move(cells), text, out, context);
  }
  if (is_blank(text)) return;
  const auto found = at_pointer(std::string(text), settings_.records);
  auto records = found ? records_of(*found) : std::expected<std::vector<BodyRecord>, BodyProblem>();
  if (!found) return bad("there is nothing at `" + settings_.records + "`", text, BadRecord::Kind::kRecord, context);
  if (!records) return bad(records.error().message, text, BadRecord::Kind::kRecord, context);
  for (const BodyRecord& record : *records) {
    std::vector<FieldProblem> problems;
    std::vector<Value> cells = row_with_errors(fields_, record.object, problems);
    for (FieldProblem& problem : problems) bad(std::move(problem.message), text, BadRecord::Kind::kValue, context);
    add_cells(std::move(cells), text, out, context);
  }
}

Result<std::vector<ClientSource::Row>> ClientSource::rows_of(const std::string& body, SourceContext& context) {
  std::vector<Row> out;
  occurrences_.clear();
  record_ = 0;
  if (settings_.format == ClientReadSettings::Format::kRaw) {
    add_record(body, out, context);
    return out;
  }
  if (settings_.format == ClientReadSettings::Format::kPlaintext) {
    std::string_view rest = body;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(settings_.delimiter), rest.size());
      add_record(rest.substr(0, end), out, context);
      rest.remove_prefix(std::min(end + settings_.delimiter.size(), rest.size()));
    }
    return out;
  }
  const auto found = at_pointer(body, settings_.records);
  if (!found) return fail(Code::kBadData, "there is nothing at `" + settings_.records + "` of the answer");
  auto records = records_of(*found);
  if (!records) return fail(Code::kBadData, "the answer: " + records.error().message);
  for (const BodyRecord& record : *records) {
    ++record_;
    std::vector<FieldProblem> problems;
    std::vector<Value> cells = row_with_errors(fields_, record.object, problems);
    for (FieldProblem& problem : problems) bad(std::move(problem.message), {}, BadRecord::Kind::kValue, context);
    add_cells(std::move(cells), {}, out, context);
  }
  return out;
}

bool ClientSource::deliver(const std::vector<Row>& rows, Diff diff, SourceContext& context) {
  for (std::size_t begin = 0; begin < rows.size(); begin += kBatchRows) {
    BatchBuilder builder(schema_);
    for (std::size_t i = begin; i < std::min(rows.size(), begin + kBatchRows); ++i)
      builder.push(rows[i].key, used_cells(fields_, rows[i].cells), diff);
    Batch batch = builder.finish();
    batch.order = ++order_;
    if (!context.deliver(std::move(batch))) return false;
  }
  return true;
}

// ---------------------------------------------------------------- whole answers

Result<void> ClientSource::read_once(Fetcher& fetcher, SourceContext& context) {
  const net::HttpResponse answer = TRY(fetcher.fetch(fetcher.request()));
  if (answer.status / 100 != 2)
    return fail(Code::kUnavailable, settings_.fetch.url.host + " answered " + answer_text(answer));
  if (deliver(TRY(rows_of(answer.body, context)), 1, context)) context.commit();
  return {};
}

Result<void> ClientSource::poll(Fetcher& fetcher, SourceContext& context) {
  std::unordered_map<Key, std::vector<Value>> known;
  std::string tag;
  while (!context.stopping()) {
    net::HttpRequest request = fetcher.request();
    if (!tag.empty()) request.headers.set("If-None-Match", tag);
    auto answer = fetcher.fetch(std::move(request));
    if (!answer && answer.error().code == Code::kPermission) return fail(std::move(answer).error());
    std::optional<std::vector<Row>> rows;
    if (!answer) {
      context.warn(answer.error().message);
    } else if (answer->status / 100 == 2) {
      auto read = rows_of(answer->body, context);
      if (!read) context.warn(read.error().message);
      if (read) rows = std::move(*read);
      const std::string* given = answer->headers.find("ETag");
      tag = read && given != nullptr ? *given : std::string();
    } else if (answer->status != 304) {
      context.warn(settings_.fetch.url.host + " answered " + answer_text(*answer));
    }
    if (rows) {
      std::unordered_map<Key, std::vector<Value>> now;
      for (Row& row : *rows) now.insert_or_assign(row.key, std::move(row.cells));
      std::vector<Row> gone;
      std::vector<Row> come;
      for (auto& [key, cells] : known) {
        const auto still = now.find(key);
        const bool changed = still != now.end() && still->second != cells;
        if (still == now.end() || (changed && !upsert_)) gone.push_back({key, cells});
      }
      for (const auto& [key, cells] : now) {
        const auto before = known.find(key);
        if (before == known.end() || before->second != cells) come.push_back({key, cells});
      }
      known = std::move(now);
      if (!deliver(gone, -1, context) || !deliver(come, 1, context)) break;
      context.commit();
    }
    context.idle();
    if (!context.wait(settings_.refresh_ns)) break;
  }
  return {};
}

// ---------------------------------------------------------------- streams

void ClientSource::take_event_line(std::string_view line, std::vector<Row>& out, SourceContext& context) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty()) {
    if (!event_data_.empty()) add_record(std::exchange(event_data_, {}), out, context);
    return;
  }
  const std::size_t colon = std::min(line.find(':'), line.size());
  std::string_view value = line.substr(std::min(colon + 1, line.size()));
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (line.substr(0, colon) == "data") {
    if (!event_data_.empty()) event_data_ += '\n';
    event_data_ += value;
  } else if (line.substr(0, colon) == "id" && value.find_first_of("\r\n") == std::string_view::npos) {
    last_event_id_ = value;
  }
}

void ClientSource::take_bytes(std::string_view bytes, std::vector<Row>& out, SourceContext& context) {
  const std::string delimiter = events_ ? "\n" : settings_.delimiter;
  unfinished_ += bytes;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = unfinished_.find(delimiter, begin)) != std::string::npos;
       begin = end + delimiter.size()) {
    const std::string_view record = std::string_view(unfinished_).substr(begin, end - begin);
    if (events_)
      take_event_line(record, out, context);
    else
      add_record(record, out, context);
  }
  unfinished_.erase(0, begin);
  if (unfinished_.size() + event_data_.size() <= kRecordBytesMax) return;
  bad("a record has more than 16 MiB", unfinished_, BadRecord::Kind::kRecord, context);
  unfinished_.clear();
  event_data_.clear();
}

Result<void> ClientSource::follow(Fetcher& fetcher, SourceContext& context) {
  for (std::int64_t attempt = 1; !context.stopping(); ++attempt) {
    net::HttpRequest request = fetcher.request();
    if (!last_event_id_.empty()) request.headers.set("Last-Event-ID", last_event_id_);
    bool began = false;
    bool refused = false;
    unfinished_.clear();
    event_data_.clear();
    context.idle();
    auto answer = fetcher.stream(
        std::move(request),
        [&](std::string_view bytes) {
          std::vector<Row> rows;
          take_bytes(bytes, rows, context);
          if (rows.empty()) return !context.stopping();
          attempt = 1;
          if (!deliver(rows, 1, context)) return false;
          context.commit();
          context.idle();
          return !context.stopping();
        },
        [&](const net::HttpResponse& head) {
          began = head.status / 100 == 2;
          refused = !began;
          const std::string* type = head.headers.find("Content-Type");
          events_ = type != nullptr && type->starts_with("text/event-stream");
          return began;
        });
    if (context.stopping()) return {};
    if (answer && began) {
      std::vector<Row> rows;
      if (events_) take_event_line("", rows, context);
      if (!events_ && !unfinished_.empty()) add_record(std::exchange(unfinished_, {}), rows, context);
      if (deliver(rows, 1, context)) context.commit();
      return {};
    }
    const std::string why =
        answer ? settings_.fetch.url.host + " answered " + answer_text(*answer) : answer.error().message;
    const bool for_good = answer ? !fetcher.is_retry_code(answer->status) : answer.error().code == Code::kPermission;
    const std::int64_t attempts =
        began ? std::max(settings_.fetch.retries_max, kReconnectsMin) : settings_.fetch.retries_max;
    if ((refused && for_good) || (!answer && for_good) || attempt > attempts) return fail(Code::kUnavailable, why);
    context.warn(why + "; asking again");
    if (!fetcher.pause(attempt, answer ? &*answer : nullptr)) return {};
  }
  return {};
}

}  // namespace thalweg::web
