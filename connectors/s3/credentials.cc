#include "connectors/s3/credentials.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "connectors/net/xml.h"

namespace thalweg::s3 {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kEarlyNs = 300 * kSecond;
constexpr std::uint64_t kFileBytesMax = 1 << 20;

std::string trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1));
}

std::string variable(const Env& env, const char* name) {
  return env.variable ? env.variable(name).value_or("") : std::string{};
}

std::string home_file(const Env& env, const char* override, const char* name) {
  std::string path = variable(env, override);
  return path.empty() ? variable(env, "HOME") + "/.aws/" + name : path;
}

// `{"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}`: containers and machines answer alike.
Result<std::optional<net::AwsCredentials>> from_json(const std::string& text, std::string_view whose) {
  const auto parsed = nlohmann::json::parse(text, nullptr, false);
  auto field = [&](const char* name) {
    const auto found = parsed.is_object() ? parsed.find(name) : parsed.end();
    return parsed.is_object() && found != parsed.end() && found->is_string() ? found->get<std::string>()
                                                                             : std::string{};
  };
  net::AwsCredentials out{field("AccessKeyId"), field("SecretAccessKey"), field("Token"), 0};
  if (out.access_key.empty() || out.secret_key.empty())
    return fail(Code::kUnavailable, fmt::format("{} gave no keys", whose));
  out.expires_ns = objects::iso_time_ns(field("Expiration")).value_or(0);
  return out;
}

}  // namespace

IniSections parse_ini(std::string_view text) {
  IniSections out;
  std::string section;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[' && line.back() == ']') {
      section = trim(std::string_view(line).substr(1, line.size() - 2));
      if (section.starts_with("profile ")) section = trim(std::string_view(section).substr(8));
      continue;
    }
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) continue;
    out[section][trim(std::string_view(line).substr(0, equals))] = trim(std::string_view(line).substr(equals + 1));
  }
  return out;
}

std::map<std::string, std::string> read_profile(const Env& env, const std::string& name) {
  std::map<std::string, std::string> out;
  const std::string paths[] = {home_file(env, "AWS_CONFIG_FILE", "config"),
                               home_file(env, "AWS_SHARED_CREDENTIALS_FILE", "credentials")};
  for (const std::string& path : paths) {
    auto text = read_all(*env.disk, path, kFileBytesMax);
    if (!text) continue;
    IniSections sections = parse_ini(*text);
    for (auto& [key, value] : sections[name]) out[key] = value;
  }
  return out;
}

Credentials::Credentials(CredentialSettings settings, Env env, std::shared_ptr<objects::Requester> requester)
    : settings_(std::move(settings)), env_(std::move(env)), requester_(std::move(requester)) {}

Result<net::AwsCredentials> Credentials::get() {
  const std::lock_guard lock(mutex_);
  const std::int64_t now = requester_->server_ns();
  const bool ends = kept_ && kept_->expires_ns != 0;
  if (kept_ && (!ends || kept_->expires_ns - now > kEarlyNs)) return *kept_;
  Keys found = find();
  if (found && *found) {
    kept_ = std::move(**found);
    return *kept_;
  }
  if (ends && kept_->expires_ns > now) return *kept_;
  if (!found) return fail(std::move(found).error());
  return fail(
      Error{Code::kPermission,
            "there are no keys for S3: neither in the arguments nor in the environment, the profile files, or "
            "from the container or machine",
            {},
            {{"give `access_key` and `secret_access_key`, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", {}}}});
}

void Credentials::refuse() {
  const std::lock_guard lock(mutex_);
  if (!fixed_) kept_.reset();
}

Credentials::Keys Credentials::find() {
  if (!settings_.access_key.empty()) {
    fixed_ = true;
    return net::AwsCredentials{settings_.access_key, settings_.secret_key, settings_.session_token, 0};
  }
  if (auto keys = TRY(from_environment())) return keys;
  const std::string token_file = variable(env_, "AWS_WEB_IDENTITY_TOKEN_FILE");
  const std::string role = variable(env_, "AWS_ROLE_ARN");
  if (!token_file.empty() && !role.empty())
    return from_web_identity(token_file, role, variable(env_, "AWS_ROLE_SESSION_NAME"));
  if (auto keys = TRY(from_profile())) return keys;
  if (auto keys = TRY(from_container())) return keys;
  return from_instance();
}

Credentials::Keys Credentials::from_environment() const {
  const std::string key = variable(env_, "AWS_ACCESS_KEY_ID");
  const std::string secret = variable(env_, "AWS_SECRET_ACCESS_KEY");
  if (key.empty() || secret.empty() || !settings_.profile.empty()) return std::nullopt;
  return net::AwsCredentials{key, secret, variable(env_, "AWS_SESSION_TOKEN"), 0};
}

Credentials::Keys Credentials::from_web_identity(const std::string& token_file, const std::string& role,
                                                 const std::string& session) {
  const std::string token = trim(TRY(read_all(*env_.disk, token_file, kFileBytesMax)));
  std::string url = variable(env_, "AWS_ENDPOINT_URL_STS");
  if (url.empty())
    url = fmt::format("https://sts.{}.amazonaws.com", settings_.region.empty() ? "us-east-1" : settings_.region);
  net::HttpFields headers;
  headers.add("Content-Type", "application/x-www-form-urlencoded");
  const std::string body = fmt::format(
      "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={}&RoleSessionName={}&WebIdentityToken={}",
      net::aws_escape(role), net::aws_escape(session.empty() ? "thalweg" : session), net::aws_escape(token));
  const std::string answer = TRY(fetch("POST", url + "/", headers, body));
  const net::XmlElement root = TRY(net::parse_xml(answer));
  const net::XmlElement* result = root.find("AssumeRoleWithWebIdentityResult");
  const net::XmlElement* keys = result ? result->find("Credentials") : nullptr;
  if (!keys) return fail(Code::kUnavailable, "the token service gave no keys");
  return net::AwsCredentials{keys->text_of("AccessKeyId"), keys->text_of("SecretAccessKey"),
                             keys->text_of("SessionToken"),
                             objects::iso_time_ns(keys->text_of("Expiration")).value_or(0)};
}

Credentials::Keys Credentials::from_profile() {
  std::string name = settings_.profile.empty() ? variable(env_, "AWS_PROFILE") : settings_.profile;
  const bool named = !name.empty();
  if (!named) name = "default";
  auto profile = read_profile(env_, name);
  if (!profile["web_identity_token_file"].empty() && !profile["role_arn"].empty())
    return from_web_identity(profile["web_identity_token_file"], profile["role_arn"], profile["role_session_name"]);
  if (!profile["aws_access_key_id"].empty() && !profile["aws_secret_access_key"].empty())
    return net::AwsCredentials{profile["aws_access_key_id"], profile["aws_secret_access_key"],
                               profile["aws_session_token"], 0};
  if (!named) return std::nullopt;
  return fail(Code::kPermission,
              fmt::format("the profile `{}` has no keys in ~/.aws/credentials or ~/.aws/config", name));
}

Credentials::Keys Credentials::from_container() {
  const std::string relative = variable(env_, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  const std::string url =
      relative.empty() ? variable(env_, "AWS_CONTAINER_CREDENTIALS_FULL_URI") : "http://169.254.170.2" + relative;
  if (url.empty()) return std::nullopt;
  net::HttpFields headers;
  std::string token = variable(env_, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (const std::string file = variable(env_, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"); !file.empty())
    token = trim(TRY(read_all(*env_.disk, file, kFileBytesMax)));
  if (!token.empty()) headers.add("Authorization", token);
  return from_json(TRY(fetch("GET", url, headers)), "the container's service");
}

Credentials::Keys Credentials::from_instance() {
  if (variable(env_, "AWS_EC2_METADATA_DISABLED") == "true") return std::nullopt;
  std::string base = variable(env_, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
  if (base.empty()) base = "http://169.254.169.254";
  while (base.ends_with('/')) base.pop_back();
  net::HttpFields ask;
  ask.add("X-aws-ec2-metadata-token-ttl-seconds", "21600");
  auto token = fetch("PUT", base + "/latest/api/token", ask);
  if (!token) return std::nullopt;  // this is no such machine
  net::HttpFields headers;
  headers.add("X-aws-ec2-metadata-token", trim(*token));
  const std::string path = base + "/latest/meta-data/iam/security-credentials/";
  auto roles = fetch("GET", path, headers);
  if (!roles) return std::nullopt;  // it has no role
  const std::string role = trim(roles->substr(0, roles->find('\n')));
  return from_json(TRY(fetch("GET", path + role, headers)), "the machine's metadata service");
}

// Two short attempts: where there is no such service, nobody answers at all.
Result<std::string> Credentials::fetch(const std::string& method, const std::string& url,
                                       const net::HttpFields& headers, const std::string& body) {
  objects::RequesterOptions options = requester_->options();
  options.attempts_max = 2;
  options.connect_ms_max = 1'000;
  options.request_ms_max = 10'000;
  objects::Requester short_lived(std::move(options));
  const net::Url parsed = TRY(net::parse_url(url));
  auto answer = TRY(short_lived.send([&]() -> Result<objects::Requester::Attempt> {
    net::HttpRequest request;
    request.method = method;
    request.headers = headers;
    request.body = body;
    return objects::Requester::Attempt{parsed, std::move(request)};
  }));
  if (answer.status != 200)
    return fail(Code::kUnavailable, fmt::format("{} for keys answered {}", parsed.host, answer.status));
  return std::move(answer.body);
}

}  // namespace thalweg::s3
