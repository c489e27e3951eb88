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

constexpr std::string_view kScript = R"(
const api = '/api/v1/pipelines';
const get = async path => (await fetch(path)).json();
const el = (tag, text, cls) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text;
  if (cls) e.className = cls; return e; };
const table = (heads, rows) => { const t = el('table'), h = t.createTHead().insertRow();
  heads.forEach(x => h.append(el('th', x)));
  const b = t.createTBody();
  rows.forEach(r => { const tr = b.insertRow(); r.forEach(c => { const td = tr.insertCell();
    if (c instanceof Node) td.append(c); else { td.textContent = c ?? ''; if (typeof c === 'number') td.className = 'n'; } }); });
  const d = el('div', undefined, 'scroll'); d.append(t); return d; };
const mark = f => f.done ? 'done' : f.at;
let shown = null;
async function draw() {
  const root = el('div');
  try {
    const { pipelines } = await get(api);
    for (const p of pipelines) {
      const path = api + '/' + encodeURIComponent(p.name);
      const head = el('h2', p.name + ' '); head.append(el('span', p.state, 'state ' + p.state)); root.append(head);
      root.append(el('p', `frontier ${mark(p.frontier)} · ${p.commits} commits · ${p.errors} errors` +
        (p.failure ? ' · ' + p.failure : ''), 'soft'));
      const [{ tables }, { connectors }, { errors }] = await Promise.all(
        [get(path + '/tables'), get(path + '/connectors'), get(path + '/errors?limit=10')]);
      root.append(table(['table', 'rows', 'columns', ''], tables.map(t => { const b = el('button', 'show');
        b.onclick = () => { shown = [path + '/tables/' + encodeURIComponent(t.name), t]; draw(); };
        return [t.name, t.num_rows, t.schema.map(c => c.name + ': ' + c.type).join(', '), b]; })));
      root.append(table(['connector', 'kind', 'direction', 'rows', 'bytes', 'errors', 'last error'],
        connectors.map(c => [c.name, c.connector, c.direction, c.rows, c.bytes, c.errors, c.last_error])));
      if (errors.length) root.append(table(['time', 'kind', 'operator', 'message', 'at'], errors.map(e =>
        [e.time, e.kind, e.operator, e.message, e.file ? `${e.file}:${e.line}:${e.column}` : ''])));
    }
    if (shown) {
      const page = await get(shown[0] + '/rows?limit=50'), names = shown[1].schema.map(c => c.name);
      root.append(el('h2', shown[1].name + ' at ' + mark(page.frontier)));
      root.append(table(names, page.rows.map(r => names.map(n =>
        r[n] !== null && typeof r[n] === 'object' ? JSON.stringify(r[n]) : r[n]))));
    }
  } catch (e) { root.append(el('p', 'The server does not answer: ' + e, 'failed')); }
  document.getElementById('main').replaceChildren(root);
}
draw(); setInterval(draw, 2000);
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

std::string_view status_page() {
  static const std::string kPage =
      page("Thalweg",
           "<h1>Thalweg</h1><main id=\"main\"></main><p class=\"soft\"><a href=\"/docs\">routes</a> · "
           "<a href=\"/openapi.json\">OpenAPI</a> · <a href=\"/metrics\">metrics</a></p><script>" +
               std::string(kScript) + "</script>");
  return kPage;
}

std::string docs_page(const std::vector<Route>& routes) {
  std::string body =
      "<h1>Routes</h1><p class=\"soft\"><a href=\"/\">pipelines</a> · "
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
