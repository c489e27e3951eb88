// Dead letters of a pipeline: to look at, to replay, to drop.
#include <fmt/format.h>

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>

#include "connectors/formats/format.h"
#include "daemon/json_writer.h"
#include "daemon/rest/api.h"
#include "engine/durable/dead_letters.h"

namespace thalweg::daemon {
namespace {

using Letters = durable::DeadLetters;

constexpr std::uint64_t kLimitMax = 1000;
constexpr std::size_t kReplaysMax = 10'000;  // of one request

void append_letter(const DeadLetter& letter, JsonWriter& json) {
  json.begin_object().field("id", letter.id).field("kind", text_of(letter.kind));
  json.field("connector", letter.connector).field("type", letter.type).field("reason", letter.reason);
  json.field("position", letter.position).field("commit", letter.commit);
  json.field("time", static_cast<double>(letter.wall_ns) / 1e9);
  if (is_utf8(letter.payload)) {
    json.field("payload", letter.payload);
  } else {
    std::string text;
    append_base64(letter.payload, text);
    json.field("payload_base64", text);
  }
  if (letter.payload.size() >= DeadLetter::kPayloadMax) json.field("payload_is_cut", true);
  if (!letter.file.empty()) json.field("file", letter.file);
  json.end_object();
}

Checked<std::uint64_t> id_in_path(const Call& call) {
  const std::string& text = call.in_path("id");
  std::uint64_t id = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size())
    return refuse(404, "no_such_dead_letter", "there is no dead letter `" + text + "`");
  return id;
}

Checked<std::optional<DeadLetter::Kind>> kind_named(const std::string& text) {
  if (text.empty()) return std::nullopt;
  auto kind = dead_letter_kind(text);
  if (!kind)
    return refuse(400, "invalid_parameter", "`kind` is record, value, row or error",
                  suggestion(text, {"record", "value", "row", "error"}));
  return kind;
}

// Which letters a request means: `ids`, or `all` with what they have in common.
struct Wanted {
  std::vector<std::uint64_t> ids;
  bool all = false;
  Letters::Query query{.limit = kReplaysMax};
  std::optional<std::string> payload;
};

Checked<Wanted> read_wanted(const std::string& text, bool takes_payload) {
  nlohmann::json body = nlohmann::json::parse(text, nullptr, false);
  if (!body.is_object())
    return refuse(400, "invalid_body", "the body is a JSON object: {\"ids\": [..]} or {\"all\": true}");
  Wanted out;
  for (const auto& [name, value] : body.items()) {
    if (name == "ids" && value.is_array()) {
      for (const nlohmann::json& id : value) {
        if (!id.is_number_unsigned()) return refuse(400, "invalid_body", "`ids` are whole numbers");
        out.ids.push_back(id.get<std::uint64_t>());
      }
    } else if (name == "all" && value.is_boolean()) {
      out.all = value.get<bool>();
    } else if (name == "connector" && value.is_string()) {
      out.query.connector = value.get<std::string>();
    } else if (name == "kind" && value.is_string()) {
      auto kind = kind_named(value.get<std::string>());
      if (!kind) return std::unexpected(kind.error());
      out.query.kind = *kind;
    } else if (name == "payload" && value.is_string() && takes_payload) {
      out.payload = value.get<std::string>();
    } else {
      return refuse(400, "unknown_parameter", "unknown field `" + name + "`, or not of its type",
                    suggestion(name, {"ids", "all", "connector", "kind", "payload"}));
    }
  }
  if (out.all == !out.ids.empty())
    return refuse(400, "invalid_body",
                  "say which: `ids`, or `all` (with `connector` and `kind` where not all are meant)");
  if (out.ids.size() > kReplaysMax)
    return refuse(400, "invalid_body", fmt::format("at most {} at a time", kReplaysMax));
  if (out.payload && out.ids.size() != 1)
    return refuse(400, "invalid_body", "a `payload` takes the place of that of one dead letter");
  return out;
}

Checked<std::shared_ptr<Letters>> letters_of(const ServedPipeline& pipeline) {
  auto letters = pipeline.run->dead_letters();
  if (!letters)
    return refuse(409, "no_dead_letters", "pipeline `" + pipeline.name + "` keeps no dead letters",
                  "they are kept under `thalweg serve` with a `state_dir`, and with `persistence_config`");
  return letters;
}

}  // namespace

Answer Api::dead_letters(const Call& call) {
  auto pipeline = pipeline_of(call);
  if (!pipeline) return std::unexpected(pipeline.error());
  auto letters = letters_of(**pipeline);
  if (!letters) return std::unexpected(letters.error());
  auto limit = call.number("limit", 100, kLimitMax);
  if (!limit) return std::unexpected(limit.error());
  auto after = call.number("after", 0, std::numeric_limits<std::int64_t>::max());
  if (!after) return std::unexpected(after.error());
  auto kind = kind_named(call.find("kind") ? *call.find("kind") : std::string());
  if (!kind) return std::unexpected(kind.error());
  Letters::Query query{.kind = *kind, .after = *after, .limit = *limit};
  if (const std::string* connector = call.find("connector")) query.connector = *connector;
  auto found = (*letters)->list(query);
  if (!found) return std::unexpected(problem_of(found.error()));
  const Letters::Stats stats = (*letters)->stats();
  std::string body;
  JsonWriter json(body);
  json.begin_object().field("total", stats.letters).field("expired", stats.expired).field("lost", stats.lost);
  if (!stats.last_error.empty()) json.field("last_error", stats.last_error);
  json.key("dead_letters").begin_array();
  for (const DeadLetter& letter : *found) append_letter(letter, json);
  json.end_array();
  if (found->size() == *limit && !found->empty()) json.field("next_after", found->back().id);
  json.end_object();
  return json_response(std::move(body));
}

Answer Api::dead_letter(const Call& call) {
  auto pipeline = pipeline_of(call);
  if (!pipeline) return std::unexpected(pipeline.error());
  auto letters = letters_of(**pipeline);
  if (!letters) return std::unexpected(letters.error());
  auto id = id_in_path(call);
  if (!id) return std::unexpected(id.error());
  auto letter = (*letters)->get(*id);
  if (!letter && letter.error().code == Code::kNotFound)
    return refuse(404, "no_such_dead_letter", letter.error().message);
  if (!letter) return std::unexpected(problem_of(letter.error()));
  std::string body;
  JsonWriter json(body);
  append_letter(*letter, json);
  return json_response(std::move(body));
}

Answer Api::replay_dead_letters(const Call& call) {
  auto pipeline = pipeline_of(call);
  if (!pipeline) return std::unexpected(pipeline.error());
  auto letters = letters_of(**pipeline);
  if (!letters) return std::unexpected(letters.error());
  auto wanted = read_wanted(call.request->body, true);
  if (!wanted) return std::unexpected(wanted.error());
  if (wanted->all) wanted->ids = (*letters)->ids(wanted->query);
  std::string body;
  JsonWriter json(body);
  json.begin_object().key("replayed").begin_array();
  std::vector<std::pair<std::uint64_t, std::string>> refused;
  for (std::uint64_t id : wanted->ids) {
    auto replayed = (*pipeline)->run->replay_dead_letter(id, wanted->payload);
    if (replayed)
      json.number(id);
    else
      refused.emplace_back(id, replayed.error().message);
  }
  json.end_array().key("refused").begin_array();
  for (const auto& [id, reason] : refused) json.begin_object().field("id", id).field("reason", reason).end_object();
  json.end_array().end_object();
  return json_response(std::move(body));
}

Answer Api::drop_dead_letters(const Call& call) {
  auto pipeline = pipeline_of(call);
  if (!pipeline) return std::unexpected(pipeline.error());
  auto letters = letters_of(**pipeline);
  if (!letters) return std::unexpected(letters.error());
  auto wanted = read_wanted(call.request->body, false);
  if (!wanted) return std::unexpected(wanted.error());
  if (wanted->all) {
    wanted->query.limit = std::numeric_limits<std::size_t>::max();
    wanted->ids = (*letters)->ids(wanted->query);
  }
  auto dropped = (*letters)->drop(wanted->ids);
  if (!dropped) return std::unexpected(problem_of(dropped.error()));
  std::string body;
  JsonWriter json(body);
  json.begin_object().field("dropped", *dropped).end_object();
  return json_response(std::move(body));
}

}  // namespace thalweg::daemon
