import assert from "node:assert/strict";
import { test } from "node:test";
import { fitting, framing, placed } from "../src/results/scene/framing";
import { frustum } from "../src/results/scene/frustum";
import type { Vector } from "../src/results/scene/vectors";

const UP: Vector = [0, -1, 0]; // y points down, as in a camera
const AHEAD: Vector[] = [[0, 0, 1]];

/** A cube of points between −1 and 1 that repeat from run to run. */
function cube(count: number): Float32Array {
  let seed = 1;
  const next = (): number => {
    seed = (seed * 16807) % 2147483647;
    return (2 * seed) / 2147483647 - 1;
  };
  return Float32Array.from({ length: 3 * count }, next);
}

function close(a: Vector, b: Vector, within: number): void {
  for (const axis of [0, 1, 2] as const) assert.ok(Math.abs(a[axis] - b[axis]) < within, `${a} is not ${b}`);
}

test("a scene stands upright, and what the photos look at lies ahead", () => {
  const frame = framing(cube(2000), [[0, 0, -3]], UP, AHEAD);
  const above = placed(frame, [0, -1, 0])[1] - placed(frame, [0, 1, 0])[1];
  const ahead = placed(frame, [0, 0, 1])[2] - placed(frame, [0, 0, -1])[2];
  assert.ok(above > 0 && ahead < 0);
});

test("a stage is not a mirror", () => {
  const [x, y, z] = framing(cube(10), [], [0.2, -0.9, 0.1], [[0.5, 0.1, 0.8]]).axes;
  close([x[1] * y[2] - x[2] * y[1], x[2] * y[0] - x[0] * y[2], x[0] * y[1] - x[1] * y[0]], z, 1e-9);
});

test("points far away change nothing", () => {
  const near = cube(2000);
  const strayed = near.slice();
  for (let k = 0; k < 60; k += 1) strayed[3 * k] = 1e6;
  const [a, b] = [framing(near, [], UP, AHEAD), framing(strayed, [], UP, AHEAD)];
  assert.ok(Math.abs(a.radius - b.radius) < 0.15 * a.radius);
  close(a.center, b.center, 0.2);
});

test("a scene without points or cameras has a frame too", () => {
  assert.equal(framing([], [], UP, []).radius, 1);
  assert.deepEqual(framing([], [], UP, []).sample, []);
});

test("the first view shows all of the sample, and no more room than it takes", () => {
  const sample: Vector[] = [];
  for (const x of [-1, 1]) for (const y of [0.2, 0.4]) for (const z of [-0.5, 0.5]) sample.push([x, y, z]);
  const { target, distance } = fitting(sample, [0, 0, 1], 0.4, 1.5);
  const seen = sample.map(([x, y, z]) => {
    const depth = distance - (z - target[2]);
    return [(x - target[0]) / depth / (0.4 * 1.5), (y - target[1]) / depth / 0.4] as const;
  });
  const widest = Math.max(...seen.map(([x]) => Math.abs(x)));
  assert.ok(widest > 0.9 && widest < 1.05, `it takes ${widest} of the picture`);
  assert.ok(seen.every(([, y]) => Math.abs(y) < 1));
});

test("a frustum opens to where its camera looks, the top of the displayed photo upwards", () => {
  const frame = framing(cube(2000), [], UP, AHEAD);
  const camera = { model: "SIMPLE_PINHOLE", width: 400, height: 300, params: { f: 400, cx: 200, cy: 150 } };
  const identity = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]; // biome-ignore format: a matrix
  for (const orientation of [1, 6]) {
    const pose = { camera: "1", rotation: identity, translation: [0, 0, 3], orientation };
    const { apex, corners } = frustum("a.jpg", pose, camera, frame, 0.1);
    close(apex, placed(frame, [0, 0, -3]), 1e-6);
    const [topLeft, topRight, , bottomLeft] = corners;
    const way: Vector = placed(frame, [0, 0, 0]);
    assert.ok((topLeft[2] - apex[2]) * (way[2] - apex[2]) > 0);
    // Orientation 6: the camera was held on its side, and the raw raster's left is the displayed photo's top.
    const up = orientation === 1 ? topLeft[1] - bottomLeft[1] : Math.abs(topLeft[0] - bottomLeft[0]);
    const across = orientation === 1 ? topRight[0] - topLeft[0] : Math.abs(topRight[1] - topLeft[1]);
    assert.ok(up > 0.05 && across > 0.05);
  }
});
