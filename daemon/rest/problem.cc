#include "daemon/rest/problem.h"

#include "daemon/json_writer.h"
#include "engine/base/edit_distance.h"

namespace thalweg::daemon {
namespace {

struct Mapped {
  unsigned status;
  const char* code;
};

Mapped mapped(Code code) {
  switch (code) {
    case Code::kInvalidPipeline: return {422, "invalid_pipeline"};
    case Code::kInvalidArgument: return {400, "invalid_argument"};
    case Code::kBadData: return {400, "bad_data"};
    case Code::kNotFound: return {410, "history_gone"};
    case Code::kPermission: return {403, "permission"};
    case Code::kUnavailable: return {503, "unavailable"};
    case Code::kIo: return {500, "io"};
    case Code::kTooLarge: return {413, "too_large"};
    case Code::kCancelled: return {503, "cancelled"};
    case Code::kDataError: return {500, "data_error"};
    case Code::kInternal: return {500, "internal"};
  }
  return {500, "internal"};
}

}  // namespace

Problem problem_of(const Error& error) {
  Mapped m = mapped(error.code);
  return Problem{m.status, m.code, error.message, error.notes.empty() ? "" : error.notes.front().text, 0, 0};
}

net::HttpResponse to_response(const Problem& problem) {
  net::HttpResponse response;
  response.status = problem.status;
  response.headers.add("Content-Type", "application/problem+json");
  JsonWriter json(response.body);
  json.begin_object().field("type", "about:blank").field("title", net::reason_phrase(problem.status));
  json.field("status", static_cast<std::int64_t>(problem.status)).field("code", problem.code);
  json.field("detail", problem.detail);
  if (!problem.hint.empty()) json.field("hint", problem.hint);
  if (problem.line > 0) {
    json.field("line", static_cast<std::int64_t>(problem.line));
    json.field("column", static_cast<std::int64_t>(problem.column));
  }
  json.end_object();
  response.body += "\n";
  return response;
}

std::string suggestion(std::string_view name, const std::vector<std::string>& known) {
  auto nearest = nearest_name(name, known);
  return nearest ? "did you mean `" + *nearest + "`?" : std::string();
}

}  // namespace thalweg::daemon
