const TABLES = tables();

/** CRC-32 of a file, as ZIP wants it; the file is read in blocks. */
export async function crc32(file: Blob): Promise<number> {
  let crc = 0xffffffff;
  const reader = file.stream().getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return (crc ^ 0xffffffff) >>> 0;
    crc = advance(crc, value);
  }
}

/** Four bytes a step: a photo of 10 MB takes some ten milliseconds. */
function advance(start: number, block: Uint8Array): number {
  const [one, two, three, four] = TABLES;
  let crc = start;
  let at = 0;
  for (const end = block.length - 3; at < end; at += 4) {
    crc ^= at4(block, at);
    crc =
      (four[crc & 0xff] ?? 0) ^
      (three[(crc >>> 8) & 0xff] ?? 0) ^
      (two[(crc >>> 16) & 0xff] ?? 0) ^
      (one[crc >>> 24] ?? 0);
  }
  for (; at < block.length; at += 1) crc = (one[(crc ^ (block[at] ?? 0)) & 0xff] ?? 0) ^ (crc >>> 8);
  return crc;
}

function at4(block: Uint8Array, at: number): number {
  return (block[at] ?? 0) | ((block[at + 1] ?? 0) << 8) | ((block[at + 2] ?? 0) << 16) | ((block[at + 3] ?? 0) << 24);
}

function tables(): [Uint32Array, Uint32Array, Uint32Array, Uint32Array] {
  const made: [Uint32Array, Uint32Array, Uint32Array, Uint32Array] = [
    new Uint32Array(256),
    new Uint32Array(256),
    new Uint32Array(256),
    new Uint32Array(256),
  ];
  const [first] = made;
  for (let value = 0; value < 256; value += 1) {
    let crc = value;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    first[value] = crc;
  }
  for (let step = 1; step < 4; step += 1)
    for (let value = 0; value < 256; value += 1) {
      const before = made[step - 1]?.[value] ?? 0;
      (made[step] as Uint32Array)[value] = (before >>> 8) ^ (first[before & 0xff] ?? 0);
    }
  return made;
}
