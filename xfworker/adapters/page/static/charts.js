// Values over runs: boxes by group, one over another, how often. Drawn as SVG, so that it can be taken along.
import strings from './strings.js';
import { request } from './page.js';

const SVG = 'http://www.w3.org/2000/svg';
const SIZE = { width: 900, height: 480, left: 76, right: 20, top: 18, bottom: 62 };
const NARROWEST = 320;
const LINE = 18;
const MOST_TICKS_PER_PIXEL = 1 / 70;
const COLOURS = 6;
const MOST_GROUPS = 24;
const form = document.querySelector('#chart-form');
const svg = document.querySelector('#chart');
const said = document.querySelector('#chart-said');
const table = document.querySelector('#chart-table');
const known = new Map();
let rows = [];

function readAddress() {
  const query = new URLSearchParams(location.search);
  for (const name of ['kind', 'y', 'x', 'group']) {
    if (query.has(name)) form.elements[name].value = query.get(name);
    if (form.elements[name].selectedIndex < 0) form.elements[name].selectedIndex = 0;
  }
  if (!query.has('x') && form.elements.x.options.length > 1) form.elements.x.selectedIndex = 1;
}

async function values(choice) {
  if (!known.has(choice)) {
    const [task, ...key] = choice.split(':');
    const answer = await request(`/workflows/${form.dataset.workflow}/values?task=${task}&key=${encodeURIComponent(key.join(':'))}`);
    if (!answer) return [];
    known.set(choice, (await answer.json()).values);
  }
  return known.get(choice);
}

async function runs() {
  if (!known.has('runs')) {
    const answer = await request(`/workflows/${form.dataset.workflow}/samples`);
    if (!answer) return new Map();
    known.set('runs', new Map((await answer.json()).runs.map(([serial, name, sample]) => [serial, { name: name || sample || `${strings.run} ${serial}`, sample }])));
  }
  return known.get('runs');
}

const title = (name) => form.elements[name].selectedOptions[0].textContent;
const extent = (numbers) => numbers.reduce(([low, high], one) => [Math.min(low, one), Math.max(high, one)], [Infinity, -Infinity]);
const written = (value) => String(Number(value.toPrecision(6)));
const isNumber = (value) => typeof value === 'number' && Number.isFinite(value);

async function draw() {
  const { kind, y, x, group } = Object.fromEntries(new FormData(form));
  for (const label of form.querySelectorAll('[data-for]')) label.hidden = label.dataset.for !== kind;
  history.replaceState(null, '', `?${new URLSearchParams({ kind, y, ...(kind === 'scatter' ? { x } : {}), ...(group ? { group } : {}) })}`);
  const about = await runs();
  const groups = group && group !== 'sample' ? new Map((await values(group)).map(([run, , value]) => [run, String(value)])) : null;
  const groupOf = (run) => (!group ? '' : group === 'sample' ? about.get(run)?.sample || '–' : groups.get(run) ?? '–');
  const over = kind === 'scatter' ? new Map((await values(x)).map(([run, , value]) => [run, value])) : null;
  rows = (await values(y))
    .map(([run, job, value]) => ({ run, job, y: value, x: over?.get(run), group: groupOf(run), name: about.get(run)?.name ?? strings.all_runs }))
    .filter((row) => isNumber(row.y) && (!over || isNumber(row.x)));
  paint();
  fillTable();
}

// As wide as there is room for, so that what is written is as large on a phone.
function paint() {
  SIZE.width = Math.min(900, Math.max(NARROWEST, svg.getBoundingClientRect().width || 900));
  SIZE.height = SIZE.width < 600 ? 360 : 480;
  SIZE.left = SIZE.width < 600 ? 58 : 76;
  const names = form.elements.kind.value === 'box' ? [] : byGroup().map(([name]) => name).filter(Boolean);
  SIZE.top = 18 + LINE * legend(names, false);
  svg.replaceChildren();
  svg.setAttribute('viewBox', `0 0 ${SIZE.width} ${SIZE.height}`);
  if (!rows.length) { said.textContent = strings.chart_empty; return; }
  ({ box: boxes, scatter, histogram })[form.elements.kind.value]();
  legend(names, true);
}

function element(name, attributes, parent = svg, text = '') {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== '') made.textContent = text;
  parent.append(made);
  return made;
}

function nice(low, high) {
  if (low === high) { const pad = Math.abs(low) * 0.1 || 1; low -= pad; high += pad; }
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= rough);
  const begin = Math.floor(low / step) * step;
  const end = Math.ceil(high / step) * step;
  const ticks = [];
  for (let index = 0; begin + index * step <= end + step / 2; index += 1) ticks.push(Number((begin + index * step).toPrecision(12)));
  return { low: begin, high: end, ticks };
}

function axes(across, up, labels) {
  const { width, height, left, right, top, bottom } = SIZE;
  const px = (value) => left + ((value - across.low) / (across.high - across.low)) * (width - left - right);
  const py = (value) => height - bottom - ((value - up.low) / (up.high - up.low)) * (height - top - bottom);
  for (const tick of up.ticks) {
    element('line', { class: 'gridline', x1: left, x2: width - right, y1: py(tick), y2: py(tick) });
    element('text', { class: 'tick', x: left - 8, y: py(tick) + 4, 'text-anchor': 'end' }, svg, tick.toLocaleString());
  }
  const every = Math.ceil((across.ticks?.length ?? 1) / ((width - left - right) * MOST_TICKS_PER_PIXEL));
  for (const tick of (across.ticks ?? []).filter((_, index) => index % every === 0)) element('text', { class: 'tick', x: px(tick), y: height - bottom + 18, 'text-anchor': 'middle' }, svg, tick.toLocaleString());
  element('path', { class: 'axis', d: `M${left},${top}V${height - bottom}H${width - right}` });
  element('text', { x: (left + width - right) / 2, y: height - 12, 'text-anchor': 'middle' }, svg, labels.x);
  element('text', { x: 16, y: (top + height - bottom) / 2, 'text-anchor': 'middle', transform: `rotate(-90 16 ${(top + height - bottom) / 2})` }, svg, labels.y);
  return { px, py };
}

function point(row, cx, cy, colour) {
  const text = `${row.name}${row.group ? ` (${row.group})` : ''}: ${row.x === undefined ? '' : `${written(row.x)}, `}${written(row.y)}`;
  const dot = element('circle', { class: `point g${colour}`, cx, cy, r: 4, tabindex: rows.length <= 200 ? 0 : -1, role: 'link', 'aria-label': text });
  element('title', {}, dot, text);
  const tell = () => { said.textContent = text; };
  dot.addEventListener('mouseenter', tell);
  dot.addEventListener('focus', tell);
  const go = () => { location.href = `/jobs/${row.job}`; };
  dot.addEventListener('click', go);
  dot.addEventListener('keydown', (event) => { if (event.key === 'Enter') go(); });
}

function byGroup() {
  const groups = new Map();
  for (const row of rows) groups.set(row.group, [...(groups.get(row.group) ?? []), row]);
  return [...groups].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
}

function quantile(sorted, part) {
  const at = (sorted.length - 1) * part;
  const below = Math.floor(at);
  return sorted[below] + (sorted[Math.min(below + 1, sorted.length - 1)] - sorted[below]) * (at - below);
}

function boxes() {
  const all = byGroup();
  const groups = all.slice(0, MOST_GROUPS);
  const numbers = groups.flatMap(([, members]) => members.map((row) => row.y));
  const { px, py } = axes({ low: 0, high: groups.length }, nice(...extent(numbers)), { x: form.elements.group.value ? title('group') : '', y: title('y') });
  groups.forEach(([name, members], index) => {
    const sorted = members.map((row) => row.y).sort((a, b) => a - b);
    const [low, middle, high] = [0.25, 0.5, 0.75].map((part) => quantile(sorted, part));
    const reach = 1.5 * (high - low);
    const least = sorted.find((value) => value >= low - reach);
    const most = sorted.findLast((value) => value <= high + reach);
    const centre = px(index + 0.5);
    const half = Math.min(60, (px(1) - px(0)) * 0.3);
    if (members.length > 2) {
      element('line', { class: 'whisker', x1: centre, x2: centre, y1: py(least), y2: py(low) });
      element('line', { class: 'whisker', x1: centre, x2: centre, y1: py(high), y2: py(most) });
      element('rect', { class: 'box', x: centre - half, y: py(high), width: 2 * half, height: Math.max(1, py(low) - py(high)) });
      element('line', { class: 'median', x1: centre - half, x2: centre + half, y1: py(middle), y2: py(middle) });
    }
    members.forEach((row, place) => point(row, centre + ((((place * 0.618) % 1) - 0.5) * half * 1.2), py(row.y), 0));
    element('text', { class: 'tick', x: centre, y: SIZE.height - SIZE.bottom + 18, 'text-anchor': 'middle' }, svg, `${name.slice(0, 18)} (${members.length})`);
  });
  said.textContent = strings.chart_said.replace('{count}', rows.length) + (all.length > groups.length ? ` ${strings.chart_groups.replace('{count}', MOST_GROUPS)}` : '');
}

function scatter() {
  const [xs, ys] = [rows.map((row) => row.x), rows.map((row) => row.y)];
  const { px, py } = axes(nice(...extent(xs)), nice(...extent(ys)), { x: title('x'), y: title('y') });
  byGroup().forEach(([, members], index) => {
    for (const row of members) point(row, px(row.x), py(row.y), index % COLOURS);
  });
  const mean = (list) => list.reduce((a, b) => a + b, 0) / list.length;
  const [mx, my] = [mean(xs), mean(ys)];
  const spread = (list, middle) => Math.sqrt(list.reduce((sum, value) => sum + (value - middle) ** 2, 0));
  const r = rows.reduce((sum, row) => sum + (row.x - mx) * (row.y - my), 0) / (spread(xs, mx) * spread(ys, my));
  said.textContent = strings.chart_said.replace('{count}', rows.length) + (Number.isFinite(r) && rows.length > 2 ? ` r = ${r.toFixed(3)}` : '');
}

// What the colours mean, in rows above the chart; gives how many rows they take.
function legend(names, isDrawn) {
  let [x, row] = [SIZE.left, 0];
  for (const [index, name] of names.slice(0, COLOURS).entries()) {
    const text = name.slice(0, 30);
    const width = 26 + text.length * 7;
    if (x > SIZE.left && x + width > SIZE.width - SIZE.right) [x, row] = [SIZE.left, row + 1];
    if (isDrawn) {
      element('circle', { class: `point g${index}`, cx: x + 6, cy: 14 + row * LINE, r: 4 });
      element('text', { x: x + 15, y: 18 + row * LINE }, svg, text);
    }
    x += width;
  }
  return names.length ? row + 1 : 0;
}

// How often values are; groups stand on each other.
function histogram() {
  const numbers = rows.map((row) => row.y);
  const range = nice(...extent(numbers));
  const bins = Math.max(5, Math.min(40, Math.ceil(Math.sqrt(numbers.length))));
  const width = (range.high - range.low) / bins;
  const place = (number) => Math.min(bins - 1, Math.floor((number - range.low) / width));
  const counts = Array(bins).fill(0);
  for (const number of numbers) counts[place(number)] += 1;
  const { px, py } = axes(range, { ...nice(0, extent(counts)[1]), low: 0 }, { x: title('y'), y: strings.chart_count });
  const below = Array(bins).fill(0);
  byGroup().forEach(([name, members], index) => {
    const own = Array(bins).fill(0);
    for (const row of members) own[place(row.y)] += 1;
    own.forEach((count, at) => {
      if (!count) return;
      const from = range.low + at * width;
      const bar = element('rect', { class: `bar-h g${index % COLOURS}`, x: px(from), y: py(below[at] + count), width: px(from + width) - px(from), height: py(0) - py(count) });
      element('title', {}, bar, `${from.toPrecision(4)} – ${(from + width).toPrecision(4)}: ${count}${name ? ` (${name})` : ''}`);
      below[at] += count;
    });
  });
  said.textContent = strings.chart_said.replace('{count}', rows.length);
}

function columns() {
  const { kind, group } = Object.fromEntries(new FormData(form));
  return [[strings.run, (row) => row.name], ...(group ? [[title('group'), (row) => row.group]] : []), ...(kind === 'scatter' ? [[title('x'), (row) => row.x]] : []), [title('y'), (row) => row.y]];
}

function fillTable() {
  table.replaceChildren();
  const head = table.createTHead().insertRow();
  for (const [name] of columns()) { const cell = document.createElement('th'); cell.scope = 'col'; cell.textContent = name; head.append(cell); }
  const body = table.createTBody();
  for (const row of rows.slice(0, 1000)) {
    const line = body.insertRow();
    for (const [, give] of columns()) line.insertCell().textContent = give(row);
  }
}

function save(text, name, type) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// A text that begins as a formula is one in a spreadsheet.
const field = (value) => (typeof value === 'number' ? String(value) : `"${(/^[=+\-@\t\r]/.test(value) ? `'${value}` : value).replaceAll('"', '""')}"`);

document.querySelector('#chart-csv')?.addEventListener('click', () => {
  const lines = [columns().map(([name]) => field(name)), ...rows.map((row) => columns().map(([, give]) => field(give(row))))];
  save(`${lines.map((line) => line.join(',')).join('\r\n')}\r\n`, 'values.csv', 'text/csv');
});
document.querySelector('#chart-svg')?.addEventListener('click', () => {
  const copy = svg.cloneNode(true);
  const originals = svg.querySelectorAll('*');
  copy.querySelectorAll('*').forEach((made, index) => {
    const style = getComputedStyle(originals[index]);
    for (const name of ['fill', 'stroke', 'stroke-width', 'fill-opacity', 'font-size', 'font-family']) made.setAttribute(name, style.getPropertyValue(name));
    made.removeAttribute('class');
    made.removeAttribute('tabindex');
  });
  copy.setAttribute('xmlns', SVG);
  save(new XMLSerializer().serializeToString(copy), 'chart.svg', 'image/svg+xml');
});

if (form) {
  readAddress();
  form.addEventListener('change', draw);
  let width = 0;
  new ResizeObserver(() => {
    if (rows.length && svg.getBoundingClientRect().width !== width) paint();
    width = svg.getBoundingClientRect().width;
  }).observe(svg);
  draw();
}
