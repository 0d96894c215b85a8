import { crc32 } from "./crc";
import type { PhotoFile, Photos } from "./photos";

/** Bytes to send, of which any part can be had at any time: what a resumed upload needs. */
export interface Source {
  readonly size: number;
  /** Returns a part; photos in it are read only when it is sent. */
  slice(start: number, end: number): Promise<Blob>;
}

export function sourceOf(photos: Photos): Source {
  if (photos.kind === "zip") {
    const { file } = photos;
    return { size: file.size, slice: async (start, end) => file.slice(start, end) };
  }
  return new Archive(photos.files);
}

const LARGE = 0xffffffff;
const LOCAL = 30;
const CENTRAL = 46;
const OFFSET_64 = 12;
const END = 22;
const END_64 = 76;
const UTF8 = 0x0800;
const STORED_SINCE = 20;
const ZIP64_SINCE = 45;
const DAY_ONE = 0x21;

interface Entry {
  readonly name: Uint8Array<ArrayBuffer>;
  readonly file: File;
  /** Where its header begins. */
  readonly start: number;
  crc: Promise<number> | null;
}

/**
 * A ZIP of photos as they are (method "stored"), which never exists as a whole: its layout follows from names and sizes
 * alone, so a part is put together when it is asked for. Photos are read for their checksum when they are near.
 */
export class Archive implements Source {
  readonly size: number;
  private readonly entries: Entry[] = [];
  private readonly directoryStart: number;
  private readonly directorySize: number;
  private readonly large: boolean;

  constructor(files: readonly PhotoFile[]) {
    let at = 0;
    let directory = 0;
    for (const { path, file } of files) {
      const name = new TextEncoder().encode(path);
      this.entries.push({ name, file, start: at, crc: null });
      directory += CENTRAL + name.length + (at >= LARGE ? OFFSET_64 : 0);
      at += LOCAL + name.length + file.size;
    }
    this.directoryStart = at;
    this.directorySize = directory;
    this.large = at + directory >= LARGE || files.length >= 0xffff;
    this.size = at + directory + (this.large ? END_64 : 0) + END;
  }

  async slice(start: number, end: number): Promise<Blob> {
    const parts: BlobPart[] = [];
    const add = (part: Uint8Array<ArrayBuffer> | File, begins: number, length: number): void => {
      const [first, last] = [Math.max(start, begins) - begins, Math.min(end, begins + length) - begins];
      if (first < last) parts.push(part.slice(first, last));
    };
    for (const entry of this.entries) {
      const dataStart = entry.start + LOCAL + entry.name.length;
      if (dataStart + entry.file.size <= start || entry.start >= end) continue;
      if (entry.start + LOCAL > start) add(await local(entry), entry.start, LOCAL + entry.name.length);
      else add(header(entry, 0), entry.start, LOCAL + entry.name.length);
      add(entry.file, dataStart, entry.file.size);
    }
    if (end > this.directoryStart) {
      const tail = await this.tail();
      add(tail, this.directoryStart, tail.length);
    }
    return new Blob(parts);
  }

  private async tail(): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(this.size - this.directoryStart);
    const view = new DataView(bytes.buffer);
    let at = 0;
    for (const entry of this.entries) at += central(view, bytes, at, entry, await crcOf(entry));
    const count = this.entries.length;
    if (this.large) {
      view.setUint32(at, 0x06064b50, true);
      setUint64(view, at + 4, 44);
      view.setUint16(at + 12, ZIP64_SINCE, true);
      view.setUint16(at + 14, ZIP64_SINCE, true);
      setUint64(view, at + 24, count);
      setUint64(view, at + 32, count);
      setUint64(view, at + 40, this.directorySize);
      setUint64(view, at + 48, this.directoryStart);
      view.setUint32(at + 56, 0x07064b50, true);
      setUint64(view, at + 64, this.directoryStart + at);
      view.setUint32(at + 72, 1, true);
      at += END_64;
    }
    view.setUint32(at, 0x06054b50, true);
    view.setUint16(at + 8, Math.min(count, 0xffff), true);
    view.setUint16(at + 10, Math.min(count, 0xffff), true);
    view.setUint32(at + 12, Math.min(this.directorySize, LARGE), true);
    view.setUint32(at + 16, Math.min(this.directoryStart, LARGE), true);
    return bytes;
  }
}

function crcOf(entry: Entry): Promise<number> {
  entry.crc ??= crc32(entry.file);
  return entry.crc;
}

async function local(entry: Entry): Promise<Uint8Array<ArrayBuffer>> {
  return header(entry, await crcOf(entry));
}

function header(entry: Entry, crc: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(LOCAL + entry.name.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 0x04034b50, true);
  view.setUint16(4, STORED_SINCE, true);
  described(view, 6, entry, crc);
  bytes.set(entry.name, LOCAL);
  return bytes;
}

function central(view: DataView, bytes: Uint8Array, at: number, entry: Entry, crc: number): number {
  const far = entry.start >= LARGE;
  view.setUint32(at, 0x02014b50, true);
  view.setUint16(at + 4, STORED_SINCE, true);
  view.setUint16(at + 6, far ? ZIP64_SINCE : STORED_SINCE, true);
  described(view, at + 8, entry, crc);
  view.setUint16(at + 30, far ? OFFSET_64 : 0, true);
  view.setUint32(at + 42, Math.min(entry.start, LARGE), true);
  bytes.set(entry.name, at + CENTRAL);
  const length = CENTRAL + entry.name.length;
  if (!far) return length;
  view.setUint16(at + length, 1, true);
  view.setUint16(at + length + 2, OFFSET_64 - 4, true);
  setUint64(view, at + length + 4, entry.start);
  return length + OFFSET_64;
}

/** What local and central header have in common, from the flags on. */
function described(view: DataView, at: number, entry: Entry, crc: number): void {
  view.setUint16(at, UTF8, true);
  view.setUint16(at + 6, DAY_ONE, true);
  view.setUint32(at + 8, crc, true);
  view.setUint32(at + 12, entry.file.size, true);
  view.setUint32(at + 16, entry.file.size, true);
  view.setUint16(at + 20, entry.name.length, true);
}

function setUint64(view: DataView, at: number, value: number): void {
  view.setBigUint64(at, BigInt(value), true);
}
