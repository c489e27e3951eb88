#include "connectors/documents/google_drive.h"

#include <charconv>
#include <set>

#include <fmt/format.h>

namespace thalweg::documents {
namespace {

constexpr std::string_view kDriveEndpoint = "https://www.googleapis.com";
constexpr std::string_view kDriveTokenUrl = "https://oauth2.googleapis.com/token";
constexpr std::string_view kDriveScope = "https://www.googleapis.com/auth/drive.readonly";
constexpr std::int64_t kDriveAssertionS = 3600;
constexpr std::string_view kDriveFolder = "application/vnd.google-apps.folder";
constexpr std::string_view kDriveShortcut = "application/vnd.google-apps.shortcut";
constexpr std::string_view kDriveFields =
    "id,name,mimeType,parents,modifiedTime,thumbnailLink,lastModifyingUser,trashed,size,md5Checksum";

// What Google's own kinds are exported as; empty: this kind is none, or has no file.
std::string_view exported_as(std::string_view kind) {
  if (kind == "application/vnd.google-apps.document")
    return "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
  if (kind == "application/vnd.google-apps.spreadsheet")
    return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
  if (kind == "application/vnd.google-apps.presentation")
    return "application/vnd.openxmlformats-officedocument.presentationml.presentation";
  return {};
}

Document drive_document(const Json& file) {
  Document out;
  out.id = text_member(file, "id");
  out.name = text_member(file, "name");
  const std::string size = text_member(file, "size");
  std::from_chars(size.data(), size.data() + size.size(), out.size);
  out.content_version = text_member(file, "modifiedTime") + " " + size + " " + text_member(file, "md5Checksum");
  out.place = text_member(file, "mimeType");
  if (out.place == kDriveShortcut) {
    out.fetched = false;
    out.status = "skipped_symlinks_not_supported";
  }
  for (const char* member : {"id", "name", "mimeType", "parents", "modifiedTime", "thumbnailLink", "lastModifyingUser"})
    if (file.contains(member)) out.metadata[member] = file[member];
  out.metadata["url"] = "https://drive.google.com/file/d/" + out.id + "/";
  out.metadata["path"] = out.name;
  return out;
}

bool is_trashed(const Json& file) {
  const auto found = file.find("trashed");
  return found != file.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace

Result<std::unique_ptr<GoogleDrive>> GoogleDrive::make(DriveSettings settings,
                                                       const std::shared_ptr<objects::Requester>& requester) {
  const Json account = Json::parse(settings.credentials, nullptr, false);
  settings.credentials.clear();
  const auto member = [&](const char* name) {
    return account.is_object() ? text_member(account, name) : std::string();
  };
  const std::string email = member("client_email"), key = member("private_key"), key_id = member("private_key_id");
  std::string token_url = member("token_uri");
  if (email.empty() || key.empty())
    return fail(Error{Code::kInvalidPipeline,
                      "the credentials are no JSON with `client_email` and `private_key`",
                      {},
                      {{"the file is what Google's console gives as the key of a service account", {}}}});
  if (token_url.empty()) token_url = kDriveTokenUrl;
  // Once, so that a key that cannot sign is told before anything runs.
  auto tried = signed_token(Json::object(), Json::object(), key);
  if (!tried) return fail(Code::kInvalidPipeline, "`private_key` of the credentials: " + tried.error().message);
  if (settings.endpoint.empty()) settings.endpoint = kDriveEndpoint;
  while (settings.endpoint.ends_with('/')) settings.endpoint.pop_back();
  TRY(net::parse_url(settings.endpoint));
  TRY(net::parse_url(token_url));
  AccessToken token(token_url, requester,
                    [email, key, key_id, token_url](std::int64_t now_s) -> Result<AccessToken::Form> {
                      Json header = {{"alg", "RS256"}, {"typ", "JWT"}};
                      if (!key_id.empty()) header["kid"] = key_id;
                      const Json claims = {{"iss", email},
                                           {"scope", kDriveScope},
                                           {"aud", token_url},
                                           {"iat", now_s},
                                           {"exp", now_s + kDriveAssertionS}};
                      return AccessToken::Form{{"grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"},
                                               {"assertion", TRY(signed_token(header, claims, key))}};
                    });
  TokenClient client(requester, std::move(token), "application/json");
  return std::unique_ptr<GoogleDrive>(new GoogleDrive(std::move(settings), std::move(client)));
}

std::string GoogleDrive::url_of(const std::string& id, const std::string& rest) const {
  return settings_.endpoint + "/drive/v3/files/" + net::percent_encode(id) + rest;
}

Result<std::vector<Document>> GoogleDrive::list() {
  auto root = client_.get_json(
      url_of(settings_.object_id, "?supportsAllDrives=true&fields=" + net::percent_encode(kDriveFields)));
  if (!root && root.error().code == Code::kNotFound)
    return fail(Error{Code::kNotFound,
                      "Google Drive: there is no `" + settings_.object_id + "`, or the service account may not see it",
                      {},
                      {{"share the file or folder with the account's `client_email`", {}}}});
  if (!root) return fail(std::move(root).error());
  std::vector<Document> out;
  if (is_trashed(*root)) return out;
  if (text_member(*root, "mimeType") != kDriveFolder) {
    out.push_back(drive_document(*root));
    return out;
  }
  std::vector<std::string> folders = {settings_.object_id};
  std::set<std::string> seen;
  while (!folders.empty()) {
    const std::string folder = std::move(folders.back());
    folders.pop_back();
    if (seen.insert(folder).second) TRY(list_folder(folder, folders, out));
  }
  return out;
}

Result<void> GoogleDrive::list_folder(const std::string& id, std::vector<std::string>& folders,
                                      std::vector<Document>& out) {
  const std::string query = "'" + id + "' in parents and trashed=false";
  std::string page;
  do {
    std::string url = settings_.endpoint + "/drive/v3/files?pageSize=1000&supportsAllDrives=true" +
                      "&includeItemsFromAllDrives=true&q=" + net::percent_encode(query) +
                      "&fields=" + net::percent_encode("nextPageToken,files(" + std::string(kDriveFields) + ")");
    if (!page.empty()) url += "&pageToken=" + net::percent_encode(page);
    const Json reply = TRY(client_.get_json(url));
    const auto files = reply.find("files");
    if (files == reply.end() || !files->is_array())
      return fail(Code::kUnavailable, "Google Drive: the answer to a list has no files");
    for (const Json& file : *files) {
      if (!file.is_object() || text_member(file, "id").empty() || is_trashed(file)) continue;
      if (text_member(file, "mimeType") == kDriveFolder) {
        folders.push_back(text_member(file, "id"));
        continue;
      }
      if (out.size() >= settings_.documents_max)
        return fail(Code::kTooLarge, fmt::format("Google Drive: more than {} documents", settings_.documents_max));
      out.push_back(drive_document(file));
    }
    page = text_member(reply, "nextPageToken");
  } while (!page.empty());
  return {};
}

Result<std::string> GoogleDrive::fetch(const Document& document) {
  const std::string_view format = exported_as(document.place);
  auto answer = client_.get(format.empty() ? url_of(document.id, "?alt=media&supportsAllDrives=true")
                                           : url_of(document.id, "/export?mimeType=" + net::percent_encode(format)),
                            "*/*");
  if (!answer)
    return fail(Error{answer.error().code,
                      fmt::format("`{}` ({}): {}", document.name, document.id, answer.error().message),
                      {},
                      answer.error().notes});
  return std::move(answer->body);
}

}  // namespace thalweg::documents
