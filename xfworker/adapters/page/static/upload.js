// Files on their way into the file store by tus: in pieces, resumed where they broke off.
import { request } from './page.js';

const PIECE = 8 << 20;
const TRIES = 6;
const TUS = { 'Tus-Resumable': '1.0.0' };
const known = (resource, file) => `xf-upload:${resource}:${file.size}:${file.lastModified}`;

export async function fileToken(verb, resource) {
  const answer = await request('/file-tokens', { method: 'POST', body: new URLSearchParams({ verb, resource }) });
  return answer ? answer.json() : null;
}

/**
 * Store a file; gives whether that worked. An upload that was broken off goes on, also after the page was closed.
 * @param {File} file
 * @param {string} resource where it goes, `userdata/a/scan.isq`
 * @param {(part: number) => void} progress hears how much of it has arrived, 0 to 1
 */
export async function upload(file, resource, progress) {
  const access = await fileToken('write', resource);
  if (!access) throw new Error('refused');
  const headers = { ...TUS, Authorization: `Bearer ${access.token}` };
  const key = known(resource, file);
  let url = localStorage.getItem(key);
  let offset = url ? await offsetOf(url, headers) : null;
  if (offset === null) {
    const name = btoa(String.fromCharCode(...new TextEncoder().encode(resource)));
    const made = await fetch(`${access.url}/uploads`, { method: 'POST', headers: { ...headers, 'Upload-Length': file.size, 'Upload-Metadata': `resource ${name}` } });
    if (!made.ok) throw new Error(await reason(made));
    url = new URL(made.headers.get('Location'), new URL(`${access.url}/uploads`, location.href)).pathname;
    localStorage.setItem(key, url);
    offset = 0;
  }
  let tries = 0;
  while (offset < file.size) {
    progress(offset / file.size);
    const piece = file.slice(offset, offset + PIECE);
    try {
      const answer = await fetch(url, { method: 'PATCH', headers: { ...headers, 'Upload-Offset': offset, 'Content-Type': 'application/offset+octet-stream' }, body: piece });
      if (!answer.ok && answer.status < 500 && answer.status !== 409) { localStorage.removeItem(key); throw Object.assign(new Error(await reason(answer)), { isFinal: true }); }
      if (!answer.ok) throw new Error(String(answer.status));
      offset = Number(answer.headers.get('Upload-Offset'));
      tries = 0;
    } catch (error) {
      if (error.isFinal || (tries += 1) >= TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * 2 ** tries));
      offset = (await offsetOf(url, headers)) ?? offset;
    }
  }
  localStorage.removeItem(key);
  progress(1);
}

async function offsetOf(url, headers) {
  const answer = await fetch(url, { method: 'HEAD', headers }).catch(() => null);
  return answer && answer.ok ? Number(answer.headers.get('Upload-Offset')) : null;
}

async function reason(answer) {
  try { return (await answer.json()).detail; } catch { return `${answer.status} ${answer.statusText}`; }
}
