// The workflow as a picture beside its form: boxes in the order in which tasks follow each other.
import { Graph, layout } from './vendor/dagre.esm.js';

const SVG = 'http://www.w3.org/2000/svg';
const svg = document.querySelector('#graph');
const { nodes, edges } = JSON.parse(svg.dataset.graph);

function element(name, attributes, parent = svg) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent.append(made);
  return made;
}

function draw() {
  if (!nodes.length) { svg.parentElement.hidden = true; return; }
  const graph = new Graph();
  graph.setGraph({ rankdir: 'TB', nodesep: 24, ranksep: 42, marginx: 16, marginy: 16 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const [serial, name, kind] of nodes) graph.setNode(String(serial), { name, kind, width: Math.min(220, 30 + name.length * 7.4), height: 36 });
  for (const [from, to] of edges) if (graph.hasNode(String(from))) graph.setEdge(String(from), String(to));
  layout(graph);
  const { width, height } = graph.graph();
  svg.setAttribute('viewBox', `0 0 ${Math.max(width, 320)} ${height}`);
  const marker = element('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: 'auto' }, element('defs', {}));
  element('path', { class: 'arrow', d: 'M0,0L8,4L0,8z' }, marker);
  for (const edge of graph.edges()) {
    const points = graph.edge(edge).points.map(({ x, y }) => `${x},${y}`);
    element('polyline', { class: 'edge', points: points.join(' ') });
  }
  for (const serial of graph.nodes()) {
    const node = graph.node(serial);
    const link = element('a', { class: `node ${node.kind}`, href: `#task-${serial}` });
    element('rect', { x: node.x - node.width / 2, y: node.y - node.height / 2, width: node.width, height: node.height, rx: 6 }, link);
    const text = element('text', { x: node.x, y: node.y + 5 }, link);
    text.textContent = node.name.length > 26 ? `${node.name.slice(0, 25)}…` : node.name;
    element('title', {}, link).textContent = node.name;
    link.addEventListener('click', () => document.getElementById(`task-${serial}`).querySelector('select, input:not([type=hidden])')?.focus());
  }
}

for (const select of document.querySelectorAll('[data-fixed]')) {
  const fixed = document.getElementById(select.dataset.fixed);
  select.addEventListener('change', () => {
    fixed.hidden = select.value !== 'fixed';
    if (!fixed.hidden) fixed.focus();
  });
}
draw();
