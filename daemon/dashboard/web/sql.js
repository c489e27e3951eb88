// Ad-hoc SQL over the exported tables of a pipeline.
import { postJson } from './api.js';
import { h } from './dom.js';
import { fetchParts, pollPart, redraw, state } from './store.js';
import { button, cell, empty, frontier, grid, isNumeric, problemBox, seconds } from './widgets.js';

const LIMIT = 1000;
let kept = { sql: '', pipeline: '', at: '' };  // over pages, as long as the tab is open

const chosen = () => kept.pipeline || state.route[1] || state.pipelines?.find((one) => one.frontier)?.name || '';

export function openSql() {
  if (state.route[1]) kept.pipeline = state.route[1];
  pollPart(async () => (chosen() ? fetchParts(chosen(), { tables: '/tables' }) : {}));
}

async function run() {
  const ui = state.ui;
  ui.running = true;
  ui.problem = null;
  redraw();
  const begun = performance.now();
  try {
    const at = kept.at.trim();
    ui.answer = await postJson('/api/v1/query?int64=string', { pipeline: chosen(), sql: kept.sql, limit: LIMIT,
      ...(at ? { at: at === 'done' ? at : Number(at) } : {}) });
    ui.seconds = (performance.now() - begun) / 1000;
  } catch (error) {
    ui.answer = null;
    ui.problem = error;
  }
  ui.running = false;
  redraw();
}

export function sqlView() {
  const ui = state.ui;
  const tables = state.part.tables?.tables || [];
  const runs = (state.pipelines || []).filter((one) => one.frontier);
  const key = (event) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    run();
  };
  return h('div', null, h('h1', null, 'SQL'),
    h('div', { class: 'row' },
      h('label', null, 'Pipeline ', h('select', { value: chosen(), onchange: (e) => { kept.pipeline = e.target.value; openSql(); } },
        runs.map((one) => h('option', { key: one.name, value: one.name }, one.name)))),
      h('label', null, 'At frontier ', h('input', { value: kept.at, placeholder: 'the newest', size: 16, oninput: (e) => { kept.at = e.target.value; } }))),
    h('textarea', { class: 'sql', rows: 6, spellcheck: 'false', 'aria-label': 'Query', value: kept.sql, onkeydown: key,
      placeholder: 'SELECT … FROM a table GROUP BY … ORDER BY … LIMIT …', oninput: (e) => { kept.sql = e.target.value; } }),
    h('div', { class: 'row' }, button(ui.running ? 'Running …' : 'Run (Ctrl+Enter)', run, { class: 'primary', disabled: Boolean(ui.running) }),
      ui.answer ? h('span', { class: 'soft' }, `${ui.answer.rows.length} rows at ${frontier(ui.answer.frontier)} in ${seconds(ui.seconds)}`,
        ui.answer.truncated ? `, the first ${LIMIT} only` : '') : null),
    tables.length ? h('p', { class: 'soft small' }, 'Tables: ', tables.map((t) => [button(t.name, () => {
      kept.sql = `SELECT ${t.schema.map((c) => c.name).join(', ')} FROM ${t.name} LIMIT 100`;
      redraw();
    }, { class: 'plain', title: t.schema.map((c) => `${c.name}: ${c.type}`).join(', ') }), ' '])) : null,
    problemBox(ui.problem),
    ui.answer ? (ui.answer.rows.length
      ? grid(ui.answer.columns.map((c) => ({ title: c.name, numeric: isNumeric(c.type) })),
        ui.answer.rows.map((row) => ({ cells: ui.answer.columns.map((c) => cell(row[c.name])) })), { label: 'Answer', class: 'data' })
      : empty('No rows.')) : null);
}
