import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { crc32 as zlibCrc32 } from "node:zlib";
import { Archive } from "../src/upload/archive";
import { crc32 } from "../src/upload/crc";
import type { PhotoFile } from "../src/upload/photos";

/** Where archives are left for `tests/ui/test_modules.py`, which reads them with Python's own ZIP reader. */
const LEFT = "../../build/page-tests/archives";
const LARGE = 0xffffffff;

/** Bytes that look random and repeat from run to run. */
function noise(count: number, seed = 1): Uint8Array<ArrayBuffer> {
  let state = seed;
  return Uint8Array.from({ length: count }, () => {
    state = (state * 16807) % 2147483647;
    return state & 255;
  });
}

function photo(path: string, content: Uint8Array<ArrayBuffer>): PhotoFile {
  return { path, file: new File([content], path) };
}

const FEW = [
  photo("a.jpg", noise(1000)),
  photo("über/naïve – 写真.png", noise(70_001, 7)),
  photo("empty.jpg", noise(0)),
  photo("z/last.jpg", noise(13, 3)),
];

async function bytes(blob: Blob): Promise<Uint8Array> {
  return new Uint8Array(await blob.arrayBuffer());
}

function left(name: string, content: Uint8Array): void {
  mkdirSync(LEFT, { recursive: true });
  writeFileSync(`${LEFT}/${name}`, content);
}

test("a checksum is that of zlib, whatever the length", async () => {
  for (const count of [0, 1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 200_003]) {
    const content = noise(count, count + 1);
    assert.equal(await crc32(new Blob([content])), zlibCrc32(content));
  }
});

test("an archive is as long as it said, and any part of it is that part of the whole", async () => {
  const archive = new Archive(FEW);
  const whole = await bytes(await archive.slice(0, archive.size));
  assert.equal(whole.length, archive.size);
  left("few.zip", whole);
  const edges = [
    0,
    1,
    29,
    30,
    35,
    36,
    1034,
    1035,
    1036,
    1100,
    72_000,
    archive.size - 23,
    archive.size - 1,
    archive.size,
  ];
  for (const start of edges)
    for (const end of edges.filter((edge) => edge >= start)) {
      // A new one: what is asked for first must not matter, as after a reload.
      const part = await bytes(await new Archive(FEW).slice(start, end));
      assert.ok(equal(part, whole.subarray(start, end)), `${start} to ${end}`);
    }
});

test("an archive of more files than ZIP counts says so in ZIP64", async () => {
  const archive = new Archive(Array.from({ length: 66_000 }, (_, k) => photo(`${k}.jpg`, noise(1, k + 1))));
  const whole = await bytes(await archive.slice(0, archive.size));
  assert.equal(whole.length, archive.size);
  left("many.zip", whole);
});

test("files beyond four gigabytes have their place in ZIP64 fields", async () => {
  const size = 3_000_000_000;
  const huge = (path: string): PhotoFile => ({ path, file: pretended(size) });
  const archive = new Archive([huge("a.tif"), huge("b.tif"), huge("c.tif")]);
  const starts = [0, size + 35, 2 * (size + 35)];
  const directory = 3 * (size + 35);
  const tail = await (await archive.slice(directory, archive.size)).arrayBuffer();
  const view = new DataView(tail);
  assert.equal(tail.byteLength, 3 * 51 + 12 + 76 + 22);
  assert.deepEqual(
    [view.getUint32(42, true), view.getUint32(51 + 42, true), view.getUint32(102 + 42, true)],
    [starts[0], starts[1], LARGE],
  );
  assert.equal(Number(view.getBigUint64(102 + 51 + 4, true)), starts[2]);
  const end = 3 * 51 + 12;
  assert.equal(view.getUint32(end, true), 0x06064b50);
  assert.equal(Number(view.getBigUint64(end + 48, true)), directory);
  assert.equal(Number(view.getBigUint64(end + 56 + 8, true)), directory + end);
  assert.equal(view.getUint32(end + 76 + 16, true), LARGE);
});

/** A file of a size that nobody has to hold; its checksum is that of no bytes. */
function pretended(size: number): File {
  const file = new File([], "huge.tif");
  Object.defineProperty(file, "size", { value: size });
  return file;
}

function equal(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((value, k) => value === other[k]);
}
