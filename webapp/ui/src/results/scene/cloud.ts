const HEADER_BYTES = 16;
const MAGIC = 0x43504652; // "RFPC", read as a little-endian number
const VERSION = 1;

/** Points as `GET /jobs/{id}/clouds/{cluster}` sends them: views into the bytes that arrived, nothing copied. */
export interface Cloud {
  readonly count: number;
  /** Points of the model, of which `count` are here. */
  readonly total: number;
  /** x, y, z of each point in the model's world frame. */
  readonly positions: Float32Array;
  /** Red, green, blue and the photos that see it (255: 255 or more) of each point. */
  readonly look: Uint8Array;
  /** Reprojection error in pixels of each point, as half floats. */
  readonly errors: Uint16Array;
}

/** Reads the bytes of a cloud; throws a sentence where they are something else, or cut short. */
export function parseCloud(bytes: ArrayBuffer): Cloud {
  const header = new DataView(bytes);
  if (bytes.byteLength < HEADER_BYTES || header.getUint32(0, true) !== MAGIC)
    throw new Error("The service sent no point cloud.");
  const count = header.getUint32(8, true);
  if (header.getUint32(4, true) !== VERSION || bytes.byteLength !== HEADER_BYTES + 18 * count)
    throw new Error("The point cloud is cut short, or this page is older than the service: reload it.");
  return {
    count,
    total: header.getUint32(12, true),
    positions: new Float32Array(bytes, HEADER_BYTES, 3 * count),
    look: new Uint8Array(bytes, HEADER_BYTES + 12 * count, 4 * count),
    errors: new Uint16Array(bytes, HEADER_BYTES + 16 * count, count),
  };
}

/** A half float as a number. */
export function halfToNumber(half: number): number {
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  const sign = half & 0x8000 ? -1 : 1;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The value below which a share of the values lies, of at most `most` of them from the start. */
export function quantile(values: ArrayLike<number>, share: number, most = 20_000): number {
  const sample = Float64Array.from({ length: Math.min(most, values.length) }, (_, k) => values[k] ?? 0).sort();
  return sample[Math.min(sample.length - 1, Math.floor(share * sample.length))] ?? 0;
}
