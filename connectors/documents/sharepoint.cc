#include "connectors/documents/sharepoint.h"

#include <charconv>

#include <fmt/format.h>

#include "connectors/net/digest.h"

namespace thalweg::documents {
namespace {

constexpr std::string_view kMicrosoftLogin = "https://login.microsoftonline.com";
constexpr std::int64_t kSiteAssertionS = 600;

Json time_of(const Json& file, const char* member) {
  const auto ns = objects::iso_time_ns(text_member(file, member));
  return ns ? Json(*ns / kSecondNs) : Json();
}

std::uint64_t size_of(const Json& file) {  // a text in the one form of answers, a number in the other
  const auto found = file.find("Length");
  if (found == file.end()) return 0;
  if (found->is_number_unsigned()) return found->get<std::uint64_t>();
  std::uint64_t out = 0;
  const std::string text = text_member(file, "Length");
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

// A path within a call of the API: quotes are doubled, then all of it is escaped.
std::string quoted_path(const std::string& path) {
  std::string out;
  for (const char c : path) out += c == '\'' ? "''" : std::string(1, c);
  return "'" + net::percent_encode(out) + "'";
}

// `https://host/sites/team` → `/sites/team`, empty for the root.
std::string path_of_site(const net::Url& url) {
  std::string out = url.target.substr(0, url.target.find('?'));
  while (out.ends_with('/')) out.pop_back();
  return net::percent_decode(out, false).value_or(out);
}

Result<AccessToken::Form> sharepoint_form(const SharePointSettings& settings, const std::string& token_url,
                                          const std::string& scope, std::int64_t now_s) {
  AccessToken::Form out = {{"grant_type", "client_credentials"}, {"client_id", settings.client_id}, {"scope", scope}};
  if (!settings.secret.empty()) {
    out.emplace_back("client_secret", settings.secret);
    return out;
  }
  const std::string print = net::from_hex(settings.thumbprint).value_or("");
  const Json header = {{"alg", "RS256"}, {"typ", "JWT"}, {"x5t", net::base64url(print)}};
  const Json claims = {{"aud", token_url},
                       {"iss", settings.client_id},
                       {"sub", settings.client_id},
                       {"jti", net::hex(net::sha256(fmt::format("{} {}", settings.client_id, now_s)))},
                       {"nbf", now_s},
                       {"exp", now_s + kSiteAssertionS}};
  out.emplace_back("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
  out.emplace_back("client_assertion", TRY(signed_token(header, claims, settings.private_key)));
  return out;
}

}  // namespace

Result<std::unique_ptr<SharePoint>> SharePoint::make(SharePointSettings settings,
                                                     const std::shared_ptr<objects::Requester>& requester) {
  while (settings.url.ends_with('/')) settings.url.pop_back();
  const net::Url site = TRY(net::parse_url(settings.url));
  if (settings.secret.empty()) {
    std::erase(settings.thumbprint, ':');
    const auto print = net::from_hex(settings.thumbprint);
    constexpr std::size_t kSha1Bytes = 20;
    if (!print || print->size() != kSha1Bytes)
      return fail(Code::kInvalidPipeline, "`thumbprint` is the SHA-1 of the certificate: 40 hexadecimal digits");
    auto tried = signed_token(Json::object(), Json::object(), settings.private_key);
    if (!tried) return fail(Code::kInvalidPipeline, "`cert_path`: " + tried.error().message);
  }
  const std::string login = settings.login_url.empty() ? std::string(kMicrosoftLogin) : settings.login_url;
  const std::string token_url = login + "/" + net::percent_encode(settings.tenant) + "/oauth2/v2.0/token";
  TRY(net::parse_url(token_url));
  const std::string scope = (site.tls ? "https://" : "http://") + site.host + "/.default";
  AccessToken token(token_url, requester, [settings, token_url, scope](std::int64_t now_s) {
    return sharepoint_form(settings, token_url, scope, now_s);
  });
  const std::string base = path_of_site(site);
  std::string root = settings.root_path;
  while (root.ends_with('/')) root.pop_back();
  const bool whole = root == base || (!base.empty() && root.starts_with(base + "/"));
  if (!whole) root = base + (root.empty() || root.starts_with('/') ? "" : "/") + root;
  TokenClient client(requester, std::move(token), "application/json;odata=nometadata");
  return std::unique_ptr<SharePoint>(new SharePoint(std::move(settings), std::move(root), std::move(client)));
}

Result<std::vector<Json>> SharePoint::children(const std::string& folder, const std::string& what) {
  constexpr std::size_t kPage = 1000;
  std::vector<Json> out;
  std::string url = fmt::format("{}/_api/web/GetFolderByServerRelativeUrl({})/{}?$top={}", settings_.url,
                                quoted_path(folder.empty() ? "/" : folder), what, kPage);
  while (!url.empty()) {
    const Json reply = TRY(client_.get_json(url));
    const auto list = reply.find("value");
    if (list == reply.end() || !list->is_array())
      return fail(Code::kUnavailable, "SharePoint: the answer to a list has no `value`");
    for (const Json& one : *list)
      if (one.is_object()) out.push_back(one);
    if (out.size() > settings_.documents_max)
      return fail(Code::kTooLarge, fmt::format("SharePoint: more than {} documents", settings_.documents_max));
    url = text_member(reply, "odata.nextLink");
    if (url.empty()) url = text_member(reply, "@odata.nextLink");
    // The token is for this site alone.
    if (!url.empty() && !url.starts_with(settings_.url + "/"))
      return fail(Code::kPermission, "SharePoint: the next page of a list is on another site");
  }
  return out;
}

Document SharePoint::document_of(const Json& file) const {
  Document out;
  out.place = text_member(file, "ServerRelativeUrl");
  out.id = text_member(file, "UniqueId");
  if (out.id.empty()) out.id = out.place;
  out.name = text_member(file, "Name");
  out.size = size_of(file);
  out.content_version =
      text_member(file, "TimeLastModified") + " " + text_member(file, "ETag") + " " + std::to_string(out.size);
  const net::Url site = net::parse_url(settings_.url).value_or(net::Url{});
  out.metadata = {{"created_at", time_of(file, "TimeCreated")},
                  {"modified_at", time_of(file, "TimeLastModified")},
                  {"path", out.place},
                  {"size", out.size},
                  {"url", (site.tls ? "https://" : "http://") + site.host + out.place}};
  return out;
}

Result<std::vector<Document>> SharePoint::list() {
  std::vector<Document> out;
  std::vector<std::string> folders = {root_};
  while (!folders.empty()) {
    const std::string folder = std::move(folders.back());
    folders.pop_back();
    auto files = children(folder, "Files");
    if (!files && files.error().code == Code::kNotFound && folder == root_)
      return fail(Code::kNotFound, "SharePoint: there is no folder `" + root_ + "` at " + settings_.url);
    // One that went while the list was made is not there.
    if (!files && files.error().code == Code::kNotFound) continue;
    if (!files) return fail(std::move(files).error());
    for (const Json& file : *files) out.push_back(document_of(file));
    if (out.size() > settings_.documents_max)
      return fail(Code::kTooLarge, fmt::format("SharePoint: more than {} documents", settings_.documents_max));
    if (!settings_.recursive) break;
    auto below = children(folder, "Folders");
    if (!below && below.error().code == Code::kNotFound) continue;
    if (!below) return fail(std::move(below).error());
    for (const Json& one : *below) folders.push_back(text_member(one, "ServerRelativeUrl"));
  }
  return out;
}

Result<std::string> SharePoint::fetch(const Document& document) {
  auto answer = client_.get(
      fmt::format("{}/_api/web/GetFileByServerRelativeUrl({})/$value", settings_.url, quoted_path(document.place)),
      "*/*");
  if (!answer)
    return fail(
        Error{answer.error().code, "`" + document.place + "`: " + answer.error().message, {}, answer.error().notes});
  return std::move(answer->body);
}

}  // namespace thalweg::documents
