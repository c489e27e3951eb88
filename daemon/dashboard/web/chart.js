// Lines over time on a canvas: a few hundred points, drawn anew each second.
import { h } from './dom.js';

const STEPS = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];

// The smallest round number that is not below `value`.
export function roundUp(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return STEPS.map((step) => step * power).find((step) => step >= value * 0.999) || 10 * power;
}

function draw(canvas, { points, lines, format, span }) {
  const box = canvas.getBoundingClientRect();
  if (box.width < 10) return;
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [box.width, box.height];
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const g = canvas.getContext('2d');
  const color = (name) => getComputedStyle(canvas).getPropertyValue(name).trim();
  g.setTransform(scale, 0, 0, scale, 0, 0);
  g.clearRect(0, 0, width, height);
  const top = roundUp(Math.max(0, ...points.flatMap((p) => lines.map((line) => p[line.name] || 0))));
  const now = points.length ? points[points.length - 1].t : Date.now();
  const [left, bottom] = [4, height - 16];
  const x = (t) => left + (1 - (now - t) / span) * (width - left - 4);
  const y = (v) => bottom - (v / top) * (bottom - 16);
  g.strokeStyle = color('--line');
  g.fillStyle = color('--soft');
  g.font = '11px system-ui, sans-serif';
  g.lineWidth = 1;
  for (const part of [0, 0.5, 1]) {
    g.beginPath();
    g.moveTo(left, Math.round(y(top * part)) + 0.5);
    g.lineTo(width - 4, Math.round(y(top * part)) + 0.5);
    g.stroke();
  }
  g.textAlign = 'left';
  g.fillText(format(top), left, y(top) - 4);
  g.fillText(`${Math.round(span / 60000)} min ago`, left, height - 3);
  g.textAlign = 'right';
  g.fillText('now', width - 4, height - 3);
  for (const line of lines) {
    g.strokeStyle = color(line.color);
    g.lineWidth = 1.6;
    g.beginPath();
    let pen = false;
    for (const point of points) {
      if (now - point.t > span) continue;
      if (pen) g.lineTo(x(point.t), y(point[line.name] || 0));
      else g.moveTo(x(point.t), y(point[line.name] || 0));
      pen = true;
    }
    g.stroke();
  }
}

// lines: [{name, label, color}], name: of the field of a point, color: a CSS variable.
export function chart({ title, points, lines, format, span = 120000 }) {
  const last = points[points.length - 1] || {};
  const said = lines.map((line) => `${line.label} ${format(last[line.name] || 0)}`).join(', ');
  return h('figure', { class: 'chart' },
    h('figcaption', null, title, lines.map((line) =>
      h('span', { class: 'legend' }, h('i', { style: { background: `var(${line.color})` } }),
        `${line.label} ${format(last[line.name] || 0)}`))),
    h('canvas', { role: 'img', 'aria-label': `${title}: ${said}`,
      hook: (canvas) => draw(canvas, { points, lines, format, span }) }));
}
