// The frame: addresses, the head of the page, signing in, the list of pipelines, the history of changes.
import { getJson, hasToken, postJson, setToken, whenDenied } from './api.js';
import { chart } from './chart.js';
import { h, mount } from './dom.js';
import { openPipeline, pipelineView } from './pipeline.js';
import { openSql, sqlView } from './sql.js';
import { notify, pollPart, redraw, setDrawer, startPolling, state, tick } from './store.js';
import { badge, button, count, empty, frontier, grid, moment, perSecond, problemBox, report, seconds } from './widgets.js';

// ---------------------------------------------------------------- pages

function overview() {
  if (!state.pipelines) return empty('Asking the server …');
  if (!state.pipelines.length) return empty('There is no pipeline yet: put a YAML file into pipelines_dir, or `thalweg apply FILE`.');
  const last = (one) => state.history.get(one.name)?.at(-1) || {};
  const total = [];
  for (const one of state.pipelines)
    (state.history.get(one.name) || []).slice(-120).reverse().forEach((point, i) => {
      total[i] ||= { t: point.t, in: 0, out: 0, lag: 0 };
      total[i].in += point.in;
      total[i].out += point.out;
      total[i].lag = Math.max(total[i].lag, point.lag);
    });
  const points = total.reverse();
  return h('div', null, h('h1', null, 'Pipelines'),
    h('div', { class: 'charts' },
      chart({ title: 'Rows', points, format: perSecond, lines: [{ name: 'in', label: 'in', color: '--c1' }, { name: 'out', label: 'out', color: '--c2' }] }),
      chart({ title: 'Largest lag', points, format: seconds, lines: [{ name: 'lag', label: '', color: '--c3' }] })),
    grid([{ title: 'Name' }, { title: 'State' }, { title: 'Ready' }, { title: 'Frontier' }, { title: 'Lag', numeric: true },
      { title: 'In', numeric: true }, { title: 'Out', numeric: true }, { title: 'Rows in', numeric: true }, { title: 'Errors', numeric: true },
      { title: 'Restarts', numeric: true }],
    state.pipelines.map((one) => ({ key: one.name, cells: [
      h('a', { href: `#/p/${encodeURIComponent(one.name)}` }, one.name),
      [badge(one.state), one.failure ? h('div', { class: 'bad small' }, one.failure) : null],
      one.ready ? 'yes' : 'no', frontier(one.frontier), one.frontier ? seconds(one.lag_seconds) : '',
      one.frontier ? perSecond(last(one).in || 0) : '', one.frontier ? perSecond(last(one).out || 0) : '', count(one.rows_in),
      one.errors ? h('a', { class: 'bad', href: `#/p/${encodeURIComponent(one.name)}/errors` }, count(one.errors)) : count(one.errors),
      count(one.restarts)] })), { label: 'Pipelines' }));
}

function openChanges() {
  pollPart(async () => getJson('/api/v1/reloads?limit=100'));
}

async function reloadAll(dry) {
  try {
    const answer = await postJson(`/api/v1/reload${dry ? '?dry_run=true' : ''}`);
    state.ui.answers = answer.outcomes || [answer];
    notify(dry ? 'This is what would change.' : 'Reloaded.');
  } catch (error) {
    state.ui.answers = error.document?.outcomes;
    notify(error.message, true);
  }
  tick();
}

function changes() {
  const outcomes = state.part.outcomes;
  return h('div', null, h('h1', null, 'Changes'),
    h('div', { class: 'row' }, button('Dry run of all files', () => reloadAll(true)), button('Reload all', () => reloadAll(false))),
    state.ui.answers ? h('section', { class: 'card' }, state.ui.answers.map((one) =>
      h('div', { key: one.id }, h('h2', null, one.pipeline), report(one)))) : null,
    state.part.problem ? problemBox(state.part.problem) : null,
    outcomes && !outcomes.length ? empty('Nothing has changed since the start.') : null,
    outcomes ? [...outcomes].reverse().map((one) => h('details', { key: one.id, class: 'card' },
      h('summary', null, badge(one.result), ' ', h('strong', null, one.pipeline), ` ${moment(one.at * 1000)} · by ${one.trigger} · ${seconds(one.seconds)}`,
        one.reason ? h('span', { class: 'soft' }, ` · ${one.reason}`) : null), report(one, false))) : null);
}

// ---------------------------------------------------------------- signing in

function signIn() {
  const submit = (event) => {
    event.preventDefault();
    setToken(event.target.elements.token.value.trim());
    state.login = null;
    route();
  };
  return h('form', { class: 'login card', onsubmit: submit },
    h('h1', null, 'Thalweg'),
    h('label', { for: 'token' }, 'This server asks for a token.'),
    h('input', { id: 'token', name: 'token', type: 'password', autocomplete: 'off', required: true,
      hook: (element, isNew) => { if (isNew) element.focus(); } }),
    hasToken() ? h('p', { class: 'bad', role: 'alert' }, 'The server does not know this one.') : null,
    h('button', { type: 'submit' }, 'Sign in'),
    h('p', { class: 'soft small' }, 'It is kept by this tab only, until that is closed.'));
}

whenDenied((problem) => { state.login = problem; });

// ---------------------------------------------------------------- the frame

const THEMES = ['auto', 'light', 'dark'];
let theme = localStorage.getItem('thalweg-theme') || 'auto';
function applyTheme() {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}
function nextTheme() {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  localStorage.setItem('thalweg-theme', theme);
  applyTheme();
  redraw();
}

const link = (href, label, here) => h('a', { href, ...(here ? { 'aria-current': 'page' } : {}) }, label);

function page() {
  const [kind, name] = state.route;
  if (kind === 'p') return pipelineView(name);
  if (kind === 'sql') return sqlView();
  if (kind === 'changes') return changes();
  return overview();
}

function view() {
  if (state.login) return h('main', { key: 'login' }, signIn());
  const kind = state.route[0];
  return h('div', { key: 'frame', class: 'frame' },
    h('a', { class: 'skip', href: '#main', onclick: (e) => { e.preventDefault(); document.getElementById('main').focus(); } }, 'Skip to content'),
    h('header', null, h('a', { class: 'brand', href: '#/' }, h('img', { src: '/ui/icon.svg', alt: '', width: 22, height: 22 }), 'Thalweg'),
      h('nav', { 'aria-label': 'Pages' }, link('#/', 'Pipelines', !kind || kind === 'p'), link('#/sql', 'SQL', kind === 'sql'),
        link('#/changes', 'Changes', kind === 'changes'), link('/docs', 'API'), link('/metrics', 'Metrics')),
      h('span', { class: 'space' }), h('span', { class: 'soft small' }, state.version),
      button(`Theme: ${theme}`, nextTheme),
      hasToken() ? button('Sign out', () => { setToken(''); location.reload(); }) : null),
    state.offline ? h('div', { class: 'banner', role: 'alert' }, `${state.offline}; what is shown is old. Trying again …`) : null,
    state.notice && Date.now() - state.notice.at < 8000
      ? h('div', { class: `banner ${state.notice.bad ? 'bad' : 'good'}`, role: 'status' }, state.notice.text) : null,
    h('main', { id: 'main', tabIndex: -1 }, page()));
}

// `#/p/NAME/tab/…`
function route() {
  const before = state.route.join('/');
  state.route = location.hash.replace(/^#\/?/, '').split('/').filter(Boolean).map(decodeURIComponent);
  const [kind, name] = state.route;
  if (before !== state.route.join('/') && state.ui.close) state.ui.close();
  state.ui = {};
  state.notice = null;
  if (kind === 'p') openPipeline();
  else if (kind === 'sql') openSql();
  else if (kind === 'changes') openChanges();
  else pollPart(async () => ({}));
  document.title = kind === 'p' ? `${name} · Thalweg` : 'Thalweg';
  redraw();
}

applyTheme();
setDrawer(mount(document.getElementById('root'), view));
addEventListener('hashchange', route);
addEventListener('resize', redraw);
route();
startPolling();
