// Requests: the token, problems as errors, streams of events.

const KEY = 'thalweg-token';
let token = sessionStorage.getItem(KEY) || '';  // of this tab only; gone with it
let onDenied = () => {};

export const whenDenied = (call) => { onDenied = call; };
export const hasToken = () => token !== '';
export function setToken(text) {
  token = text;
  if (text) sessionStorage.setItem(KEY, text);
  else sessionStorage.removeItem(KEY);
}

// What the server says is wrong: an RFC 9457 document, or that it says nothing.
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `status ${status}`);
    this.status = status;
    this.document = document;
  }
}

async function send(path, options = {}) {
  const headers = { ...(options.headers || {}) };
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, cache: 'no-store', credentials: 'same-origin' });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new Problem(0, { detail: 'the server does not answer' });
  }
  if (answer.ok) return answer;
  let document = {};
  try { document = await answer.json(); } catch { /* no document: the status has to do */ }
  if (answer.status === 401) onDenied(document);
  throw new Problem(answer.status, document);
}

export const getJson = async (path, options) => (await send(path, options)).json();
export const getText = async (path) => (await send(path)).text();
export const postJson = async (path, body, options = {}) =>
  (await send(path, { method: 'POST', ...(body === undefined ? {} : { body: JSON.stringify(body),
    headers: { 'Content-Type': 'application/json' } }), ...options })).json();
export const putYaml = async (path, text) =>
  (await send(path, { method: 'PUT', body: text, headers: { 'Content-Type': 'application/yaml' } })).json();

export const pipelinePath = (name) => `/api/v1/pipelines/${encodeURIComponent(name)}`;
export const tablePath = (pipeline, table) => `${pipelinePath(pipeline)}/tables/${encodeURIComponent(table)}`;
export function query(values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return pairs.length ? `?${pairs.map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join('&')}` : '';
}

async function* lines(body) {
  const decoder = new TextDecoder();
  let rest = '';
  for (const reader = body.getReader(); ;) {
    const { value, done } = await reader.read();
    rest += value ? decoder.decode(value, { stream: true }) : '';
    const parts = rest.split('\n');
    rest = parts.pop();
    yield* parts;
    if (done) {
      if (rest) yield rest;
      return;
    }
  }
}

// At most `limit` lines of JSON; the rest of the answer is not waited for.
export async function getLines(path, limit) {
  const stop = new AbortController();
  const out = [];
  for await (const line of lines((await send(path, { signal: stop.signal })).body)) {
    if (!line) continue;
    if (out.length === limit) {
      stop.abort();
      return { rows: out, more: true };
    }
    out.push(JSON.parse(line));
  }
  return { rows: out, more: false };
}

// Server-sent events by fetch, which unlike EventSource can send a token. Connects again from the last id that came,
// with growing pauses; `on(event, data)` gets each, 'open' and 'lost' among them. Returns how to end it.
export function follow(path, on) {
  const stop = new AbortController();
  let last = null;
  let pause = 500;
  (async () => {
    while (!stop.signal.aborted) {
      try {
        const answer = await send(path, { signal: stop.signal, headers: last ? { 'Last-Event-ID': last } : {} });
        if (answer.status === 204) return on('end', null);
        on('open', null);
        let event = 'message';
        let data = '';
        for await (const raw of lines(answer.body)) {
          const line = raw.replace(/\r$/, '');
          const [name, ...value] = line.split(': ');
          if (line === '') {
            if (data) on(event, JSON.parse(data));
            if (data) pause = 500;
            event = 'message';
            data = '';
          } else if (name === 'event') event = value.join(': ');
          else if (name === 'data') data += value.join(': ');
          else if (name === 'id') last = value.join(': ');
        }
      } catch (error) {
        if (stop.signal.aborted) return;
        if (error instanceof Problem && error.status >= 400 && error.status < 500) return on('refused', error);
      }
      if (stop.signal.aborted) return;
      on('lost', null);
      await new Promise((wake) => setTimeout(wake, pause));
      pause = Math.min(pause * 2, 15000);
    }
  })();
  return () => stop.abort();
}
