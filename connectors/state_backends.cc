#include "connectors/state_backends.h"

#include <algorithm>

#include "config/decode.h"
#include "connectors/azure/blob_store.h"
#include "connectors/objects/state_disk.h"
#include "connectors/s3/settings.h"

namespace thalweg {

namespace {

std::string text_of(const Setting& map, const char* name) {
  const Setting* found = map.find(name);
  return found ? config::as_text(*found).value_or("") : std::string{};
}

// Outages of some minutes are waited for: what is not durable is not shown, and nothing is lost.
objects::RequesterOptions patient(const Env& env) {
  objects::RequesterOptions out;
  out.clock = env.clock;
  out.rng = env.rng;
  out.attempts_max = 40;
  out.request_ms_max = 30'000;
  return out;
}

StateBackend backend_of(std::shared_ptr<objects::ObjectStore> store, std::string root, const std::string& folder,
                        const Env& env) {
  root.erase(0, root.find_first_not_of('/') == std::string::npos ? root.size() : root.find_first_not_of('/'));
  while (root.ends_with('/')) root.pop_back();
  if (!root.empty()) root += '/';
  objects::StateDiskOptions options;
  options.clock = env.clock;
  options.rng = env.rng;
  options.prefix = root;
  options.base = store->name() + "/" + root;
  StateBackend out;
  out.directory = options.base + folder;
  out.disk = std::make_shared<objects::StateDisk>(std::move(store), std::move(options));
  return out;
}

}  // namespace

Result<StateBackend> s3_state(const Setting& backend, const std::string& folder, const Env& env) {
  const Setting* block = backend.find("bucket_settings");
  if (block != nullptr && block->as_map() == nullptr) block = nullptr;
  auto bucket = s3::bucket_from(backend, block);
  if (!bucket) return fail(std::move(bucket).error().at(backend.span));
  std::string root = text_of(backend, "root_path");
  for (std::string_view scheme : {"s3://", "s3a://"}) {
    if (!root.starts_with(scheme)) continue;
    root.erase(0, scheme.size());
    const std::size_t slash = std::min(root.find('/'), root.size());
    if (bucket->bucket.empty()) bucket->bucket = root.substr(0, slash);
    root.erase(0, slash);
  }
  auto store = s3::S3Store::make(std::move(*bucket), env, patient(env));
  if (!store) return fail(std::move(store).error().at(backend.span));
  return backend_of(std::move(*store), std::move(root), folder, env);
}

Result<StateBackend> azure_state(const Setting& backend, const std::string& folder, const Env& env) {
  azure::ContainerSettings settings{.account = text_of(backend, "account"),
                                    .key = text_of(backend, "password"),
                                    .container = text_of(backend, "container"),
                                    .endpoint = text_of(backend, "endpoint")};
  auto store = azure::BlobStore::make(std::move(settings), patient(env));
  if (!store) return fail(std::move(store).error().at(backend.span));
  return backend_of(std::move(*store), text_of(backend, "root_path"), folder, env);
}

}  // namespace thalweg
