// The operator graph with live numbers on it. Operators of one name in the file are one box, unless all are asked for.
import { h } from './dom.js';
import { curve, layout } from './layout.js';
import { fetchParts, pollPart, rate, redraw, state } from './store.js';
import { button, bytes, count, empty, frontier, perSecond, seconds } from './widgets.js';

const WIDTH = 176;
const HEIGHT = 62;

export function openGraph(name) {
  pollPart(() => fetchParts(name, { graph: '/graph', errors: '/errors?limit=500', connectors: '/connectors' }));
}

// ---------------------------------------------------------------- what is drawn

function boxes(graph, whole) {
  const parent = new Map(graph.operators.map((op) => [op.id, op.id]));
  const find = (id) => (parent.get(id) === id ? id : find(parent.get(id)));
  const byId = new Map(graph.operators.map((op) => [op.id, op]));
  if (!whole)
    for (const edge of graph.edges)
      if (byId.get(edge.from).label && byId.get(edge.from).label === byId.get(edge.to).label) parent.set(find(edge.from), find(edge.to));
  const out = new Map();
  for (const op of graph.operators) {
    const root = find(op.id);
    if (!out.has(root)) out.set(root, { id: root, operators: [], exits: new Set(), width: WIDTH, height: HEIGHT });
    out.get(root).operators.push(op);
  }
  const edges = new Map();
  for (const edge of graph.edges) {
    const [from, to] = [find(edge.from), find(edge.to)];
    if (from === to) continue;
    out.get(from).exits.add(edge.from);
    edges.set(`${from} ${to} ${edge.exchange || ''}`, { from, to, exchange: edge.exchange || '' });
  }
  return { nodes: [...out.values()], edges: [...edges.values()] };
}

// The operator that a box is about: the one that works or holds, not the projections around it.
function mainOperator(box) {
  const weight = (op) => ({ export: 0, project: 1 }[op.operator] ?? 2);
  return box.operators.reduce((best, op) => (weight(op) > weight(best) ? op : best));
}

function measure(name, box, errors) {
  const sum = (field) => box.operators.reduce((total, op) => total + (op.live?.[field] || 0), 0);
  const speed = (op, field) => rate(`g/${name}/${op.id}/${op.label}/${field}`, op.live?.[field] || 0);
  const main = mainOperator(box);
  box.main = main;
  box.label = main.label || main.operator;
  // What leaves the box: of a table and a sink what they take in, else what those operators put out that others read.
  const ends = box.operators.filter((op) => op.operator === 'export' || op.operator === 'output');
  const last = ends.length ? ends : box.operators.filter((op) => box.exits.has(op.id));
  const rates = new Map(box.operators.map((op) => [op.id, speed(op, ends.includes(op) ? 'rows_in' : 'rows_out')]));
  box.out = Math.max(0, ...(last.length ? last : box.operators).map((op) => rates.get(op.id)));
  box.busy = box.operators.reduce((total, op) => total + speed(op, 'busy_ns'), 0) / 1e9;
  box.state = sum('state_bytes');
  box.rows = sum('state_rows');
  box.late = sum('late_rows');
  box.errors = errors.get(box.label) || 0;
}

let drawn = { key: '', layout: null };

function placed(graph, whole) {
  const key = JSON.stringify([whole, graph.operators.map((op) => [op.id, op.label, op.operator]), graph.edges.map((e) => [e.from, e.to])]);
  if (drawn.key !== key) {
    const parts = boxes(graph, whole);
    drawn = { key, ...layout(parts.nodes, parts.edges) };
  }
  return drawn;
}

// ---------------------------------------------------------------- moving about

function zoom(by, center) {
  const view = state.ui.view;
  const at = center || { x: view.x + view.width / 2, y: view.y + view.height / 2 };
  const factor = Math.min(Math.max(by, 200 / view.width), (drawn.width + 4000) / view.width);
  state.ui.view = { x: at.x - (at.x - view.x) * factor, y: at.y - (at.y - view.y) * factor, width: view.width * factor, height: view.height * factor };
  redraw();
}

// All of it; at first of a large graph only so much that it can be read, from the sources on.
function fit(svg, first = false) {
  const box = svg?.getBoundingClientRect() || { width: 900, height: 420 };
  const margin = 24;
  const [width, height] = [drawn.width + 2 * margin, drawn.height + 2 * margin];
  const whole = Math.max(width / box.width, height / box.height, 0.85);
  const scale = first ? Math.min(whole, 1.7) : whole;
  state.ui.view = { x: width > box.width * scale ? -margin : drawn.width / 2 - (box.width * scale) / 2, y: drawn.height / 2 - (box.height * scale) / 2,
    width: box.width * scale, height: box.height * scale };
  redraw();
}

function inGraph(svg, event) {
  const box = svg.getBoundingClientRect();
  const { view } = state.ui;
  return { x: view.x + ((event.clientX - box.left) / box.width) * view.width, y: view.y + ((event.clientY - box.top) / box.height) * view.height };
}

function drag(event) {
  if (event.button !== 0 || event.target.closest('.node')) return;
  const svg = event.currentTarget;
  let last = inGraph(svg, event);
  svg.setPointerCapture(event.pointerId);
  svg.onpointermove = (move) => {
    const now = inGraph(svg, move);
    state.ui.view.x += last.x - now.x;
    state.ui.view.y += last.y - now.y;
    last = inGraph(svg, move);
    redraw();
  };
  svg.onpointerup = () => { svg.onpointermove = null; };
}

// Arrows go along edges, and up and down in a layer.
function key(event, id) {
  const now = drawn.nodes.get(id);
  let to = null;
  const near = (list) => list.reduce((best, item) => (!best || Math.abs(item.y - now.y) < Math.abs(best.y - now.y) ? item : best), null);
  const others = [...drawn.nodes.values()];
  if (event.key === 'ArrowRight') to = near(drawn.edges.filter((e) => e.edge.from === id).map((e) => drawn.nodes.get(e.edge.to)));
  else if (event.key === 'ArrowLeft') to = near(drawn.edges.filter((e) => e.edge.to === id).map((e) => drawn.nodes.get(e.edge.from)));
  else if (event.key === 'ArrowDown') to = near(others.filter((o) => o.x === now.x && o.y > now.y));
  else if (event.key === 'ArrowUp') to = near(others.filter((o) => o.x === now.x && o.y < now.y));
  else if (event.key === 'Enter' || event.key === ' ') choose(id);
  else if (event.key === 'Escape') choose(null);
  else return;
  event.preventDefault();
  if (!to) return;
  show(to);
  document.querySelector(`[data-node="${to.id}"]`)?.focus();
}

function show(item) {
  const { view } = state.ui;
  if (item.x < view.x + WIDTH / 2 || item.x > view.x + view.width - WIDTH / 2) view.x = item.x - view.width / 2;
  if (item.y < view.y + HEIGHT / 2 || item.y > view.y + view.height - HEIGHT / 2) view.y = item.y - view.height / 2;
  redraw();
}

function choose(id) {
  state.ui.node = state.ui.node === id ? null : id;
  redraw();
}

// ---------------------------------------------------------------- views

const short = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

function nodeView(item, box) {
  const { main } = box;
  const kind = main.operator === 'source' ? 'source' : main.operator === 'output' ? 'sink' : box.operators.some((op) => op.operator === 'export') ? 'table' : '';
  const said = `${box.label}, ${main.connector || main.operator}, ${perSecond(box.out)}${box.state ? `, holds ${bytes(box.state)}` : ''}${box.errors ? `, ${box.errors} errors` : ''}`;
  return h('g', { key: `n${box.id}`, class: `node ${kind} ${state.ui.node === box.id ? 'chosen' : ''} ${box.errors ? 'failing' : ''}`,
    transform: `translate(${item.x - WIDTH / 2},${item.y - HEIGHT / 2})`, tabindex: 0, role: 'button', 'aria-label': said, 'data-node': box.id,
    'aria-pressed': state.ui.node === box.id ? 'true' : 'false', onclick: () => choose(box.id), onkeydown: (event) => key(event, box.id) },
  h('title', null, said),
  h('rect', { width: WIDTH, height: HEIGHT, rx: 8 }),
  h('rect', { class: 'heat', y: HEIGHT - 4, x: 4, width: Math.max(0, Math.min(1, box.busy)) * (WIDTH - 8), height: 3, rx: 1.5 }),
  h('text', { class: 'label', x: 10, y: 19 }, short(box.label, 22)),
  h('text', { class: 'kind', x: 10, y: 35 }, short(main.connector || main.operator, 24)),
  h('text', { class: 'number', x: 10, y: 51 }, perSecond(box.out)),
  h('text', { class: 'number', x: WIDTH - 10, y: 51, 'text-anchor': 'end' }, box.state ? bytes(box.state) : ''),
  box.errors ? h('text', { class: 'errors', x: WIDTH - 10, y: 19, 'text-anchor': 'end' }, `⚠ ${count(box.errors)}`) : null);
}

function edgeView({ edge, points }, index, from) {
  const flow = from ? from.out : 0;
  const width = flow > 0 ? Math.min(6, 1.2 + Math.log10(1 + flow) * 0.9) : 1;
  return h('path', { key: `e${index}`, class: `edge ${flow > 0 ? 'flows' : ''} ${edge.exchange ? 'exchange' : ''}`, d: curve(points), 'stroke-width': width.toFixed(1),
    'marker-end': 'url(#arrow)' }, edge.exchange ? h('title', null, edge.exchange) : null);
}

function operatorView(op) {
  const live = op.live || {};
  const row = (name, value) => (value ? [h('dt', null, name), h('dd', null, value)] : []);
  return h('section', { key: op.id }, h('h3', null, op.operator, op.connector ? h('code', null, ` ${op.connector}`) : null),
    h('dl', null, row('what', op.detail), row('key', op.key), row('holds', op.holds), row('delivery', op.guarantee),
      row('rows', `${count(live.rows_in)} in, ${count(live.rows_out)} out`),
      row('state', live.state_bytes ? `${count(live.state_rows)} rows, ${bytes(live.state_bytes)}` : ''),
      row('busy', live.busy_ns ? seconds(live.busy_ns / 1e9) : ''), row('late', live.late_rows ? `${count(live.late_rows)} rows dropped` : ''),
      row('columns', op.schema.map((c) => `${c.name}: ${c.type}`).join(', '))));
}

function panel(name, box) {
  const errors = (state.part.errors?.errors || []).filter((one) => one.operator === box.label).slice(-5).reverse();
  const connector = (state.part.connectors?.connectors || []).find((one) => `$${one.name}` === box.label || one.name === box.label);
  return h('aside', { class: 'card panel', 'aria-label': box.label },
    h('div', { class: 'row' }, h('h2', null, box.label), h('span', { class: 'space' }), button('Close', () => choose(null))),
    box.main.line ? h('p', { class: 'small' }, h('a', { href: `#/p/${encodeURIComponent(name)}/definition/${box.main.line}`, title: box.main.file },
      `${box.main.file.split('/').pop()}:${box.main.line}`)) : null,
    box.operators.some((op) => op.operator === 'export')
      ? h('p', null, h('a', { href: `#/p/${encodeURIComponent(name)}/tables/${encodeURIComponent(box.label)}` }, 'Rows and changes')) : null,
    connector?.lag_seconds !== undefined ? h('p', null, `Lag ${seconds(connector.lag_seconds)}, held back ${seconds(connector.stalled_seconds)}`) : null,
    errors.map((one) => h('p', { class: 'bad small' }, one.message, one.line
      ? [' ', h('a', { href: `#/p/${encodeURIComponent(name)}/definition/${one.line}` }, `line ${one.line}`)] : null)),
    box.operators.map(operatorView));
}

export function graphView(name) {
  const { graph, errors } = state.part;
  if (!graph) return empty('Asking …');
  const { ui } = state;
  const plan = placed(graph, ui.whole);
  const parts = boxes(graph, ui.whole);
  const failing = new Map();
  for (const one of errors?.errors || []) failing.set(one.operator, (failing.get(one.operator) || 0) + 1);
  for (const box of parts.nodes) measure(name, box, failing);
  const byId = new Map(parts.nodes.map((box) => [box.id, box]));
  const chosen = byId.get(ui.node);
  const view = ui.view;
  return h('div', { class: 'graph', key: 'graph' },
    h('div', { class: 'row' },
      button(ui.whole ? 'Tables only' : 'All operators', () => { ui.whole = !ui.whole; ui.node = null; ui.view = null; redraw(); }, { 'aria-pressed': ui.whole ? 'true' : 'false' }),
      button('+', () => zoom(0.8), { 'aria-label': 'Zoom in' }), button('−', () => zoom(1.25), { 'aria-label': 'Zoom out' }),
      button('Fit', () => fit(document.querySelector('.graph svg'))),
      h('span', { class: 'soft small' }, 'rows a second, bytes held; the bar below is the share of a worker; dashed: rows change workers')),
    h('div', { class: 'stage' },
      h('svg', { role: 'group', 'aria-label': `Operators of ${name}`, viewBox: view ? `${view.x} ${view.y} ${view.width} ${view.height}` : `0 0 900 420`,
        preserveAspectRatio: 'xMidYMid meet', onpointerdown: drag,
        style: { height: `clamp(260px, ${Math.round(drawn.height + 120)}px, 65vh)` },
        hook: (svg) => {
          svg.onwheel ||= (event) => {
            if (!event.ctrlKey && !event.metaKey) return;
            event.preventDefault();
            zoom(event.deltaY > 0 ? 1.12 : 0.89, inGraph(svg, event));
          };
          if (!state.ui.view) fit(svg, true);
        } },
      h('defs', null, h('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto', markerUnits: 'userSpaceOnUse' },
        h('path', { d: 'M0,0L8,4L0,8z' }))),
      plan.edges.map((edge, i) => edgeView(edge, i, byId.get(edge.edge.from))),
      parts.nodes.map((box) => nodeView(plan.nodes.get(box.id), box))),
      chosen ? panel(name, chosen) : null));
}
