// What every page has: times in the reader's own zone, notices, and forms that are sent without leaving the page.
import strings from './strings.js';

export const csrf = () => document.querySelector('meta[name="csrf-token"]').content;

export function notice(text, isBad = false) {
  const line = document.createElement('div');
  line.className = isBad ? 'notice bad' : 'notice';
  line.textContent = text;
  document.querySelector('#notices').append(line);
  setTimeout(() => line.remove(), isBad ? 12000 : 4000);
}

/** Ask the server; gives the answer, or null after saying what went wrong. */
export async function request(url, options = {}) {
  let answer;
  try {
    answer = await fetch(url, { ...options, headers: { Accept: 'application/json', 'X-CSRF-Token': csrf(), ...options.headers } });
  } catch {
    notice(strings.no_answer, true);
    return null;
  }
  if (answer.status === 401) { location.reload(); return null; }
  if (answer.ok) return answer;
  let message = `${answer.status} ${answer.statusText}`;
  try { message = (await answer.json()).detail ?? message; } catch { /* the status says enough */ }
  notice(message, true);
  return null;
}

export function localTimes(within = document) {
  for (const element of within.querySelectorAll('time[datetime]:not([title])')) {
    const moment = new Date(element.dateTime);
    element.title = element.textContent;
    element.textContent = moment.toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
  }
}

document.addEventListener('xf:filled', (event) => localTimes(event.target));
localTimes();

// Whether the server is there. Where it is not, a form that the browser sends by itself would be lost to an error page.
async function isThere() {
  try { return (await fetch('/health', { cache: 'no-store' })).status < 600; } catch { return false; }
}

const asking = new WeakSet();
const asked = new WeakSet();

async function sendWhenThere(form, submitter) {
  if (asking.has(form)) return;
  asking.add(form);
  const goes = await isThere();
  asking.delete(form);
  if (!goes) { notice(strings.not_sent, true); return; }
  asked.add(form);
  form.requestSubmit(submitter);
  asked.delete(form);
}

// <form data-quiet>: sent in place. Where the answer is a page it is shown as a whole, else the page is told.
document.addEventListener('submit', async (event) => {
  const form = event.target;
  if (event.defaultPrevented || asked.has(form)) return;
  if (form.dataset.confirm && !confirm(form.dataset.confirm)) { event.preventDefault(); return; }
  if (form.dataset.quiet === undefined) {
    if (form.method === 'post') { event.preventDefault(); sendWhenThere(form, event.submitter); }
    return;
  }
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form, event.submitter));
  const answer = await request(form.action, { method: 'POST', body });
  if (!answer) return;
  const said = await answer.json();
  if (said.message) notice(said.message);
  if (said.go) { location.assign(said.go); return; }
  if (form.closest('[data-reload]')) { location.reload(); return; }
  form.dispatchEvent(new CustomEvent('xf:done', { bubbles: true, detail: said }));
});
