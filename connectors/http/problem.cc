#include "connectors/http/problem.h"

#include "connectors/formats/encode.h"

namespace thalweg::web {
namespace {

std::string head_of(unsigned status, std::string_view code, std::string_view detail) {
  std::string out = R"({"type":"about:blank","title":)";
  append_json_string(net::reason_phrase(status), out);
  out += ",\"status\":" + std::to_string(status) + ",\"code\":";
  append_json_string(code, out);
  out += ",\"detail\":";
  append_json_string(detail, out);
  return out;
}

net::HttpResponse response_of(unsigned status, std::string body) {
  net::HttpResponse out;
  out.status = status;
  out.headers.add("Content-Type", "application/problem+json");
  out.headers.add("Cache-Control", "no-store");
  out.body = std::move(body) + "}\n";
  return out;
}

}  // namespace

net::HttpResponse problem(unsigned status, std::string_view code, std::string_view detail) {
  net::HttpResponse out = response_of(status, head_of(status, code, detail));
  if (status == 503 || status == 429) out.headers.add("Retry-After", "1");
  return out;
}

net::HttpResponse field_problem(std::string_view detail, std::string_view field, std::uint64_t line) {
  std::string body = head_of(400, "invalid_request", detail);
  if (!field.empty()) {
    body += ",\"field\":";
    append_json_string(field, body);
  }
  if (line > 0) body += ",\"line\":" + std::to_string(line);
  return response_of(400, std::move(body));
}

net::HttpResponse json_answer(unsigned status, std::string body) {
  net::HttpResponse out;
  out.status = status;
  out.headers.add("Content-Type", "application/json");
  out.headers.add("Cache-Control", "no-store");
  out.body = std::move(body);
  return out;
}

}  // namespace thalweg::web
