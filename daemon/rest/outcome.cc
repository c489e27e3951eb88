#include "daemon/rest/outcome.h"

namespace thalweg::daemon {
namespace {

void append_notes(std::string_view name, const std::vector<ChangeNote>& notes, JsonWriter& json) {
  json.key(name).begin_array();
  for (const ChangeNote& note : notes) {
    json.begin_object().field("name", note.name);
    if (!note.detail.empty()) json.field("detail", note.detail);
    json.end_object();
  }
  json.end_array();
}

}  // namespace

std::string_view result_text(Outcome::Result result) {
  switch (result) {
    case Outcome::Result::kUnchanged: return "unchanged";
    case Outcome::Result::kStarted: return "started";
    case Outcome::Result::kReloaded: return "reloaded";
    case Outcome::Result::kRemoved: return "removed";
    case Outcome::Result::kDone: return "done";
    case Outcome::Result::kPlanned: return "planned";
    case Outcome::Result::kFailed: return "failed";
  }
  return "failed";
}

void append_outcome(const Outcome& outcome, JsonWriter& json) {
  json.begin_object().field("id", outcome.id).field("pipeline", outcome.pipeline);
  json.field("result", result_text(outcome.result)).field("trigger", outcome.trigger);
  json.field("at", outcome.at_wall_ns / 1'000'000'000).field("seconds", outcome.seconds);
  if (!outcome.code.empty()) json.field("code", outcome.code);
  if (!outcome.reason.empty()) json.field("reason", outcome.reason);
  if (outcome.line > 0)
    json.field("line", static_cast<std::uint64_t>(outcome.line))
        .field("column", static_cast<std::uint64_t>(outcome.column));
  if (!outcome.diagnostics.empty()) json.field("diagnostics", outcome.diagnostics);
  append_notes("kept", outcome.kept, json);
  append_notes("rebuilt", outcome.rebuilt, json);
  append_notes("added", outcome.added, json);
  append_notes("removed", outcome.removed, json);
  append_notes("outputs", outcome.outputs, json);
  json.end_object();
}

}  // namespace thalweg::daemon
