#include "daemon/rest/page.h"

namespace thalweg::daemon {
namespace {

constexpr std::string_view kStyle = R"(
  :root { color-scheme: light dark; --line: #8884; --soft: #8882; --good: #2a8a4a; --bad: #c0392b; }
  body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 70rem; padding: 1rem; }
  h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
  th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; }
  th { font-weight: 600; } td.n { text-align: right; } code { font-size: .9em; }
  .state { padding: .05rem .5rem; border-radius: .6rem; background: var(--soft); }
  .running, .ended { color: var(--good); } .failed { color: var(--bad); }
  .scroll { overflow-x: auto; } .soft { opacity: .7; } button { font: inherit; }
)";

std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '&')
      out += "&amp;";
    else
      out.push_back(c);
  }
  return out;
}

std::string page(std::string_view title, std::string_view body) {
  std::string out = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>";
  out += title;
  out += "</title><meta name=\"viewport\" content=\"width=device-width\"><link rel=\"icon\" href=\"data:,\"><style>";
  out += kStyle;
  out += "</style></head><body>";
  out += body;
  return out + "</body></html>\n";
}

}  // namespace

std::string no_dashboard_page() {
  return page("Thalweg",
              "<h1>Thalweg</h1><p>This program was built without its dashboard "
              "(<code>meson setup -Ddashboard=true</code> puts it in).</p>"
              "<p class=\"soft\"><a href=\"/docs\">routes</a> · <a href=\"/openapi.json\">OpenAPI</a> · "
              "<a href=\"/metrics\">metrics</a></p>");
}

std::string docs_page(const std::vector<Route>& routes) {
  std::string body =
      "<h1>Routes</h1><p class=\"soft\"><a href=\"/\">dashboard</a> · "
      "<a href=\"/openapi.json\">OpenAPI 3.1</a></p>";
  for (const Route& route : routes) {
    body += "<h2><code>" + escaped(route.method) + " " + escaped(route.path) + "</code></h2><p>" +
            escaped(route.summary) + " <span class=\"soft\">(" + escaped(route.content) + ")</span></p>";
    if (!route.body.empty()) body += "<p>Body (" + escaped(route.body) + "): " + escaped(route.body_doc) + "</p>";
    if (route.query.empty()) continue;
    body += "<table>";
    for (const QueryParameter& parameter : route.query)
      body += "<tr><td><code>" + escaped(parameter.name) + (parameter.name.ends_with('.') ? "<i>column</i>" : "") +
              "</code></td><td>" + escaped(parameter.doc) + "</td><td><code>" + escaped(parameter.example) +
              "</code></td></tr>";
    body += "</table>";
  }
  return page("Thalweg: routes", body);
}

}  // namespace thalweg::daemon
