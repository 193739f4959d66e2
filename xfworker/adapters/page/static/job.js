// A job's page: what changes while it is looked at, its log as a terminal shows it, and its activity.
import strings from './strings.js';
import { follow } from './live.js';
import { localTimes, notice, request } from './page.js';
import { Terminal } from './terminal.js';

const live = document.querySelector('#live');
const job = Number(live.dataset.job);
const activity = document.querySelector('#activity');
const log = document.querySelector('#log');
const LOG_MS = 2000;

let offset = null;
let attempt = head()?.dataset.attempt;
let terminal = new Terminal(log);
let isReading = false;
log.dataset.empty = strings.no_log;

function head() { return live.querySelector('.job-head'); }

async function refresh() {
  const answer = await request(`/jobs/${job}/live`, { headers: { Accept: 'text/html' } });
  if (!answer) return;
  const text = await answer.text();
  const holder = document.createElement('div');
  holder.innerHTML = text;
  const isSettled = holder.querySelector('.job-head').dataset.state === head().dataset.state;
  // While a job runs only its head changes; what stands below may be looked at right now.
  if (isSettled && live.querySelector('.values')) head().replaceWith(holder.querySelector('.job-head'));
  else live.replaceChildren(...holder.childNodes);
  if (head().dataset.attempt !== attempt) { attempt = head().dataset.attempt; startLog(); }
  localTimes(live);
  ends();
  const form = document.querySelector('#form');
  if (form && head().dataset.state !== 'ReadyForInteractive' && !form.hasAttribute('data-over')) {
    form.dataset.over = '';
    notice(strings.form_over, true);
    for (const button of form.querySelectorAll('button')) button.disabled = true;
  }
  readLog();
  readActivity();
}

function startLog() {
  offset = null;
  log.replaceChildren();
  terminal = new Terminal(log);
}

async function readLog() {
  if (isReading) return;
  isReading = true;
  try {
    for (;;) {
      const answer = await request(`/jobs/${job}/log${offset === null ? '' : `?offset=${offset}`}`);
      if (!answer) return;
      const start = Number(answer.headers.get('x-log-start'));
      const size = Number(answer.headers.get('x-log-size'));
      if (offset !== null && size < offset) { startLog(); continue; } // another attempt's log took its place
      const bytes = new Uint8Array(await answer.arrayBuffer());
      if (offset === null && start > 0) terminal.note(strings.log_begins_later);
      terminal.write(bytes);
      offset = start + bytes.length;
      if (bytes.length === 0 || offset >= size) return;
    }
  } finally {
    isReading = false;
  }
}

async function readActivity() {
  const answer = await request(activity.dataset.src, { headers: { Accept: 'text/html' } });
  if (!answer) return;
  activity.innerHTML = await answer.text();
  localTimes(activity);
}

function ends() {
  for (const element of live.querySelectorAll('[data-ends]')) {
    const seconds = Math.max(0, Number(element.dataset.ends) - Date.now() / 1000);
    const time = seconds < 90 ? `${Math.round(seconds)} s` : seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 360) / 10} h`;
    element.textContent = strings.time_left.replace('{time}', time);
  }
}

document.addEventListener('xf:done', refresh);
ends();
readLog();
readActivity();
setInterval(() => {
  if (document.hidden || document.body.dataset.connection === 'lost') return;
  ends();
  if (head()?.dataset.state === 'Running') readLog();
}, LOG_MS);
follow(`/workflows/${live.dataset.workflow}/events`, live.dataset.cursor, {
  change: (data) => { if (data.cells.some(([, , , serial]) => serial === job)) refresh(); },
  reload: refresh,
});
