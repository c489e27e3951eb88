// Small views and how numbers are written.
import { h } from './dom.js';

const UNITS = ['', 'k', 'M', 'G', 'T'];
export function count(n) {
  if (n === undefined || n === null) return '';
  let unit = 0;
  let value = Math.abs(n);
  while (value >= 10000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 && Number.isInteger(n) ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${n < 0 ? '−' : ''}${value.toFixed(digits)}${UNITS[unit]}`;
}
export const perSecond = (n) => `${count(n < 100 ? Math.round(n * 10) / 10 : Math.round(n))}/s`;
export function bytes(n) {
  const names = ['B', 'KB', 'MB', 'GB', 'TB'];
  let unit = 0;
  while (n >= 1000 && unit < names.length - 1) {
    n /= 1000;
    unit += 1;
  }
  return `${unit === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${names[unit]}`;
}
export function seconds(s) {
  if (s === 0) return '0 s';
  if (s < 0.001) return `${Math.round(s * 1e6)} µs`;
  if (s < 1) return `${Math.round(s * 1000)} ms`;
  if (s < 120) return `${s.toFixed(1)} s`;
  return s < 7200 ? `${Math.round(s / 60)} min` : `${(s / 3600).toFixed(1)} h`;
}

const pad = (n, width = 2) => String(n).padStart(width, '0');
export function clock(ms) {
  const d = new Date(ms);
  return `${pad(d.getHours())}:${pad(d.getMinutes())}:${pad(d.getSeconds())}`;
}
export function moment(ms) {
  const d = new Date(ms);
  const day = `${d.getFullYear()}-${pad(d.getMonth() + 1)}-${pad(d.getDate())} `;
  return (new Date().toDateString() === d.toDateString() ? '' : day) + clock(ms);
}

// Commits of a stream are numbered by the wall clock in milliseconds; those of static inputs are small numbers.
export const isWallTime = (at) => at > 1e12;
export function time(at) {
  return isWallTime(at) ? `${clock(at)}.${pad(at % 1000, 3)}` : String(at);
}
export const frontier = (f) => (!f ? '' : f.done ? 'done' : time(f.at));

export const badge = (state) => h('span', { class: `badge ${state}` }, state);

export function problemBox(problem) {
  if (!problem) return null;
  const said = problem.document || {};
  return h('div', { class: 'problem', role: 'alert' }, h('strong', null, problem.message),
    said.hint ? h('div', null, said.hint) : null, said.diagnostics ? h('pre', null, said.diagnostics) : null);
}

export const empty = (text) => h('p', { class: 'empty' }, text);

// What a cell shows: a text as it is, the rest as JSON has it.
export function cell(value) {
  if (value === null || value === undefined) return h('span', { class: 'none' }, 'null');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
const NUMERIC = new Set(['int', 'float', 'decimal', 'duration']);
export const isNumeric = (type) => NUMERIC.has(String(type).replace(/\?| \| None|Optional\[|\]/g, ''));

// columns: [{title, numeric, head?}], rows: lists of children.
export function grid(columns, rows, props = {}) {
  return h('div', { class: 'scroll', tabIndex: 0, role: 'region', 'aria-label': props.label || 'table' },
    h('table', { class: props.class || '' },
      h('thead', null, h('tr', null, columns.map((column) =>
        h('th', { scope: 'col', class: column.numeric ? 'n' : '', ...(column.sort ? { 'aria-sort': column.sort } : {}) },
          column.head || column.title)))),
      h('tbody', null, rows.map((row) => h('tr', { key: row.key, class: row.class || '' }, row.cells.map((content, i) =>
        h('td', { class: columns[i]?.numeric ? 'n' : '' }, content)))))));
}

export const button = (label, onclick, props = {}) => h('button', { type: 'button', onclick, ...props }, label);

export function figure(label, value, extra) {
  return h('div', { class: 'figure' }, h('div', { class: 'label' }, label), h('div', { class: 'value' }, value), extra);
}

const LISTS = [['kept', 'kept, with state'], ['rebuilt', 'rebuilt'], ['added', 'added'], ['removed', 'removed'],
  ['outputs', 'outputs']];

// What a change did or would do.
export function report(outcome, withResult = true) {
  const said = LISTS.filter(([name]) => outcome[name]?.length);
  return h('div', { class: 'report' },
    withResult ? h('p', null, badge(outcome.result), ' ', outcome.reason || (outcome.result === 'unchanged' ? 'nothing changed' : '')) : null,
    outcome.diagnostics ? h('pre', null, outcome.diagnostics) : null,
    said.map(([name, title]) => h('section', { key: name, class: `notes ${name}` },
      h('h3', null, `${title} (${outcome[name].length})`),
      h('ul', null, outcome[name].map((note) =>
        h('li', null, h('code', null, note.name), note.detail ? h('span', { class: 'soft' }, ` ${note.detail}`) : null))))));
}
