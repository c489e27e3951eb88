#include "connectors/s3/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "connectors/net/xml.h"

namespace thalweg::s3 {

using objects::Condition;
using objects::ListPage;
using objects::ObjectInfo;
using objects::Requester;
using objects::Written;

namespace {

constexpr std::string_view kDefaultRegion = "us-east-1";

std::string unescape(const std::string& text) { return net::percent_decode(text, true).value_or(text); }

// Code and message of an error's body; empty where there is none.
struct Problem {
  std::string code, message, region;
};
Problem problem_of(const net::HttpResponse& answer) {
  if (answer.body.empty() || answer.status < 300) return {};
  auto root = net::parse_xml(answer.body);
  if (!root) return {};
  return {root->text_of("Code"), root->text_of("Message"), root->text_of("Region")};
}

std::string amazon_host(const std::string& region) {
  return fmt::format("s3.{}.amazonaws.com{}", region, region.starts_with("cn-") ? ".cn" : "");
}

bool fits_host(std::string_view bucket) {
  return bucket.size() >= 3 && bucket.size() <= 63 && std::ranges::all_of(bucket, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
         });
}

std::string find_region(const BucketSettings& settings, const Env& env) {
  if (!settings.region.empty()) return settings.region;
  auto variable = [&](const char* name) { return env.variable ? env.variable(name).value_or("") : std::string{}; };
  for (const char* name : {"AWS_REGION", "AWS_DEFAULT_REGION"})
    if (std::string region = variable(name); !region.empty()) return region;
  std::string profile = settings.credentials.profile.empty() ? variable("AWS_PROFILE") : settings.credentials.profile;
  auto section = read_profile(env, profile.empty() ? "default" : profile);
  return section["region"].empty() ? std::string(kDefaultRegion) : section["region"];
}

}  // namespace

// ---------------------------------------------------------------- requests

S3Store::S3Store(BucketSettings settings, std::string region, std::shared_ptr<Requester> requester, const Env& env)
    : settings_(std::move(settings)),
      requester_(requester),
      credentials_(settings_.credentials, env, std::move(requester)),
      region_(std::move(region)) {}

Result<std::unique_ptr<S3Store>> S3Store::make(BucketSettings settings, const Env& env,
                                               objects::RequesterOptions options) {
  if (settings.bucket.empty()) return fail(Code::kInvalidPipeline, "the name of the bucket is missing");
  if (settings.bucket.find_first_of("/ \t\n?#") != std::string::npos)
    return fail(Code::kInvalidPipeline, fmt::format("`{}` is no name of a bucket", settings.bucket));
  if (settings.credentials.access_key.empty() != settings.credentials.secret_key.empty())
    return fail(Code::kInvalidPipeline, "`access_key` and `secret_access_key` go together");
  const bool own = !settings.endpoint.empty();
  if (own) {
    if (settings.endpoint.find("://") == std::string::npos) settings.endpoint = "https://" + settings.endpoint;
    while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
    TRY(net::parse_url(settings.endpoint));
  }
  if (!settings.path_style) settings.path_style = own || !fits_host(settings.bucket);
  std::string region = find_region(settings, env);
  settings.credentials.region = region;
  if (env.variable) options.tls.ca_file = env.variable("AWS_CA_BUNDLE").value_or(options.tls.ca_file);
  auto requester = std::make_shared<Requester>(std::move(options));
  return std::unique_ptr<S3Store>(new S3Store(std::move(settings), std::move(region), std::move(requester), env));
}

std::string S3Store::region() const {
  const std::lock_guard lock(mutex_);
  return region_;
}

bool S3Store::learn_region(const std::string& region) {
  if (region.empty()) return false;
  const std::lock_guard lock(mutex_);
  if (region == region_) return false;
  region_ = region;
  return true;
}

Result<Requester::Attempt> S3Store::attempt(const Call& call) {
  const std::string region = this->region();
  std::string base = settings_.endpoint.empty() ? "https://" + amazon_host(region) : settings_.endpoint;
  std::string path = "/";
  if (*settings_.path_style)
    path += settings_.bucket + (call.key.empty() ? "" : "/");
  else
    base.insert(base.find("://") + 3, settings_.bucket + ".");
  path += net::aws_escape(call.key, true);
  Requester::Attempt out;
  out.url = TRY(net::parse_url(base + path + (call.query.empty() ? "" : "?" + call.query)));
  out.request.method = call.method;
  out.request.target = out.url.target;
  out.request.headers = call.headers;
  out.request.headers.set("Host", out.url.host);
  out.request.body = call.body;
  net::sign_aws(out.request, TRY(credentials_.get()), {region, "s3"}, requester_->server_ns());
  return out;
}

Requester::Verdict S3Store::judge(const net::HttpResponse& answer) {
  using Verdict = Requester::Verdict;
  if (Requester::is_passing(answer.status)) return Verdict::kAgain;
  if (answer.status < 300 || answer.status == 404 || answer.status == 412) return Verdict::kTake;
  const Problem problem = problem_of(answer);
  if (problem.code == "SlowDown" || problem.code == "RequestTimeout" || problem.code == "OperationAborted" ||
      problem.code == "ConditionalRequestConflict")
    return Verdict::kAgain;
  std::string region = objects::field_of(answer, "x-amz-bucket-region");
  if (region.empty()) region = problem.region;
  const bool elsewhere = answer.status == 301 || answer.status == 307 || answer.status == 400 || answer.status == 403;
  if (elsewhere && settings_.endpoint.empty() && learn_region(region)) return Verdict::kAgainSoon;
  if (problem.code == "AuthorizationHeaderMalformed" && learn_region(problem.region)) return Verdict::kAgainSoon;
  // The answer to HEAD has no body: 403 may be about the clock.
  const bool clock = problem.code == "RequestTimeTooSkewed" || problem.code == "RequestExpired" ||
                     (answer.status == 403 && problem.code.empty());
  if (clock && requester_->learn_time(answer)) return Verdict::kAgainSoon;
  if (problem.code == "ExpiredToken" || problem.code == "InvalidToken" || problem.code == "TokenRefreshRequired") {
    credentials_.refuse();
    return Verdict::kAgainSoon;
  }
  return Verdict::kTake;
}

Result<net::HttpResponse> S3Store::call(const Call& call) {
  auto answer = requester_->send([&] { return attempt(call); },
                                 [&](const net::HttpResponse& response) { return judge(response); });
  if (!answer)
    return fail(
        Error{answer.error().code, name() + ": " + answer.error().message, {}, std::move(answer.error().notes)});
  return answer;
}

Error S3Store::error_of(const net::HttpResponse& answer, const std::string& key) const {
  const Problem problem = problem_of(answer);
  std::string where = name() + (key.empty() ? "" : "/" + key);
  std::string what = problem.code.empty() ? fmt::format("{} {}", answer.status, net::reason_phrase(answer.status))
                                          : fmt::format("{} ({})", problem.message, problem.code);
  Code code = Code::kIo;
  if (answer.status == 404) code = Code::kNotFound;
  if (answer.status == 401 || answer.status == 403) code = Code::kPermission;
  if (Requester::is_passing(answer.status)) code = Code::kUnavailable;
  Error out{code, fmt::format("{}: {}", where, what), {}, {}};
  if (answer.status == 301 || answer.status == 307)
    out.notes.push_back({"the bucket is elsewhere: check `region` and `endpoint`", {}});
  if (problem.code == "SignatureDoesNotMatch") out.notes.push_back({"check `secret_access_key`", {}});
  return out;
}

// ---------------------------------------------------------------- reading

Result<ListPage> S3Store::list(const std::string& prefix, bool by_folder, const std::string& page) {
  std::string query = "list-type=2&encoding-type=url&fetch-owner=true&prefix=" + net::aws_escape(prefix);
  if (by_folder) query += "&delimiter=%2F";
  if (!page.empty()) query += "&continuation-token=" + net::aws_escape(page);
  auto answer = TRY(call({.method = "GET", .key = {}, .query = std::move(query), .headers = {}, .body = {}}));
  if (answer.status != 200) return fail(error_of(answer, ""));
  auto root = net::parse_xml(answer.body);
  if (!root) return fail(Code::kUnavailable, fmt::format("{}: {}", name(), root.error().message));
  const bool escaped = root->text_of("EncodingType") == "url";
  auto plain = [&](const std::string& text) { return escaped ? unescape(text) : text; };
  ListPage out;
  for (const net::XmlElement& one : root->children) {
    if (one.name == "CommonPrefixes") out.prefixes.push_back(plain(one.text_of("Prefix")));
    if (one.name != "Contents") continue;
    ObjectInfo info{.key = plain(one.text_of("Key")),
                    .size = objects::number_in(one.text_of("Size")),
                    .etag = one.text_of("ETag"),
                    .modified_ns = objects::iso_time_ns(one.text_of("LastModified")).value_or(0),
                    .owner = {}};
    if (const net::XmlElement* owner = one.find("Owner")) {
      info.owner = owner->text_of("DisplayName");
      if (info.owner.empty()) info.owner = owner->text_of("ID");
    }
    out.objects.push_back(std::move(info));
  }
  if (root->text_of("IsTruncated") == "true") out.next = root->text_of("NextContinuationToken");
  return out;
}

// ---------------------------------------------------------------- writing

Result<Written> S3Store::put(const std::string& key, const std::string& bytes, const Condition& condition) {
  Call ask{.method = "PUT", .key = key, .query = {}, .headers = {}, .body = bytes};
  if (condition.kind == Condition::Kind::kAbsent) ask.headers.add("If-None-Match", "*");
  if (condition.kind == Condition::Kind::kUnchanged) ask.headers.add("If-Match", condition.etag);
  auto answer = TRY(call(ask));
  if (answer.status == 200 || answer.status == 201 || answer.status == 204)
    return Written{true, objects::field_of(answer, "ETag")};
  const bool refused = answer.status == 412 || (condition.kind == Condition::Kind::kUnchanged && answer.status == 404);
  if (!refused) return fail(error_of(answer, key));
  // The request may have been sent twice, because its answer did not come.
  Written out;
  out.done = condition.kind != Condition::Kind::kNone && is_ours(key, bytes, out.etag);
  return out;
}

Result<void> S3Store::remove(const std::string& key) {
  auto answer = TRY(call({.method = "DELETE", .key = key, .query = {}, .headers = {}, .body = {}}));
  if (answer.status / 100 == 2 || answer.status == 404) return {};
  return fail(error_of(answer, key));
}

class S3Store::MultipartUpload final : public objects::Upload {
 public:
  MultipartUpload(S3Store& store, std::string key, std::string id)
      : store_(store), key_(std::move(key)), id_(std::move(id)) {}
  MultipartUpload(const MultipartUpload&) = delete;
  MultipartUpload& operator=(const MultipartUpload&) = delete;
  ~MultipartUpload() override {
    if (!finished_) (void)store_.call(ask("DELETE", "uploadId=" + net::aws_escape(id_), {}));
  }

  Result<void> add(std::string bytes) override {
    auto answer = TRY(store_.call(ask(
        "PUT", fmt::format("partNumber={}&uploadId={}", etags_.size() + 1, net::aws_escape(id_)), std::move(bytes))));
    if (answer.status != 200) return fail(store_.error_of(answer, key_));
    etags_.push_back(objects::field_of(answer, "ETag"));
    return {};
  }

  Result<Written> finish() override {
    std::string body = "<CompleteMultipartUpload>";
    for (std::size_t i = 0; i < etags_.size(); ++i)
      body += fmt::format("<Part><PartNumber>{}</PartNumber><ETag>{}</ETag></Part>", i + 1, net::xml_escape(etags_[i]));
    body += "</CompleteMultipartUpload>";
    auto answer = TRY(store_.call(ask("POST", "uploadId=" + net::aws_escape(id_), std::move(body))));
    // An answer may begin with 200 and still be an error; one that got lost makes the next ask for what is done.
    auto root = net::parse_xml(answer.body);
    const bool done = answer.status == 200 && root && root->name != "Error";
    const bool done_before = answer.status == 404 && root && root->text_of("Code") == "NoSuchUpload";
    if (done || done_before) {
      auto there = TRY(store_.head(key_));
      finished_ = true;
      return Written{true, there.etag};
    }
    if (answer.status == 200)
      return fail(Code::kUnavailable, fmt::format("{}/{}: the parts could not be joined", store_.name(), key_));
    return fail(store_.error_of(answer, key_));
  }

 private:
  [[nodiscard]] Call ask(std::string method, std::string query, std::string body) const {
    return {
        .method = std::move(method), .key = key_, .query = std::move(query), .headers = {}, .body = std::move(body)};
  }
  S3Store& store_;
  const std::string key_;
  const std::string id_;
  std::vector<std::string> etags_;
  bool finished_ = false;
};

Result<std::unique_ptr<objects::Upload>> S3Store::upload(const std::string& key) {
  auto answer = TRY(call({.method = "POST", .key = key, .query = "uploads=", .headers = {}, .body = {}}));
  if (answer.status != 200) return fail(error_of(answer, key));
  const net::XmlElement root = TRY(net::parse_xml(answer.body));
  std::string id = root.text_of("UploadId");
  if (id.empty()) return fail(Code::kUnavailable, fmt::format("{}/{}: no upload was begun", name(), key));
  return std::make_unique<MultipartUpload>(*this, key, std::move(id));
}

}  // namespace thalweg::s3
