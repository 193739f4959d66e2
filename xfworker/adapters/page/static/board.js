// The board of runs and tasks. All rows are known; only those in sight are elements.
import strings from './strings.js';
import { follow } from './live.js';
import { notice, request } from './page.js';

const ROW = 28;
const SPARE = 12;
const ORDER = 'FIRQWAD.';
const board = document.querySelector('#board');
const workflow = board.dataset.workflow;
const head = board.querySelector('.board-head');
const area = board.querySelector('.board-rows');
const panel = document.querySelector('#panel');
const panelBody = panel.querySelector('.panel-body');
const foot = document.querySelector('#board-foot');
const search = document.querySelector('#board-search');
const sorting = document.querySelector('#board-sort');
const obsolete = document.querySelector('#board-obsolete');
const chips = [...document.querySelectorAll('.chip')];

let tasks = [];
let columns = new Map();
let version = 0;
let runs = new Map(); // serial -> {serial, name, entity, priority, obsolete, created, states: [letter]}
let live = new Map(); // "run:task" -> [progress, started, estimate]
let several = new Map();
let newestJob = new Map();
let rows = [];
let shown = new Map(); // row index -> element
let focus = { row: 0, column: 0 };
let selected = null;
let first = null; // the cell that another one is to be compared with

const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text) => String(text).replace(/[&<>"']/g, (letter) => escapes[letter]);

function readAddress() {
  const query = new URLSearchParams(location.search);
  search.value = query.get('q') ?? '';
  sorting.value = query.get('sort') ?? 'newest';
  if (!sorting.value) sorting.value = 'newest';
  obsolete.checked = query.has('obsolete');
  const states = new Set(query.get('state') ?? '');
  for (const chip of chips) chip.setAttribute('aria-pressed', states.has(chip.dataset.state));
  selected = query.has('run') ? { run: Number(query.get('run')), task: query.has('task') ? Number(query.get('task')) : null } : null;
}

function writeAddress() {
  const query = new URLSearchParams();
  if (search.value.trim()) query.set('q', search.value.trim());
  if (sorting.value !== 'newest') query.set('sort', sorting.value);
  if (obsolete.checked) query.set('obsolete', '');
  const states = pressed();
  if (states) query.set('state', states);
  if (selected) {
    query.set('run', selected.run);
    if (selected.task !== null) query.set('task', selected.task);
  }
  const text = query.toString();
  history.replaceState(null, '', text ? `?${text}` : location.pathname);
}

const pressed = () => chips.filter((chip) => chip.getAttribute('aria-pressed') === 'true').map((chip) => chip.dataset.state).join('');

async function load() {
  const url = `/workflows/${workflow}/board`;
  // The first time it is under way already, asked for by the page's head.
  const preloaded = version ? null : await fetch(url).catch(() => null);
  const answer = preloaded?.ok ? preloaded : await request(url);
  if (!answer) return null;
  const document_ = await answer.json();
  ({ tasks, version } = document_);
  columns = new Map(tasks.map(([serial], index) => [serial, index]));
  runs = new Map();
  document_.runs.forEach((fields, index) => putRun(fields, [...document_.states[index]]));
  live = new Map(document_.live.map(([run, task, , , ...rest]) => [`${run}:${task}`, rest]));
  several = new Map(document_.several.map(([run, task, count]) => [`${run}:${task}`, count]));
  newestJob = new Map();
  for (const [run, task, , job] of document_.live) newestJob.set(`${run}:${task}`, job);
  drawHead();
  arrange();
  board.setAttribute('aria-busy', 'false');
  return document_.cursor;
}

function putRun([serial, name, entity, priority, isObsolete, created], states) {
  runs.set(serial, { serial, name, entity, priority, obsolete: isObsolete, created, states });
}

function drawHead() {
  head.querySelectorAll('.task').forEach((element) => element.remove());
  const html = tasks.map(([, name], index) => `<div class="task" role="columnheader" aria-colindex="${index + 2}" title="${escape(name)}"><span>${escape(name)}</span></div>`);
  head.insertAdjacentHTML('beforeend', html.join(''));
  board.setAttribute('aria-colcount', tasks.length + 1);
}

const rank = (run) => Math.min(...run.states.map((state) => ORDER.indexOf(state)), ORDER.length);
const label = (run) => (run.serial === 0 ? strings.all_runs : run.name || run.entity || `${strings.run} ${run.serial}`);
const collator = new Intl.Collator(undefined, { numeric: true });
const comparisons = {
  newest: (a, b) => b.serial - a.serial,
  oldest: (a, b) => a.serial - b.serial,
  name: (a, b) => collator.compare(label(a), label(b)) || a.serial - b.serial,
  state: (a, b) => rank(a) - rank(b) || b.serial - a.serial,
};

function arrange() {
  const words = search.value.trim().toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const states = pressed();
  const kept = [];
  const counts = {};
  for (const run of runs.values()) {
    if (run.obsolete && !obsolete.checked) continue;
    for (const state of run.states) counts[state] = (counts[state] ?? 0) + 1;
    if (run.serial === 0) continue;
    if (states && !run.states.some((state) => states.includes(state))) continue;
    if (words.length) {
      const text = `${label(run)} ${run.entity} ${run.serial}`.toLocaleLowerCase();
      if (!words.every((word) => text.includes(word))) continue;
    }
    kept.push(run);
  }
  // Who is at a run stays at it, wherever it goes to.
  const isHeld = area.contains(document.activeElement);
  const held = isHeld || !panel.hidden ? rows[focus.row] : null;
  kept.sort(comparisons[sorting.value] ?? comparisons.newest);
  rows = runs.has(0) ? [runs.get(0), ...kept] : kept;
  for (const chip of chips) chip.querySelector('b').textContent = counts[chip.dataset.state] ?? 0;
  area.style.height = `${rows.length * ROW}px`;
  board.setAttribute('aria-rowcount', rows.length + 1);
  const total = runs.size - (runs.has(0) ? 1 : 0);
  foot.textContent = total === 0 ? strings.no_runs : strings.runs_shown.replace('{shown}', kept.length).replace('{total}', total);
  const row = held ? rows.findIndex((run) => run.serial === held.serial) : -1;
  focus.row = row >= 0 ? row : Math.min(focus.row, Math.max(rows.length - 1, 0));
  for (const element of shown.values()) element.remove();
  shown = new Map();
  // What is in sight is painted before what might be next.
  draw(0);
  requestAnimationFrame(() => draw());
  if (isHeld) focusCell(focus.row, focus.column);
}

function draw(spare = SPARE) {
  const top = Math.max(0, Math.floor((board.scrollTop - head.offsetHeight) / ROW) - spare);
  const bottom = Math.min(rows.length, Math.ceil((board.scrollTop + board.clientHeight) / ROW) + spare);
  for (const [index, element] of shown) {
    if (index < top || index >= bottom) { element.remove(); shown.delete(index); }
  }
  const fresh = document.createDocumentFragment();
  for (let index = top; index < bottom; index += 1) {
    if (shown.has(index)) continue;
    const element = document.createElement('div');
    element.setAttribute('role', 'row');
    element.style.top = `${index * ROW}px`;
    fill(element, index);
    shown.set(index, element);
    fresh.append(element);
  }
  area.append(fresh);
}

function fill(element, index) {
  const run = rows[index];
  element.className = run.obsolete ? 'row is-obsolete' : 'row';
  element.dataset.row = index;
  element.setAttribute('aria-rowindex', index + 2);
  const note = run.priority && run.priority !== 'Normal' ? strings[`priority_${run.priority}`] : run.name ? run.entity : '';
  const cells = run.states.map((state, column) => cellHtml(run, state, index, column));
  element.innerHTML = `<div class="run" role="rowheader" tabindex="${focus.row === index && focus.column === -1 ? 0 : -1}" data-column="-1" title="${escape(label(run))}${run.entity ? ` · ${escape(run.entity)}` : ''}"><b>${escape(label(run))}</b><i>${escape(note)}</i></div>${cells.join('')}`;
}

function cellHtml(run, state, index, column) {
  const [task, name] = tasks[column];
  const tab = focus.row === index && focus.column === column ? 0 : -1;
  if (state === '.') return `<div class="cell" role="gridcell" tabindex="${tab}" data-column="${column}" aria-label="${escape(name)}: ${strings.no_job}"></div>`;
  const isSelected = selected && selected.run === run.serial && selected.task === task;
  const isFirst = first && first.run === run.serial && first.task === task;
  const key = `${run.serial}:${task}`;
  let text = strings[`state_${state}`];
  let more = '';
  let inner = '';
  if (state === 'R') {
    const [progress, , ] = live.get(key) ?? [];
    if (typeof progress === 'number') {
      const done = Math.max(0, Math.min(100, progress));
      more = ` p${Math.round(done / 5)}" data-p="`;
      inner = Math.floor(done);
      text += ` ${Math.floor(done)} %`;
    }
    const left = timeLeft(live.get(key));
    if (left) text += `, ${strings.time_left.replace('{time}', left)}`;
  }
  if (several.has(key)) text += `, ${strings.several_jobs.replace('{count}', several.get(key))}`;
  if (isFirst) text += `, ${strings.compare_this}`;
  return `<div class="cell${isSelected ? ' is-selected' : ''}${isFirst ? ' is-first' : ''}" role="gridcell" tabindex="${tab}" data-column="${column}" aria-label="${escape(name)}: ${escape(text)}" title="${escape(name)}: ${escape(text)}"><span class="s-${state}${more}">${inner}</span></div>`;
}

function timeLeft(entry) {
  const [, started, estimate] = entry ?? [];
  if (!started || !estimate) return '';
  const seconds = Math.max(0, started + estimate - Date.now() / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 360) / 10} h`;
}

function change(data) {
  if (data.version !== version) { load(); return; }
  const touched = new Set();
  let isArranged = false;
  for (const fields of data.runs) {
    const known = runs.get(fields[0]);
    putRun(fields, known ? known.states : tasks.map(() => '.'));
    isArranged = true;
  }
  for (const [run, task, state, job, ...rest] of data.cells) {
    if (!columns.has(task)) continue;
    const key = `${run}:${task}`;
    if ((newestJob.get(key) ?? 0) > job) continue;
    newestJob.set(key, job);
    if (!runs.has(run)) {
      putRun([run, '', '', '', false, null], tasks.map(() => '.'));
      isArranged = true;
    }
    runs.get(run).states[columns.get(task)] = state;
    if (state === 'R') live.set(key, rest); else live.delete(key);
    touched.add(run);
  }
  if (isArranged || (touched.size && (pressed() || sorting.value === 'state'))) arrange();
  else {
    refill((run) => touched.has(run.serial));
    count();
  }
  if (selected && data.cells.some(([run, task]) => run === selected.run && task === selected.task)) openPanel(selected, true);
}

function count() {
  const counts = {};
  for (const run of runs.values()) {
    if (run.obsolete && !obsolete.checked) continue;
    for (const state of run.states) counts[state] = (counts[state] ?? 0) + 1;
  }
  for (const chip of chips) chip.querySelector('b').textContent = counts[chip.dataset.state] ?? 0;
}

function refill(isTouched = () => true) {
  const isHeld = area.contains(document.activeElement);
  for (const [index, element] of shown) if (isTouched(rows[index])) fill(element, index);
  if (isHeld && !area.contains(document.activeElement)) focusCell(focus.row, focus.column);
}

function mark() {
  for (const element of area.querySelectorAll('.is-selected')) element.classList.remove('is-selected');
  if (!selected || selected.task === null) return;
  const index = rows.findIndex((run) => run.serial === selected.run);
  shown.get(index)?.querySelector(`[data-column="${columns.get(selected.task)}"]`)?.classList.add('is-selected');
}

async function openPanel(what, isRefresh = false, isForced = false) {
  selected = what;
  writeAddress();
  const run = runs.get(what.run);
  const task = tasks[columns.get(what.task)];
  if (!isRefresh) {
    mark();
    panel.hidden = false;
    const state = task && run ? run.states[columns.get(what.task)] : '';
    panelBody.innerHTML = `<h2>${escape(task ? task[1] : label(run ?? what))}</h2>${task ? `<p>${escape(run ? label(run) : '')}</p>` : ''}${state ? `<p><span class="state s-${state}">${escape(strings[`state_${state}`])}</span></p>` : ''}`;
  }
  const url = what.task === null ? `/runs/${what.run}/panel` : `/workflows/${workflow}/cell?run=${what.run}&task=${what.task}&panel`;
  const answer = await request(url, { headers: { Accept: 'text/html' } });
  if (!answer || selected !== what) return;
  const held = panelBody.contains(document.activeElement) ? document.activeElement : null;
  if (held && isRefresh && !isForced) return; // somebody is filling in a form
  const action = held?.form?.getAttribute('action');
  panelBody.innerHTML = await answer.text();
  if (held) (panelBody.querySelector(`form[action="${CSS.escape(action ?? '')}"] button`) ?? panel.querySelector('.panel-close')).focus();
  panelBody.dispatchEvent(new CustomEvent('xf:filled', { bubbles: true }));
}

function closePanel() {
  selected = null;
  panel.hidden = true;
  writeAddress();
  mark();
  focusCell(focus.row, focus.column);
}

function focusCell(row, column) {
  if (!rows.length) return;
  focus = { row: Math.max(0, Math.min(rows.length - 1, row)), column: Math.max(-1, Math.min(tasks.length - 1, column)) };
  const top = focus.row * ROW;
  const visible = board.clientHeight - head.offsetHeight;
  if (top < board.scrollTop) board.scrollTop = top;
  else if (top + ROW > board.scrollTop + visible) board.scrollTop = top + ROW - visible;
  draw();
  for (const element of area.querySelectorAll('[tabindex="0"]')) element.tabIndex = -1;
  const element = shown.get(focus.row)?.querySelector(`[data-column="${focus.column}"]`);
  if (element) { element.tabIndex = 0; element.focus({ preventScroll: true }); element.scrollIntoView({ block: 'nearest', inline: 'nearest' }); }
}

function at(target) {
  const element = target.closest('[data-column]');
  if (!element) return null;
  return { row: Number(element.parentElement.dataset.row), column: Number(element.dataset.column) };
}

function whatIs({ row, column }) {
  const run = rows[row];
  if (column === -1) return run.serial === 0 ? null : { run: run.serial, task: null };
  return run.states[column] === '.' ? null : { run: run.serial, task: tasks[column][0] };
}

function go(place, inNewTab) {
  const what = whatIs(place);
  if (!what) return;
  if (inNewTab) open(what.task === null ? `/runs/${what.run}` : `/workflows/${workflow}/cell?run=${what.run}&task=${what.task}`);
  else openPanel(what);
}

// The first of two cells is kept until the second is chosen; the same one again lets go of it.
function compare(place) {
  const what = whatIs(place);
  if (!what || what.task === null) { notice(strings.compare_results, true); return; }
  const before = first;
  first = before && (before.run !== what.run || before.task !== what.task) ? before : before ? null : what;
  if (before && first) {
    first = null;
    location.assign(`/workflows/${workflow}/compare?a=${before.run}.${before.task}&b=${what.run}.${what.task}`);
  } else if (first) notice(strings.compare_second);
  refill();
}

area.addEventListener('focusin', (event) => { focus = at(event.target) ?? focus; });
area.addEventListener('click', (event) => {
  const place = at(event.target);
  if (!place) return;
  focusCell(place.row, place.column);
  if (event.shiftKey) compare(place);
  else go(place, event.ctrlKey || event.metaKey);
});
area.addEventListener('auxclick', (event) => {
  const place = event.button === 1 ? at(event.target) : null;
  if (place) go(place, true);
});
board.addEventListener('keydown', (event) => {
  const place = at(event.target);
  if (!place) return;
  const page = Math.max(1, Math.floor((board.clientHeight - head.offsetHeight) / ROW) - 1);
  const moves = {
    ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1],
    PageUp: [-page, 0], PageDown: [page, 0],
    Home: event.ctrlKey ? [-rows.length, -tasks.length] : [0, -tasks.length - 1], End: event.ctrlKey ? [rows.length, tasks.length] : [0, tasks.length],
  };
  if (moves[event.key]) focusCell(place.row + moves[event.key][0], place.column + moves[event.key][1]);
  else if (event.key.toLowerCase() === 'c' && !event.ctrlKey && !event.metaKey && !event.altKey) compare(place);
  else if (event.key === 'Enter' || event.key === ' ') go(place, event.ctrlKey);
  else return;
  event.preventDefault();
});
document.addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !panel.hidden) closePanel();
  else if (event.key === 'Escape' && first) { first = null; refill(); }
  if (event.key === '/' && !event.target.closest('input, textarea, select')) { event.preventDefault(); search.focus(); }
});
panel.querySelector('.panel-close').addEventListener('click', closePanel);
board.addEventListener('scroll', () => requestAnimationFrame(() => draw()), { passive: true });
addEventListener('resize', () => draw());
search.addEventListener('input', () => { arrange(); writeAddress(); });
sorting.addEventListener('change', () => { arrange(); writeAddress(); });
obsolete.addEventListener('change', () => { arrange(); writeAddress(); });
for (const chip of chips) {
  chip.addEventListener('click', () => {
    chip.setAttribute('aria-pressed', chip.getAttribute('aria-pressed') !== 'true');
    arrange();
    writeAddress();
  });
}
document.addEventListener('xf:done', () => { if (selected) openPanel(selected, true, true); });

readAddress();
const cursor = await load();
if (cursor) {
  if (selected) openPanel(selected);
  follow(`/workflows/${workflow}/events`, cursor, { change, reload: load });
  // The time that is left goes by without an event.
  setInterval(() => {
    if (document.body.dataset.connection === 'lost') return;
    refill((run) => run.states.includes('R'));
  }, 10000);
}
