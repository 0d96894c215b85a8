/** Where in the page we are: `#/jobs/<id>/<tab>` → `["jobs", "<id>", "<tab>"]`. */
export type Place = readonly string[];

/** Draws a page into an element; returns what takes it away again. */
export type Page = (main: HTMLElement, place: Place) => () => void;

export function place(): Place {
  return location.hash
    .replace(/^#\/?/, "")
    .split("/")
    .filter((part) => part !== "")
    .map(readable);
}

/** A part of an address without its escapes, or as it stands where they make no sense. */
function readable(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function address(...parts: string[]): string {
  return `#/${parts.map(encodeURIComponent).join("/")}`;
}

export function go(...parts: string[]): void {
  location.hash = address(...parts);
}

/** Changes the address without a new page, as when a tab is opened. */
export function note(...parts: string[]): void {
  history.replaceState(null, "", address(...parts));
}

/** Shows the page of every address, and moves the keyboard to its heading. */
export function follow(main: HTMLElement, find: (place: Place) => Page): () => void {
  let leave: () => void = () => undefined;
  let first = true;
  const show = (): void => {
    leave();
    main.replaceChildren();
    const here = place();
    leave = find(here)(main, here);
    window.scrollTo(0, 0);
    if (!first) main.focus({ preventScroll: true });
    first = false;
  };
  window.addEventListener("hashchange", show);
  show();
  return () => {
    window.removeEventListener("hashchange", show);
    leave();
  };
}
