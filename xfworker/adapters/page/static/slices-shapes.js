// What is drawn on images: boxes straight and rotated, contours, landmarks. A shape's `value` is the JSON of its type.
//
// A view gives each shape its `plane` (which axes run where), `index` (the plane's place on its own axis), and `at(voxel)`
// and `screen`: from voxels to pixels of the view. A drag begins with `grab`, which gives a function of the next voxel.

import { PLANES, anglesOf, clamp, product, rotation, rotationOf, times, transposed } from './slices-geometry.js';

const REACH = 9; // pixels from a handle at which it is taken

const distance = ([x0, y0], [x1, y1]) => Math.hypot(x1 - x0, y1 - y0);
const svg = (name, attributes) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
};
const polygon = (points, name) => svg('polygon', { points: points.map((point) => point.join(',')).join(' '), class: name });
const handle = ([x, y], name = 'handle') => svg('rect', { x: x - 4, y: y - 4, width: 8, height: 8, class: name });
const knob = ([x, y], name) => svg('circle', { cx: x, cy: y, r: 5, class: name });

// ImageVOI: an upright box of whole voxels.
export class Box {
  constructor(geometry, value = null) {
    this.geometry = geometry;
    this.image = value?.image ?? null;
    this.pos = value ? [...value.pos] : null;
    this.size = value ? [...value.size] : null;
    this.extra = kept(value, ['name', 'category']);
  }

  get value() {
    return this.pos && { type: 'ImageVOI', pos: [...this.pos], size: [...this.size], ...named(this.image), ...this.extra };
  }

  // A box of half the image around a voxel.
  create(voxel) {
    const half = this.geometry.size.map((count) => Math.max(1, Math.round(count / 4)));
    this.#between(voxel.map((at, axis) => at - half[axis]), voxel.map((at, axis) => at + half[axis] - 1));
  }

  draw(view, group) {
    if (!this.pos) return;
    const { right, down, across } = view.plane;
    const inside = view.index >= this.pos[across] && view.index < this.pos[across] + this.size[across];
    const corners = this.#corners(view);
    group.append(polygon(corners, inside ? 'shape' : 'shape elsewhere'));
    for (const { point } of this.#handles(view, right, down)) group.append(handle(point));
  }

  grab(view, point, voxel) {
    if (!this.pos) return this.#draw(view, voxel);
    const { right, down } = view.plane;
    const near = this.#handles(view, right, down).find((one) => distance(one.point, point) <= REACH);
    if (near) {
      const [pos, size] = [[...this.pos], [...this.size]];
      return (next) => {
        const low = [...pos];
        const high = pos.map((at, axis) => at + size[axis] - 1);
        for (const [axis, end] of near.ends) (end ? high : low)[axis] = Math.round(next[axis] + (end ? -0.5 : 0.5));
        this.#between(low, high);
      };
    }
    const isInside = [right, down].every((axis) =>
      voxel[axis] >= this.pos[axis] - 0.5 && voxel[axis] <= this.pos[axis] + this.size[axis] - 0.5);
    if (!isInside) return this.#draw(view, voxel);
    const [pos, from] = [[...this.pos], [...voxel]];
    return (next) => {
      this.pos = pos.map((at, axis) =>
        clamp(at + Math.round(next[axis] - from[axis]), 0, this.geometry.size[axis] - this.size[axis]));
    };
  }

  remove() {
    this.pos = this.size = null;
  }

  nudge(axis, by) {
    if (this.pos) this.pos[axis] = clamp(this.pos[axis] + by, 0, this.geometry.size[axis] - this.size[axis]);
  }

  fields(t) {
    if (!this.pos) return [];
    const { size: whole } = this.geometry;
    return ['x', 'y', 'z'].flatMap((letter, axis) => [
      {
        label: `${t.first} ${letter}`, value: this.pos[axis], min: 0, max: whole[axis] - 1, step: 1,
        set: (next) => { this.pos[axis] = clamp(Math.round(next), 0, whole[axis] - this.size[axis]); },
      },
      {
        label: `${t.count} ${letter}`, value: this.size[axis], min: 1, max: whole[axis], step: 1,
        set: (next) => { this.size[axis] = clamp(Math.round(next), 1, whole[axis] - this.pos[axis]); },
      },
    ]);
  }

  // From a drag on a plane; along its own axis as long as the drawn sides are on average, around the plane.
  #draw(view, from) {
    const { right, down, across } = view.plane;
    return (next) => {
      const [low, high] = [[...from], [...next]];
      const depth = (Math.abs(next[right] - from[right]) + Math.abs(next[down] - from[down])) / 2;
      low[across] = Math.round(view.index - depth / 2);
      high[across] = Math.round(view.index + depth / 2);
      this.#between(low.map(Math.round), high.map(Math.round));
    };
  }

  #between(one, other) {
    const { size } = this.geometry;
    const low = one.map((at, axis) => clamp(Math.min(at, other[axis]), 0, size[axis] - 1));
    const high = one.map((at, axis) => clamp(Math.max(at, other[axis]), 0, size[axis] - 1));
    this.pos = low;
    this.size = low.map((at, axis) => high[axis] - at + 1);
  }

  #point(view, right, down) {
    const voxel = [0, 0, 0];
    [voxel[view.plane.right], voxel[view.plane.down]] = [right, down];
    return view.at(voxel);
  }

  #sides(view) {
    const { right, down } = view.plane;
    return [right, down].map((axis) => [this.pos[axis] - 0.5, this.pos[axis] + this.size[axis] - 0.5]);
  }

  #corners(view) {
    const [[left, end], [top, bottom]] = this.#sides(view);
    return [[left, top], [end, top], [end, bottom], [left, bottom]].map(([x, y]) => this.#point(view, x, y));
  }

  #handles(view, right, down) {
    const [xs, ys] = this.#sides(view);
    const middle = ([a, b]) => (a + b) / 2;
    const handles = [];
    for (const [i, x] of [xs[0], middle(xs), xs[1]].entries()) {
      for (const [j, y] of [ys[0], middle(ys), ys[1]].entries()) {
        const ends = [...(i === 1 ? [] : [[right, i === 2]]), ...(j === 1 ? [] : [[down, j === 2]])];
        if (ends.length) handles.push({ point: this.#point(view, x, y), ends });
      }
    }
    return handles;
  }
}

// RotatedImageVOI: pos_mm is the corner where the box's own axes begin, rotation a matrix row by row whose columns are
// the directions of these axes, size_mm the lengths along them.
export class RotatedBox {
  constructor(geometry, value = null) {
    this.geometry = geometry;
    this.image = value?.image ?? null;
    this.extra = kept(value, ['name', 'category']);
    this.length = value ? [...value.size_mm] : null;
    this.rows = value ? matrixOf(value.rotation) : rotationOf([0, 0, 0]);
    this.middle = value && value.pos_mm.map((at, i) => at + times(this.rows, this.length)[i] / 2);
    this.counts = value ? [...value.size] : null;
    this.stated = value && JSON.stringify(this.length);
  }

  get value() {
    if (!this.length) return null;
    const { spacing } = this.geometry;
    const far = times(this.rows, this.length);
    const unchanged = this.counts && this.stated === JSON.stringify(this.length);
    return {
      type: 'RotatedImageVOI',
      pos_mm: this.middle.map((at, i) => rounded(at - far[i] / 2)),
      size_mm: this.length.map(rounded),
      size: unchanged ? this.counts : this.length.map((mm, i) => Math.max(1, Math.round(mm / spacing[i]))),
      rotation: this.rows.flat().map(rounded),
      ...named(this.image),
      ...this.extra,
    };
  }

  create(voxel) {
    const { size, spacing } = this.geometry;
    this.length = size.map((count, i) => Math.max(1, Math.round(count / 2)) * spacing[i]);
    this.middle = this.geometry.toMm(voxel);
    this.rows = this.geometry.rows.map((row) => [...row]);
  }

  draw(view, group) {
    if (!this.length) return;
    const cut = this.#cut(view);
    if (cut.length > 2) group.append(polygon(cut, 'shape'));
    else group.append(polygon(hull(this.#corners().map((corner) => view.at(this.geometry.toVoxel(corner)))), 'shape elsewhere'));
    group.append(knob(this.#screen(view, this.middle), 'handle middle'));
    for (const { point } of this.#faces(view)) group.append(handle(point));
    const turn = this.#turn(view);
    const [x0, y0] = this.#screen(view, this.middle);
    group.append(svg('line', { x1: x0, y1: y0, x2: turn[0], y2: turn[1], class: 'shape arm' }), knob(turn, 'handle turn'));
  }

  grab(view, point, voxel) {
    if (!this.length) {
      this.create(this.geometry.inside(voxel));
      return this.#moves(voxel);
    }
    if (distance(this.#turn(view), point) <= REACH) return this.#turns(view, voxel);
    const face = this.#faces(view).find((one) => distance(one.point, point) <= REACH);
    if (face) return this.#stretches(face, voxel);
    return this.#moves(voxel);
  }

  remove() {
    this.length = null;
  }

  nudge(axis, by) {
    if (!this.length) return;
    const voxel = this.geometry.toVoxel(this.middle);
    voxel[axis] += by;
    this.middle = this.geometry.toMm(voxel);
  }

  fields(t) {
    if (!this.length) return [];
    const angles = anglesOf(this.rows);
    return ['x', 'y', 'z'].flatMap((letter, axis) => [
      {
        label: `${t.middle} ${letter} (mm)`, value: rounded(this.middle[axis]), step: 'any',
        set: (next) => { this.middle[axis] = next; },
      },
      {
        label: `${t.length} ${letter} (mm)`, value: rounded(this.length[axis]), min: 0, step: 'any',
        set: (next) => { if (next > 0) this.length[axis] = next; },
      },
      {
        label: `${t.angle} ${letter} (°)`, value: Number(angles[axis].toFixed(3)), step: 'any',
        set: (next) => { this.rows = rotationOf(angles.map((angle, i) => (i === axis ? next : angle))); },
      },
    ]);
  }

  #screen(view, mm) {
    return view.at(this.geometry.toVoxel(mm));
  }

  #corners() {
    return [0, 1, 2, 3, 4, 5, 6, 7].map((number) =>
      this.#place([0, 1, 2].map((axis) => ((number >> axis) & 1 ? 0.5 : -0.5) * this.length[axis])));
  }

  #place(own) {
    return times(this.rows, own).map((way, axis) => this.middle[axis] + way);
  }

  // Where the plane cuts the box: its edges' points on the plane, in order around their middle.
  #cut(view) {
    const corners = this.#corners().map((corner) => this.geometry.toVoxel(corner));
    const { across } = view.plane;
    const points = [];
    for (let one = 0; one < 8; one += 1) {
      for (let axis = 0; axis < 3; axis += 1) {
        const other = one | (1 << axis);
        if (other === one) continue;
        const [from, to] = [corners[one][across] - view.index, corners[other][across] - view.index];
        if (from === to || from * to > 0) continue;
        const part = from / (from - to);
        points.push(view.at(corners[one].map((at, i) => at + part * (corners[other][i] - at))));
      }
    }
    return hull(points);
  }

  #faces(view) {
    const faces = [];
    for (let axis = 0; axis < 3; axis += 1) {
      for (const end of [-1, 1]) {
        const own = [0, 0, 0];
        own[axis] = (end * this.length[axis]) / 2;
        const point = this.#screen(view, this.#place(own));
        // A face that is seen rather from the front is not pulled on this plane.
        const towards = Math.abs(times(transposed(this.geometry.rows), transposed(this.rows)[axis])[view.plane.across]);
        const isApart = distance(point, this.#screen(view, this.middle)) > REACH;
        if (towards < 0.75 && isApart) faces.push({ axis, end, point });
      }
    }
    return faces;
  }

  #turn(view) {
    const middle = this.#screen(view, this.middle);
    const faces = this.#faces(view);
    const farthest = Math.max(30, ...faces.map(({ point }) => distance(point, middle)));
    const first = faces.find(({ end }) => end > 0)?.point ?? [middle[0] + 1, middle[1]];
    const length = distance(first, middle) || 1;
    return first.map((at, i) => middle[i] + ((at - middle[i]) / length) * (farthest + 22));
  }

  #moves(from) {
    const start = [...this.middle];
    const begin = this.geometry.toMm(from);
    return (next) => {
      const now = this.geometry.toMm(next);
      this.middle = start.map((at, axis) => at + now[axis] - begin[axis]);
    };
  }

  #stretches({ axis, end }, from) {
    const [length, middle, begin] = [[...this.length], [...this.middle], this.geometry.toMm(from)];
    const direction = transposed(this.rows)[axis].map((part) => part * end);
    return (next) => {
      const now = this.geometry.toMm(next);
      const pulled = direction.reduce((sum, part, i) => sum + part * (now[i] - begin[i]), 0);
      const longer = Math.max(this.geometry.spacing[axis], length[axis] + pulled);
      this.length = length.map((mm, i) => (i === axis ? longer : mm));
      this.middle = middle.map((at, i) => at + (direction[i] * (longer - length[axis])) / 2);
    };
  }

  #turns(view, from) {
    const { across, right, down } = view.plane;
    const rows = this.rows;
    const middle = this.geometry.toVoxel(this.middle);
    const angle = (voxel) => {
      const [a, b] = [right, down].map((axis) => (voxel[axis] - middle[axis]) * this.geometry.spacing[axis]);
      return (Math.atan2(b, a) * 180) / Math.PI;
    };
    const begin = angle(from);
    const sense = across === 1 ? -1 : 1; // x and z are not in the order of a right-handed turn about y
    const { rows: space } = this.geometry;
    return (next) => {
      const turned = rotation(across, (angle(next) - begin) * sense);
      this.rows = product(product(product(space, turned), transposed(space)), rows);
    };
  }
}

// Closed polygons in slices along z, in voxels.
export class Contours {
  constructor(geometry, value = null) {
    this.geometry = geometry;
    this.image = value?.image ?? null;
    this.list = (value?.contours ?? []).map(({ z, points }) => ({ z, points: points.map((point) => [...point]) }));
    this.open = null;
    this.chosen = null;
  }

  get value() {
    const closed = this.list.filter((contour) => contour !== this.open);
    return closed.length ? {
      contours: closed.map(({ z, points }) => ({ z, points: points.map((point) => [...point]) })), ...named(this.image),
    } : null;
  }

  create(voxel, view) {
    if (view?.plane === PLANES.z) this.#add(voxel, view.index);
  }

  draw(view, group) {
    if (view.plane !== PLANES.z) return;
    for (const contour of this.list.filter(({ z }) => z === view.index)) {
      const points = contour.points.map(([x, y]) => view.at([x, y, 0]));
      const flat = points.map((point) => point.join(',')).join(' ');
      const isOpen = contour === this.open;
      group.append(svg(isOpen ? 'polyline' : 'polygon', { points: flat, class: isOpen ? 'shape open' : 'shape' }));
      for (const [at, point] of points.entries()) {
        const isChosen = this.chosen?.contour === contour && this.chosen.at === at;
        group.append(handle(point, isChosen ? 'handle chosen' : 'handle'));
      }
    }
  }

  grab(view, point, voxel) {
    if (view.plane !== PLANES.z) return null;
    for (const contour of this.list.filter(({ z }) => z === view.index)) {
      const at = contour.points.findIndex(([x, y]) => distance(view.at([x, y, 0]), point) <= REACH);
      if (at < 0) continue;
      if (contour === this.open && at === 0 && contour.points.length > 2) {
        this.close();
        return () => {};
      }
      this.chosen = { contour, at };
      return (next) => { contour.points[at] = this.#on(next); };
    }
    this.#add(voxel, view.index);
    const { open } = this;
    let last = point;
    // A drag draws freehand: a point every few pixels.
    return (next) => {
      const here = view.at(next);
      if (distance(here, last) < 12) return;
      last = here;
      open.points.push(this.#on(next));
      this.chosen = { contour: open, at: open.points.length - 1 };
    };
  }

  close() {
    if (!this.open) return;
    if (this.open.points.length < 3) this.list = this.list.filter((contour) => contour !== this.open);
    this.open = null;
  }

  remove() {
    if (!this.chosen) return;
    const { contour, at } = this.chosen;
    contour.points.splice(at, 1);
    if (contour.points.length < (contour === this.open ? 1 : 3)) {
      this.list = this.list.filter((one) => one !== contour);
      if (this.open === contour) this.open = null;
    }
    this.chosen = null;
  }

  nudge(axis, by) {
    if (!this.chosen || axis > 1) return;
    const { contour, at } = this.chosen;
    contour.points[at] = this.#on(contour.points[at].map((place, i) => (i === axis ? place + by : place)));
  }

  fields() {
    return [];
  }

  #add(voxel, z) {
    if (this.open && this.open.z !== z) this.close();
    if (!this.open) {
      this.open = { z, points: [] };
      this.list.push(this.open);
    }
    this.open.points.push(this.#on(voxel));
    this.chosen = { contour: this.open, at: this.open.points.length - 1 };
  }

  #on(voxel) {
    return [0, 1].map((axis) => clamp(Math.round(voxel[axis]), 0, this.geometry.size[axis] - 1));
  }
}

// Points with names, as voxels and in mm.
export class Landmarks {
  constructor(geometry, value = null) {
    this.geometry = geometry;
    this.image = value?.image ?? null;
    this.list = (value?.landmarks ?? []).map(({ name, voxel }) => ({ name, voxel: [...voxel] }));
    this.chosen = null;
  }

  get value() {
    return this.list.length ? {
      type: 'Landmarks',
      landmarks: this.list.map(({ name, voxel }) => ({
        name, voxel: [...voxel], mm: this.geometry.toMm(voxel).map(rounded),
      })),
      ...named(this.image),
    } : null;
  }

  create(voxel) {
    const used = new Set(this.list.map(({ name }) => name));
    let number = 1;
    while (used.has(String(number))) number += 1;
    this.chosen = { name: String(number), voxel: this.geometry.inside(voxel) };
    this.list.push(this.chosen);
  }

  draw(view, group) {
    for (const landmark of this.list) {
      const here = landmark.voxel[view.plane.across] === view.index;
      const [x, y] = view.at(landmark.voxel);
      const state = `${here ? '' : ' elsewhere'}${landmark === this.chosen ? ' chosen' : ''}`;
      const text = svg('text', { x: x + 8, y: y - 6, class: `name${state}` });
      text.textContent = landmark.name;
      group.append(knob([x, y], `shape${state}`), text);
    }
  }

  grab(view, point, voxel) {
    this.chosen = this.list.find((one) => distance(view.at(one.voxel), point) <= REACH) ?? null;
    if (!this.chosen) this.create(voxel);
    const { chosen } = this;
    return (next) => {
      const inside = this.geometry.inside(next);
      for (const axis of [view.plane.right, view.plane.down]) chosen.voxel[axis] = inside[axis];
    };
  }

  remove() {
    this.list = this.list.filter((one) => one !== this.chosen);
    this.chosen = null;
  }

  nudge(axis, by) {
    if (!this.chosen) return;
    this.chosen.voxel[axis] = clamp(this.chosen.voxel[axis] + by, 0, this.geometry.size[axis] - 1);
  }

  fields(t) {
    if (!this.chosen) return [];
    const { chosen } = this;
    return [
      { label: t.landmark_name, value: chosen.name, text: true, set: (next) => { chosen.name = next || chosen.name; } },
      ...['x', 'y', 'z'].map((letter, axis) => ({
        label: letter, value: chosen.voxel[axis], min: 0, max: this.geometry.size[axis] - 1, step: 1,
        set: (next) => { chosen.voxel[axis] = clamp(Math.round(next), 0, this.geometry.size[axis] - 1); },
      })),
    ];
  }
}

export const SHAPES = { voi: Box, 'rotated-voi': RotatedBox, contours: Contours, landmarks: Landmarks };

const rounded = (value) => Number(value.toFixed(9)) + 0;
const named = (image) => (image ? { image } : {});
const kept = (value, names) => Object.fromEntries(names.filter((name) => value?.[name] != null).map((name) => [name, value[name]]));

function matrixOf(numbers) {
  if (numbers.length === 9) return [numbers.slice(0, 3), numbers.slice(3, 6), numbers.slice(6, 9)];
  if (numbers.length === 3) return rotationOf(numbers);
  const [w, x, y, z] = numbers;
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ];
}

// The convex outline of some points, in order.
function hull(points) {
  const sorted = [...points].sort(([x0, y0], [x1, y1]) => x0 - x1 || y0 - y1);
  const half = (list) => {
    const chain = [];
    for (const point of list) {
      while (chain.length > 1) {
        const [[ax, ay], [bx, by]] = chain.slice(-2);
        if ((bx - ax) * (point[1] - ay) - (by - ay) * (point[0] - ax) > 0) break;
        chain.pop();
      }
      chain.push(point);
    }
    return chain.slice(0, -1);
  };
  return sorted.length < 3 ? sorted : [...half(sorted), ...half(sorted.reverse())];
}
