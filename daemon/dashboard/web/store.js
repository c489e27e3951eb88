// What is known, and what is shown. Views read it, polls and events write it, `redraw()` follows.
import { getJson, pipelinePath } from './api.js';

export const HISTORY = 300;  // samples kept per pipeline, one a second

export const state = {
  route: [],            // of the address: ['p', 'orders', 'graph']
  pipelines: null,      // as /api/v1/pipelines has them
  version: '',
  offline: '',          // why the server does not answer
  login: null,          // the problem that asks for a token
  notice: null,         // {text, bad}: what came of the last action
  history: new Map(),   // pipeline → [{t, in, out, lag, errors}], rates a second
  part: {},             // of the page that is open: what its last poll brought
  ui: {},               // of the page that is open: choices made in it
};

let drawer = () => {};
export const setDrawer = (draw) => { drawer = draw; };
export const redraw = () => drawer();

export const pipeline = (name) => state.pipelines?.find((one) => one.name === name);

export function notify(text, bad = false) {
  state.notice = { text, bad, at: Date.now() };
  redraw();
}

// ---------------------------------------------------------------- rates

const counters = new Map();

// Change a second of a counter since the last sample that is at least half a second old.
export function rate(key, value, now = performance.now()) {
  const known = counters.get(key);
  if (!known || value < known.value) {
    counters.set(key, { value, at: now, rate: 0 });
    return 0;
  }
  if (now - known.at >= 500) {
    known.rate = ((value - known.value) * 1000) / (now - known.at);
    known.value = value;
    known.at = now;
  }
  return known.rate;
}

function remember(one) {
  const before = state.history.get(one.name) || [];
  const key = (what) => `p/${one.name}/${what}`;
  before.push({ t: Date.now(), in: rate(key('in'), one.rows_in || 0), out: rate(key('out'), one.rows_out || 0),
    errors: rate(key('errors'), one.errors || 0), lag: one.lag_seconds || 0 });
  if (before.length > HISTORY) before.shift();
  state.history.set(one.name, before);
}

// ---------------------------------------------------------------- polling

let parts = async () => ({});
let generation = 0;

// What the page that is open wants to know each second; `load` answers an object that becomes `state.part`.
export function pollPart(load) {
  parts = load;
  generation += 1;
  state.part = {};
  tick();
}

let busy = false;
let again = false;
export async function tick() {
  if (busy) {
    again = true;
    return;
  }
  busy = true;
  const mine = generation;
  try {
    const { pipelines } = await getJson('/api/v1/pipelines');
    state.pipelines = pipelines;
    state.offline = '';
    state.login = null;
    pipelines.forEach(remember);
    if (!state.version) state.version = (await getJson('/version')).version || '';
    const part = await parts();
    if (mine === generation) state.part = part;
  } catch (error) {
    if (error.status === 0) state.offline = error.message;
    else if (error.status !== 401 && mine === generation) state.part = { problem: error };
  }
  busy = false;
  redraw();
  if (again) {
    again = false;
    tick();
  }
}

export function startPolling() {
  setInterval(() => { if (!document.hidden && !state.login) tick(); }, 1000);
  document.addEventListener('visibilitychange', () => { if (!document.hidden) tick(); });
}

// Parts of a pipeline, each by itself: one that cannot be had is a problem in its place.
export async function fetchParts(name, wanted) {
  const out = {};
  await Promise.all(Object.entries(wanted).map(async ([key, path]) => {
    try {
      out[key] = await getJson(pipelinePath(name) + path);
    } catch (error) {
      if (error.status === 0 || error.status === 401) throw error;
      out.problem = error;
    }
  }));
  return out;
}
