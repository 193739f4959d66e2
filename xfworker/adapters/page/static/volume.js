// The page in the frame of a 3-D preview: an image's coarsest level, or a mesh, by NiiVue.

import strings from './strings.js';

const t = strings.volume;
const { image, mesh } = document.body.dataset;
const canvas = document.getElementById('view');
const state = document.getElementById('state');
const AT_ONCE = 6;

// NIfTI's codes of number types; what it has no use for is shown as float32.
const TYPES = {
  int8: [256, Int8Array], uint8: [2, Uint8Array], int16: [4, Int16Array], uint16: [512, Uint16Array],
  int32: [8, Int32Array], uint32: [768, Uint32Array], float32: [16, Float32Array], float64: [64, Float64Array],
};
const BIG = { int64: BigInt64Array, uint64: BigUint64Array };

async function got(address) {
  const response = await fetch(address, { headers: { accept: 'application/json, application/octet-stream' } });
  if (response.ok && !response.redirected) return response;
  const problem = await response.json().catch(() => ({}));
  throw new Error(problem.detail ?? response.statusText);
}

async function volumeOf(src) {
  const description = await (await got(src)).json();
  const number = description.levels.findLastIndex((level) => level.sources.z);
  const { size: [width, height, depth], factors, sources } = description.levels[number];
  const [code, Values] = TYPES[description.pixel_type] ?? TYPES.float32;
  const Stored = BIG[description.pixel_type] ?? Values;
  const voxels = new Values(width * height * depth);
  let next = 0;
  const work = async () => {
    while (next < depth) {
      const z = next;
      next += 1;
      const tile = await got(`${src}?tile=${description.key}.${sources.z}.z.${number}.${z}.0.0`);
      const slice = new Stored(await tile.arrayBuffer());
      voxels.set(Stored === Values ? slice : Float32Array.from(slice, Number), z * width * height);
      state.textContent = t.loading.replace('{percent}', Math.floor((100 * next) / depth));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { description, voxels, code, size: [width, height, depth], factors };
}

async function showImage(viewer) {
  const { description, voxels, code, size, factors } = await volumeOf(image);
  const { spacing_mm: spacing, origin_mm: origin, direction, window: limits } = description;
  const steps = spacing.map((step, axis) => step * factors[axis]);
  // Of NIfTI x runs to the right and y to the front, here to the left and to the back.
  const affine = [0, 1, 2].flatMap((row) => {
    const sign = row < 2 ? -1 : 1;
    return [...[0, 1, 2].map((axis) => sign * direction[3 * row + axis] * steps[axis]), sign * origin[row]];
  });
  const bytes = new Uint8Array(voxels.buffer);
  const nifti = await viewer.createNiftiArray(size, steps, [...affine, 0, 0, 0, 1], code, bytes);
  const volume = await viewer.niftiArray2NVImage(nifti);
  volume.name = description.name;
  // Air and noise below a third of the window are not in the way.
  [volume.cal_min, volume.cal_max] = limits ? [limits[0] + (limits[1] - limits[0]) / 3, limits[1]] : [0.5, 12];
  volume.colormap = limits ? 'gray' : 'warm';
  viewer.addVolume(volume);
}

async function main() {
  state.textContent = t.starting;
  const { Niivue } = await import('./vendor/niivue.js');
  const viewer = new Niivue({
    backColor: [0, 0, 0, 1], show3Dcrosshair: false, loadingText: '', dragAndDropEnabled: false, logLevel: 'error',
    isColorbar: false,
  });
  await viewer.attachToCanvas(canvas);
  if (image) await showImage(viewer);
  if (mesh) await viewer.loadMeshes([{ url: mesh, name: decodeURIComponent(mesh.split('/').at(-1)) }]);
  viewer.setSliceType(viewer.sliceTypeRender);
  canvas.addEventListener('keydown', (event) => {
    const turn = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
    if (!turn) return;
    event.preventDefault();
    viewer.setRenderAzimuthElevation(viewer.scene.renderAzimuth + turn[0], viewer.scene.renderElevation + turn[1]);
  });
  state.textContent = '';
  document.body.dataset.shown = 'true';
}

main().catch((error) => {
  state.textContent = t.failed.replace('{reason}', error.message);
});
