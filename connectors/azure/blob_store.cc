#include "connectors/azure/blob_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "connectors/net/aws_signature.h"
#include "connectors/net/digest.h"
#include "connectors/net/xml.h"

namespace thalweg::azure {

using objects::Condition;
using objects::ListPage;
using objects::ObjectInfo;
using objects::Requester;
using objects::Written;

namespace {

constexpr std::string_view kVersion = "2021-08-06";

std::string escape(std::string_view text, bool path = false) { return net::aws_escape(text, path); }

// Lists give etags without the quotes that conditions want.
std::string quoted(std::string etag) { return etag.empty() || etag.front() == '"' ? etag : '"' + etag + '"'; }

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

}  // namespace

// ---------------------------------------------------------------- requests

BlobStore::BlobStore(ContainerSettings settings, std::string key, objects::RequesterOptions options)
    : settings_(std::move(settings)), key_(std::move(key)), requester_(std::move(options)) {}

Result<std::unique_ptr<BlobStore>> BlobStore::make(ContainerSettings settings, objects::RequesterOptions options) {
  if (settings.account.empty()) return fail(Code::kInvalidPipeline, "`account` is missing");
  if (settings.container.empty() || settings.container.find('/') != std::string::npos)
    return fail(Code::kInvalidPipeline, fmt::format("`{}` is no name of a container", settings.container));
  if (settings.endpoint.empty()) settings.endpoint = "https://" + settings.account + ".blob.core.windows.net";
  if (settings.endpoint.find("://") == std::string::npos) settings.endpoint = "https://" + settings.endpoint;
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  TRY(net::parse_url(settings.endpoint));
  if (settings.key.starts_with('?')) settings.key.erase(0, 1);
  std::string key;
  if (!settings.key.starts_with("sv=") && settings.key.find("&sig=") == std::string::npos) {
    auto decoded = net::from_base64(settings.key);
    if (!decoded || decoded->empty())
      return fail(Code::kInvalidPipeline,
                  "`password` is neither an account's key (base64) nor a shared access signature");
    key = std::move(*decoded);
  }
  return std::unique_ptr<BlobStore>(new BlobStore(std::move(settings), std::move(key), std::move(options)));
}

std::string string_to_sign(const net::HttpRequest& request, const std::string& account, const std::string& path,
                           const std::string& query) {
  auto header = [&](std::string_view name) {
    const std::string* found = request.headers.find(name);
    return found ? *found : std::string{};
  };
  std::string out = request.method;
  for (std::string_view name : {"Content-Encoding", "Content-Language"}) out += "\n" + header(name);
  out += "\n" + (request.body.empty() ? std::string{} : std::to_string(request.body.size()));
  for (std::string_view name : {"Content-MD5", "Content-Type", "Date", "If-Modified-Since", "If-Match", "If-None-Match",
                                "If-Unmodified-Since", "Range"})
    out += "\n" + header(name);
  std::vector<std::pair<std::string, std::string>> own;
  for (const auto& [name, value] : request.headers.all())
    if (std::string small = lower(name); small.starts_with("x-ms-")) own.emplace_back(std::move(small), value);
  std::ranges::sort(own);
  out += "\n";
  for (const auto& [name, value] : own) out += name + ":" + value + "\n";
  out += "/" + account + path;
  std::vector<std::pair<std::string, std::string>> parameters;
  for (std::string_view rest = query; !rest.empty();) {
    const std::size_t end = std::min(rest.find('&'), rest.size());
    const std::string_view pair = rest.substr(0, end);
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string value(equals < pair.size() ? pair.substr(equals + 1) : std::string_view{});
    parameters.emplace_back(lower(std::string(pair.substr(0, equals))),
                            net::percent_decode(value, false).value_or(value));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  std::ranges::sort(parameters);
  for (const auto& [name, value] : parameters) out += "\n" + name + ":" + value;
  return out;
}

std::string BlobStore::signature(const net::HttpRequest& request, const std::string& path,
                                 const std::string& query) const {
  return net::base64(net::hmac_sha256(key_, string_to_sign(request, settings_.account, path, query)));
}

Result<Requester::Attempt> BlobStore::attempt(const Call& call) {
  std::string path = "/" + escape(settings_.container);
  if (!call.key.empty()) path += "/" + escape(call.key, true);
  std::string query = call.query;
  if (key_.empty()) query += (query.empty() ? "" : "&") + settings_.key;
  Requester::Attempt out;
  out.url = TRY(net::parse_url(settings_.endpoint + path + (query.empty() ? "" : "?" + query)));
  out.request.method = call.method;
  out.request.headers = call.headers;
  out.request.body = call.body;
  out.request.headers.set("x-ms-date", objects::http_time(requester_.server_ns()));
  out.request.headers.set("x-ms-version", std::string(kVersion));
  if (!key_.empty()) {
    const std::string whole = out.url.target.substr(0, out.url.target.find('?'));
    out.request.headers.set("Authorization",
                            "SharedKey " + settings_.account + ":" + signature(out.request, whole, call.query));
  }
  return out;
}

Result<net::HttpResponse> BlobStore::call(const Call& call) {
  auto judge = [&](const net::HttpResponse& answer) {
    if (Requester::is_passing(answer.status)) return Requester::Verdict::kAgain;
    if (answer.status == 403 && requester_.learn_time(answer)) return Requester::Verdict::kAgainSoon;
    return Requester::Verdict::kTake;
  };
  auto answer = requester_.send([&] { return attempt(call); }, judge);
  if (!answer)
    return fail(
        Error{answer.error().code, name() + ": " + answer.error().message, {}, std::move(answer.error().notes)});
  return answer;
}

Error BlobStore::error_of(const net::HttpResponse& answer, const std::string& key) const {
  std::string what = objects::field_of(answer, "x-ms-error-code");
  what = what.empty() ? fmt::format("{} {}", answer.status, net::reason_phrase(answer.status))
                      : fmt::format("{} ({})", what, answer.status);
  Code code = Code::kIo;
  if (answer.status == 404) code = Code::kNotFound;
  if (answer.status == 401 || answer.status == 403) code = Code::kPermission;
  if (Requester::is_passing(answer.status)) code = Code::kUnavailable;
  return {code, fmt::format("{}{}: {}", name(), key.empty() ? "" : "/" + key, what), {}, {}};
}

// ---------------------------------------------------------------- reading

Result<ListPage> BlobStore::list(const std::string& prefix, bool by_folder, const std::string& page) {
  std::string query = "comp=list";
  if (by_folder) query += "&delimiter=%2F";
  if (!page.empty()) query += "&marker=" + escape(page);
  query += "&prefix=" + escape(prefix) + "&restype=container";
  auto answer = TRY(call({.method = "GET", .key = {}, .query = std::move(query), .headers = {}, .body = {}}));
  if (answer.status != 200) return fail(error_of(answer, ""));
  auto root = net::parse_xml(answer.body);
  if (!root) return fail(Code::kUnavailable, fmt::format("{}: {}", name(), root.error().message));
  ListPage out;
  out.next = root->text_of("NextMarker");
  const net::XmlElement* blobs = root->find("Blobs");
  if (!blobs) return out;
  for (const net::XmlElement& one : blobs->children) {
    if (one.name == "BlobPrefix") out.prefixes.push_back(one.text_of("Name"));
    const net::XmlElement* properties = one.name == "Blob" ? one.find("Properties") : nullptr;
    if (!properties) continue;
    out.objects.push_back({.key = one.text_of("Name"),
                           .size = objects::number_in(properties->text_of("Content-Length")),
                           .etag = quoted(properties->text_of("Etag")),
                           .modified_ns = objects::http_time_ns(properties->text_of("Last-Modified")).value_or(0),
                           .owner = {}});
  }
  return out;
}

// ---------------------------------------------------------------- writing

Result<Written> BlobStore::put(const std::string& key, const std::string& bytes, const Condition& condition) {
  Call ask{.method = "PUT", .key = key, .query = {}, .headers = {}, .body = bytes};
  ask.headers.add("x-ms-blob-type", "BlockBlob");
  ask.headers.add("Content-Type", "application/octet-stream");
  if (condition.kind == Condition::Kind::kAbsent) ask.headers.add("If-None-Match", "*");
  if (condition.kind == Condition::Kind::kUnchanged) ask.headers.add("If-Match", condition.etag);
  auto answer = TRY(call(ask));
  if (answer.status == 201) return Written{true, objects::field_of(answer, "ETag")};
  const bool refused = answer.status == 412 || answer.status == 409 ||
                       (condition.kind == Condition::Kind::kUnchanged && answer.status == 404);
  if (!refused) return fail(error_of(answer, key));
  Written out;
  out.done = condition.kind != Condition::Kind::kNone && is_ours(key, bytes, out.etag);
  return out;
}

Result<void> BlobStore::remove(const std::string& key) {
  auto answer = TRY(call({.method = "DELETE", .key = key, .query = {}, .headers = {}, .body = {}}));
  if (answer.status == 202 || answer.status == 404) return {};
  return fail(error_of(answer, key));
}

class BlobStore::BlockUpload final : public objects::Upload {
 public:
  BlockUpload(BlobStore& store, std::string key) : store_(store), key_(std::move(key)) {}

  Result<void> add(std::string bytes) override {
    std::string id = net::base64(fmt::format("{:08}", ids_.size()));
    auto answer = TRY(store_.call({.method = "PUT",
                                   .key = key_,
                                   .query = "blockid=" + escape(id) + "&comp=block",
                                   .headers = {},
                                   .body = std::move(bytes)}));
    if (answer.status != 201) return fail(store_.error_of(answer, key_));
    ids_.push_back(std::move(id));
    return {};
  }

  // Blocks that no list names are thrown away by the service.
  Result<Written> finish() override {
    std::string body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>";
    for (const std::string& id : ids_) body += "<Uncommitted>" + id + "</Uncommitted>";
    body += "</BlockList>";
    auto answer = TRY(
        store_.call({.method = "PUT", .key = key_, .query = "comp=blocklist", .headers = {}, .body = std::move(body)}));
    if (answer.status != 201) return fail(store_.error_of(answer, key_));
    return Written{true, objects::field_of(answer, "ETag")};
  }

 private:
  BlobStore& store_;
  const std::string key_;
  std::vector<std::string> ids_;
};

Result<std::unique_ptr<objects::Upload>> BlobStore::upload(const std::string& key) {
  return std::make_unique<BlockUpload>(*this, key);
}

}  // namespace thalweg::azure
