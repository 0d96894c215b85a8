import assert from "node:assert/strict";
import { test } from "node:test";
import { halfToNumber, parseCloud, quantile } from "../src/results/scene/cloud";

function cloud(count: number): ArrayBuffer {
  const bytes = new ArrayBuffer(16 + 18 * count);
  const view = new DataView(bytes);
  view.setUint32(0, 0x43504652, true);
  view.setUint32(4, 1, true);
  view.setUint32(8, count, true);
  view.setUint32(12, 10 * count, true);
  return bytes;
}

test("a cloud is read in place", () => {
  const bytes = cloud(3);
  new DataView(bytes).setFloat32(16 + 4, 2.5, true);
  new Uint8Array(bytes)[16 + 36 + 3] = 7;
  const read = parseCloud(bytes);
  assert.equal(read.count, 3);
  assert.equal(read.total, 30);
  assert.equal(read.positions[1], 2.5);
  assert.equal(read.look[3], 7);
  assert.equal(read.errors.length, 3);
  assert.equal(read.positions.buffer, bytes);
});

test("other bytes, and a cloud that is cut short, are refused with a sentence", () => {
  assert.throws(() => parseCloud(new ArrayBuffer(4)), /no point cloud/);
  assert.throws(() => parseCloud(new TextEncoder().encode('{"detail": "x", "hint": 1}').buffer), /no point cloud/);
  assert.throws(() => parseCloud(cloud(3).slice(0, 40)), /cut short/);
});

test("half floats are what IEEE 754 says", () => {
  for (const [half, value] of [
    [0x3c00, 1],
    [0xc000, -2],
    [0x3555, 0.333251953125],
    [0x0001, 2 ** -24],
    [0x7bff, 65504],
    [0, 0],
  ] as const)
    assert.equal(halfToNumber(half), value);
  assert.equal(halfToNumber(0x7c00), Number.POSITIVE_INFINITY);
});

test("a quantile needs no order", () => {
  assert.equal(quantile([5, 1, 4, 2, 3], 0.5), 3);
  assert.equal(quantile([], 0.5), 0);
});
