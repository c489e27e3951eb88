#include "connectors/documents/document_source.h"

#include <algorithm>
#include <set>

#include "connectors/file/scan.h"

namespace thalweg::documents {
namespace {

const char* const kDownloaded = "downloaded";
const char* const kTooLarge = "size_limit_exceeded";
const char* const kFailed = "download_error";

std::string dumped_metadata(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

// What was known of a document, but for when it was seen.
Json without_time(Json metadata) {
  metadata.erase("seen_at");
  metadata.erase("thumbnailLink");  // a new one with every list
  return metadata;
}

const Blob& no_data() {
  static const Blob kEmpty = std::make_shared<const std::string>();
  return kEmpty;
}

}  // namespace

DocumentSource::DocumentSource(const plan::Source& source, DocumentSettings settings,
                               std::unique_ptr<DocumentTree> tree, std::function<void(const SourceContext*)> stops)
    : name_(source.name),
      fields_(source.fields),
      settings_(std::move(settings)),
      tree_(std::move(tree)),
      stops_(std::move(stops)) {}

Result<void> DocumentSource::run(SourceContext& context) {
  stops_(&context);
  Result<void> done = follow(context);
  stops_(nullptr);
  if (!done && context.stopping()) return {};
  return done;
}

Result<void> DocumentSource::follow(SourceContext& context) {
  restore(context);
  int failures = 0;
  while (!context.stopping()) {
    auto looked = look(context);
    if (looked && *looked == Looked::kStopping) return {};
    if (looked) {
      failures = 0;
      first_ = false;
      if (settings_.is_static) return {};
    } else {
      const bool passing = looked.error().code == Code::kUnavailable;
      ++failures;
      const bool enough = settings_.failures_in_row_max > 0 && failures >= settings_.failures_in_row_max;
      if (settings_.is_static || (first_ && !passing) || enough) return fail(std::move(looked).error());
      context.warn(looked.error().message);
    }
    context.idle();
    if (!context.wait(settings_.refresh_ns)) break;
  }
  return {};
}

bool DocumentSource::takes(const Document& document) const {
  return settings_.name_patterns.empty() ||
         std::ranges::any_of(settings_.name_patterns,
                             [&](const std::string& pattern) { return matches_name(pattern, document.name); });
}

// One list, and what it says that is new.
Result<DocumentSource::Looked> DocumentSource::look(SourceContext& context) {
  const std::vector<Document> documents = TRY(tree_->list());
  std::set<std::string> there;
  bool changed = first_;  // also of an empty tree it is said that it has been read
  for (const Document& document : documents) {
    if (context.stopping()) return Looked::kStopping;
    if (!takes(document) || !there.insert(document.id).second) continue;
    const auto before = known_.find(document.id);
    const Known* old = before == known_.end() ? nullptr : &before->second;
    Known now = TRY(read(document, old, context));
    if (old != nullptr && old->data == now.data && without_time(old->metadata) == without_time(now.metadata)) {
      before->second.version = std::move(now.version);
      continue;
    }
    changed = true;
    if (old != nullptr && !deliver(document.id, *old, -1, context)) return Looked::kStopping;
    if (!deliver(document.id, now, 1, context)) return Looked::kStopping;
    keep(document.id, &now, context);
    known_.insert_or_assign(document.id, std::move(now));
  }
  for (auto it = known_.begin(); it != known_.end();) {
    if (there.contains(it->first)) {
      ++it;
      continue;
    }
    changed = true;
    if (!deliver(it->first, it->second, -1, context)) return Looked::kStopping;
    keep(it->first, nullptr, context);
    it = known_.erase(it);
  }
  if (changed) context.commit("listed");
  return Looked::kDone;
}

Result<DocumentSource::Known> DocumentSource::read(const Document& document, const Known* before,
                                                   SourceContext& context) {
  Known out;
  out.metadata = document.metadata;
  out.metadata["seen_at"] = context.env().clock->wall_ns() / kSecondNs;
  out.metadata["status"] = document.fetched ? kDownloaded : document.status.c_str();
  out.version = document.content_version;
  out.data = no_data();
  if (!document.fetched || settings_.only_metadata) return out;
  const auto too_large = [&](std::uint64_t bytes) { return settings_.size_limit && bytes > *settings_.size_limit; };
  if (too_large(document.size)) {
    out.metadata["status"] = kTooLarge;
    return out;
  }
  if (before != nullptr && before->version == document.content_version && !before->version.empty()) {
    out.data = before->data;
    out.metadata["status"] = before->metadata.value("status", kDownloaded);
    return out;
  }
  auto data = tree_->fetch(document);
  if (data && !too_large(data->size())) {
    out.data = std::make_shared<const std::string>(std::move(*data));
  } else if (data) {
    out.metadata["status"] = kTooLarge;
  } else {
    if (data.error().code == Code::kCancelled) return fail(std::move(data).error());
    context.warn(data.error().message);
    if (before != nullptr) out = *before;
    out.metadata["status"] = before != nullptr ? before->metadata["status"] : Json(kFailed);
    out.version.clear();
  }
  return out;
}

// ---------------------------------------------------------------- rows

Key DocumentSource::key_of(const std::string& id) const {
  const std::vector<Value> parts = {Value::str(name_), Value::str(id)};
  return key_of_values(parts);
}

bool DocumentSource::deliver(const std::string& id, const Known& known, Diff diff, SourceContext& context) {
  Schema schema;
  std::vector<Value> cells;
  for (const plan::SourceField& field : fields_) {
    if (!field.used) continue;
    schema.columns.push_back({field.name, field.type});
    if (field.from == plan::SourceField::From::kMetadata)
      cells.push_back(Value::json(dumped_metadata(known.metadata)));
    else
      cells.push_back(Value::bytes(*known.data));
  }
  BatchBuilder builder(schema);
  builder.push(key_of(id), cells, diff);
  return context.deliver(builder.finish());
}

// ---------------------------------------------------------------- state

// The metadata and the version on a line, then the content.
void DocumentSource::keep(const std::string& id, const Known* known, SourceContext& context) const {
  if (!context.keeps_positions()) return;
  if (known == nullptr) return context.put(id, nullptr);
  const Json head = {{"version", known->version}, {"metadata", known->metadata}};
  context.put(id, std::make_shared<const std::string>(dumped_metadata(head) + "\n" + *known->data));
}

void DocumentSource::restore(const SourceContext& context) {
  for (const auto& [id, blob] : context.saved()) {
    const std::size_t end = blob ? blob->find('\n') : std::string::npos;
    if (end == std::string::npos) continue;
    const Json head = Json::parse(blob->begin(), blob->begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    if (!head.is_object()) continue;
    known_[id] = {head.value("version", ""), head.value("metadata", Json::object()),
                  std::make_shared<const std::string>(blob->substr(end + 1))};
  }
  first_ = context.resume_position().empty();
}

}  // namespace thalweg::documents
