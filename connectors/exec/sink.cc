#include "connectors/exec/sink.h"

#include <chrono>

#include <fmt/format.h>

#include "connectors/formats/encode.h"
#include "connectors/formats/json_object.h"
#include "connectors/formats/json_value.h"

namespace thalweg {

namespace {

constexpr std::size_t kUnsentMax = 1U << 20;

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

void append_row(const Schema& schema, const Batch& batch, std::size_t row, std::uint64_t commit, std::string& out) {
  out += batch.diff(row) > 0 ? R"({"insert":{)" : R"({"delete":{)";
  for (std::size_t c = 0; c < schema.size(); ++c) {
    if (c > 0) out += ',';
    append_json_string(schema.columns[c].name, out);
    out += ':';
    append_json_cell(schema.columns[c].type, batch.columns[c], row, out);
  }
  out += fmt::format(R"(}},"time":{}}})", commit);
}

}  // namespace

Error ExecSink::ended() const {
  const auto end = program_->wait_end(1000);
  return Error{Code::kUnavailable,
               "`" + settings_.command.name + "` " + end.value_or("closed its output") + " before its input ended",
               {},
               {}};
}

Result<void> ExecSink::open(const SinkContext& context) {
  schema_ = context.schema;
  program_ = TRY(process::LineProcess::start(settings_.command));
  std::string line = R"({"event":"start","columns":[)";
  for (std::size_t c = 0; c < schema_.size(); ++c) {
    line += c > 0 ? R"(,{"name":)" : R"({"name":)";
    append_json_string(schema_.columns[c].name, line);
    line += R"(,"type":)";
    append_json_string(schema_.columns[c].type.to_text(), line);
    line += '}';
  }
  program_->send(line + "]}");
  return flush();
}

// Until the program has taken all of it.
Result<void> ExecSink::flush() {
  const std::int64_t deadline = now_ns() + settings_.timeout_ns;
  std::uint64_t ignored = 0;
  while (program_->unsent() > 0) {
    while (auto line = program_->take_line()) TRY(take(*line, ignored));
    if (program_->output_ended() || program_->input_closed()) return fail(ended());
    const std::int64_t left_ms = (deadline - now_ns()) / 1'000'000;
    if (left_ms <= 0) return fail(Code::kUnavailable, "`" + settings_.command.name + "` takes nothing (`timeout`)");
    TRY(program_->pump(left_ms, true));
  }
  while (auto line = program_->take_line()) TRY(take(*line, ignored));
  return {};
}

Result<void> ExecSink::take(const std::string& line, std::uint64_t& committed) const {
  const auto message = json::JsonObject::parse(line);
  const std::string_view time = message ? message->find("committed") : std::string_view{};
  const std::string_view why = message ? message->find("error") : std::string_view{};
  if (!why.empty()) {
    const auto text = json::text_to_value(Type(Kind::kStr), why);
    return fail(Code::kUnavailable,
                "`" + settings_.command.name + "` says: " + (text ? text->as_text() : std::string(why)));
  }
  std::uint64_t value = 0;
  for (const char c : time) value = c >= '0' && c <= '9' ? value * 10 + static_cast<std::uint64_t>(c - '0') : 0;
  if (!time.empty())
    committed = value;
  else
    std::fprintf(stderr, "%s: %s\n", settings_.command.name.c_str(), line.c_str());
  return {};
}

Result<void> ExecSink::write(std::uint64_t commit, const Batch& batch) {
  std::string line;
  for (std::size_t row = 0; row < batch.num_rows; ++row) {
    line.clear();
    append_row(schema_, batch, row, commit, line);
    program_->send(line);
    count_bytes(line.size() + 1);
    if (program_->unsent() >= kUnsentMax) TRY(flush());
  }
  return {};
}

Result<void> ExecSink::end(std::uint64_t commit) {
  program_->send(fmt::format(R"({{"commit":{}}})", commit));
  TRY(flush());
  if (settings_.acknowledge) return wait_for(commit);
  return {};
}

Result<void> ExecSink::wait_for(std::uint64_t commit) {
  const std::int64_t deadline = now_ns() + settings_.timeout_ns;
  for (std::uint64_t committed = 0; committed != commit;) {
    if (auto line = program_->take_line()) {
      TRY(take(*line, committed));
      continue;
    }
    if (program_->output_ended()) return fail(ended());
    const std::int64_t left_ms = (deadline - now_ns()) / 1'000'000;
    if (left_ms <= 0)
      return fail(Code::kUnavailable,
                  fmt::format("`{}` does not acknowledge commit {} (`timeout`)", settings_.command.name, commit));
    TRY(program_->pump(left_ms));
  }
  return {};
}

Result<void> ExecSink::close(bool complete) {
  if (!program_) return {};
  if (!complete) {
    program_.reset();
    return {};
  }
  program_->send(R"({"event":"end"})");
  program_->close_input();
  const std::int64_t deadline = now_ns() + settings_.timeout_ns;
  std::uint64_t ignored = 0;
  while (!program_->output_ended() && now_ns() < deadline) {
    TRY(program_->pump((deadline - now_ns()) / 1'000'000));
    while (auto line = program_->take_line()) TRY(take(*line, ignored));
  }
  const auto end = program_->wait_end((deadline - now_ns()) / 1'000'000);
  const bool well = end && program_->succeeded();
  const std::string what = end.value_or("does not end (`timeout`)");
  program_.reset();
  if (!well) return fail(Code::kUnavailable, "`" + settings_.command.name + "` " + what);
  return {};
}

}  // namespace thalweg
