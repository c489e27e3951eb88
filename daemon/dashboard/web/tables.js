// Exported tables: rows now or at an earlier frontier, changes as they come, what changed since.
import { follow, getJson, getLines, getText, query, tablePath } from './api.js';
import { h } from './dom.js';
import { fetchParts, pipeline, pollPart, redraw, state } from './store.js';
import { button, cell, count, empty, frontier, grid, isNumeric, isWallTime, problemBox, time } from './widgets.js';

const PAGE = 50;
const FEED = 200;     // changes that are shown
const DIFF = 1000;
const REFRESH_MS = 1000;

export function openTables(name) {
  pollPart(() => fetchParts(name, { tables: '/tables' }));
  const table = state.route[3];
  if (!table) return;
  const ui = Object.assign(state.ui, { table, at: null, rows: null, cursors: [''], where: '', order: '', feed: [], live: 'connecting', seen: 0 });
  load(name);
  let due = false;
  const stop = follow(tablePath(name, table) + '/changes', (event, data) => {
    if (state.ui !== ui) return;
    if (event === 'update') {
      ui.seen += 1;
      ui.feed.push({ ...data, number: ui.seen });
      if (ui.feed.length > 2 * FEED) ui.feed = ui.feed.slice(-FEED);
    } else if (event === 'progress' || event === 'open') ui.live = 'live';
    else if (event === 'lost') ui.live = 'connecting';
    else if (event === 'end') ui.live = 'ended';
    else if (event === 'refused') ui.live = data.message;
    else if (event === 'reset') ui.feed = [];
    if (event !== 'update' || due) return event === 'update' ? undefined : redraw();
    due = true;
    setTimeout(() => {
      due = false;
      if (state.ui === ui && ui.at === null && !document.hidden) load(name);
    }, REFRESH_MS);
  });
  ui.close = stop;
}

async function load(name) {
  const { ui } = state;
  const mine = (ui.loading = (ui.loading || 0) + 1);
  try {
    const cursor = ui.cursors.at(-1);
    const page = await getJson(tablePath(name, ui.table) + '/rows' + query({ limit: PAGE, keys: 'true', int64: 'string', where: ui.where, order_by: ui.order,
      ...(cursor ? { cursor } : { at: ui.at }) }));
    if (mine !== ui.loading) return;
    ui.rows = page;
    ui.problem = null;
  } catch (error) {
    if (mine !== ui.loading) return;
    // The page that was open belongs to a frontier that is gone: begin anew.
    if (ui.cursors.length > 1 && [400, 410].includes(error.status)) {
      ui.cursors = [''];
      return load(name);
    }
    ui.problem = error;
  }
  redraw();
}

function sortBy(name, column) {
  const { ui } = state;
  ui.order = ui.order === column ? `-${column}` : ui.order === `-${column}` ? '' : column;
  ui.cursors = [''];
  load(name);
}

// ---------------------------------------------------------------- time

// First and last frontier that can be asked for. A stream that has run since `started_at` has no commits before.
function span(name, table) {
  const started = (pipeline(name)?.started_at || 0) * 1000;
  const first = table.oldest?.at || 0;
  if (table.frontier.done) return null;
  const last = table.frontier.at;
  return { first: isWallTime(last) && first < started ? Math.max(first, started) : first, last };
}

let asked = 0;
function travel(name, at) {
  const { ui } = state;
  ui.at = at;
  ui.diff = null;
  ui.cursors = [''];
  clearTimeout(asked);
  asked = setTimeout(() => load(name), 60);
  redraw();
}

async function compare(name) {
  const { ui } = state;
  const from = ui.at;
  try {
    ui.diff = { from, ...await getLines(`${tablePath(name, ui.table)}/diff${query({ from, format: 'jsonl', int64: 'string' })}`, DIFF) };
    ui.problem = null;
  } catch (error) {
    ui.problem = error;
  }
  redraw();
}

function timeView(name, table) {
  const { ui } = state;
  const range = span(name, table);
  if (!range || range.last <= range.first) return null;
  const at = ui.at ?? range.last;
  const step = (by) => travel(name, Math.min(range.last, Math.max(range.first, at + by)));
  const one = isWallTime(range.last) ? 1000 : 1;
  return h('div', { class: 'time row' },
    h('label', { for: 'slider' }, 'As of'),
    button('−', () => step(-one), { 'aria-label': 'Earlier' }),
    h('input', { id: 'slider', type: 'range', min: range.first, max: range.last, step: 1, value: String(at), 'aria-valuetext': ui.at === null ? 'now' : time(at),
      oninput: (event) => travel(name, Number(event.target.value)) }),
    button('+', () => step(one), { 'aria-label': 'Later' }),
    h('output', null, ui.at === null ? 'now' : time(at)),
    ui.at !== null ? [button('What changed since', () => compare(name)), ' ', button('Back to now', () => travel(name, null), { class: 'primary' })] : null);
}

// ---------------------------------------------------------------- views

const sign = (diff) => (diff > 0 ? `+${diff > 1 ? diff : ''}` : `−${diff < -1 ? -diff : ''}`);

function changesGrid(schema, changes, label) {
  return grid([{ title: '' }, { title: 'Time' }, ...schema.map((c) => ({ title: c.name, numeric: isNumeric(c.type) }))],
    changes.map((one) => ({ key: one.number, class: one.diff > 0 ? 'plus' : 'minus', cells: [h('span', { 'aria-label': one.diff > 0 ? 'added' : 'removed' }, sign(one.diff)),
      time(one.time), ...schema.map((c) => cell(one.row[c.name]))] })), { label, class: 'data' });
}

function rowsView(name, table) {
  const { ui } = state;
  const keys = new Set(table.key_columns || []);
  const direction = (column) => (ui.order === column ? 'ascending' : ui.order === `-${column}` ? 'descending' : 'none');
  const columns = table.schema.map((c) => ({ title: c.name, numeric: isNumeric(c.type), sort: direction(c.name),
    head: button([h('span', { class: keys.has(c.name) ? 'key' : '' }, c.name), { ascending: ' ▴', descending: ' ▾', none: '' }[direction(c.name)]], () => sortBy(name, c.name),
      { class: 'plain', title: `${c.type}${keys.has(c.name) ? ', part of the key' : ''}` }) }));
  const turn = (cursors) => { ui.cursors = cursors; load(name); };
  return h('section', { class: 'rows' },
    h('form', { class: 'row', onsubmit: (event) => { event.preventDefault(); ui.cursors = ['']; load(name); } },
      h('label', null, 'Where ', h('input', { value: ui.where, size: 40, placeholder: `${table.schema[0]?.name || 'n'} = …`, oninput: (e) => { ui.where = e.target.value; } })),
      h('button', { type: 'submit' }, 'Filter'),
      h('a', { class: 'button', download: `${ui.table}.csv`, href: '#', onclick: (e) => { e.preventDefault(); download(name); } }, 'CSV'),
      h('span', { class: 'soft' }, ui.rows ? `at ${frontier(ui.rows.frontier)}` : '')),
    problemBox(ui.problem),
    ui.rows ? [
      ui.rows.rows.length ? grid(columns, ui.rows.rows.map((row) => ({ key: row._key, cells: table.schema.map((c) => cell(row[c.name])) })), { label: `Rows of ${ui.table}`, class: 'data' })
        : empty('No rows.'),
      h('div', { class: 'row' }, button('Previous', () => turn(ui.cursors.slice(0, -1)), { disabled: ui.cursors.length < 2 }),
        button('Next', () => turn([...ui.cursors, ui.rows.next_cursor]), { disabled: !ui.rows.next_cursor }), h('span', { class: 'soft small' }, `page ${ui.cursors.length}`)),
    ] : ui.problem ? null : empty('Asking …'));
}

// By fetch, not by a link: a link sends no token.
async function download(name) {
  const { ui } = state;
  try {
    const text = await getText(`${tablePath(name, ui.table)}/snapshot${query({ format: 'csv', at: ui.at })}`);
    const href = URL.createObjectURL(new Blob([text], { type: 'text/csv' }));
    const link = Object.assign(document.createElement('a'), { href, download: `${ui.table}.csv` });
    link.click();
    URL.revokeObjectURL(href);
  } catch (error) {
    ui.problem = error;
    redraw();
  }
}

export function tablesView(name) {
  const { ui } = state;
  const tables = state.part.tables?.tables;
  if (!tables) return empty('Asking …');
  if (!tables.length) return empty('This pipeline exports no table: those without a leading $ are exported.');
  const table = tables.find((one) => one.name === ui.table);
  const path = (one) => `#/p/${encodeURIComponent(name)}/tables/${encodeURIComponent(one.name)}`;
  return h('div', { class: 'split' },
    h('nav', { class: 'list', 'aria-label': 'Tables' }, tables.map((one) => h('a', { key: one.name, href: path(one), ...(one.name === ui.table ? { 'aria-current': 'page' } : {}) },
      h('span', null, one.name), h('span', { class: 'soft' }, one.failed ? 'failed' : count(one.num_rows))))),
    table ? h('div', { key: table.name }, h('div', { class: 'row' }, h('h2', null, table.name), h('span', { class: `badge ${ui.live === 'live' ? 'running' : ''}` }, ui.live),
      h('span', { class: 'soft small' }, `${count(table.num_rows)} rows at ${frontier(table.frontier)}`)),
    timeView(name, table),
    ui.diff ? h('section', { class: 'card' }, h('div', { class: 'row' }, h('h3', null, `Since ${time(ui.diff.from)}: ${ui.diff.more ? `the first ${DIFF}` : ui.diff.rows.length} changes`),
      h('span', { class: 'space' }), button('Close', () => { ui.diff = null; redraw(); })),
    ui.diff.rows.length ? changesGrid(table.schema, ui.diff.rows, 'Changes since') : empty('Nothing changed.')) : null,
    rowsView(name, table),
    ui.at === null ? h('section', null, h('h3', null, `Changes as they come (${count(ui.seen)} so far)`),
      ui.feed.length ? changesGrid(table.schema, ui.feed.slice(-FEED).reverse().slice(0, 40), 'Changes') : empty('None since this page is open.')) : null)
      : empty('Choose a table.'));
}
