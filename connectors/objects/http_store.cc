#include "connectors/objects/http_store.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "connectors/objects/requester.h"

namespace thalweg::objects {

std::string field_of(const net::HttpResponse& answer, std::string_view name) {
  const std::string* found = answer.headers.find(name);
  return found ? *found : std::string{};
}

std::uint64_t number_in(std::string_view text) {
  std::uint64_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

Result<ObjectInfo> HttpStore::head(const std::string& key) {
  auto answer = TRY(call({.method = "HEAD", .key = key, .query = {}, .headers = {}, .body = {}}));
  if (answer.status != 200) return fail(error_of(answer, key));
  return ObjectInfo{.key = key,
                    .size = number_in(field_of(answer, "Content-Length")),
                    .etag = field_of(answer, "ETag"),
                    .modified_ns = http_time_ns(field_of(answer, "Last-Modified")).value_or(0),
                    .owner = {}};
}

Result<std::string> HttpStore::get(const std::string& key, std::uint64_t offset, std::uint64_t bytes,
                                   const std::string& etag) {
  if (bytes == 0) return std::string{};
  Call ask{.method = "GET", .key = key, .query = {}, .headers = {}, .body = {}};
  ask.headers.add(std::string(range_field()), fmt::format("bytes={}-{}", offset, offset + bytes - 1));
  if (!etag.empty()) ask.headers.add("If-Match", etag);
  auto answer = TRY(call(ask));
  if (answer.status == 416) return std::string{};  // nothing is there from `offset` on
  if (answer.status == 412)
    return fail(Code::kUnavailable, fmt::format("{}/{} was changed while it was read", name(), key));
  if (answer.status != 200 && answer.status != 206) return fail(error_of(answer, key));
  // A server that knows no ranges answers with all of it.
  if (answer.status == 200 && offset > 0) answer.body.erase(0, std::min<std::size_t>(offset, answer.body.size()));
  if (answer.body.size() > bytes) answer.body.resize(bytes);
  return std::move(answer.body);
}

bool HttpStore::is_ours(const std::string& key, const std::string& bytes, std::string& etag) {
  auto there = head(key);
  if (!there || there->size != bytes.size()) return false;
  // Nothing is nothing, whoever wrote it; who writes next decides whose object it is.
  if (!bytes.empty()) {
    auto content = get(key, 0, bytes.size(), there->etag);
    if (!content || *content != bytes) return false;
  }
  etag = there->etag;
  return true;
}

}  // namespace thalweg::objects
