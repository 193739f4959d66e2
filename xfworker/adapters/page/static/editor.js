// The workflow editor: the form and the picture of it, which say the same at any time.
//
// What is saved comes back from the server; what somebody has begun to write in other cards stays.
import { drawGraph } from './editor-graph.js';
import { check } from './editor-check.js';
import { request } from './page.js';

const editor = () => document.querySelector('[data-editor]');
const fieldsOf = (form) => [...form.elements].filter((field) => field.name && field.type !== 'hidden');

function isChanged(field) {
  if (field instanceof HTMLSelectElement) return ![...field.selectedOptions].every((option) => option.defaultSelected);
  return field.value !== field.defaultValue;
}

function showFixed(form) {
  for (const select of form.querySelectorAll('[data-fixed]')) {
    document.getElementById(select.dataset.fixed).hidden = select.value !== 'fixed';
  }
}

const sent = new WeakMap(); // field -> what was sent of it

// Give what somebody has written that is not saved: in the form that was sent, what was changed since.
function unsaved(form, isSent) {
  const fields = fieldsOf(form).filter((field) => (isSent ? field.value !== sent.get(field) : isChanged(field)));
  return [form.getAttribute('action'), fields.map(({ name, value }) => [name, value])];
}

// Take the page as the server has it now, and put back what is not saved.
async function refresh(saved) {
  const answer = await request(location.pathname, { headers: { Accept: 'text/html' } });
  if (!answer) return;
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  const fresh = page.querySelector('[data-editor]');
  if (!fresh) { location.reload(); return; }
  const begun = [...editor().querySelectorAll('form[data-check]')].map((form) => unsaved(form, form === saved));
  const focused = document.activeElement?.id;
  editor().replaceWith(document.adoptNode(fresh));
  for (const [action, values] of begun) {
    const form = editor().querySelector(`form[action="${action}"]`);
    for (const [name, value] of form ? values : []) form.elements[name].value = value;
    if (form && values.length) check(form);
  }
  for (const form of editor().querySelectorAll('form[data-check]')) showFixed(form);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
  drawGraph();
}

document.addEventListener('submit', ({ target }) => {
  if (target.dataset.check !== undefined) for (const field of fieldsOf(target)) sent.set(field, field.value);
}, true);
document.addEventListener('xf:done', (event) => { if (event.target.closest('[data-editor]')) refresh(event.target); });
document.addEventListener('input', (event) => {
  const form = event.target.closest?.('form[data-check]');
  if (form) check(form);
});
document.addEventListener('change', (event) => {
  const form = event.target.closest?.('form[data-check]');
  if (!form) return;
  showFixed(form);
  const fixed = document.getElementById(event.target.dataset.fixed);
  if (fixed && !fixed.hidden) fixed.focus();
  check(form);
  drawGraph();
});
addEventListener('beforeunload', (event) => {
  if ([...editor().querySelectorAll('form[data-check]')].some((form) => fieldsOf(form).some(isChanged))) event.preventDefault();
});
drawGraph();
