// The workflow as a picture of its form: boxes in the order in which tasks follow each other, moved and connected by
// the pointer. A connection made here is made in the menu of the form and saved with it, so both give the same.
import strings from './strings.js';
import { Graph, layout } from './vendor/dagre.esm.js';
import { notice } from './page.js';

const t = strings.editor;
const SVG = 'http://www.w3.org/2000/svg';
const HEIGHT = 36;
const MARGIN = 18;
const FEW_PIXELS = 4; // less is a click
const PORT = 7;
const [LEAST_SCALE, MOST_SCALE] = [0.7, 1.25];

let nodes = new Map(); // serial -> {name, kind, x, y, width}
let svg = null;

const places = {
  get key() { return `xf-editor${location.pathname}`; },
  read() {
    try { return JSON.parse(localStorage.getItem(this.key)) ?? {}; } catch { return {}; }
  },
  write(all) {
    // Where boxes lie is a matter of this browser; one that keeps nothing shows them in order again.
    try {
      if (Object.keys(all).length) localStorage.setItem(this.key, JSON.stringify(all));
      else localStorage.removeItem(this.key);
    } catch { /* it is shown, though not kept */ }
  },
};

function element(name, attributes, parent = svg) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

// The connections as the menus have them now, saved or not.
function edgesOfForm() {
  const edges = [];
  for (const card of document.querySelectorAll('.task-card[data-task]')) {
    for (const select of card.querySelectorAll('[data-fixed]')) {
      const [mode, from] = select.value.split(':');
      const isNew = ![...select.selectedOptions].every((option) => option.defaultSelected);
      if (mode === 'output') edges.push({ from, to: card.dataset.task, select, isNew });
    }
  }
  return edges.filter(({ from, to }) => nodes.has(from) && nodes.has(to));
}

/** Draw the picture of what the form says. */
export function drawGraph() {
  svg = document.querySelector('#graph');
  const cards = [...document.querySelectorAll('.task-card[data-task]')];
  svg.closest('figure').hidden = !cards.length;
  if (!cards.length) return;
  nodes = new Map(cards.map(({ dataset: { task, name, kind } }) =>
    [task, { name, kind, width: Math.min(220, 30 + name.length * 7.4) }]));
  const moved = places.read();
  arranged();
  for (const [serial, [x, y]] of Object.entries(moved)) if (nodes.has(serial)) Object.assign(nodes.get(serial), { x, y });
  const arrange = document.querySelector('#arrange');
  arrange.hidden = !Object.keys(moved).some((serial) => nodes.has(serial));
  arrange.onclick = () => { places.write({}); drawGraph(); document.querySelector('#graph a').focus(); };
  fill();
  fit();
}

// Give each box the place that follows from what uses what.
function arranged() {
  const graph = new Graph();
  graph.setGraph({ rankdir: 'TB', nodesep: 24, ranksep: 46, marginx: MARGIN, marginy: MARGIN });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const [serial, { width }] of nodes) graph.setNode(serial, { width, height: HEIGHT });
  for (const { from, to } of edgesOfForm()) graph.setEdge(from, to);
  layout(graph);
  for (const [serial, node] of nodes) ({ x: node.x, y: node.y } = graph.node(serial));
}

function fit() {
  const all = [...nodes.values()];
  const [left, right] = [Math.min(...all.map(({ x, width }) => x - width / 2)), Math.max(...all.map(({ x, width }) => x + width / 2))];
  const [top, bottom] = [Math.min(...all.map(({ y }) => y)), Math.max(...all.map(({ y }) => y))];
  const width = Math.max(right - left, 284) + 2 * MARGIN;
  const height = bottom - top + HEIGHT + 2 * MARGIN + PORT;
  svg.setAttribute('viewBox', `${(left + right - width) / 2} ${top - HEIGHT / 2 - MARGIN} ${width} ${height}`);
  // What does not fit is scrolled to rather than shown too small to be read.
  svg.style.minWidth = `${width * LEAST_SCALE}px`;
  svg.style.maxHeight = `${height * MOST_SCALE}px`;
}

function fill() {
  svg.replaceChildren();
  const marker = element('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: 'auto' }, element('defs', {}));
  element('path', { class: 'arrow', d: 'M0,0L8,4L0,8z' }, marker);
  drawEdges(element('g', { class: 'edges' }));
  for (const [serial, node] of nodes) drawNode(serial, node);
}

function drawEdges(group) {
  group.replaceChildren();
  const drawn = new Map();
  for (const edge of edgesOfForm()) {
    const key = `${edge.from}:${edge.to}`;
    const known = drawn.get(key);
    if (known) known.isNew &&= edge.isNew;
    else drawn.set(key, edge);
  }
  for (const { from, to, select, isNew } of drawn.values()) {
    const d = curve(nodes.get(from), nodes.get(to));
    element('path', { class: isNew ? 'edge is-new' : 'edge', d }, group);
    const hit = element('path', { class: 'edge-hit', d }, group);
    element('title', {}, hit).textContent = `${nodes.get(from).name} → ${nodes.get(to).name}${isNew ? ` (${t.unsaved})` : ''}`;
    hit.addEventListener('click', () => select.focus());
  }
}

function curve(from, to) {
  const [x0, y0, x1, y1] = [from.x, from.y + HEIGHT / 2 + PORT, to.x, to.y - HEIGHT / 2];
  const bend = Math.max(18, Math.abs(y1 - y0) / 2);
  return `M${x0},${y0}C${x0},${y0 + bend} ${x1},${y1 - bend} ${x1},${y1}`;
}

function drawNode(serial, node) {
  const link = element('a', { class: `node ${node.kind}`, href: `#task-${serial}`, 'data-serial': serial });
  element('rect', { x: -node.width / 2, y: -HEIGHT / 2, width: node.width, height: HEIGHT, rx: 6 }, link);
  const text = element('text', { x: 0, y: 5 }, link);
  text.textContent = node.name.length > 26 ? `${node.name.slice(0, 25)}…` : node.name;
  element('title', {}, link).textContent = node.name;
  const port = element('circle', { class: 'port', cx: 0, cy: HEIGHT / 2 + 1, r: PORT }, link);
  element('title', {}, port).textContent = t.outputs_of.replace('{name}', node.name);
  place(link, node);
  link.addEventListener('dragstart', (event) => event.preventDefault());
  link.addEventListener('pointerdown', (event) => {
    if (event.button === 0) (event.target === port ? connects : moves)(event, serial, link);
  });
  link.addEventListener('click', (event) => {
    event.preventDefault();
    const card = document.getElementById(`task-${serial}`);
    card.scrollIntoView({ block: 'nearest' });
    card.querySelector('select, input:not([type=hidden])').focus();
  });
}

const place = (link, { x, y }) => link.setAttribute('transform', `translate(${x},${y})`);

function at(event) {
  const { x, y } = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  return { x, y };
}

// Follow a pointer until it is let go; `end` is called with whether it was a drag and was not given up by Escape.
function follow(event, target, moved, end) {
  const begin = [event.clientX, event.clientY];
  let isDrag = false;
  const move = (next) => {
    isDrag ||= Math.hypot(next.clientX - begin[0], next.clientY - begin[1]) > FEW_PIXELS;
    if (isDrag) moved(next);
  };
  const over = (last, isDone) => {
    target.removeEventListener('pointermove', move);
    target.removeEventListener('pointerup', up);
    target.removeEventListener('pointercancel', cancel);
    document.removeEventListener('keydown', key);
    if (isDrag) {
      // The click at the end of a drag is none, and it comes at once or not at all.
      const swallow = (click) => { click.preventDefault(); click.stopImmediatePropagation(); };
      target.addEventListener('click', swallow, { capture: true });
      setTimeout(() => target.removeEventListener('click', swallow, { capture: true }));
    }
    end(isDrag && isDone, last);
  };
  const up = (last) => over(last, true);
  const cancel = (last) => over(last, false);
  const key = (pressed) => { if (pressed.key === 'Escape') over(event, false); };
  target.setPointerCapture(event.pointerId);
  target.addEventListener('pointermove', move);
  target.addEventListener('pointerup', up);
  target.addEventListener('pointercancel', cancel);
  document.addEventListener('keydown', key);
}

function moves(event, serial, link) {
  const node = nodes.get(serial);
  const [from, start] = [{ x: node.x, y: node.y }, at(event)];
  const edges = svg.querySelector('.edges');
  follow(event, link, (next) => {
    const now = at(next);
    Object.assign(node, { x: from.x + now.x - start.x, y: from.y + now.y - start.y });
    place(link, node);
    drawEdges(edges);
  }, (isMoved) => {
    if (isMoved) places.write({ ...places.read(), [serial]: [Math.round(node.x), Math.round(node.y)] });
    else Object.assign(node, from);
    if (isMoved) drawGraph();
    else { place(link, node); drawEdges(edges); }
  });
}

const boxUnder = ({ clientX, clientY }) =>
  document.elementsFromPoint(clientX, clientY).map((one) => one.closest('.node')).find(Boolean) ?? null;

function connects(event, serial, link) {
  const node = nodes.get(serial);
  const line = element('path', { class: 'edge is-new' });
  let over = null;
  follow(event, link, (next) => {
    const now = at(next);
    line.setAttribute('d', curve(node, { x: now.x, y: now.y + HEIGHT / 2 }));
    over?.classList.remove('is-over');
    over = boxUnder(next);
    if (over?.dataset.serial === serial) over = null;
    over?.classList.add('is-over');
  }, (isDone) => {
    line.remove();
    over?.classList.remove('is-over');
    if (isDone && over) connect(serial, over.dataset.serial);
  });
}

// Connect two tasks by what fits; where several outputs or inputs do, it is asked which.
async function connect(from, to) {
  const card = document.getElementById(`task-${to}`);
  const pairs = [...card.querySelectorAll('[data-fixed]')].flatMap((select) => [...select.options]
    .filter(({ value }) => value.startsWith(`output:${from}:`))
    .map(({ value }) => ({ select, value, output: value.split(':').slice(2).join(':'), input: select.name.slice('source.'.length) })));
  if (!pairs.length) {
    notice(t.unfit.replace('{from}', nodes.get(from).name).replace('{to}', nodes.get(to).name), true);
    return;
  }
  const pair = pairs.length === 1 ? pairs[0] : await chosen(pairs);
  if (!pair) return;
  pair.select.value = pair.value;
  pair.select.dispatchEvent(new Event('change', { bubbles: true }));
  pair.select.form.requestSubmit();
}

function chosen(pairs) {
  const dialog = document.createElement('dialog');
  dialog.className = 'which';
  dialog.setAttribute('aria-label', t.which_hint);
  const title = document.createElement('p');
  title.textContent = t.which_hint;
  dialog.append(title);
  return new Promise((done) => {
    const button = (text, answer) => {
      const made = document.createElement('button');
      made.type = 'button';
      made.textContent = text;
      made.addEventListener('click', () => { done(answer); dialog.close(); });
      dialog.append(made);
    };
    for (const pair of pairs) button(t.which.replace('{from}', pair.output).replace('{to}', pair.input), pair);
    button(t.cancel, null);
    dialog.addEventListener('close', () => { done(null); dialog.remove(); });
    document.body.append(dialog);
    dialog.showModal();
  });
}
