#include "connectors/http/rest_source.h"

#include "connectors/formats/encode.h"
#include "connectors/formats/json_value.h"
#include "connectors/http/request_row.h"

namespace thalweg::web {
namespace {

constexpr std::int64_t kIdleNs = 1'000'000'000;
constexpr std::int64_t kGraceNs = 2'000'000'000;

// The cells that are in the table, by number.
Blob saved_form(const std::vector<plan::SourceField>& fields, const std::vector<Value>& cells) {
  std::string out = "{";
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (!fields[i].used) continue;
    out += (out.size() > 1 ? ",\"" : "\"") + std::to_string(i) + "\":";
    append_json_value(cells[i], out);
  }
  return std::make_shared<const std::string>(out + "}");
}

}  // namespace

void RestSource::Front::close() const {
  if (route) route->close();
  if (tool) tool->close();
}

RestSource::RestSource(const plan::Source& source, Front front, std::shared_ptr<QueryServer> server,
                       bool delete_completed)
    : fields_(source.fields),
      delete_completed_(delete_completed),
      front_(std::move(front)),
      server_(std::move(server)) {}

RestSource::~RestSource() {
  front_.close();
  server_->close(0);
}

Result<void> RestSource::run(SourceContext& context) {
  if (front_.tool) front_.tool->open();
  // At least a commit without rows: a pipeline that only waits for queries has caught up.
  bool more = take_back_saved(context);
  if (more) context.commit();
  while (more && !context.stopping()) {
    const std::vector<QueryServer::Change> changes = server_->take();
    if (changes.empty()) {
      context.idle();
      context.wait(kIdleNs, server_->wake_fd());
      continue;
    }
    more = deliver(changes, context);
    if (more) context.commit();
  }
  front_.close();
  server_->close(kGraceNs);
  return {};
}

bool RestSource::take_back_saved(SourceContext& context) const {
  std::vector<QueryServer::Change> gone;
  for (const auto& [name, text] : context.saved()) {
    const auto key = key_from_text(name);
    const auto object = key && text ? json::JsonObject::parse(*text) : std::nullopt;
    if (!object) continue;
    QueryServer::Change change{*key, {}, -1};
    bool whole = true;
    for (std::size_t i = 0; i < fields_.size(); ++i) {
      auto cell = fields_[i].used ? json::text_to_value(fields_[i].type, object->find(std::to_string(i)))
                                  : std::optional(Value::none());
      whole = whole && cell;
      change.cells.push_back(cell ? std::move(*cell) : Value::none());
    }
    if (whole) gone.push_back(std::move(change));
  }
  return deliver(gone, context);
}

bool RestSource::deliver(const std::vector<QueryServer::Change>& changes, SourceContext& context) const {
  BatchBuilder builder(used_columns(fields_));
  for (const QueryServer::Change& change : changes)
    builder.push(change.key, used_cells(fields_, change.cells), change.diff);
  if (delete_completed_ && context.keeps_positions())
    for (const QueryServer::Change& change : changes)
      context.put(to_text(change.key), change.diff > 0 ? saved_form(fields_, change.cells) : nullptr);
  return context.deliver(builder.finish());
}

}  // namespace thalweg::web
