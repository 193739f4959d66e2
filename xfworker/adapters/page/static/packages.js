// Packages dropped on the page: stored in pieces, checked and installed by the server, and a sentence for each.
import strings from './strings.js';
import { request } from './page.js';
import { upload } from './upload.js';

const drop = document.querySelector('#drop');
const said = drop.querySelector('.said');
const bar = drop.querySelector('progress');
const results = document.querySelector('#results');
let isUnderWay = false;

function show(items) {
  results.replaceChildren(...items.map(({ name, message, error }) => {
    const line = document.createElement('li');
    line.className = error ? 'problem' : 'installed';
    line.textContent = message.includes(name) ? message : `${name}: ${message}`;
    return line;
  }));
}

async function take(files) {
  if (!files.length || isUnderWay) return;
  isUnderWay = true;
  bar.hidden = false;
  results.replaceChildren();
  const total = files.reduce((sum, file) => sum + file.size, 0) || 1;
  let before = 0;
  const resources = [];
  try {
    for (const file of files) {
      said.textContent = strings.upload_of.replace('{name}', file.name);
      const resource = `${drop.dataset.folder}/${resources.length}/${file.name}`;
      await upload(file, resource, (part) => { bar.value = (before + part * file.size) / total; });
      before += file.size;
      resources.push(resource);
    }
    said.textContent = strings.installing;
    bar.removeAttribute('value');
    const body = new URLSearchParams({ resources: JSON.stringify(resources), replace: document.querySelector('#replace').checked });
    const answer = await request('/packages', { method: 'POST', body });
    said.textContent = '';
    if (answer) {
      const found = (await answer.json()).results;
      show(found);
      if (found.some(({ error }) => !error)) await list();
    }
  } catch (error) {
    said.textContent = strings.upload_failed.replace('{reason}', error.message);
  } finally {
    isUnderWay = false;
    bar.hidden = true;
    drop.querySelector('input[type=file]').value = '';
  }
}

// What is installed now, without losing what was said.
async function list() {
  const answer = await request('/packages', { headers: { Accept: 'text/html' } });
  if (!answer) return;
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
  document.querySelector('#installed').replaceWith(document.adoptNode(page.querySelector('#installed')));
}

drop.querySelector('input[type=file]').addEventListener('change', (event) => take([...event.target.files]));
for (const name of ['dragover', 'drop']) addEventListener(name, (event) => event.preventDefault());
addEventListener('dragover', () => drop.classList.add('over'));
addEventListener('dragleave', () => drop.classList.remove('over'));
addEventListener('drop', (event) => { drop.classList.remove('over'); take([...event.dataTransfer.files].filter((file) => file.size || file.type)); });
addEventListener('beforeunload', (event) => { if (isUnderWay) event.preventDefault(); });
