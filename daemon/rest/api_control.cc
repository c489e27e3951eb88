// Handlers that change what runs.
#include "daemon/json_writer.h"
#include "daemon/rest/api.h"

namespace thalweg::daemon {
namespace {

unsigned status_code_of(const Outcome& outcome) {
  if (outcome.code == "no_such_pipeline") return 404;
  if (outcome.code == "invalid_pipeline") return 422;
  if (outcome.code == "invalid_name") return 400;
  if (outcome.code == "unwritable" || outcome.code == "unreadable") return 500;
  return 409;
}

// A failure is a problem document that says all the outcome does.
net::HttpResponse outcome_response(const Outcome& outcome) {
  if (outcome.result != Outcome::Result::kFailed) {
    std::string body;
    JsonWriter json(body);
    append_outcome(outcome, json);
    return json_response(std::move(body));
  }
  net::HttpResponse response;
  response.status = status_code_of(outcome);
  response.headers.add("Content-Type", "application/problem+json");
  response.headers.add("Cache-Control", "no-store");
  JsonWriter json(response.body);
  json.begin_object().field("type", "about:blank").field("title", net::reason_phrase(response.status));
  json.field("status", static_cast<std::int64_t>(response.status)).field("code", outcome.code);
  json.field("detail", outcome.reason)
      .field("result", "failed")
      .field("id", outcome.id)
      .field("pipeline", outcome.pipeline);
  if (outcome.line > 0)
    json.field("line", static_cast<std::uint64_t>(outcome.line))
        .field("column", static_cast<std::uint64_t>(outcome.column));
  if (!outcome.diagnostics.empty()) json.field("diagnostics", outcome.diagnostics);
  json.end_object();
  response.body += "\n";
  return response;
}

net::HttpResponse outcomes_response(const std::vector<Outcome>& outcomes, std::size_t first) {
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("outcomes").begin_array();
  for (std::size_t i = first; i < outcomes.size(); ++i) append_outcome(outcomes[i], json);
  json.end_array();
  if (first > 0) json.field("next_cursor", std::to_string(outcomes[first].id));
  json.end_object();
  return json_response(std::move(body));
}

}  // namespace

Checked<ChangeOptions> Api::change_options(const Call& call) const {
  if (!control_)
    return refuse(409, "not_a_daemon",
                  "this process runs its pipelines by `thalweg run`; `thalweg serve` can change them");
  ChangeOptions options;
  options.caller = call.caller;
  auto dry_run = call.flag("dry_run");
  if (!dry_run) return std::unexpected(dry_run.error());
  auto accept = call.flag("accept");
  if (!accept) return std::unexpected(accept.error());
  options.dry_run = *dry_run;
  options.accept = *accept;
  return options;
}

Answer Api::put_pipeline(const Call& call) {
  auto options = change_options(call);
  if (!options) return std::unexpected(options.error());
  if (call.request->body.empty()) return refuse(400, "missing_parameter", "the body is the pipeline file");
  return outcome_response(control_->apply(call.in_path("p"), call.request->body, *options));
}

Answer Api::delete_pipeline(const Call& call) {
  auto options = change_options(call);
  if (!options) return std::unexpected(options.error());
  return outcome_response(control_->remove(call.in_path("p"), *options));
}

Answer Api::reload(const Call& call) {
  auto options = change_options(call);
  if (!options) return std::unexpected(options.error());
  return outcome_response(control_->reload(call.in_path("p"), *options));
}

Answer Api::reload_all(const Call& call) {
  auto options = change_options(call);
  if (!options) return std::unexpected(options.error());
  return outcomes_response(control_->reload_all(*options), 0);
}

Answer Api::rollback(const Call& call) {
  auto options = change_options(call);
  if (!options) return std::unexpected(options.error());
  return outcome_response(control_->rollback(call.in_path("p"), *options));
}

Answer Api::act(const Call& call, PipelineControl::Verb verb) {
  auto options = change_options(call);
  if (!options) return std::unexpected(options.error());
  return outcome_response(control_->act(call.in_path("p"), verb, *options));
}

Answer Api::pause(const Call& call) { return act(call, PipelineControl::Verb::kPause); }
Answer Api::resume(const Call& call) { return act(call, PipelineControl::Verb::kResume); }
Answer Api::start(const Call& call) { return act(call, PipelineControl::Verb::kStart); }
Answer Api::stop(const Call& call) { return act(call, PipelineControl::Verb::kStop); }

Answer Api::reloads(const Call& call) {
  auto options = change_options(call);
  if (!options) return std::unexpected(options.error());
  auto limit = call.number("limit", 50, 200);
  if (!limit) return std::unexpected(limit.error());
  if (*limit == 0) return refuse(400, "invalid_parameter", "`limit` is at least 1");
  auto before = call.number("cursor", UINT64_MAX, UINT64_MAX);
  if (!before) return std::unexpected(before.error());
  std::vector<Outcome> all = control_->outcomes();
  std::erase_if(all, [&](const Outcome& outcome) { return outcome.id >= *before; });
  return outcomes_response(all, all.size() > *limit ? all.size() - *limit : 0);
}

Answer Api::definition(const Call& call) {
  auto options = change_options(call);
  if (!options) return std::unexpected(options.error());
  auto text = control_->definition(call.in_path("p"));
  if (!text) return std::unexpected(named_pipeline(call.in_path("p")).error());
  net::HttpResponse response;
  response.headers.add("Content-Type", "application/yaml");
  response.headers.add("Cache-Control", "no-store");
  response.body = std::move(*text);
  return response;
}

}  // namespace thalweg::daemon
