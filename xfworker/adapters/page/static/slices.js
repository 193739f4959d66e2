// <xf-slices src="/slices/RESOURCE" label="...">: three linked planes of an image.
//
// Attributes: segments (a RESOURCE of labels to lay over), group (viewers of one group move together), mode (voi,
// rotated-voi, contours or landmarks: something to draw), name (as a form's field it gives the JSON of what was drawn),
// shown (instead of a name: what is drawn, as JSON, which cannot be changed here),
// into (the id of a field that the JSON is written into), on (the Image parameter that becomes part of it, as JSON),
// moving and transform (the RESOURCE of an image that a 4 x 4 matrix carries onto this one, and its 16 numbers),
// renderer (canvas: without WebGL). Property value: what is drawn, as JSON; event xf-change. Until the element is
// defined, what stands inside it is shown: a link to the file.

import strings from './strings.js';
import { AXES, Geometry, transformed, unitsOf, valueText } from './slices-geometry.js';
import { Plane } from './slices-plane.js';
import { TABLES, renderer } from './slices-render.js';
import { SHAPES } from './slices-shapes.js';
import { ConnectionLost, ImageSource, asked, isPassing } from './slices-tiles.js';

const t = strings.slices;
const groups = new Map();
const mounted = new Set();
const seen = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) target.begin();
}, { rootMargin: '300px' });

const element = (name, attributes = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in made && key !== 'list') made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
};

export class XfSlices extends HTMLElement {
  static formAssociated = true;
  static observedAttributes = ['src', 'segments', 'moving', 'transform', 'mode', 'label', 'group'];

  #internals = this.attachInternals();
  #frame = 0;
  #asked = null;
  #parts = {};
  #given = null;

  constructor() {
    super();
    this.attachShadow({ mode: 'open' });
    this.planes = {};
    this.layers = [];
    this.isReady = false;
    this.tool = 'cross';
    this.opacity = 0.5;
    this.table = 'grey';
    this.valueText = '';
  }

  // --- life --------------------------------------------------------------------------------------------------------

  connectedCallback() {
    if (!this.#parts.planes) this.#build();
    this.#join(null, this.getAttribute('group'));
    if (this.isFixed) this.#given = JSON.parse(this.getAttribute('shown'));
    const field = this.#field();
    if (field) {
      this.#readField();
      field.addEventListener('change', () => this.#readField());
    }
    mounted.add(this);
    for (const viewer of mounted) viewer.showOthers();
    seen.observe(this);
  }

  disconnectedCallback() {
    seen.unobserve(this);
    this.#join(this.getAttribute('group'), null);
    mounted.delete(this);
    for (const viewer of mounted) viewer.showOthers();
    this.#end();
  }

  #join(before, after) {
    groups.get(before)?.delete(this);
    if (after) groups.set(after, (groups.get(after) ?? new Set()).add(this));
    this.#parts.together?.setAttribute('aria-pressed', Boolean(after));
  }

  // Offer what needs other viewers on the page: moving with them, and laying labels over one of their images.
  showOthers() {
    const { together, below, belowBar } = this.#parts;
    const others = [...mounted].filter((other) => other !== this);
    together.hidden = !others.length;
    const own = this.own ?? this.getAttribute('src');
    const images = others.filter((other) => other.source?.description?.kind === 'image' && other.getAttribute('src') !== own);
    const isLabels = this.own !== undefined || this.source?.description?.kind === 'segments';
    belowBar.hidden = !(isLabels && images.length);
    const chosen = this.own === undefined ? '' : this.getAttribute('src');
    below.replaceChildren(element('option', { value: '', textContent: t.over_nothing }),
      ...images.map((other) => element('option', { value: other.getAttribute('src'), textContent: other.source.description.name })));
    below.value = chosen;
  }

  #layOver(src) {
    this.own ??= this.getAttribute('src');
    const own = this.own;
    if (src) {
      this.setAttribute('segments', own);
      this.setAttribute('src', src);
    } else {
      this.own = undefined;
      this.removeAttribute('segments');
      this.setAttribute('src', own);
    }
  }

  attributeChangedCallback(name, before, after) {
    if (before === after || !this.#parts.planes) return;
    if (name === 'label') this.#parts.frame.setAttribute('aria-label', after ?? '');
    else if (name === 'mode') this.#newShape(null);
    else if (name === 'group') this.#join(before, after);
    else {
      // Both may change at once: begin again when they have.
      this.#end();
      queueMicrotask(() => this.isConnected && this.begin());
    }
  }

  // Begin to load; the page calls it when the viewer comes into sight.
  begin() {
    seen.unobserve(this);
    if (this.source || !this.getAttribute('src')) return;
    const [base, resource] = this.#address(this.getAttribute('src'));
    const minus = this.getAttribute('minus');
    this.source = new ImageSource(base + resource, minus ? { minus: decodeURIComponent(this.#address(minus)[1]) } : {});
    this.#listen(this.source, () => this.#described());
    const segments = this.getAttribute('segments');
    if (segments) {
      this.segments = new ImageSource(base + this.#address(segments)[1], { over: decodeURIComponent(resource) });
      this.#listen(this.segments, () => {
        this.#layersChanged();
        this.#ask();
      });
      this.segments.describe();
    }
    this.source.describe();
    this.#beginMoving();
  }

  // The image that is moved onto this one, as its transformation is to be taken now.
  #beginMoving() {
    this.moving?.end();
    this.moving = null;
    this.#layersChanged();
    if (!this.hasAttribute('moving')) return;
    const [base, onto] = this.#address(this.getAttribute('src'));
    const moving = this.#address(this.getAttribute('moving'))[1];
    const transform = transformed(JSON.parse(this.getAttribute('transform') ?? 'null'), this.#parts.way.value);
    this.moving = new ImageSource(base + moving, { onto: decodeURIComponent(onto), transform: transform.join(',') });
    this.#listen(this.moving, () => {
      const { description } = this.moving;
      this.movingUnit = unitsOf(description, t.native).unit;
      this.#layersChanged();
      this.#showState();
      this.#ask();
    });
    this.moving.describe();
  }

  #address(text) {
    const match = /^(.*\/slices\/|.*\/images\/v1\/(?:link\/[^/]+\/)?)?(.*)$/.exec(text);
    return [match[1] ?? '/slices/', match[2]];
  }

  #listen(source, described) {
    source.addEventListener('described', described);
    source.addEventListener('tiles', () => this.redraw());
    source.addEventListener('trouble', ({ detail }) => this.#trouble(detail));
  }

  #end() {
    this.source?.end();
    this.segments?.end();
    this.moving?.end();
    this.source = this.segments = this.moving = null;
    this.layers = [];
    this.isReady = false;
  }

  // --- what is drawn, for forms ------------------------------------------------------------------------------------

  get value() {
    return this.shape ? this.shape.value : this.#given;
  }

  set value(value) {
    this.#given = value;
    if (this.isReady) this.#newShape(value);
  }

  // Whether what is drawn is only looked at.
  get isFixed() {
    return this.hasAttribute('shown');
  }

  get form() {
    return this.#internals.form;
  }

  get name() {
    return this.getAttribute('name');
  }

  // The Image parameter that shapes are on; it becomes part of their value.
  set image(image) {
    this.ownImage = image;
    if (this.shape) this.shape.image = image;
    this.#internals.setFormValue(this.value ? JSON.stringify(this.value) : null);
  }

  #newShape(value) {
    const Shape = SHAPES[this.getAttribute('mode')];
    this.shape = null;
    if (Shape && this.geometry) {
      this.shape = new Shape(this.geometry, value);
      this.shape.image ??= this.ownImage ?? null;
    }
    if (this.shape && this.hasAttribute('on')) this.shape.image ??= JSON.parse(this.getAttribute('on'));
    const isDrawn = Boolean(Shape) && !this.isFixed;
    this.#parts.tools.draw.hidden = !isDrawn;
    this.#parts.shapeBar.hidden = !isDrawn;
    this.#setTool(isDrawn ? 'draw' : this.tool === 'draw' ? 'cross' : this.tool);
    this.changed(true);
  }

  // Something of the shape changed; while it goes on, forms are not notified.
  changed(goesOn) {
    const value = this.shape?.value ?? null;
    this.#internals.setFormValue(value ? JSON.stringify(value) : null);
    this.#showFields();
    this.redraw();
    if (!goesOn) {
      const field = this.#field();
      if (field) field.value = value ? JSON.stringify(value) : '';
      this.dispatchEvent(new CustomEvent('xf-change', { detail: value, bubbles: true, composed: true }));
    }
  }

  // The field of a form that what is drawn is written into, as JSON; typed there, it is drawn.
  #field() {
    const id = this.getAttribute('into');
    return id ? this.getRootNode().getElementById(id) : null;
  }

  #readField() {
    try {
      this.value = JSON.parse(this.#field().value || 'null');
    } catch {
      // What is not JSON (yet) is reported by the form when it is sent.
    }
  }

  createShape(plane = this.planes.z) {
    if (!this.shape || this.isFixed) return;
    this.shape.create([...this.cross], plane);
    this.changed(false);
  }

  closeShape() {
    if (!this.shape?.close || this.isFixed) return;
    this.shape.close();
    this.changed(false);
  }

  removeShape() {
    if (!this.shape || this.isFixed) return;
    this.shape.remove();
    this.changed(false);
  }

  nudgeShape(axis, by) {
    if (!this.shape || this.isFixed) return;
    this.shape.nudge(axis, by);
    this.changed(false);
  }

  // --- what is looked at -------------------------------------------------------------------------------------------

  moveCross(cross, fromGroup = false) {
    if (!fromGroup && cross.every((at, axis) => at === this.cross[axis])) return;
    this.cross = cross;
    if (!this.pointed) this.#ask();
    this.redraw();
    if (!fromGroup) this.#forGroup((other) => other.moveCross(other.geometry.inside(other.geometry.toVoxel(this.geometry.toMm(cross))), true));
  }

  look({ centre = this.centre, scale = this.scale }, fromGroup = false) {
    Object.assign(this, { centre, scale });
    this.redraw();
    if (fromGroup) return;
    const mm = this.geometry.toMm(centre);
    this.#forGroup((other) => other.look({ centre: other.geometry.toVoxel(mm), scale }, true));
  }

  limitScale(scale) {
    const finest = Math.min(...this.geometry.spacing);
    const longest = Math.max(...this.geometry.size.map((count, axis) => count * this.geometry.spacing[axis]));
    return Math.min(Math.max(scale, 16 / longest), 64 / finest);
  }

  fit() {
    const { geometry } = this;
    const scales = Object.values(this.planes).filter(({ size }) => size[0] && size[1]).map(({ size, plane }) =>
      Math.min(...[plane.right, plane.down].map((axis, i) => (size[i] * 0.96) / (geometry.size[axis] * geometry.spacing[axis]))));
    this.isFitted = scales.length > 0;
    this.look({ centre: geometry.size.map((count) => (count - 1) / 2), scale: this.isFitted ? Math.min(...scales) : 1 });
  }

  // Set what is black and white, in raw values.
  setWindow([low, high], fromGroup = false) {
    if (!(high > low)) return;
    this.window = [low, high];
    this.#showWindow();
    this.redraw();
    if (fromGroup) return;
    const { slope, intercept, type } = this.unit;
    this.#forGroup((other) => {
      const unit = other.units.find((one) => one.type === type);
      if (!unit || !other.window) return;
      const ends = [low, high].map((raw) => (raw * slope + intercept - unit.intercept) / unit.slope);
      other.setWindow(ends.sort((one, next) => one - next), true);
    });
  }

  dragWindow([low, high], dx, dy) {
    if (!this.window) return;
    const width = (high - low) * Math.exp(dx / 200);
    const level = (low + high) / 2 + ((high - low) * dy) / 200;
    this.setWindow([level - width / 2, level + width / 2]);
  }

  toggleSegments() {
    const { mix } = this.#parts;
    if (this.moving) {
      // Seen with and without it, one sees where the two differ.
      this.mixed = mix.value === 'none' ? this.mixed ?? 'blend' : mix.value;
      mix.value = mix.value === 'none' ? this.mixed : 'none';
      this.#layersChanged();
    }
    if (!this.segments) return;
    this.opacity = this.opacity ? 0 : 0.5;
    this.#parts.opacity.value = this.opacity;
    this.#layersChanged();
  }

  #forGroup(change) {
    for (const other of groups.get(this.getAttribute('group')) ?? []) if (other !== this && other.isReady) change(other);
  }

  // --- values under the cursor -------------------------------------------------------------------------------------

  // A pointer is over a voxel, or left: then the crosshair's voxel counts.
  point(voxel) {
    const inside = voxel?.every((at, axis) => at > -0.5 && at < this.geometry.size[axis] - 0.5);
    this.pointed = inside ? this.geometry.inside(voxel) : null;
    this.#ask();
  }

  async #ask() {
    if (!this.isReady) return;
    const voxel = this.pointed ?? this.cross;
    this.#asked?.abort();
    const abort = new AbortController();
    this.#asked = abort;
    try {
      const raw = await this.source.value(voxel, abort.signal);
      const label = await this.#labelAt(voxel, abort.signal);
      const moved = this.moving?.description?.levels[0].sources.z ? await this.moving.value(voxel, abort.signal) : null;
      if (this.#asked !== abort) return;
      this.#showValue(voxel, raw, label, moved);
      this.#trouble(null);
    } catch (error) {
      if (error.name === 'AbortError' || this.#asked !== abort) return;
      this.#trouble(error);
      if (isPassing(error)) setTimeout(() => { if (this.#asked === abort) this.#ask(); }, 1000);
    }
  }

  async #labelAt(voxel, signal) {
    const layer = this.layers.find(({ source }) => source === this.segments);
    if (!layer) return null;
    const { description } = layer.source;
    const own = voxel.map((at, axis) => at - layer.offset[axis]);
    const inside = own.every((at, axis) => at >= 0 && at < description.size[axis]);
    const value = inside ? Number(await layer.source.value(own, signal)) : 0;
    const name = description.labels.find((label) => label.value === value)?.name;
    return name ? `${value} (${name})` : String(value);
  }

  #showValue(voxel, raw, label, moved) {
    const { description } = this.source;
    const isFloat = description.pixel_type.startsWith('float');
    const own = description.kind === 'segments' && description.labels.find(({ value }) => value === Number(raw))?.name;
    const text = `${valueText(raw, this.unit, isFloat)} ${this.unit.name}`;
    this.valueText = own ? `${raw} (${own})` : text;
    const mm = this.geometry.toMm(voxel).map((at) => Number(at.toFixed(4)));
    const lines = {
      value: this.valueText,
      raw: this.unit.type ? t.stored.replace('{value}', raw) : '',
      index: AXES.map((letter, axis) => `${letter} ${voxel[axis]}`).join('  '),
      mm: `${mm.join(', ')} mm`,
      label: label === null ? '' : t.label_value.replace('{value}', label),
      moved: moved === null ? '' : t.moving_value.replace('{value}', Number.isNaN(moved) ? t.outside : `${valueText(moved, this.movingUnit, true)} ${this.movingUnit.name}`),
    };
    for (const [name, line] of Object.entries(lines)) this.#parts[name].textContent = line;
    this.dispatchEvent(new CustomEvent('xf-value', { detail: { voxel, raw, mm, moved, text: this.valueText } }));
    for (const { element: plane } of Object.values(this.planes)) {
      plane.setAttribute('aria-valuetext', `${(plane.getAttribute('aria-valuetext') ?? '').split(', ')[0]}, ${this.valueText}`);
    }
  }

  // --- from the server ---------------------------------------------------------------------------------------------

  #described() {
    const { description } = this.source;
    if (!this.isReady) {
      this.geometry = new Geometry(description);
      this.cross = description.size.map((count) => Math.floor(count / 2));
      Object.assign(this, unitsOf(description, t.native));
      this.window = description.window;
      this.isReady = true;
      const flat = description.levels[0].sources.x === undefined;
      for (const axis of ['y', 'x']) this.planes[axis].element.hidden = flat;
      this.#parts.frame.dataset.flat = flat;
      this.#fillUnits();
      this.#layersChanged();
      this.#newShape(this.#given);
      this.fit();
      this.#ask();
      for (const viewer of mounted) viewer.showOthers();
    }
    this.#showWindow();
    this.#showState();
    this.redraw();
    this.dispatchEvent(new Event('xf-ready'));
  }

  #layersChanged() {
    if (!this.isReady) return;
    const { description } = this.source;
    const isLabels = description.kind === 'segments';
    this.layers = [{
      source: this.source, offset: [0, 0, 0], opacity: 1, window: this.window, table: this.table,
      colours: isLabels ? description.label_colours : null,
    }];
    const above = this.segments?.description;
    this.#parts.overlayBar.hidden = !above;
    if (above) {
      this.layers.push({
        source: this.segments, offset: above.offset ?? [0, 0, 0], opacity: Number(this.opacity),
        colours: above.label_colours,
      });
    }
    const moved = this.moving?.description;
    this.#parts.movingBar.hidden = !this.hasAttribute('moving');
    if (moved && this.#parts.mix.value !== 'none') {
      const isLabels = moved.kind === 'segments';
      const squares = this.#parts.mix.value === 'squares';
      this.layers.push({
        source: this.moving, offset: [0, 0, 0], isAbove: true, squares, opacity: squares ? 1 : Number(this.#parts.share.value),
        window: moved.window ?? [0, 1], table: squares ? this.table : 'heat', colours: isLabels ? moved.label_colours : null,
      });
    }
    this.redraw();
  }

  #showState() {
    if (!this.source?.description) return;
    const { pyramid, levels, assumptions } = this.source.description;
    const lines = [...assumptions.map((line) => t.assumed.replace('{what}', line))];
    if (pyramid.state === 'failed') lines.push(t.not_prepared.replace('{reason}', pyramid.reason));
    else if (pyramid.state !== 'complete') {
      const percent = Math.floor(pyramid.progress * 100);
      const along = ['y', 'x'].filter((axis) => levels[0].sources[axis] === null).join(', ');
      lines.push((along ? t.preparing_coarse : t.preparing).replace('{percent}', percent).replace('{axes}', along));
    }
    const moved = this.moving?.description?.pyramid;
    if (moved?.state === 'failed') lines.push(t.moving_failed.replace('{reason}', moved.reason));
    else if (moved && moved.state !== 'complete') lines.push(t.moving_preparing.replace('{percent}', Math.floor(moved.progress * 100)));
    this.#parts.state.textContent = lines.join(' ');
    this.#parts.state.hidden = !lines.length;
  }

  #trouble(error) {
    const { trouble } = this.#parts;
    let text = '';
    if (error?.status === 401) text = t.signed_out;
    else if (error instanceof ConnectionLost) text = strings.connection_lost;
    else if (error) text = error.message;
    if (trouble.textContent !== text) trouble.textContent = text;
    trouble.hidden = !text;
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  redraw() {
    if (this.#frame || !this.isReady) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      if (!this.isReady) return;
      const kind = this.getAttribute('renderer') ?? '';
      if (!this.renderer || this.renderer.isLost) this.renderer = renderer(kind);
      this.dataset.renderer = this.renderer.name;
      this.layers[0].window = this.window ?? [0, 1];
      this.layers[0].table = this.table;
      for (const plane of Object.values(this.planes)) plane.draw(this.renderer);
    });
  }

  // --- the element's own parts -------------------------------------------------------------------------------------

  #build() {
    const parts = this.#parts;
    for (const axis of ['z', 'y', 'x']) this.planes[axis] = new Plane(this, axis, t);
    parts.planes = element('div', { className: 'planes' }, ...Object.values(this.planes).map((plane) => plane.element), this.#facts());
    parts.frame = element('div', { className: 'frame', role: 'group', 'aria-label': this.getAttribute('label') ?? '' },
      this.#bar(), parts.trouble = element('p', { className: 'trouble', role: 'alert', hidden: true }), parts.planes,
      // Below the planes, which do not move under a pointer when it goes away.
      parts.state = element('p', { className: 'state', role: 'status', hidden: true }),
      element('details', { className: 'help' }, element('summary', { textContent: t.keys_title }),
        element('p', { id: 'keys', textContent: t.keys })));
    parts.linkShown = element('p', { className: 'state link', role: 'status', hidden: true },
      element('input', { type: 'text', readOnly: true, 'aria-label': t.link }), element('span'));
    parts.planes.before(parts.linkShown);
    parts.frame.dataset.show = 'all';
    const style = element('link', { rel: 'stylesheet', href: new URL('./slices.css', import.meta.url).href });
    this.shadowRoot.replaceChildren(style, parts.frame);
    const resized = new ResizeObserver(() => {
      // Planes may get their sizes long after the image was described: in a tab in the background, or by a late style.
      if (this.isReady && !(this.wasSized && this.isFitted)) this.fit();
      this.wasSized = this.isReady;
      this.redraw();
    });
    resized.observe(parts.planes);
    for (const { element: plane } of Object.values(this.planes)) resized.observe(plane);
    style.addEventListener('load', () => { if (this.isReady) this.fit(); });
  }

  #bar() {
    const parts = this.#parts;
    const number = (label) => element('input', { type: 'number', step: 'any', 'aria-label': label });
    parts.unit = element('select', { 'aria-label': t.unit });
    parts.low = number(t.low);
    parts.high = number(t.high);
    parts.unit.addEventListener('change', () => {
      this.unit = this.units[parts.unit.selectedIndex];
      this.#showWindow();
      this.#ask();
    });
    for (const input of [parts.low, parts.high]) input.addEventListener('change', () => this.#windowTyped());
    parts.tableChoice = element('select', { 'aria-label': t.table },
      ...Object.keys(TABLES).map((name) => element('option', { value: name, textContent: t[name] })));
    parts.tableChoice.addEventListener('change', () => {
      this.table = parts.tableChoice.value;
      this.redraw();
    });
    parts.windowBar = element('span', { className: 'part', role: 'group', 'aria-label': t.window }, parts.low, '–', parts.high, parts.unit, parts.tableChoice);
    parts.tools = {};
    for (const tool of ['cross', 'pan', 'window', 'draw']) {
      const button = element('button', { type: 'button', textContent: t[`tool_${tool}`], title: t[`tool_${tool}_title`], 'aria-pressed': tool === this.tool });
      button.addEventListener('click', () => this.#setTool(tool));
      button.hidden = tool === 'draw';
      parts.tools[tool] = button;
    }
    const show = element('select', { 'aria-label': t.show }, element('option', { value: 'all', textContent: t.show_all }),
      ...['z', 'y', 'x'].map((axis) => element('option', { value: axis, textContent: this.planes[axis].plane.name })));
    show.addEventListener('change', () => {
      parts.frame.dataset.show = show.value;
      requestAnimationFrame(() => { if (this.isReady) this.fit(); });
    });
    const fit = element('button', { type: 'button', textContent: t.fit });
    fit.addEventListener('click', () => this.fit());
    parts.opacity = element('input', { type: 'range', min: 0, max: 1, step: 0.05, value: this.opacity, 'aria-label': t.opacity });
    parts.opacity.addEventListener('input', () => {
      this.opacity = Number(parts.opacity.value);
      this.#layersChanged();
    });
    parts.overlayBar = element('label', { className: 'part', hidden: true }, t.segments, parts.opacity);
    parts.together = element('button', { type: 'button', textContent: t.together, title: t.together_title, 'aria-pressed': this.hasAttribute('group') });
    parts.together.addEventListener('click', () => {
      if (this.hasAttribute('group')) this.removeAttribute('group');
      else this.setAttribute('group', 'page');
    });
    parts.below = element('select', { 'aria-label': t.over });
    parts.below.addEventListener('change', () => this.#layOver(parts.below.value));
    parts.belowBar = element('label', { className: 'part', hidden: true }, t.over, parts.below);
    const choice = (label, texts) => element('select', { 'aria-label': label }, ...texts.map((name) => element('option', { value: name, textContent: t[`moving_${name}`] })));
    parts.mix = choice(t.moving, ['blend', 'squares', 'none']);
    parts.share = element('input', { type: 'range', min: 0, max: 1, step: 0.05, value: 0.5, 'aria-label': t.moving_opacity });
    parts.way = choice(t.moving_way, ['applied', 'inverse', 'untouched']);
    parts.mix.addEventListener('change', () => this.#layersChanged());
    parts.share.addEventListener('input', () => this.#layersChanged());
    parts.way.addEventListener('change', () => this.#beginMoving());
    parts.movingBar = element('span', { className: 'part', hidden: true, role: 'group', 'aria-label': t.moving }, element('span', { textContent: t.moving }), parts.mix, parts.share, parts.way);
    parts.solid = element('button', { type: 'button', textContent: t.in_3d, title: t.in_3d_title, 'aria-pressed': false });
    parts.solid.addEventListener('click', () => this.#toggle3d());
    parts.link = element('button', { type: 'button', textContent: t.link, title: t.link_title });
    parts.link.addEventListener('click', () => this.#makeLink());
    // A difference is not an image of the store, which others could open.
    parts.solid.hidden = parts.link.hidden = this.hasAttribute('minus');
    return element('div', { className: 'bar', role: 'toolbar', 'aria-label': t.tools },
      element('span', { className: 'part' }, ...Object.values(parts.tools)), show, fit, parts.windowBar, parts.belowBar, parts.overlayBar, parts.movingBar, parts.together, parts.solid, parts.link);
  }

  #facts() {
    const parts = this.#parts;
    for (const name of ['value', 'raw', 'index', 'mm', 'label', 'moved']) parts[name] = element('span', { className: name });
    parts.fields = element('div', { className: 'fields' });
    const button = (text, act) => {
      const made = element('button', { type: 'button', textContent: text });
      made.addEventListener('click', act);
      return made;
    };
    parts.shapeBar = element('div', { className: 'shape-bar', hidden: true, role: 'group', 'aria-label': t.drawn }, parts.fields,
      button(t.create, () => this.createShape()), button(t.close, () => this.closeShape()), button(t.remove, () => this.removeShape()));
    return element('div', { className: 'facts' },
      element('div', { className: 'at', 'aria-live': 'off' }, parts.value, parts.raw, parts.index, parts.mm, parts.label, parts.moved), parts.shapeBar);
  }

  // The image in 3-D, in a frame below the planes; it is loaded when it is asked for.
  #toggle3d() {
    const { frame, solid, planes } = this.#parts;
    const open = frame.querySelector('.solid');
    solid.setAttribute('aria-pressed', !open);
    if (open) open.remove();
    else {
      const [, resource] = this.#address(this.getAttribute('src'));
      const name = this.source?.description?.name ?? resource;
      planes.after(element('iframe', { className: 'solid', src: `/volumes/${resource}`, title: strings.volume.title.replace('{name}', name) }));
    }
  }

  // A link to the image as OME-Zarr, for napari, Neuroglancer and others; it is shown, and copied where that is allowed.
  async #makeLink() {
    const csrf = document.querySelector('meta[name="csrf-token"]')?.content ?? '';
    try {
      const response = await asked(this.getAttribute('src'), { method: 'POST', headers: { 'x-csrf-token': csrf, accept: 'application/json' } });
      const answer = await response.json();
      if (!response.ok) throw Object.assign(new Error(answer.detail ?? response.statusText), { status: response.status });
      const address = new URL(answer.ome_zarr, document.baseURI).href;
      const { linkShown } = this.#parts;
      linkShown.hidden = false;
      linkShown.querySelector('input').value = address;
      linkShown.querySelector('input').select();
      linkShown.querySelector('span').textContent = t.link_until.replace('{time}', new Date(answer.expires_at).toLocaleString());
      await navigator.clipboard?.writeText(address).catch(() => {});
    } catch (error) {
      this.#trouble(error);
    }
  }

  #setTool(tool) {
    this.tool = tool;
    for (const [name, button] of Object.entries(this.#parts.tools)) button.setAttribute('aria-pressed', name === tool);
    this.#parts.frame.dataset.tool = tool;
  }

  #fillUnits() {
    this.#parts.unit.replaceChildren(...this.units.map((unit) => element('option', { textContent: unit.name })));
    this.#parts.unit.selectedIndex = this.units.indexOf(this.unit);
  }

  #showWindow() {
    const { low, high, windowBar } = this.#parts;
    windowBar.hidden = !this.window;
    if (!this.window) return;
    const ends = this.window.map((raw) => Number((raw * this.unit.slope + this.unit.intercept).toPrecision(6)));
    [low.value, high.value] = ends.sort((one, other) => one - other);
  }

  #windowTyped() {
    const ends = [this.#parts.low, this.#parts.high].map((input) => (Number(input.value) - this.unit.intercept) / this.unit.slope);
    this.setWindow(ends.sort((one, other) => one - other));
    this.#showWindow();
  }

  #showFields() {
    const { fields } = this.#parts;
    const list = this.shape?.fields(t) ?? [];
    if (fields.children.length !== list.length) {
      fields.replaceChildren(...list.map(({ label, text, min, max, step }, at) => {
        const input = element('input', text ? { type: 'text' } : { type: 'number', step: step ?? 'any' });
        if (min !== undefined) input.min = min;
        if (max !== undefined) input.max = max;
        input.addEventListener('change', () => {
          const field = this.shape?.fields(t)[at];
          if (field && (text || Number.isFinite(input.valueAsNumber))) field.set(text ? input.value : input.valueAsNumber);
          this.changed(false);
        });
        return element('label', {}, element('span', { textContent: label }), input);
      }));
    }
    for (const [at, { label, value }] of list.entries()) {
      const [name, input] = fields.children[at].children;
      if (name.textContent !== label) name.textContent = label;
      if (this.shadowRoot.activeElement !== input) input.value = value;
    }
  }
}

customElements.define('xf-slices', XfSlices);
