import { add, cross, dot, length, mean, scale, subtract, unit, type Vector, vector } from "./vectors";

/** Puts a model upright on the stage: `(axes · x − center) / radius`, y up, most of it within a unit ball. */
export interface Framing {
  /** Right, up and towards the viewer, in the model's world. */
  readonly axes: readonly [Vector, Vector, Vector];
  /** In the turned frame. */
  readonly center: Vector;
  readonly radius: number;
  readonly sample: Sample;
}

const SAMPLE = 20_000;
const LOW = 0.04;
const HIGH = 0.96;
const SHOWN = 1500;
/** How far beyond the box of most points, by its size, the others are shown too: tails of the scene, but no strays. */
const TAIL = 0.12;
const ROUNDS = 6;

/**
 * Frames a model by what most of its points and cameras take up, so that a few stray points change nothing.
 *
 * `points` are x, y, z in a row, in random order. The first view looks the way the photos do.
 */
export function framing(
  points: ArrayLike<number>,
  centers: readonly Vector[],
  up: Vector,
  ahead: readonly Vector[],
): Framing {
  const axes = upright(up, ahead);
  const seen: Vector[] = [];
  const count = Math.min(SAMPLE, Math.floor(points.length / 3));
  for (let k = 0; k < count; k += 1) seen.push(turned(axes, vector(points, 3 * k)));
  const cameras = centers.map((center) => turned(axes, center));
  const parts = [seen, cameras].filter((part) => part.length > 0);
  const box = [0, 1, 2].map((axis) => extent(parts, axis));
  const low: Vector = vector(box.map(([from]) => from));
  const high: Vector = vector(box.map(([, to]) => to));
  const radius = length(subtract(high, low)) / 2;
  const size = radius > 1e-9 ? radius : 1;
  const center = scale(add(low, high), 0.5);
  const inside = seen.filter((point) => [0, 1, 2].every((k) => between(low, high, point, k as 0 | 1 | 2)));
  const sample = [...inside.slice(0, SHOWN), ...cameras.slice(0, SHOWN)];
  return { axes, center, radius: size, sample: sample.map((point) => scale(subtract(point, center), 1 / size)) };
}

/** What the first view has to show: some points and cameras, on the stage. */
export type Sample = readonly Vector[];

/**
 * Where to look, and from how far, so that a sample just fits into the picture.
 *
 * `back` points to the viewer; `tangent` is that of half the angle of view, upwards, and `aspect` the picture's width over
 * its height.
 */
export function fitting(
  sample: Sample,
  back: Vector,
  tangent: number,
  aspect: number,
): { target: Vector; distance: number } {
  const right = unit(cross([0, 1, 0], back), [1, 0, 0]);
  const up = cross(back, right);
  let target: Vector = [0, 0, 0];
  let distance = 2;
  for (let round = 0; round < ROUNDS; round += 1) {
    // Seen from afar at first, then in perspective: what lies nearer takes up more of the picture.
    const seen = sample.map((point) => {
      const from = subtract(point, target);
      const nearness = distance / Math.max(0.1 * distance, distance - dot(from, back));
      return [dot(from, right) * nearness, dot(from, up) * nearness] as const;
    });
    const [left, east] = ends(seen.map(([x]) => x));
    const [low, high] = ends(seen.map(([, y]) => y));
    target = add(add(target, right, (left + east) / 2), up, (low + high) / 2);
    const needed = Math.max((east - left) / (2 * tangent * aspect), (high - low) / (2 * tangent));
    distance = needed > 1e-6 ? needed : 2;
  }
  return { target, distance };
}

/** A point of the model's world as it stands on the stage. */
export function placed(frame: Framing, point: Vector): Vector {
  return scale(subtract(turned(frame.axes, point), frame.center), 1 / frame.radius);
}

function upright(up: Vector, ahead: readonly Vector[]): readonly [Vector, Vector, Vector] {
  const y = unit(up, [0, 1, 0]);
  const average = mean(ahead);
  const forward = length(average) > 0.2 ? average : (ahead[0] ?? [0, 0, 1]);
  const level = subtract(forward, scale(y, dot(forward, y)));
  const sideways: Vector = Math.abs(y[0]) < 0.9 ? cross(y, [1, 0, 0]) : cross(y, [0, 0, 1]);
  const z = scale(unit(level, unit(sideways)), -1);
  return [cross(y, z), y, z];
}

function turned(axes: Framing["axes"], point: Vector): Vector {
  return [dot(axes[0], point), dot(axes[1], point), dot(axes[2], point)];
}

function extent(parts: readonly (readonly Vector[])[], axis: number): [low: number, high: number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const part of parts) {
    const values = Float64Array.from(part, (point) => point[axis as 0 | 1 | 2]).sort();
    low = Math.min(low, values[Math.floor(LOW * (values.length - 1))] ?? 0);
    high = Math.max(high, values[Math.ceil(HIGH * (values.length - 1))] ?? 0);
  }
  return Number.isFinite(low) ? [low, high] : [0, 0];
}

function between(low: Vector, high: Vector, point: Vector, axis: 0 | 1 | 2): boolean {
  const tail = TAIL * (high[axis] - low[axis]);
  return point[axis] >= low[axis] - tail && point[axis] <= high[axis] + tail;
}

function ends(values: number[]): [low: number, high: number] {
  return [Math.min(...values, Number.POSITIVE_INFINITY), Math.max(...values, Number.NEGATIVE_INFINITY)];
}
