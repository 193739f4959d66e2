// One plane of a viewer: draws its tiles, crosshair, scale bar and shapes, and turns pointers and keys into changes.

import { AXES, PLANES, clamp, lengthText, niceLength } from './slices-geometry.js';

const NS = 'http://www.w3.org/2000/svg';
const WHEEL_STEP = 40; // pixels of wheel for one slice
const LARGE_STEP = 10;
const MOST_QUADS = 512;

export class Plane {
  #pointers = new Map();
  #drag = null;
  #wheel = 0;
  #pinch = null;

  constructor(viewer, axis, t) {
    Object.assign(this, { viewer, axis, t, plane: PLANES[axis] });
    this.element = document.createElement('div');
    this.element.className = 'plane';
    this.element.tabIndex = 0;
    this.element.dataset.axis = axis;
    const describe = { role: 'slider', 'aria-orientation': 'vertical', 'aria-label': t.plane.replace('{name}', this.plane.name), 'aria-describedby': 'keys' };
    for (const [name, value] of Object.entries(describe)) this.element.setAttribute(name, value);
    this.canvas = document.createElement('canvas');
    this.overlay = document.createElementNS(NS, 'svg');
    this.overlay.setAttribute('aria-hidden', 'true');
    this.canvas.setAttribute('aria-hidden', 'true');
    this.caption = document.createElement('span');
    this.caption.className = 'caption';
    this.caption.setAttribute('aria-hidden', 'true');
    this.element.append(this.canvas, this.overlay, this.caption);
    const { element } = this;
    element.addEventListener('pointerdown', (event) => this.#down(event));
    element.addEventListener('pointermove', (event) => this.#move(event));
    for (const name of ['pointerup', 'pointercancel']) element.addEventListener(name, (event) => this.#up(event));
    element.addEventListener('pointerleave', () => viewer.point(null));
    element.addEventListener('wheel', (event) => this.#wheeled(event), { passive: false });
    element.addEventListener('keydown', (event) => this.#key(event));
    element.addEventListener('dblclick', () => viewer.closeShape());
    element.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  get index() {
    return this.viewer.cross[this.plane.across];
  }

  get size() {
    return [this.element.clientWidth, this.element.clientHeight];
  }

  // From a voxel to pixels of this view; what it has along the plane's own axis does not count.
  at(voxel) {
    const { scale, centre, geometry } = this.viewer;
    const { right, down } = this.plane;
    return [right, down].map((axis, i) =>
      this.size[i] / 2 + (voxel[axis] - centre[axis]) * geometry.spacing[axis] * scale);
  }

  voxel([x, y]) {
    const { scale, centre, geometry } = this.viewer;
    const { right, down, across } = this.plane;
    const voxel = [...centre];
    voxel[right] += (x - this.size[0] / 2) / (geometry.spacing[right] * scale);
    voxel[down] += (y - this.size[1] / 2) / (geometry.spacing[down] * scale);
    voxel[across] = this.index;
    return voxel;
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  draw(renderer) {
    const [width, height] = this.size;
    if (!width || !height) {
      for (const { source } of this.viewer.layers) source.need(this, []);
      return;
    }
    const ratio = window.devicePixelRatio || 1;
    const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== w || this.canvas.height !== h) Object.assign(this.canvas, { width: w, height: h });
    const layers = this.viewer.layers.map((layer) => ({ ...layer, quads: this.#quads(layer, ratio) }));
    renderer.draw(this.canvas.getContext('2d', { alpha: false }), layers);
    this.#drawOverlay(width, height);
    this.#describe();
  }

  #quads({ source, offset }, ratio) {
    const { geometry, scale } = this.viewer;
    const { right, down, across } = this.plane;
    const { description } = source;
    const index = this.index - offset[across];
    if (index < 0 || index >= description.size[across]) {
      source.need(this, []);
      return [];
    }
    // As fine as the screen shows: a voxel of the level is at most two of its pixels wide.
    const factor = 1 / (Math.min(geometry.spacing[right], geometry.spacing[down]) * scale * ratio);
    const best = source.levelFor(this.axis, factor);
    const coarse = source.coarsest(this.axis);
    if (best < 0) {
      source.need(this, []);
      return [];
    }
    const quads = [];
    const missing = [];
    const levels = description.levels.map((_, number) => number).filter((number) =>
      number >= best && description.levels[number].sources[this.axis]);
    for (const number of levels.reverse()) {
      for (const address of this.#visible(source, offset, number, index)) {
        const tile = source.tile(address);
        if (tile) quads.push(this.#quad(tile, description.levels[number].factors, offset, address, ratio));
        else if (number === best || number === coarse) missing.push(address);
      }
    }
    source.need(this, missing);
    return quads.slice(-MOST_QUADS);
  }

  #visible(source, offset, level, index) {
    const { description } = source;
    const { factors, size } = description.levels[level];
    const { right, down, across } = this.plane;
    const edge = description.tile;
    const corners = [this.voxel([0, 0]), this.voxel(this.size)];
    const [columns, rows] = [right, down].map((axis) => {
      const [low, high] = corners.map((corner) => (corner[axis] - offset[axis] + 0.5) / factors[axis] / edge);
      return [Math.max(0, Math.floor(low)), Math.min(Math.ceil(size[axis] / edge) - 1, Math.floor(high))];
    });
    const addresses = [];
    const at = Math.min(Math.floor(index / factors[across]), size[across] - 1);
    for (let row = rows[0]; row <= rows[1]; row += 1) {
      for (let column = columns[0]; column <= columns[1]; column += 1) {
        addresses.push({ axis: this.axis, level, index: at, row, column });
      }
    }
    const middle = [(columns[0] + columns[1]) / 2, (rows[0] + rows[1]) / 2];
    const from = ({ row, column }) => Math.hypot(column - middle[0], row - middle[1]);
    return addresses.sort((one, other) => from(one) - from(other)).slice(0, MOST_QUADS);
  }

  #quad(tile, factors, offset, { row, column }, ratio) {
    const { right, down } = this.plane;
    const edge = this.viewer.layers[0].source.description.tile;
    const begin = [0, 0, 0];
    const end = [0, 0, 0];
    for (const [axis, place, count] of [[right, column, tile.width], [down, row, tile.height]]) {
      begin[axis] = offset[axis] + place * edge * factors[axis] - 0.5;
      end[axis] = begin[axis] + count * factors[axis];
    }
    const [x, y] = this.at(begin).map((pixel) => pixel * ratio);
    const [x1, y1] = this.at(end).map((pixel) => pixel * ratio);
    return { tile, x, y, width: x1 - x, height: y1 - y };
  }

  #drawOverlay(width, height) {
    const { viewer, overlay } = this;
    overlay.setAttribute('viewBox', `0 0 ${width} ${height}`);
    overlay.replaceChildren();
    const [x, y] = this.at(viewer.cross);
    const gap = 6;
    for (const [x1, y1, x2, y2] of [[0, y, x - gap, y], [x + gap, y, width, y], [x, 0, x, y - gap], [x, y + gap, x, height]]) {
      this.#append('line', { x1, y1, x2, y2, class: 'cross' });
    }
    viewer.shape?.draw(this, overlay);
    const mm = niceLength(Math.min(120, width / 3) / viewer.scale);
    const long = mm * viewer.scale;
    const bar = [width - 10 - long, height - 12];
    this.#append('path', { d: `M${bar[0]} ${bar[1] - 4}v8m0-4h${long}m0-4v8`, class: 'bar' });
    this.#append('text', { x: bar[0] + long / 2, y: bar[1] - 7, class: 'bar-text' }, lengthText(mm));
    this.#append('text', { x: width - 8, y: 16, class: 'axis end' }, `${AXES[this.plane.right]} →`);
    this.#append('text', { x: 8, y: height - 10, class: 'axis' }, `${AXES[this.plane.down]} ↓`);
  }

  #append(name, attributes, text = '') {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    this.overlay.append(element);
  }

  #describe() {
    const { element, plane, viewer, t } = this;
    const count = viewer.geometry.size[plane.across];
    const letter = AXES[plane.across];
    const text = t.slice_of.replace('{axis}', letter).replace('{index}', this.index).replace('{last}', count - 1);
    this.caption.textContent = `${plane.name} · ${text}`;
    const values = { valuemin: 0, valuemax: count - 1, valuenow: this.index, valuetext: `${text}, ${viewer.valueText}` };
    for (const [name, value] of Object.entries(values)) {
      if (element.getAttribute(`aria-${name}`) !== String(value)) element.setAttribute(`aria-${name}`, value);
    }
  }

  // --- pointers ----------------------------------------------------------------------------------------------------

  #point(event) {
    const box = this.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #down(event) {
    if (!this.viewer.isReady) return;
    this.element.focus({ preventScroll: true });
    this.element.setPointerCapture(event.pointerId);
    const point = this.#point(event);
    this.#pointers.set(event.pointerId, point);
    if (this.#pointers.size === 2) {
      this.#drag = null;
      this.#pinch = this.#pair();
      return;
    }
    if (this.#pointers.size > 2) return;
    this.#drag = this.#begin(event, point);
    this.#drag?.(point);
  }

  #begin(event, point) {
    const { viewer } = this;
    let tool = viewer.tool;
    if (event.button === 2 || event.altKey) tool = 'window';
    else if (event.button === 1 || event.shiftKey) tool = 'pan';
    if (tool === 'pan') {
      let last = point;
      return (next) => {
        this.#pan(next[0] - last[0], next[1] - last[1]);
        last = next;
      };
    }
    if (tool === 'window') {
      const begin = [...viewer.window];
      return (next) => viewer.dragWindow(begin, next[0] - point[0], next[1] - point[1]);
    }
    if (tool === 'draw' && viewer.shape) {
      const voxel = this.voxel(point);
      const change = viewer.shape.grab(this, point, voxel);
      let moved = false;
      return change && ((next) => {
        if (moved || Math.hypot(next[0] - point[0], next[1] - point[1]) > 2) {
          moved = true;
          change(this.voxel(next));
        }
        viewer.changed(true);
      });
    }
    return (next) => viewer.moveCross(this.viewer.geometry.inside(this.voxel(next)));
  }

  #move(event) {
    const point = this.#point(event);
    if (this.#pointers.has(event.pointerId)) this.#pointers.set(event.pointerId, point);
    if (this.#pinch && this.#pointers.size === 2) {
      const [before, now] = [this.#pinch, this.#pair()];
      this.#pan(now.middle[0] - before.middle[0], now.middle[1] - before.middle[1]);
      this.#zoom(now.apart / Math.max(1, before.apart), now.middle);
      this.#pinch = now;
    } else if (this.#drag) {
      this.#drag(point);
    }
    if (this.viewer.isReady) this.viewer.point(this.voxel(point));
  }

  #up(event) {
    // Where it ends counts, also if no move came before.
    if (event.type === 'pointerup') this.#drag?.(this.#point(event));
    this.#pointers.delete(event.pointerId);
    if (this.#pointers.size < 2) this.#pinch = null;
    if (this.#drag) this.viewer.changed(false);
    this.#drag = null;
  }

  #pair() {
    const [[x0, y0], [x1, y1]] = [...this.#pointers.values()];
    return { middle: [(x0 + x1) / 2, (y0 + y1) / 2], apart: Math.hypot(x1 - x0, y1 - y0) };
  }

  #pan(dx, dy) {
    const { viewer } = this;
    const centre = [...viewer.centre];
    centre[this.plane.right] -= dx / (viewer.geometry.spacing[this.plane.right] * viewer.scale);
    centre[this.plane.down] -= dy / (viewer.geometry.spacing[this.plane.down] * viewer.scale);
    viewer.look({ centre });
  }

  #zoom(by, point = this.at(this.viewer.cross)) {
    const { viewer } = this;
    const before = this.voxel(point);
    const scale = viewer.limitScale(viewer.scale * by);
    const { right, down } = this.plane;
    const centre = [...viewer.centre];
    for (const [i, axis] of [right, down].entries()) {
      centre[axis] = before[axis] - (point[i] - this.size[i] / 2) / (viewer.geometry.spacing[axis] * scale);
    }
    viewer.look({ scale, centre });
  }

  #wheeled(event) {
    event.preventDefault();
    if (!this.viewer.isReady) return;
    const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
    if (event.ctrlKey || event.metaKey) {
      this.#zoom(Math.exp(-pixels / 300), this.#point(event));
      return;
    }
    this.#wheel += pixels;
    const steps = Math.trunc(this.#wheel / WHEEL_STEP);
    this.#wheel -= steps * WHEEL_STEP;
    if (steps) this.#scroll(steps);
  }

  #scroll(steps) {
    this.#step(this.plane.across, steps);
  }

  #step(axis, steps) {
    const { viewer } = this;
    const cross = [...viewer.cross];
    cross[axis] = clamp(cross[axis] + steps, 0, viewer.geometry.size[axis] - 1);
    viewer.moveCross(cross);
  }

  // --- keys --------------------------------------------------------------------------------------------------------

  #key(event) {
    const { viewer, plane } = this;
    if (!viewer.isReady || event.ctrlKey || event.metaKey) return;
    const large = event.shiftKey ? LARGE_STEP : 1;
    const arrows = {
      ArrowLeft: [plane.right, -1], ArrowRight: [plane.right, 1], ArrowUp: [plane.down, -1], ArrowDown: [plane.down, 1],
    };
    const [low, high] = viewer.window ?? [0, 1];
    const width = high - low;
    const keys = {
      PageUp: () => this.#scroll(-large),
      PageDown: () => this.#scroll(large),
      Home: () => this.#scroll(-Infinity),
      End: () => this.#scroll(Infinity),
      '+': () => this.#zoom(1.25),
      '=': () => this.#zoom(1.25),
      '-': () => this.#zoom(0.8),
      0: () => viewer.fit(),
      '[': () => viewer.setWindow([low - width * 0.05, high - width * 0.05]),
      ']': () => viewer.setWindow([low + width * 0.05, high + width * 0.05]),
      '{': () => viewer.setWindow([low + width * 0.05, high - width * 0.05]),
      '}': () => viewer.setWindow([low - width * 0.05, high + width * 0.05]),
      o: () => viewer.toggleSegments(),
      n: () => viewer.createShape(this),
      Enter: () => viewer.closeShape(),
      Delete: () => viewer.removeShape(),
      Backspace: () => viewer.removeShape(),
    };
    let act = keys[event.key];
    if (event.key in arrows) {
      const [axis, by] = arrows[event.key];
      act = event.altKey ? () => viewer.nudgeShape(axis, by * large) : () => this.#step(axis, by * large);
    }
    if (!act) return;
    event.preventDefault();
    act();
  }
}
