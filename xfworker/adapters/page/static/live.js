// Events of the server, resumed where they broke off. Whoever looks sees when nothing is heard any more.
import strings from './strings.js';

const SILENT_MS = 12000;
const RETRY_MS = [1000, 2000, 5000, 10000, 15000];

/**
 * Follow an event stream while the page is looked at.
 * @param {string} url where the events are
 * @param {string} after the id of the last event that is known
 * @param {{change: (data: any) => void, reload: () => void}} listener
 */
export function follow(url, after, listener) {
  let source = null;
  let silence = 0;
  let retry = 0;
  let tries = 0;
  let last = after;

  function status(isLost) {
    const before = document.body.dataset.connection;
    document.body.dataset.connection = isLost ? 'lost' : 'live';
    if (isLost && before !== 'lost') announce(strings.connection_lost);
    if (!isLost && before === 'lost') announce(strings.connection_back);
  }
  function heard(event) {
    if (event.lastEventId) last = event.lastEventId;
    tries = 0;
    status(false);
    clearTimeout(silence);
    silence = setTimeout(lost, SILENT_MS);
  }
  function lost() {
    status(true);
    close();
    clearTimeout(retry);
    retry = setTimeout(open, RETRY_MS[Math.min(tries++, RETRY_MS.length - 1)]);
  }
  function close() {
    clearTimeout(silence);
    if (source) source.close();
    source = null;
  }
  function open() {
    clearTimeout(retry);
    close();
    if (document.hidden) return;
    source = new EventSource(`${url}?after=${encodeURIComponent(last)}`);
    source.addEventListener('change', (event) => { heard(event); listener.change(JSON.parse(event.data)); });
    source.addEventListener('beat', heard);
    source.addEventListener('reload', (event) => { heard(event); listener.reload(); });
    source.addEventListener('signed-out', () => { close(); location.reload(); });
    source.onerror = async () => {
      lost();
      // A stream cannot say why it ended; a session that is over shows the page to sign in.
      const answer = await fetch(url.replace(/\/events$/, ''), { method: 'HEAD' }).catch(() => null);
      if (answer && (answer.status === 401 || answer.redirected)) location.reload();
    };
    silence = setTimeout(lost, SILENT_MS);
  }
  // A browser has six connections to a server; pages that nobody looks at need none.
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) { close(); clearTimeout(retry); } else { tries = 0; open(); }
  });
  addEventListener('online', open);
  addEventListener('pagehide', close);
  open();
}

function announce(text) {
  const region = document.querySelector('#notices');
  if (!region) return;
  const line = document.createElement('p');
  line.className = 'visually-hidden';
  line.textContent = text;
  region.append(line);
  setTimeout(() => line.remove(), 5000);
}
