// Where voxels are: indices, millimetres, planes. Sizes and places are (x, y, z); voxel i reaches from i - 0.5 to i + 0.5.

export const AXES = ['x', 'y', 'z'];

// The axes that run to the right and downwards in the plane across an axis, as everywhere in xfworker.
export const PLANES = {
  z: { right: 0, down: 1, across: 2, name: 'xy' },
  y: { right: 0, down: 2, across: 1, name: 'xz' },
  x: { right: 1, down: 2, across: 0, name: 'yz' },
};

export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export class Geometry {
  constructor({ size, spacing_mm: spacing, origin_mm: origin, direction }) {
    Object.assign(this, { size, spacing, origin });
    this.rows = [direction.slice(0, 3), direction.slice(3, 6), direction.slice(6, 9)];
    this.inverse = inverted(this.rows);
  }

  toMm(voxel) {
    return this.origin.map((start, row) =>
      start + this.rows[row].reduce((sum, part, axis) => sum + part * voxel[axis] * this.spacing[axis], 0));
  }

  toVoxel(mm) {
    const apart = mm.map((place, axis) => place - this.origin[axis]);
    return times(this.inverse, apart).map((way, axis) => way / this.spacing[axis]);
  }

  inside(voxel) {
    return voxel.map((place, axis) => clamp(Math.round(place), 0, this.size[axis] - 1));
  }
}

export const times = (rows, vector) => rows.map((row) => row.reduce((sum, part, i) => sum + part * vector[i], 0));

export const transposed = (rows) => [0, 1, 2].map((i) => rows.map((row) => row[i]));

export const product = (left, right) => {
  const columns = transposed(right);
  return left.map((row) => columns.map((column) => row.reduce((sum, part, i) => sum + part * column[i], 0)));
};

// The rotation by some degrees about one axis of space.
export function rotation(axis, degrees) {
  const angle = (degrees * Math.PI) / 180;
  const [c, s] = [Math.cos(angle), Math.sin(angle)];
  return [
    [[1, 0, 0], [0, c, -s], [0, s, c]],
    [[c, 0, s], [0, 1, 0], [-s, 0, c]],
    [[c, -s, 0], [s, c, 0], [0, 0, 1]],
  ][axis];
}

// Degrees about x, y and z that make a rotation when they are applied in this order.
export function anglesOf(rows) {
  const degrees = (radians) => (radians * 180) / Math.PI;
  const y = Math.asin(clamp(-rows[2][0], -1, 1));
  if (Math.abs(rows[2][0]) > 1 - 1e-9) return [0, degrees(y), degrees(Math.atan2(-rows[0][1], rows[1][1]))];
  return [degrees(Math.atan2(rows[2][1], rows[2][2])), degrees(y), degrees(Math.atan2(rows[1][0], rows[0][0]))];
}

export function rotationOf([x, y, z]) {
  return product(rotation(2, z), product(rotation(1, y), rotation(0, x)));
}

function inverted(m) {
  const minor = (r, c) => {
    const [r0, r1] = [0, 1, 2].filter((i) => i !== r);
    const [c0, c1] = [0, 1, 2].filter((i) => i !== c);
    return m[r0][c0] * m[r1][c1] - m[r0][c1] * m[r1][c0];
  };
  const determinant = [0, 1, 2].reduce((sum, c) => sum + m[0][c] * minor(0, c) * (c % 2 ? -1 : 1), 0);
  return [0, 1, 2].map((r) => [0, 1, 2].map((c) => (minor(c, r) * ((r + c) % 2 ? -1 : 1)) / determinant));
}

// The 16 numbers of a transformation as it is to be taken: applied, its inverse, or none at all.
export function transformed(numbers, way) {
  if (way === 'untouched') return [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
  if (way === 'applied') return numbers;
  const back = inverted([numbers.slice(0, 3), numbers.slice(4, 7), numbers.slice(8, 11)]);
  const moved = times(back, [numbers[3], numbers[7], numbers[11]]);
  return [...back.flatMap((row, i) => [...row, -moved[i]]), 0, 0, 0, 1];
}

// A length for a scale bar: 1, 2 or 5 times a power of ten, at most `most` millimetres.
export function niceLength(most) {
  const power = 10 ** Math.floor(Math.log10(most));
  return [5, 2, 1].map((step) => step * power).find((length) => length <= most) ?? power;
}

export function lengthText(mm) {
  if (mm >= 1) return `${Number(mm.toPrecision(6))} mm`;
  if (mm >= 0.001) return `${Number((mm * 1000).toPrecision(6))} µm`;
  return `${Number((mm * 1e6).toPrecision(6))} nm`;
}

// Units to show values in: each calibration, and the values as they are stored.
export function unitsOf({ calibrations, default_unit_type: preferred }, nativeName) {
  const units = calibrations.map(({ unit_type: type, unit_name: name, slope, intercept }) => ({
    type, name: name ?? type, slope, intercept,
  }));
  const native = { type: '', name: nativeName, slope: 1, intercept: 0 };
  const first = units.find((unit) => preferred && unit.type.toLowerCase() === preferred.toLowerCase());
  return { units: [...units, native], unit: first ?? native };
}

// A value in a unit, with as many decimals as a step of one raw value is seen by.
export function valueText(raw, unit, isFloat) {
  if (typeof raw === 'bigint' && unit.type === '') return String(raw);
  const value = Number(raw) * unit.slope + unit.intercept;
  if (isFloat) return String(Number(value.toPrecision(7)));
  return value.toFixed(clamp(Math.ceil(-Math.log10(Math.abs(unit.slope)) - 1e-9), 0, 9));
}
