// What was written is checked as it is written: the server is asked what it would say if it were saved.
import { csrf } from './page.js';

const WAIT_MS = 300;
const pending = new WeakMap(); // form -> {timer, abort}

/** Check a task's form once nothing was written into it for a moment. */
export function check(form) {
  const before = pending.get(form);
  clearTimeout(before?.timer);
  before?.abort.abort();
  const abort = new AbortController();
  pending.set(form, { timer: setTimeout(() => ask(form, abort.signal), WAIT_MS), abort });
}

async function ask(form, signal) {
  try {
    const body = new URLSearchParams(new FormData(form));
    const headers = { Accept: 'application/json', 'X-CSRF-Token': csrf() };
    const answer = await fetch(`${form.getAttribute('action')}/check`, { method: 'POST', body, headers, signal });
    // A server that does not answer now is heard of when the form is sent.
    if (answer.ok && form.isConnected) show(form, (await answer.json()).violations);
  } catch (error) {
    if (error.name !== 'AbortError' && !(error instanceof TypeError)) throw error;
  }
}

// Say beside each field what is wrong with it; what is about the task as a whole stands above the button.
function show(form, violations) {
  for (const line of form.querySelectorAll('[data-said]')) {
    const text = violations[line.dataset.said] ?? '';
    if (line.textContent === text) continue;
    line.textContent = text;
    line.hidden = !text;
    for (const field of form.querySelectorAll(`[aria-describedby="${line.id}"]`)) field.setAttribute('aria-invalid', Boolean(text));
  }
}
