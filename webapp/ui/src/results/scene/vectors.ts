export type Vector = readonly [x: number, y: number, z: number];

export const add = (a: Vector, b: Vector, times = 1): Vector => [
  a[0] + b[0] * times,
  a[1] + b[1] * times,
  a[2] + b[2] * times,
];
export const subtract = (a: Vector, b: Vector): Vector => add(a, b, -1);
export const scale = (a: Vector, times: number): Vector => [a[0] * times, a[1] * times, a[2] * times];
export const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const length = (a: Vector): number => Math.hypot(a[0], a[1], a[2]);
export const cross = (a: Vector, b: Vector): Vector => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

/** The vector at length one; `otherwise` where it has none. */
export function unit(a: Vector, otherwise: Vector = [0, 0, 1]): Vector {
  const size = length(a);
  return size > 1e-9 ? scale(a, 1 / size) : otherwise;
}

export function mean(all: readonly Vector[]): Vector {
  return scale(
    all.reduce<Vector>((sum, one) => add(sum, one), [0, 0, 0]),
    1 / Math.max(1, all.length),
  );
}

/** Three numbers of a list as a vector; missing ones are 0. */
export function vector(values: ArrayLike<number>, at = 0): Vector {
  return [values[at] ?? 0, values[at + 1] ?? 0, values[at + 2] ?? 0];
}
