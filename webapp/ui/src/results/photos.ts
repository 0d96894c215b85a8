import { element, fill } from "../element";
import { icon } from "../icons";
import { LazyPictures } from "../lazy-pictures";
import { loading } from "../loading";
import type { ImageEntry } from "../wire";
import { number, plural } from "../words";
import { clusterClass, clusterTitle } from "./clusters";
import type { JobContext, Mount } from "./context";
import { resultData } from "./data";
import { inScene, showInScene } from "./in-scene";
import { photoName } from "./photo-name";
import { capital, photoPanel, pixels, STATUS } from "./photo-panel";
import "./results.css";
import "./photos.css";

interface Column {
  readonly id: string;
  readonly title: string;
  /** What rows are sorted by; rows without it come last. */
  readonly by: (entry: ImageEntry) => string | number | null;
  readonly numeric?: boolean;
}

const COLUMNS: readonly Column[] = [
  { id: "name", title: "Photo", by: ({ name }) => name.toLowerCase() },
  { id: "status", title: "State", by: ({ status }) => Object.keys(STATUS).indexOf(status) },
  { id: "scene", title: "Scene", by: ({ cluster }) => cluster },
  { id: "points", title: "Points seen", by: (one) => (one.registered ? one.inliers : null), numeric: true },
  { id: "error", title: "Error", by: (one) => one.mean_reprojection_error_px, numeric: true },
  { id: "matches", title: "Matches", by: (one) => one.connected_photos, numeric: true },
];

const TITLES: Record<string, string | undefined> = Object.fromEntries(COLUMNS.map(({ id, title }) => [id, title]));

/** All photos of the job: what became of each; a click selects one. */
export const mountPhotos: Mount = (target, context) => {
  const table = element("div", { class: "photo-table", role: "table", "aria-label": "Photos" });
  const panel = photoPanel(context, { idle, actions: (entry) => inScene(context, entry) });
  const search = element("input", {
    type: "search",
    class: "input",
    placeholder: "Search by name or reason",
    "aria-label": "Search photos by name or reason",
  });
  const told = element("p", { class: "soft numbers", role: "status" });
  const tools = element("div", { class: "photo-tools", hidden: true }, search, told);
  target.append(
    element("div", { class: "with-panel" }, element("div", { class: "stack photo-list" }, tools, table), panel.element),
  );
  const rows = loading(table, resultData(context).images, (images, ends) => {
    tools.hidden = false;
    ends(fillTable(context, table, search, told, images));
  });
  return () => {
    rows.stop();
    panel.stop();
  };
};

function fillTable(
  context: JobContext,
  table: HTMLElement,
  search: HTMLInputElement,
  told: HTMLElement,
  images: ImageEntry[],
): () => void {
  const models = [...new Set(images.flatMap(({ cluster }) => (cluster === null ? [] : [cluster])))].sort();
  const lazy = new LazyPictures();
  const rows = images.map((entry) => ({ entry, element: row(context, entry, models, lazy) }));
  const body = element("div", { role: "rowgroup", class: "photo-rows" });
  let order = { column: COLUMNS[0] as Column, down: false };
  const draw = (): void => {
    const wanted = search.value.trim().toLowerCase();
    const fitting = rows.filter(({ entry }) => `${entry.name} ${entry.reason}`.toLowerCase().includes(wanted));
    fitting.sort((a, b) => compared(order.column.by(a.entry), order.column.by(b.entry), order.down));
    body.replaceChildren(...fitting.map((one) => one.element));
    const placed = fitting.filter(({ entry }) => entry.registered).length;
    told.textContent = `${plural(fitting.length, "photo")}, ${number(placed)} placed`;
    if (fitting.length === 0) fill(body, element("p", { class: "soft photo-none" }, "No photo fits."));
  };
  const heads = COLUMNS.map((column) => {
    const button = element("button", { type: "button", class: "sort" }, column.title);
    const head = element("div", { role: "columnheader", class: `cell cell-${column.id}`, "aria-sort": "none" }, button);
    button.addEventListener("click", () => {
      const again = order.column === column;
      order = { column, down: again ? !order.down : column.numeric === true };
      mark();
      draw();
    });
    return head;
  });
  const sorting = element(
    "select",
    { class: "input input-small photo-sort", "aria-label": "Sort photos by" },
    ...COLUMNS.map((column) => element("option", { value: column.id }, `By ${column.title.toLowerCase()}`)),
  );
  sorting.addEventListener("change", () => {
    const column = COLUMNS.find(({ id }) => id === sorting.value) as Column;
    order = { column, down: column.numeric === true };
    mark();
    draw();
  });
  told.before(sorting);
  const mark = (): void => {
    sorting.value = order.column.id;
    COLUMNS.forEach((column, place) => {
      const sorted = column === order.column ? (order.down ? "descending" : "ascending") : "none";
      heads[place]?.setAttribute("aria-sort", sorted);
    });
  };
  search.addEventListener("input", draw);
  body.addEventListener("keydown", walk);
  fill(
    table,
    element(
      "div",
      { role: "rowgroup" },
      element(
        "div",
        { role: "row", class: "photo-row heads" },
        ...heads,
        element("div", { role: "columnheader", class: "cell cell-view", "aria-label": "3D view" }),
      ),
    ),
    body,
  );
  mark();
  draw();
  const stopSelection = context.selection.photo.watch((name) => {
    for (const one of rows) one.element.classList.toggle("photo-row-chosen", one.entry.name === name);
    const chosen = rows.find(({ entry }) => entry.name === name);
    chosen?.element.scrollIntoView({ block: "nearest" });
  });
  return () => {
    stopSelection();
    lazy.stop();
    sorting.remove();
  };
}

function row(context: JobContext, entry: ImageEntry, models: readonly string[], lazy: LazyPictures): HTMLElement {
  const picture = element("span", { class: "thumb", "aria-hidden": "true" });
  if (entry.status === "unreadable") picture.append(icon("photos"));
  else lazy.watch(picture, () => context.api.thumbnail(context.job.job_id, entry.name));
  const select = (): void => context.selection.photo.set(entry.name);
  const show = (): void => showInScene(context, entry);
  const name = element(
    "button",
    { type: "button", class: "link photo-button", "aria-label": entry.name, onclick: select },
    photoName(entry.name),
  );
  // Enter selects, and once more goes to the camera, as a second click does.
  name.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || context.selection.photo.value !== entry.name) return;
    event.preventDefault();
    show();
  });
  const view = element(
    "button",
    {
      type: "button",
      class: "icon-button",
      "aria-label": `Show ${entry.name} in 3D`,
      title: "Show in 3D",
      onclick: show,
    },
    icon("cube"),
  );
  const scene = entry.cluster === null ? "–" : clusterTitle(entry.cluster, models);
  const cells: [string, Node | string][] = [
    ["name", element("span", { class: "photo-cell" }, picture, name)],
    ["status", state(entry)],
    ["scene", scene],
    ["points", entry.registered ? number(entry.inliers) : "–"],
    ["error", entry.mean_reprojection_error_px === null ? "–" : pixels(entry.mean_reprojection_error_px)],
    ["matches", entry.status === "unreadable" ? "–" : number(entry.connected_photos)],
    ["view", entry.cluster === null ? "" : view],
  ];
  const made = element(
    "div",
    { role: "row", class: "photo-row" },
    ...cells.map(([id, content]) =>
      element("div", { role: "cell", class: `cell cell-${id} numbers`, "data-title": TITLES[id] }, content),
    ),
  );
  made.addEventListener("click", select);
  made.addEventListener("dblclick", show);
  return made;
}

function state(entry: ImageEntry): HTMLElement {
  const word = element("span", { class: `state ${clusterClass(entry.cluster)}` }, STATUS[entry.status]);
  const why = entry.reason !== "" && element("small", { class: "soft why" }, capital(entry.reason));
  return element("span", { class: "state-cell" }, word, why);
}

function compared(a: string | number | null, b: string | number | null, down: boolean): number {
  if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
  const order =
    typeof a === "string" && typeof b === "string"
      ? a.localeCompare(b, "en", { numeric: true })
      : Number(a) - Number(b);
  return down ? -order : order;
}

/** Up and down go from photo to photo. */
function walk(event: KeyboardEvent): void {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" } as const;
  const way = step[event.key as keyof typeof step];
  const here = document.activeElement?.closest(".photo-row");
  if (way === undefined || !here) return;
  const next = here[way]?.querySelector<HTMLElement>(".photo-button");
  if (!next) return;
  event.preventDefault();
  next.focus();
}

function idle(): Node {
  return element(
    "div",
    { class: "stack" },
    element("h3", {}, "No photo selected"),
    element(
      "p",
      { class: "soft" },
      "Choose a photo to see it large, with its numbers and the photos that match it best.",
    ),
  );
}
