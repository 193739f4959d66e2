// Contours as a field of a form: what a file has is drawn, and what is drawn becomes a file when the form is sent.
import strings from './strings.js';
import { csrf, notice } from './page.js';
import { upload } from './upload.js';

const t = strings.contours;
const drawn = new WeakSet(); // viewers in which something was changed since its file was made

const fieldOf = (viewer) => viewer.closest('.field').querySelector('input[type=hidden]');
const saidOf = (viewer) => viewer.closest('.field').querySelector('.said');

async function asked(viewer, query, options = {}) {
  const headers = { Accept: 'application/json', 'X-CSRF-Token': csrf(), ...options.headers };
  const answer = await fetch(`/contours/${viewer.dataset.contours}${query}`, { ...options, headers });
  if (answer.ok) return answer;
  throw new Error((await answer.json().catch(() => ({}))).detail ?? answer.statusText);
}

// Draw what a file has; the address is that of its resource, each segment escaped.
async function show(viewer, address) {
  try {
    viewer.value = await (await asked(viewer, `?of=${encodeURIComponent(address)}`)).json();
    drawn.delete(viewer);
  } catch (error) {
    saidOf(viewer).textContent = t.unread.replace('{reason}', error.message);
  }
}

async function store(viewer) {
  const field = fieldOf(viewer);
  if (!viewer.value) {
    field.value = '';
    return;
  }
  saidOf(viewer).textContent = t.storing;
  const body = JSON.stringify({ contours: viewer.value.contours });
  const answer = await asked(viewer, '', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  const file = new File([await answer.arrayBuffer()], `${viewer.dataset.key.replace(/[^A-Za-z0-9_-]/g, '_')}.gobj`);
  const resource = `${viewer.dataset.folder}/${file.name}`;
  await upload(file, resource, () => {});
  field.value = JSON.stringify({ files: [resource], image: JSON.parse(viewer.dataset.image) });
  saidOf(viewer).textContent = t.stored;
}

for (const viewer of document.querySelectorAll('xf-slices[data-contours]')) {
  viewer.addEventListener('xf-change', () => drawn.add(viewer));
  if (viewer.dataset.kept) show(viewer, viewer.dataset.kept);
  fieldOf(viewer).addEventListener('change', (event) => {
    // A file that was chosen lies on the image, too.
    const files = JSON.parse(event.target.value);
    event.target.value = JSON.stringify({ files, image: JSON.parse(viewer.dataset.image) });
    show(viewer, files[0].split('/').map(encodeURIComponent).join('/'));
  });
}

document.addEventListener('submit', async (event) => {
  const viewers = [...event.target.querySelectorAll('xf-slices[data-contours]')].filter((viewer) => drawn.has(viewer));
  if (event.defaultPrevented || !viewers.length) return;
  event.preventDefault();
  try {
    for (const viewer of viewers) {
      await store(viewer);
      drawn.delete(viewer);
    }
  } catch (error) {
    notice(t.failed.replace('{reason}', error.message), true);
    return;
  }
  event.target.requestSubmit(event.submitter);
});
