/** What a person chose: one ZIP, or photos with their paths. */
export type Photos =
  | { readonly kind: "zip"; readonly name: string; readonly file: File }
  | { readonly kind: "photos"; readonly name: string; readonly files: readonly PhotoFile[]; readonly skipped: number };

export interface PhotoFile {
  /** With slashes; below the folder where a single one was chosen, as `reconflow run FOLDER` names photos. */
  readonly path: string;
  readonly file: File;
}

const PHOTO = /\.(jpe?g|png|tiff?|bmp|webp)$/i;
const HIDDEN = /(^|\/)(\.|__MACOSX\/|Thumbs\.db$)/i;
export const ACCEPTED = ".jpg,.jpeg,.png,.tif,.tiff,.bmp,.webp,.zip,application/zip";

/** Photos were chosen that cannot be used; the message says why. */
export class ChoiceError extends Error {}

/** Returns what to send of chosen files, in a fixed order. */
export function choose(found: PhotoFile[]): Photos {
  const zips = found.filter(({ path }) => /\.zip$/i.test(path));
  const photos = found.filter(({ path }) => PHOTO.test(path) && !HIDDEN.test(path));
  const [zip] = zips;
  if (zip !== undefined && photos.length === 0) {
    if (zips.length > 1) throw new ChoiceError("Please choose one ZIP at a time.");
    return { kind: "zip", name: zip.path.replace(/^.*\//, "").replace(/\.zip$/i, ""), file: zip.file };
  }
  if (photos.length === 0) throw new ChoiceError("There are no photos in it: JPEG, PNG, TIFF, BMP and WebP are read.");
  if (photos.length < 3) throw new ChoiceError("At least three photos are needed; twenty or more work well.");
  photos.sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
  const skipped = found.filter(({ path }) => !HIDDEN.test(path)).length - photos.length;
  const name = folderOf(photos);
  const below = photos.map(({ path, file }) => ({ path: name === "" ? path : path.slice(name.length + 1), file }));
  return { kind: "photos", name, files: unique(below), skipped };
}

/** Returns the files of an `<input type=file>`. */
export function fromInput(files: FileList): PhotoFile[] {
  return Array.from(files, (file) => ({ path: file.webkitRelativePath || file.name, file }));
}

/** Returns the files of a drop, those in folders too. */
export async function fromDrop(transfer: DataTransfer): Promise<PhotoFile[]> {
  // Entries must be taken before the first await: the browser empties the list afterwards.
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry());
  const files = Array.from(transfer.files, (file) => ({ path: file.name, file }));
  if (entries.every((entry) => entry === null)) return files;
  const found: PhotoFile[] = [];
  for (const entry of entries) if (entry !== null) await walk(entry, found);
  return found;
}

export function bytesOf(photos: Photos): number {
  if (photos.kind === "zip") return photos.file.size;
  return photos.files.reduce((sum, { file }) => sum + file.size, 0);
}

export function isFolder(photos: Photos): boolean {
  return photos.kind === "photos" && (photos.name !== "" || photos.files.some(({ path }) => path.includes("/")));
}

/** Tells the same choice again after a reload: names, sizes and times of change. */
export function fingerprint(photos: Photos): string {
  const files = photos.kind === "zip" ? [{ path: photos.file.name, file: photos.file }] : photos.files;
  let low = 0xdeadbeef;
  let high = 0x41c6ce57;
  for (const { path, file } of files) {
    for (const character of `${path}\n${file.size}\n${file.lastModified}\n`) {
      const code = character.codePointAt(0) ?? 0;
      low = Math.imul(low ^ code, 2_654_435_761);
      high = Math.imul(high ^ code, 1_597_334_677);
    }
  }
  return `${files.length}-${(high >>> 0).toString(16)}${(low >>> 0).toString(16)}`;
}

async function walk(entry: FileSystemEntry, found: PhotoFile[]): Promise<void> {
  const path = entry.fullPath.replace(/^\//, "");
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
    found.push({ path, file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    const part = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (part.length === 0) return;
    for (const child of part) await walk(child, found);
  }
}

function folderOf(photos: PhotoFile[]): string {
  const [first = ""] = (photos[0]?.path ?? "").split("/");
  return photos.every(({ path }) => path.startsWith(`${first}/`)) ? first : "";
}

/** Chosen photos of several folders may share a name without a path: the second becomes `name (2).jpg`. */
function unique(photos: PhotoFile[]): PhotoFile[] {
  const taken = new Set<string>();
  return photos.map(({ path, file }) => {
    let free = path;
    for (let copy = 2; taken.has(free); copy += 1) free = path.replace(/(\.[^.]*)$/, ` (${copy})$1`);
    taken.add(free);
    return { path: free, file };
  });
}
