// User data: files stored by choosing or dropping them, folders, and a filter.
import strings from './strings.js';
import { notice } from './page.js';
import { upload } from './upload.js';

const drop = document.querySelector('#drop');
const said = drop.querySelector('.said');
const bar = drop.querySelector('progress');
let isUnderWay = false;

async function take(files) {
  if (!files.length || isUnderWay) return;
  isUnderWay = true;
  bar.hidden = false;
  const total = files.reduce((sum, file) => sum + file.size, 0) || 1;
  let before = 0;
  const failed = [];
  for (const file of files) {
    said.textContent = strings.upload_of.replace('{name}', file.name);
    try {
      await upload(file, `${drop.dataset.folder}/${file.name}`, (part) => { bar.value = (before + part * file.size) / total; });
    } catch (error) {
      failed.push(`${file.name}: ${error.message}`);
    }
    before += file.size;
  }
  isUnderWay = false;
  bar.hidden = true;
  if (failed.length) { said.textContent = strings.upload_failed.replace('{reason}', failed.join('; ')); notice(said.textContent, true); return; }
  location.reload();
}

drop.querySelector('input').addEventListener('change', (event) => take([...event.target.files]));
for (const name of ['dragover', 'drop']) addEventListener(name, (event) => event.preventDefault());
addEventListener('dragover', () => drop.classList.add('over'));
addEventListener('dragleave', () => drop.classList.remove('over'));
addEventListener('drop', (event) => { drop.classList.remove('over'); take([...event.dataTransfer.files].filter((file) => file.size || file.type)); });
addEventListener('beforeunload', (event) => { if (isUnderWay) event.preventDefault(); });

const folder = document.querySelector('#new-folder');
folder.addEventListener('submit', (event) => {
  event.preventDefault();
  // A folder is there once a file is in it.
  location.assign(`/${folder.dataset.path}/${encodeURIComponent(folder.querySelector('input').value.trim())}`);
});

const filter = document.querySelector('#file-filter');
filter?.addEventListener('input', () => {
  const text = filter.value.trim().toLocaleLowerCase();
  for (const row of document.querySelectorAll('#file-list tbody tr')) row.hidden = !row.cells[0].textContent.toLocaleLowerCase().includes(text);
});
