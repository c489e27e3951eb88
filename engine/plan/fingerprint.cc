#include "engine/plan/fingerprint.h"

#include "engine/types/value_text.h"

namespace thalweg::plan {
namespace {

// What the printed form hides: values of secrets.
void append_secrets(const Setting& setting, std::string& out) {
  if (const Setting::List* list = setting.as_list())
    for (const Setting& item : *list) append_secrets(item, out);
  if (const Setting::Map* map = setting.as_map())
    for (const auto& [key, value] : *map) append_secrets(value, out);
  if (!setting.secret) return;
  out += '\0';
  if (const std::string* text = setting.as_text()) out += *text;
  if (const std::int64_t* number = setting.as_int()) out += std::to_string(*number);
}

void append_rows(const StaticRows& rows, std::string& out) {
  if (!rows.rows) return;
  for (const StaticRow& row : *rows.rows) {
    out += std::to_string(row.time) + ' ' + std::to_string(row.diff) + ' ' + std::to_string(row.key.hi) + ' ' +
           std::to_string(row.key.lo);
    for (const Value& cell : row.cells) {
      out += '\0';
      out += cell.to_text();
    }
    out += '\n';
  }
}

void append_key(const Key& key, std::string& out) {
  out += ' ' + std::to_string(key.hi) + ' ' + std::to_string(key.lo);
}

}  // namespace

std::vector<Key> fingerprints(const Plan& plan, Secrets secrets) {
  const bool with_secrets = secrets == Secrets::kCount;
  std::vector<Key> out;
  out.reserve(plan.nodes.size());
  for (const Node& node : plan.nodes) {
    std::string text = node_identity(node);
    if (const auto* source = std::get_if<Source>(&node.params); source && with_secrets)
      append_secrets(source->args, text);
    if (const auto* output = std::get_if<Output>(&node.params); output && with_secrets)
      append_secrets(output->args, text);
    if (const auto* rows = std::get_if<StaticRows>(&node.params)) append_rows(*rows, text);
    if (const auto* iterate = std::get_if<Iterate>(&node.params); iterate && iterate->body) {
      std::vector<Key> body = fingerprints(*iterate->body, secrets);
      for (NodeId id : iterate->next) append_key(body[id.value], text);
      for (NodeId id : iterate->loop_inputs) append_key(body[id.value], text);
    }
    // The error log sees all that came before it.
    if (std::holds_alternative<ErrorLog>(node.params))
      for (const Key& before : out) append_key(before, text);
    for (NodeId input : node.inputs) append_key(out[input.value], text);
    out.push_back(key_of_bytes(text));
  }
  return out;
}

Key fingerprint(const Plan& plan) {
  std::string text = plan.terminate_on_error ? "terminate" : "";
  text += ' ' + std::to_string(plan.autocommit_ms) + ' ' + std::to_string(plan.workers);
  for (const Key& key : fingerprints(plan)) append_key(key, text);
  return key_of_bytes(text);
}

}  // namespace thalweg::plan
