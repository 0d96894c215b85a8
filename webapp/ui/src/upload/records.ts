/** What is remembered of an unfinished upload, so that it goes on after a reload. */
export interface UploadRecord {
  readonly url: string;
  readonly fingerprint: string;
  readonly owner: string;
  readonly kind: "zip" | "photos";
  /** Whether a folder was chosen: its files alone have other paths. */
  readonly folder?: boolean;
  readonly dataset: string;
  readonly scene: string;
  readonly size: number;
  readonly count: number;
  readonly at: number;
}

const KEY = "reconflow.uploads";

export function records(owner: string): UploadRecord[] {
  return all().filter((record) => record.owner === owner);
}

export function remember(record: UploadRecord): void {
  write([...all().filter(({ url }) => url !== record.url), record]);
}

export function forget(url: string): void {
  write(all().filter((record) => record.url !== url));
}

function all(): UploadRecord[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(stored) ? (stored as UploadRecord[]) : [];
  } catch {
    return []; // somebody else's value under our name, or storage that is switched off
  }
}

function write(records: UploadRecord[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(records));
  } catch {
    // storage is full or switched off: the upload itself goes on
  }
}
