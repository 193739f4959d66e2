// Fields that take files: chosen or dropped, stored at once, named by the form.
import strings from './strings.js';
import { notice } from './page.js';
import { upload } from './upload.js';

let underWay = 0;

for (const drop of document.querySelectorAll('.drop')) {
  const input = drop.querySelector('input[type=file]');
  const hidden = drop.querySelector('input[type=hidden]');
  const said = drop.querySelector('.said');
  const bar = drop.querySelector('progress');

  async function take(files) {
    if (!files.length) return;
    const sizes = files.map((file) => file.size);
    const total = sizes.reduce((a, b) => a + b, 0) || 1;
    let before = 0;
    const resources = [];
    underWay += 1;
    bar.hidden = false;
    try {
      for (const file of files) {
        const resource = `${drop.dataset.folder}/${file.name}`;
        said.textContent = strings.upload_of.replace('{name}', file.name);
        await upload(file, resource, (part) => { bar.value = (before + part * file.size) / total; });
        before += file.size;
        resources.push(resource);
      }
      hidden.value = JSON.stringify(resources);
      hidden.dispatchEvent(new Event('change', { bubbles: true }));
      said.textContent = strings.upload_done.replace('{names}', files.map((file) => file.name).join(', '));
    } catch (error) {
      said.textContent = strings.upload_failed.replace('{reason}', error.message);
      notice(said.textContent, true);
    } finally {
      bar.hidden = true;
      underWay -= 1;
    }
  }
  input.addEventListener('change', () => take([...input.files]));
  drop.addEventListener('dragover', (event) => { event.preventDefault(); drop.classList.add('over'); });
  drop.addEventListener('dragleave', () => drop.classList.remove('over'));
  drop.addEventListener('drop', (event) => { event.preventDefault(); drop.classList.remove('over'); take([...event.dataTransfer.files]); });
}

document.addEventListener('submit', (event) => {
  if (underWay && event.target.dataset.uploadForm !== undefined) {
    event.preventDefault();
    notice(strings.upload_under_way, true);
  }
}, true);
addEventListener('beforeunload', (event) => { if (underWay) event.preventDefault(); });

// A file that misses its field must not replace the page.
addEventListener('dragover', (event) => event.preventDefault());
addEventListener('drop', (event) => event.preventDefault());
