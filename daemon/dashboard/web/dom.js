// Virtual nodes: what a view returns, and how the document comes to be like it. Texts are text nodes, always: nothing
// that a table holds is ever read as markup.

const SVG = 'http://www.w3.org/2000/svg';

// A node. Children may be nodes, texts, numbers, lists of them; null and false keep a place free, so that what follows
// is still compared with what it was. `key` tells rows of a list apart. `hook(element, isNew)` runs after each drawing.
export function h(tag, props, ...children) {
  const list = [];
  flatten(children, list);
  return { tag, props: props || {}, key: props?.key, children: list };
}

function flatten(children, into) {
  for (const child of children) {
    if (Array.isArray(child)) flatten(child, into);
    else if (child === null || child === undefined || child === false) into.push({ tag: '#', text: '', props: {} });
    else if (typeof child === 'object') into.push(child);
    else into.push({ tag: '#', text: String(child), props: {} });
  }
}

const PROPERTIES = new Set(['value', 'checked', 'disabled', 'hidden', 'selected', 'open', 'tabIndex']);

function setProp(element, name, value) {
  if (name === 'key' || name === 'hook') return;
  if (name.startsWith('on')) element[name] = value || null;
  else if (name === 'style') for (const [property, to] of Object.entries(value)) element.style.setProperty(property, to);
  else if (PROPERTIES.has(name) && element.namespaceURI !== SVG) {
    if (element[name] !== value) element[name] = value ?? '';
  } else if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? '' : value);
}

function setProps(element, before, after) {
  for (const name in before) if (!(name in after)) setProp(element, name, null);
  for (const name in after)
    if (before[name] !== after[name] || PROPERTIES.has(name)) setProp(element, name, after[name]);
}

function create(node, svg) {
  if (node.tag === '#') return (node.element = document.createTextNode(node.text));
  const inside = svg || node.tag === 'svg';
  node.element = inside ? document.createElementNS(SVG, node.tag) : document.createElement(node.tag);
  for (const child of node.children) node.element.append(create(child, inside));
  setProps(node.element, {}, node.props);  // after the children: a select has its value only with its options
  if (node.props.hook) hooks.push(() => node.props.hook(node.element, true));
  return node.element;
}

function update(before, after, svg) {
  const element = (after.element = before.element);
  if (after.tag === '#') {
    if (before.text !== after.text) element.data = after.text;
    return element;
  }
  const inside = svg || after.tag === 'svg';
  updateChildren(element, before.children, after.children, inside);
  setProps(element, before.props, after.props);
  if (after.props.hook) hooks.push(() => after.props.hook(element, false));
  return element;
}

function updateChildren(element, before, after, svg) {
  const keyed = new Map();
  const loose = [];
  for (const old of before) {
    if (old.key !== undefined) keyed.set(old.key, old);
    else loose.push(old);
  }
  let next = 0;
  let at = element.firstChild;
  for (const node of after) {
    const old = node.key !== undefined ? keyed.get(node.key) : loose[next++];
    const made = old && old.tag === node.tag ? update(old, node, svg) : create(node, svg);
    if (made === at) at = at.nextSibling;
    else element.insertBefore(made, at);
  }
  while (at) {
    const rest = at.nextSibling;
    at.remove();
    at = rest;
  }
}

let hooks = [];

// Makes `root` hold what `view()` returns; the function that is returned draws again, at the next frame, once.
export function mount(root, view) {
  let drawn = [];
  let waiting = false;
  const draw = () => {
    waiting = false;
    const list = [];
    flatten([view()], list);
    hooks = [];
    updateChildren(root, drawn, list, false);
    drawn = list;
    for (const hook of hooks.splice(0)) hook();
  };
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(draw);
  };
}
