// Tiles of images from the server: fetched as they are needed, kept within a bound, never more at once than it likes.

const ARRAYS = {
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
  int64: BigInt64Array, uint64: BigUint64Array, float32: Float32Array, float64: Float64Array,
};
const KEPT_BYTES = 160 * 2 ** 20;
const AT_ONCE = 6;
const LONGEST_WAIT_MS = 15000;

class TileCache {
  #tiles = new Map();
  #bytes = 0;

  get(key) {
    const tile = this.#tiles.get(key);
    if (tile) {
      this.#tiles.delete(key);
      this.#tiles.set(key, tile);
    }
    return tile;
  }

  put(key, tile) {
    this.#tiles.set(key, tile);
    this.#bytes += tile.data.byteLength;
    for (const [old, { data }] of this.#tiles) {
      if (this.#bytes <= KEPT_BYTES) break;
      this.#tiles.delete(old);
      this.#bytes -= data.byteLength;
    }
  }
}

const cache = new TileCache();

export class ServerError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

// The server does not answer; that passes by itself.
export class ConnectionLost extends Error {}

// Fetch, and tell a lost connection from mistakes of our own, which are TypeErrors as well.
export async function asked(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    throw error.name === 'AbortError' ? error : new ConnectionLost(error.message);
  }
}

// One image of the server. Events: 'described', 'tiles' (some arrived), 'trouble' (detail: an error, or null when over).
export class ImageSource extends EventTarget {
  #needed = new Map(); // by view: the tiles that it waits for, most urgent first
  #loading = new Map();
  #failures = 0; // since a tile came last
  #isBlocked = false; // until the timer ends, after a failure
  #timer = 0;
  #ended = new AbortController();

  // `asking` are further parts of every address; they come before the name of a tile.
  constructor(url, asking = {}) {
    super();
    this.url = url;
    this.asking = Object.entries(asking).map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    this.description = null;
  }

  async describe() {
    const address = this.asking.length ? `${this.url}?${this.asking.join('&')}` : this.url;
    try {
      const response = await this.#fetch(address, this.#ended.signal);
      this.description = await response.json();
      this.#isBlocked = false;
      this.#say(null);
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.#say(error);
      if (isPassing(error)) this.#pause(error, () => this.describe());
      return;
    }
    this.dispatchEvent(new Event('described'));
    if (['waiting', 'building'].includes(this.description.pyramid.state)) this.#later(() => this.describe(), 1000);
  }

  end() {
    this.#ended.abort();
    clearTimeout(this.#timer);
    this.#needed.clear();
    for (const { abort } of this.#loading.values()) abort.abort();
  }

  get array() {
    return ARRAYS[this.description.pixel_type];
  }

  // The level to show planes across an axis at: the coarsest that is not coarser than `factor`, or what there is.
  levelFor(axis, factor) {
    const { levels } = this.description;
    const there = levels.map((level, number) => (level.sources[axis] ? number : -1)).filter((number) => number >= 0);
    const fitting = there.filter((number) => Math.max(...levels[number].factors) <= Math.max(1, factor));
    return fitting.at(-1) ?? there[0] ?? -1;
  }

  coarsest(axis) {
    return this.description.levels.findLastIndex((level) => level.sources[axis]);
  }

  tile(address) {
    return cache.get(this.#key(address));
  }

  // Whether a view waits for a tile.
  get isWaiting() {
    return [...this.#needed.values()].flat().some((address) => !cache.get(this.#key(address)));
  }

  // State which tiles a view waits for; those that no view waits for any more are given up.
  need(view, addresses) {
    this.#needed.set(view, addresses);
    const keys = new Set([...this.#needed.values()].flat().map((address) => this.#key(address)));
    for (const [key, { abort }] of this.#loading) if (!keys.has(key)) abort.abort();
    this.#pump();
  }

  // The stored value of a voxel, exactly; a number, or a bigint of 64-bit types.
  async value([x, y, z], signal) {
    const edge = this.description.tile;
    const address = { axis: 'z', level: 0, index: z, row: Math.floor(y / edge), column: Math.floor(x / edge) };
    const tile = this.tile(address) ?? (await this.#load(address, signal));
    return tile.data[(y % edge) * tile.width + (x % edge)];
  }

  #key({ axis, level, index, row, column }) {
    const source = this.description.levels[level].sources[axis];
    const tile = `tile=${this.description.key}.${source}.${axis}.${level}.${index}.${row}.${column}`;
    return `${this.url}?${[...this.asking, tile].join('&')}`;
  }

  #pump() {
    for (const addresses of this.#needed.values()) {
      for (const address of addresses) {
        if (this.#loading.size >= AT_ONCE || this.#isBlocked) return;
        const key = this.#key(address);
        if (!this.#loading.has(key) && !cache.get(key)) this.#begin(key, address);
      }
    }
  }

  async #begin(key, address) {
    const abort = new AbortController();
    this.#loading.set(key, { abort });
    try {
      await this.#load(address, abort.signal);
      this.#failures = 0;
      this.#say(null);
      this.dispatchEvent(new Event('tiles'));
    } catch (error) {
      if (error.name === 'AbortError') return;
      this.#say(error);
      if (this.#isBlocked) return;
      // What the server does not have (any more) has other names by now.
      if (isPassing(error)) this.#pause(error, () => this.dispatchEvent(new Event('tiles')));
      else this.#pause(error, () => this.describe());
    } finally {
      this.#loading.delete(key);
      this.#pump();
    }
  }

  async #load(address, signal) {
    const { axis, level, row, column } = address;
    const key = this.#key(address);
    const { tile: edge, levels } = this.description;
    const [x, y, z] = levels[level].size;
    const [across, down] = { z: [x, y], y: [x, z], x: [y, z] }[axis];
    const width = Math.min(edge, across - column * edge);
    const height = Math.min(edge, down - row * edge);
    const Values = this.array;
    const response = await this.#fetch(key, signal);
    const data = new Values(await response.arrayBuffer());
    if (data.length !== width * height) throw new ServerError(`a tile has ${data.length} voxels, not ${width * height}`, 500);
    const tile = { data, width, height };
    cache.put(key, tile);
    return tile;
  }

  async #fetch(address, signal) {
    const response = await asked(address, { signal, headers: { accept: 'application/json, application/octet-stream' } });
    if (response.ok && !response.redirected) return response;
    const problem = await response.json().catch(() => ({}));
    const error = new ServerError(problem.detail ?? response.statusText, response.redirected ? 401 : response.status);
    error.seconds = Number(response.headers.get('retry-after')) || 0;
    throw error;
  }

  // Ask for nothing more until a while has passed, longer after each failure.
  #pause({ seconds = 0 }, next) {
    const wait = Math.max(seconds * 1000, Math.min(LONGEST_WAIT_MS, 250 * 2 ** this.#failures));
    this.#failures += 1;
    this.#isBlocked = true;
    this.#later(() => {
      this.#isBlocked = false;
      next();
    }, wait);
  }

  #later(work, milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(work, milliseconds);
  }

  #say(error) {
    this.dispatchEvent(new CustomEvent('trouble', { detail: error }));
  }
}

// A lost connection and a busy server pass by themselves.
export const isPassing = (error) => error instanceof ConnectionLost || error.status === 503 || error.status === 429;
