// A layered drawing of a graph, from left to right: ranks by longest path, crossings made few by medians, places that
// keep edges straight. nodes: [{id, width, height}], edges: [{from, to}]; answers {nodes, edges, width, height} with
// x and y of the middle of each node, and points along each edge.

const GAP_RANK = 56;
const GAP_NODE = 18;
const ROUNDS = 8;

// Edges that close a cycle are drawn backwards.
function withoutCycles(ids, edges) {
  const out = new Map(ids.map((id) => [id, []]));
  edges.forEach((edge, i) => out.get(edge.from).push(i));
  const seen = new Map();  // id → 1: on the way, 2: done
  const back = new Set();
  for (const root of ids) {
    if (seen.has(root)) continue;
    const way = [[root, 0]];
    seen.set(root, 1);
    while (way.length) {
      const step = way[way.length - 1];
      const index = out.get(step[0])[step[1]++];
      if (index === undefined) {
        seen.set(step[0], 2);
        way.pop();
        continue;
      }
      const to = edges[index].to;
      if (seen.get(to) === 1) back.add(index);
      else if (!seen.has(to)) {
        seen.set(to, 1);
        way.push([to, 0]);
      }
    }
  }
  return edges.map((edge, i) => (back.has(i) ? { from: edge.to, to: edge.from } : { from: edge.from, to: edge.to }));
}

function ranksOf(ids, edges) {
  const rank = new Map(ids.map((id) => [id, 0]));
  const out = new Map(ids.map((id) => [id, []]));
  const left = new Map(ids.map((id) => [id, 0]));
  for (const edge of edges) {
    out.get(edge.from).push(edge.to);
    left.set(edge.to, left.get(edge.to) + 1);
  }
  const sources = ids.filter((id) => left.get(id) === 0);
  const ready = [...sources];
  for (let i = 0; i < ready.length; ++i) {
    for (const to of out.get(ready[i])) {
      rank.set(to, Math.max(rank.get(to), rank.get(ready[i]) + 1));
      left.set(to, left.get(to) - 1);
      if (left.get(to) === 0) ready.push(to);
    }
  }
  // A source stands just before the first that reads it.
  for (const id of sources) if (out.get(id).length) rank.set(id, Math.min(...out.get(id).map((to) => rank.get(to))) - 1);
  return rank;
}

// An edge over several ranks gets a point in each of those between.
function layersOf(nodes, edges, rank) {
  const layers = [];
  const items = new Map();
  const add = (item) => {
    items.set(item.id, item);
    (layers[item.rank] ||= []).push(item);
    return item;
  };
  for (const node of nodes)
    add({ id: node.id, rank: rank.get(node.id), width: node.width, height: node.height, before: [], after: [] });
  const chains = edges.map((edge, i) => {
    const chain = [items.get(edge.from)];
    for (let r = rank.get(edge.from) + 1; r < rank.get(edge.to); ++r)
      chain.push(add({ id: `edge ${i} ${r}`, rank: r, width: 0, height: 4, dummy: true, before: [], after: [] }));
    chain.push(items.get(edge.to));
    for (let k = 1; k < chain.length; ++k) {
      chain[k - 1].after.push(chain[k]);
      chain[k].before.push(chain[k - 1]);
    }
    return chain;
  });
  for (let r = 0; r < layers.length; ++r) (layers[r] ||= []).forEach((item, i) => { item.order = i; });
  return { layers, chains };
}

function crossings(layers) {
  let total = 0;
  for (const layer of layers) {
    const ends = layer.flatMap((item) => item.after.map((to) => to.order).sort((a, b) => a - b));
    for (let i = 0; i < ends.length; ++i) for (let k = i + 1; k < ends.length; ++k) if (ends[i] > ends[k]) total += 1;
  }
  return total;
}

function orderLayers(layers) {
  let best = layers.map((layer) => [...layer]);
  let fewest = crossings(layers);
  for (let round = 0; round < ROUNDS && fewest > 0; ++round) {
    const down = round % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      for (const item of layer) {
        const near = (down ? item.before : item.after).map((other) => other.order).sort((a, b) => a - b);
        item.wish = near.length ? (near[(near.length - 1) >> 1] + near[near.length >> 1]) / 2 : item.order;
      }
      layer.sort((a, b) => a.wish - b.wish || a.order - b.order);
      layer.forEach((item, i) => { item.order = i; });
    }
    const now = crossings(layers);
    if (now < fewest) {
      fewest = now;
      best = layers.map((layer) => [...layer]);
    }
  }
  best.forEach((layer) => layer.forEach((item, i) => { item.order = i; }));
  return best;
}

// Nodes of a layer where they wish to be, pushed apart so that none overlaps: blocks that meet are merged and stand
// at the mean of their wishes, which is the least movement.
function placeLayer(layer) {
  const blocks = [];
  for (const item of layer) {
    let block = { items: [item], size: item.height, weight: 1, start: item.wish - item.height / 2 };
    while (blocks.length) {
      const last = blocks[blocks.length - 1];
      if (last.start + last.size + GAP_NODE <= block.start) break;
      blocks.pop();
      // Where the merged block would start, as wished by each part.
      const shift = last.size + GAP_NODE;
      const start = (last.start * last.weight + (block.start - shift) * block.weight) / (last.weight + block.weight);
      block = { items: [...last.items, ...block.items], size: last.size + GAP_NODE + block.size,
        weight: last.weight + block.weight, start };
    }
    blocks.push(block);
  }
  for (const block of blocks) {
    let at = block.start;
    for (const item of block.items) {
      item.y = at + item.height / 2;
      at += item.height + GAP_NODE;
    }
  }
}

function place(layers) {
  let x = 0;
  for (const layer of layers) {
    const width = Math.max(0, ...layer.map((item) => item.width));
    let y = 0;
    for (const item of layer) {
      item.x = x + width / 2;
      item.y = y + item.height / 2;
      y += item.height + GAP_NODE;
    }
    x += width + GAP_RANK;
  }
  for (let round = 0; round < 12; ++round) {
    const down = round % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      for (const item of layer) {
        const near = down ? item.before : item.after;
        item.wish = near.length ? near.reduce((sum, other) => sum + other.y, 0) / near.length : item.y;
      }
      placeLayer(layer);
    }
  }
  return x - GAP_RANK;
}

export function layout(nodes, edges) {
  if (!nodes.length) return { nodes: new Map(), edges: [], width: 0, height: 0 };
  const ids = nodes.map((node) => node.id);
  const known = new Set(ids);
  const drawn = edges.filter((edge) => known.has(edge.from) && known.has(edge.to) && edge.from !== edge.to);
  const forward = withoutCycles(ids, drawn);
  const { layers: start, chains } = layersOf(nodes, forward, ranksOf(ids, forward));
  const layers = orderLayers(start);
  const width = place(layers);
  const items = layers.flat();
  const top = Math.min(...items.map((item) => item.y - item.height / 2));
  for (const item of items) item.y -= top;
  const at = new Map(items.filter((item) => !item.dummy).map((item) => [item.id, item]));
  return {
    nodes: at,
    edges: drawn.map((edge, i) => {
      const points = chains[i].map((item) => ({ x: item.x, y: item.y }));
      points[0].x += chains[i][0].width / 2;
      points[points.length - 1].x -= chains[i][chains[i].length - 1].width / 2;
      return { edge, points: forward[i].from === edge.from ? points : points.reverse() };
    }),
    width,
    height: Math.max(...items.map((item) => item.y + item.height / 2)),
  };
}

// The points as a curve that leaves and arrives level.
export function curve(points) {
  let out = `M${points[0].x},${points[0].y}`;
  for (let i = 1; i < points.length; ++i) {
    const [a, b] = [points[i - 1], points[i]];
    const middle = (a.x + b.x) / 2;
    out += `C${middle},${a.y} ${middle},${b.y} ${b.x},${b.y}`;
  }
  return out;
}
