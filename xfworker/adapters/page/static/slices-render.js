// Draws tiles through a window: by WebGL2 from textures of integers, or where that is not to be had on a plain canvas.

const STEPS = 256;
const MOST_TEXTURES = 400;
const SQUARE = 32; // pixels along a square of a checkerboard

const VERTEX = `#version 300 es
uniform vec4 rectangle;
uniform vec2 view;
out vec2 place;
void main() {
  place = vec2(float(gl_VertexID & 1), float(gl_VertexID >> 1));
  vec2 at = (rectangle.xy + place * rectangle.zw) / view * 2.0 - 1.0;
  gl_Position = vec4(at.x, -at.y, 0.0, 1.0);
}`;

const fragment = (sampler) => `#version 300 es
precision highp float;
precision highp int;
precision highp ${sampler};
uniform ${sampler} voxels;
uniform sampler2D table;
uniform vec2 range;
uniform float opacity;
uniform int labels;
uniform int above;
uniform float squares;
in vec2 place;
out vec4 colour;
void main() {
  ivec2 size = textureSize(voxels, 0);
  float value = float(texelFetch(voxels, clamp(ivec2(place * vec2(size)), ivec2(0), size - 1), 0).r);
  if (labels > 0) {
    if (value == 0.0 || isnan(value)) discard;
    int at = int(mod(value - 1.0, float(labels)));
    colour = vec4(texelFetch(table, ivec2(at, 0), 0).rgb, opacity);
  } else {
    if (above > 0 && isnan(value)) discard;
    if (squares > 0.0 && mod(floor(gl_FragCoord.x / squares) + floor(gl_FragCoord.y / squares), 2.0) < 0.5) discard;
    float step = isnan(value) ? 0.0 : clamp((value - range.x) / (range.y - range.x), 0.0, 1.0);
    colour = vec4(texelFetch(table, ivec2(int(step * ${STEPS - 1}.0 + 0.5), 0), 0).rgb, opacity);
  }
}`;

// What a typed array is as a texture; other types are shown as float32, their values are read from the tile itself.
const formats = (gl) => new Map([
  [Int8Array, [gl.R8I, gl.RED_INTEGER, gl.BYTE, 'isampler2D']],
  [Uint8Array, [gl.R8UI, gl.RED_INTEGER, gl.UNSIGNED_BYTE, 'usampler2D']],
  [Int16Array, [gl.R16I, gl.RED_INTEGER, gl.SHORT, 'isampler2D']],
  [Uint16Array, [gl.R16UI, gl.RED_INTEGER, gl.UNSIGNED_SHORT, 'usampler2D']],
  [Int32Array, [gl.R32I, gl.RED_INTEGER, gl.INT, 'isampler2D']],
  [Uint32Array, [gl.R32UI, gl.RED_INTEGER, gl.UNSIGNED_INT, 'usampler2D']],
  [Float32Array, [gl.R32F, gl.RED, gl.FLOAT, 'sampler2D']],
]);

export const TABLES = {
  grey: (t) => [t, t, t],
  inverted: (t) => [1 - t, 1 - t, 1 - t],
  heat: (t) => [Math.min(1, t * 3), Math.min(1, Math.max(0, t * 3 - 1)), Math.max(0, t * 3 - 2)],
};

function tableOf(name) {
  const bytes = new Uint8Array(STEPS * 4);
  for (let i = 0; i < STEPS; i += 1) {
    bytes.set([...TABLES[name](i / (STEPS - 1)).map((part) => Math.round(part * 255)), 255], i * 4);
  }
  return bytes;
}

class WebGLRenderer {
  name = 'webgl2';
  #programs = new Map();
  #textures = new Map();
  #tables = new Map();

  constructor() {
    this.canvas = document.createElement('canvas');
    this.gl = this.canvas.getContext('webgl2', { alpha: false, antialias: false, depth: false });
    if (!this.gl) throw new Error('no WebGL2');
    this.formats = formats(this.gl);
    this.gl.pixelStorei(this.gl.UNPACK_ALIGNMENT, 1);
    this.gl.enable(this.gl.BLEND);
    this.gl.blendFunc(this.gl.SRC_ALPHA, this.gl.ONE_MINUS_SRC_ALPHA);
    this.#program('isampler2D'); // a driver that cannot is found out here
  }

  get isLost() {
    return this.gl.isContextLost();
  }

  draw(context, layers) {
    const { gl, canvas } = this;
    const { width, height } = context.canvas;
    if (canvas.width < width) canvas.width = width;
    if (canvas.height < height) canvas.height = height;
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 1);
    gl.clear(gl.COLOR_BUFFER_BIT);
    for (const layer of layers) for (const quad of layer.quads) this.#quad(layer, quad, width, height);
    context.drawImage(canvas, 0, canvas.height - height, width, height, 0, 0, width, height);
  }

  #quad(layer, { tile, x, y, width, height }, viewWidth, viewHeight) {
    const { gl } = this;
    const { texture, sampler } = this.#texture(tile);
    const table = this.#table(layer); // made before anything is bound, as making it binds it
    const { program, at } = this.#program(sampler);
    gl.useProgram(program);
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.activeTexture(gl.TEXTURE1);
    gl.bindTexture(gl.TEXTURE_2D, table);
    gl.uniform1i(at.voxels, 0);
    gl.uniform1i(at.table, 1);
    gl.uniform4f(at.rectangle, x, y, width, height);
    gl.uniform2f(at.view, viewWidth, viewHeight);
    gl.uniform2f(at.range, ...(layer.window ?? [0, 1]));
    gl.uniform1f(at.opacity, layer.opacity);
    gl.uniform1i(at.labels, layer.colours ? layer.colours.length : 0);
    gl.uniform1i(at.above, layer.isAbove ? 1 : 0);
    gl.uniform1f(at.squares, layer.squares ? SQUARE * (window.devicePixelRatio || 1) : 0);
    gl.drawArrays(gl.TRIANGLE_STRIP, 0, 4);
  }

  #program(sampler) {
    if (!this.#programs.has(sampler)) {
      const { gl } = this;
      const program = gl.createProgram();
      for (const [type, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, fragment(sampler)]]) {
        const shader = gl.createShader(type);
        gl.shaderSource(shader, source);
        gl.compileShader(shader);
        gl.attachShader(program, shader);
      }
      gl.linkProgram(program);
      if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program) ?? 'WebGL2');
      const names = ['rectangle', 'view', 'voxels', 'table', 'range', 'opacity', 'labels', 'above', 'squares'];
      const at = Object.fromEntries(names.map((name) => [name, gl.getUniformLocation(program, name)]));
      this.#programs.set(sampler, { program, at });
    }
    return this.#programs.get(sampler);
  }

  #texture(tile) {
    let known = this.#textures.get(tile);
    if (known) {
      this.#textures.delete(tile);
    } else {
      const { gl } = this;
      const data = this.formats.has(tile.data.constructor) ? tile.data : Float32Array.from(tile.data, Number);
      const [internal, format, type, sampler] = this.formats.get(data.constructor);
      known = { texture: this.#image(internal, tile.width, tile.height, format, type, data), sampler };
      for (const [old, { texture }] of this.#textures) {
        if (this.#textures.size < MOST_TEXTURES) break;
        this.#textures.delete(old);
        gl.deleteTexture(texture);
      }
    }
    this.#textures.set(tile, known);
    return known;
  }

  #table({ colours, table }) {
    const key = colours ? JSON.stringify(colours) : table;
    if (!this.#tables.has(key)) {
      const { gl } = this;
      const bytes = colours ? new Uint8Array(colours.flatMap((colour) => [...colour, 255])) : tableOf(table);
      this.#tables.set(key, this.#image(gl.RGBA8, bytes.length / 4, 1, gl.RGBA, gl.UNSIGNED_BYTE, bytes));
    }
    return this.#tables.get(key);
  }

  #image(internal, width, height, format, type, data) {
    const { gl } = this;
    const texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_2D, texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, internal, width, height, 0, format, type, data);
    for (const [name, value] of [
      [gl.TEXTURE_MIN_FILTER, gl.NEAREST], [gl.TEXTURE_MAG_FILTER, gl.NEAREST],
      [gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE], [gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE],
    ]) gl.texParameteri(gl.TEXTURE_2D, name, value);
    return texture;
  }
}

class CanvasRenderer {
  name = 'canvas';
  isLost = false;
  #pictures = new WeakMap();
  #tables = new Map();

  draw(context, layers) {
    const { width, height } = context.canvas;
    context.globalAlpha = 1;
    context.fillStyle = '#000';
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = false;
    for (const layer of layers) {
      context.globalAlpha = layer.opacity;
      context.save();
      if (layer.squares) clipToSquares(context, width, height);
      for (const { tile, x, y, width: w, height: h } of layer.quads) {
        context.drawImage(this.#picture(tile, layer), x, y, w, h);
      }
      context.restore();
    }
    context.globalAlpha = 1;
  }

  #picture(tile, layer) {
    const key = layer.colours ? 'labels' : `${layer.window} ${layer.table}`;
    const known = this.#pictures.get(tile);
    if (known?.key === key) return known.canvas;
    const canvas = known?.canvas ?? Object.assign(document.createElement('canvas'), { width: tile.width, height: tile.height });
    const image = new ImageData(tile.width, tile.height);
    const words = new Uint32Array(image.data.buffer);
    if (layer.colours) this.#labels(words, tile.data, layer.colours);
    else this.#greys(words, tile.data, layer);
    canvas.getContext('2d').putImageData(image, 0, 0);
    this.#pictures.set(tile, { key, canvas });
    return canvas;
  }

  #greys(words, data, { window: [low, high], table, isAbove }) {
    if (!this.#tables.has(table)) this.#tables.set(table, new Uint32Array(tableOf(table).buffer));
    const colours = this.#tables.get(table);
    const scale = (STEPS - 1) / (high - low);
    for (let i = 0; i < data.length; i += 1) {
      const step = (Number(data[i]) - low) * scale + 0.5;
      if (!isAbove || step === step) words[i] = colours[step > 0 ? (step < STEPS ? step | 0 : STEPS - 1) : 0];
    }
  }

  #labels(words, data, colours) {
    const table = Uint32Array.from(colours, ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0);
    const count = colours.length;
    for (let i = 0; i < data.length; i += 1) {
      const value = Math.trunc(Number(data[i]));
      if (value) words[i] = table[(((value - 1) % count) + count) % count];
    }
  }
}

// Draw in every other square, counted from below as WebGL does.
function clipToSquares(context, width, height) {
  const edge = SQUARE * (window.devicePixelRatio || 1);
  context.beginPath();
  for (let row = 0; row * edge < height; row += 1) {
    for (let column = (row + 1) % 2; column * edge < width; column += 2) context.rect(column * edge, height - (row + 1) * edge, edge, edge);
  }
  context.clip();
}

let shared = null;

// The renderer of all viewers of the page: browsers give few WebGL contexts.
export function renderer(kind = '') {
  if (kind === 'canvas') return new CanvasRenderer();
  if (shared === null || shared.isLost) {
    try {
      shared = new WebGLRenderer();
    } catch {
      shared = new CanvasRenderer();
    }
  }
  return shared;
}
