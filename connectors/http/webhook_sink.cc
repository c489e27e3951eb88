#include "connectors/http/webhook_sink.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "connectors/formats/encode.h"
#include "connectors/formats/report.h"
#include "engine/base/edit_distance.h"

namespace thalweg::web {
namespace {

// A cell as one would write it into a text; no quotes around texts.
std::string plain_text(const Type& type, const Column& column, std::size_t row) {
  const Value value = column.value(type, row);
  if (value.tag() == Value::Tag::kStr || value.tag() == Value::Tag::kJson) return value.as_text();
  if (value.is_none()) return "None";
  std::string json;
  append_json_cell(type, column, row, json);
  if (json.size() >= 2 && json.front() == '"') return json.substr(1, json.size() - 2);
  return json;
}

// What stands between the quotes of a JSON string; composites and numbers as they are.
std::string json_inside(const Type& type, const Column& column, std::size_t row) {
  const Value value = column.value(type, row);
  std::string json;
  if (value.tag() == Value::Tag::kStr) {
    append_json_string(value.as_text(), json);
    return json.substr(1, json.size() - 2);
  }
  append_json_cell(type, column, row, json);
  if (json.size() >= 2 && json.front() == '"') return json.substr(1, json.size() - 2);
  return json;
}

std::string header_text(std::string text) {
  std::erase_if(text, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7F; });
  return text;
}

}  // namespace

Result<RowTemplate> RowTemplate::parse(std::string_view text, const Schema& schema, Escape escape) {
  RowTemplate out;
  out.escape_ = escape;
  static constexpr std::string_view kOpen = "{table.";
  while (!text.empty()) {
    const std::size_t begin = std::min(text.find(kOpen), text.size());
    if (begin > 0) out.parts_.push_back({kText, std::string(text.substr(0, begin))});
    text.remove_prefix(begin);
    if (text.empty()) break;
    const std::size_t end = text.find('}');
    const std::string name(text.substr(kOpen.size(), end == std::string_view::npos ? 0 : end - kOpen.size()));
    const auto column = schema.find(name);
    if (end == std::string_view::npos) return fail(Code::kInvalidPipeline, "a `{table.` of the template has no `}`");
    if (!column && name != "time" && name != "diff") {
      std::vector<std::string> known = schema.names();
      known.insert(known.end(), {"time", "diff"});
      Error error{Code::kInvalidPipeline, "the table has no column `" + name + "`, which the template names", {}, {}};
      if (const auto near = nearest_name(name, known)) error.notes.push_back({"did you mean `" + *near + "`?", {}});
      return fail(std::move(error));
    }
    out.parts_.push_back({column ? static_cast<int>(*column) : (name == "time" ? kTime : kDiff), {}});
    text.remove_prefix(end + 1);
  }
  return out;
}

void RowTemplate::append(const Schema& schema, const Batch& batch, std::size_t row, std::uint64_t commit,
                         std::string& out) const {
  for (const Part& part : parts_) {
    if (part.column == kText) {
      out += part.text;
    } else if (part.column == kTime) {
      out += std::to_string(commit);
    } else if (part.column == kDiff) {
      out += std::to_string(batch.diff(row));
    } else {
      const auto index = static_cast<std::size_t>(part.column);
      const Type& type = schema.columns[index].type;
      if (escape_ == Escape::kJson)
        out += json_inside(type, batch.columns[index], row);
      else if (escape_ == Escape::kHeader)
        out += header_text(plain_text(type, batch.columns[index], row));
      else
        out += plain_text(type, batch.columns[index], row);
    }
  }
}

namespace {

RowTemplate::Escape escape_of(const WebhookSettings& settings) {
  return settings.content_type.find("json") != std::string::npos ? RowTemplate::Escape::kJson
                                                                 : RowTemplate::Escape::kNone;
}

}  // namespace

Result<void> check_templates(const WebhookSettings& settings, const Schema& schema) {
  if (settings.custom) TRY(RowTemplate::parse(settings.payload_template, schema, escape_of(settings)));
  for (const auto& [name, value] : settings.fetch.headers)
    TRY(RowTemplate::parse(value, schema, RowTemplate::Escape::kHeader));
  return {};
}

WebhookSink::WebhookSink(WebhookSettings settings) : settings_(std::move(settings)) {}

Result<void> WebhookSink::open(const SinkContext& context) {
  context_ = context;
  if (!settings_.dead_letters.empty()) TRY(BadRowPolicy::check_dead_letters(*context.env, settings_.dead_letters));
  payload_ = TRY(RowTemplate::parse(settings_.payload_template, context.schema, escape_of(settings_)));
  headers_.clear();
  for (const auto& [name, value] : settings_.fetch.headers)
    headers_.emplace_back(name, TRY(RowTemplate::parse(value, context.schema, RowTemplate::Escape::kHeader)));
  fetcher_ = std::make_unique<Fetcher>(settings_.fetch, context.env->rng, [](std::int64_t ns) {
    std::this_thread::sleep_for(std::chrono::nanoseconds(ns));
    return true;
  });
  return {};
}

Result<void> WebhookSink::begin(std::uint64_t /*commit*/) {
  chunk_ = 0;
  batch_.clear();
  rows_.clear();
  return {};
}

void WebhookSink::append_json(const Batch& batch, std::size_t row, std::uint64_t commit, std::string& out) const {
  const Schema& schema = context_.schema;
  out += '{';
  for (std::size_t c = 0; c < schema.size(); ++c) {
    append_json_string(schema.columns[c].name, out);
    out += ':';
    append_json_cell(schema.columns[c].type, batch.columns[c], row, out);
    out += ',';
  }
  out += "\"diff\":" + std::to_string(batch.diff(row)) + ",\"time\":" + std::to_string(commit) + "}";
}

net::HttpRequest WebhookSink::request_for(const Batch& batch, std::size_t row, std::uint64_t commit) const {
  net::HttpRequest out;
  out.method = settings_.fetch.method;
  if (!settings_.content_type.empty()) out.headers.set("Content-Type", settings_.content_type);
  for (const auto& [name, value] : headers_) {
    std::string text;
    value.append(context_.schema, batch, row, commit, text);
    out.headers.set(name, std::move(text));
  }
  return out;
}

Result<void> WebhookSink::write(std::uint64_t commit, const Batch& batch) {
  const auto shared = std::make_shared<const Batch>(batch);
  for (std::size_t row = 0; row < batch.num_rows; ++row) {
    if (settings_.batch_rows > 1) {
      batch_ += rows_.empty() ? "[" : ",";
      append_json(batch, row, commit, batch_);
      rows_.emplace_back(shared, row);
      if (rows_.size() == settings_.batch_rows) TRY(flush(commit));
      continue;
    }
    rows_ = {{shared, row}};
    net::HttpRequest request = request_for(batch, row, commit);
    if (settings_.custom)
      payload_.append(context_.schema, batch, row, commit, request.body);
    else
      append_json(batch, row, commit, request.body);
    TRY(send(commit, std::move(request)));
  }
  return {};
}

Result<void> WebhookSink::flush(std::uint64_t commit) {
  if (batch_.empty()) return {};
  net::HttpRequest request = request_for({}, 0, commit);
  request.body = std::exchange(batch_, {}) + "]";
  return send(commit, std::move(request));
}

Result<void> WebhookSink::send(std::uint64_t commit, net::HttpRequest request) {
  const std::vector<SentRow> rows = std::exchange(rows_, {});
  const std::string id =
      settings_.pipeline + "/" + context_.name + "/" + std::to_string(commit) + "/" + std::to_string(chunk_++);
  if (request.headers.find("Idempotency-Key") == nullptr) request.headers.set("Idempotency-Key", id);
  const std::size_t bytes = request.body.size();
  const net::HttpResponse answer = TRY(fetcher_->fetch(std::move(request)));
  if (answer.status / 100 == 2) {
    count_bytes(bytes);
    return {};
  }
  const std::string why = settings_.fetch.url.host + " answered " + answer_text(answer);
  const bool later = fetcher_->is_retry_code(answer.status);  // it might take it another time
  if (later || settings_.on_error == WebhookSettings::OnError::kFail) return fail(Code::kUnavailable, why);
  if (!context_.reject) return {};
  for (const auto& [batch, row] : rows)
    context_.reject(*batch, row, {.reason = why, .position = id, .payload = row_text(context_.schema, *batch, row)});
  return {};
}

Result<void> WebhookSink::end(std::uint64_t commit) { return flush(commit); }
Result<void> WebhookSink::close(bool /*complete*/) { return {}; }

}  // namespace thalweg::web
