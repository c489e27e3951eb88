// One pipeline: its head with numbers and actions, and its parts.
import { getText, pipelinePath, postJson, putYaml } from './api.js';
import { chart } from './chart.js';
import { h } from './dom.js';
import { graphView, openGraph } from './graph.js';
import { fetchParts, notify, pipeline, pollPart, rate, redraw, state, tick } from './store.js';
import { openTables, tablesView } from './tables.js';
import { badge, button, bytes, count, empty, figure, frontier, grid, perSecond, problemBox, report, seconds, time } from './widgets.js';

const TABS = [['graph', 'Graph'], ['tables', 'Tables'], ['connectors', 'Connectors'], ['errors', 'Errors'],
  ['definition', 'Definition']];

export const tabPath = (name, tab, ...more) => `#/p/${[name, tab, ...more].map(encodeURIComponent).join('/')}`;

export function openPipeline() {
  const [, name, tab = 'graph'] = state.route;
  if (tab === 'graph') openGraph(name);
  else if (tab === 'tables') openTables(name);
  else if (tab === 'connectors') pollPart(() => fetchParts(name, { connectors: '/connectors', guarantees: '/guarantees' }));
  else if (tab === 'errors') pollPart(() => fetchParts(name, { errors: '/errors?limit=500' }));
  else openDefinition(name);
}

// ---------------------------------------------------------------- actions

async function act(name, verb, question = '') {
  if (question && !confirm(question)) return;
  try {
    const outcome = await postJson(`${pipelinePath(name)}/${verb}`);
    state.ui.report = ['reload', 'reload?dry_run=true', 'rollback'].includes(verb) ? outcome : null;
    notify(`${name}: ${outcome.result}${outcome.reason ? `, ${outcome.reason}` : ''}`);
  } catch (error) {
    state.ui.report = error.document?.result ? { ...error.document, reason: error.message } : null;
    notify(`${name}: ${error.message}`, true);
  }
  tick();
}

function actions(one) {
  const runs = one.state === 'running' || one.state === 'paused';
  return h('div', { class: 'row' },
    one.state === 'running' ? button('Pause', () => act(one.name, 'pause')) : null,
    one.state === 'paused' ? button('Resume', () => act(one.name, 'resume')) : null,
    runs ? button('Stop', () => act(one.name, 'stop', `Stop ${one.name}? It stays stopped until it is started.`))
      : button('Start', () => act(one.name, 'start')),
    button('Dry run', () => act(one.name, 'reload?dry_run=true'), { title: 'What would a reload of its file change?' }),
    button('Reload', () => act(one.name, 'reload')),
    button('Roll back', () => act(one.name, 'rollback', `Take ${one.name} back to the definition before the last change?`)));
}

// ---------------------------------------------------------------- the page

export function pipelineView(name) {
  const one = pipeline(name);
  if (!state.pipelines) return empty('Asking the server …');
  if (!one) return h('div', null, h('h1', null, name), empty('There is no such pipeline (any more).'), h('a', { href: '#/' }, 'All pipelines'));
  const tab = state.route[2] || 'graph';
  const points = state.history.get(name) || [];
  return h('div', { key: `p/${name}` },
    h('div', { class: 'row head' }, h('h1', null, name), badge(one.state), one.caught_up === false ? h('span', { class: 'badge' }, 'catching up') : null,
      h('span', { class: 'soft small' }, one.file || ''), h('span', { class: 'space' }), actions(one)),
    one.failure ? h('div', { class: 'problem', role: 'alert' }, one.failure) : null,
    state.ui.report ? h('section', { class: 'card' }, report(state.ui.report), button('Close', () => { state.ui.report = null; redraw(); })) : null,
    one.frontier ? h('div', { class: 'charts' },
      h('div', { class: 'figures' }, figure('Frontier', frontier(one.frontier)), figure('Commits', count(one.commits)),
        figure('Rows in', count(one.rows_in)), figure('Rows out', count(one.rows_out)), figure('Errors', count(one.errors)),
        figure('Workers', count(one.workers))),
      chart({ title: 'Rows', points, format: perSecond, lines: [{ name: 'in', label: 'in', color: '--c1' }, { name: 'out', label: 'out', color: '--c2' }] }),
      chart({ title: 'Lag', points, format: seconds, lines: [{ name: 'lag', label: '', color: '--c3' }] })) : null,
    h('nav', { class: 'tabs', 'aria-label': 'Parts' }, TABS.map(([id, title]) =>
      h('a', { href: tabPath(name, id), ...(id === tab ? { 'aria-current': 'page' } : {}) }, title,
        id === 'errors' && one.errors ? h('span', { class: 'count' }, count(one.errors)) : null))),
    part(name, tab));
}

function part(name, tab) {
  if (tab === 'definition') return definitionView(name);
  if (state.part.problem) return problemBox(state.part.problem);
  if (tab === 'graph') return graphView(name);
  if (tab === 'tables') return tablesView(name);
  if (tab === 'connectors') return connectorsView(name);
  return errorsView(name);
}

function connectorsView(name) {
  const { connectors, guarantees } = state.part;
  if (!connectors) return empty('Asking …');
  const promise = new Map((guarantees?.outputs || []).map((one) => [one.name, one.delivery]));
  return grid([{ title: 'Name' }, { title: 'Kind' }, { title: 'Direction' }, { title: 'Rows', numeric: true }, { title: 'Now', numeric: true },
    { title: 'Bytes', numeric: true }, { title: 'Waiting', numeric: true }, { title: 'Lag', numeric: true }, { title: 'Held back', numeric: true },
    { title: 'Errors', numeric: true }, { title: 'State' }],
  connectors.connectors.map((one) => ({ key: `${one.direction} ${one.name}`, cells: [
    one.name, h('code', null, one.connector), one.direction + (promise.has(one.name) ? `, ${promise.get(one.name)}` : ''), count(one.rows),
    perSecond(rate(`c/${name}/${one.direction}/${one.name}`, one.rows)), bytes(one.bytes), one.queued_bytes === undefined ? '' : bytes(one.queued_bytes),
    one.lag_seconds === undefined ? '' : seconds(one.lag_seconds), one.stalled_seconds === undefined ? '' : seconds(one.stalled_seconds),
    one.errors ? h('span', { class: 'bad' }, count(one.errors)) : '0',
    [one.ended ? 'ended' : 'open', one.last_error ? h('div', { class: 'bad small' }, one.last_error) : null]] })), { label: 'Connectors' });
}

function errorsView(name) {
  const log = state.part.errors;
  if (!log) return empty('Asking …');
  if (!log.errors.length) return empty(log.num_errors ? 'None is kept any more.' : 'No errors.');
  return h('div', null,
    h('p', { class: 'soft' }, `${count(log.num_errors)} in all; the newest ${log.errors.length} are kept, newest first.`),
    grid([{ title: 'Time' }, { title: 'Kind' }, { title: 'Operator' }, { title: 'Message' }, { title: 'Place' }, { title: 'Key' }],
      [...log.errors].reverse().map((one) => ({ cells: [time(one.time), one.kind, one.operator || '', one.message,
        one.line ? h('a', { href: tabPath(name, 'definition', String(one.line)), title: one.file }, `${(one.file || '').split('/').pop()}:${one.line}:${one.column}`) : '',
        h('code', null, one.key || '')] })), { label: 'Errors' }));
}

// ---------------------------------------------------------------- the definition

function openDefinition(name) {
  pollPart(async () => state.part);
  const ui = state.ui;
  getText(`${pipelinePath(name)}/definition`).then((text) => { ui.text = text; }, (error) => { ui.problem = error; }).then(redraw);
}

async function put(name, dry) {
  const ui = state.ui;
  try {
    ui.report = await putYaml(`${pipelinePath(name)}${dry ? '?dry_run=true' : ''}`, ui.draft);
    notify(dry ? 'This is what would change.' : `${name}: ${ui.report.result}`);
    if (!dry) {
      ui.text = ui.draft;
      ui.draft = undefined;
    }
  } catch (error) {
    ui.report = { result: 'failed', ...error.document, reason: error.message };
    notify(error.message, true);
  }
  redraw();
}

function definitionView(name) {
  const ui = state.ui;
  if (ui.problem) return problemBox(ui.problem);
  if (ui.text === undefined) return empty('Asking …');
  if (ui.draft !== undefined)
    return h('div', { class: 'editor', key: 'draft' },
      h('div', { class: 'row' }, button('Dry run', () => put(name, true)), button('Apply', () => put(name, false), { class: 'primary' }),
        button('Cancel', () => { ui.draft = undefined; ui.report = null; redraw(); })),
      h('textarea', { 'aria-label': 'Definition', spellcheck: 'false', value: ui.draft, rows: Math.min(40, ui.draft.split('\n').length + 2),
        oninput: (event) => { ui.draft = event.target.value; } }));
  const chosen = Number(state.route[3] || 0);
  return h('div', { class: 'definition', key: 'text' }, h('div', { class: 'row' }, button('Edit', () => { ui.draft = ui.text; redraw(); })),
    h('ol', { class: 'code' }, ui.text.replace(/\n$/, '').split('\n').map((line, i) => h('li', {
      class: i + 1 === chosen ? 'chosen' : '',
      hook: i + 1 === chosen ? (element, isNew) => { if (isNew) element.scrollIntoView({ block: 'center' }); } : undefined,
    }, h('code', null, line || ' ')))));
}
