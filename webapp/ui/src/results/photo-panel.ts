import { OfflineError } from "../api";
import { whenBack } from "../connection";
import { element, fill } from "../element";
import { icon } from "../icons";
import type { ImageEntry } from "../wire";
import { number, plural, sentence } from "../words";
import { clusterClass, clusterTitle } from "./clusters";
import type { JobContext } from "./context";
import { resultData } from "./data";
import { photoName } from "./photo-name";
import "./photo-panel.css";

export const STATUS: Record<ImageEntry["status"], string> = {
  registered: "Placed",
  unregistered: "Not placed",
  outlier: "Left out",
  unreadable: "Unreadable",
};
const MOST_NEIGHBOURS = 6;

/** Shows the selected photo with its numbers; `idle` fills the place while none is selected. */
export function photoPanel(
  context: JobContext,
  options: { idle: () => Node; actions?: (entry: ImageEntry) => Node[]; heading?: string },
): { element: HTMLElement; stop(): void; refresh(): void } {
  const data = resultData(context);
  const panel = element("aside", { class: "photo-panel", "aria-label": options.heading ?? "Selected photo" });
  const said = element("p", { class: "visually-hidden", role: "status" });
  const body = element("div", { class: "photo-panel-body" });
  panel.append(said, body);
  let shown = 0;
  let stopWaiting = (): void => undefined;
  const show = async (name: string | null): Promise<void> => {
    shown += 1;
    const turn = shown;
    stopWaiting();
    panel.classList.toggle("photo-panel-idle", name === null);
    // On a phone it comes up as a sheet, but only over the part that the photo was chosen in.
    panel.classList.toggle("photo-panel-asked", panel.isConnected && panel.closest("[hidden]") === null);
    if (name === null) {
      said.textContent = "";
      fill(body, options.idle());
      return;
    }
    try {
      const [entry, images] = [await data.image(name), await data.images()];
      if (turn !== shown) return;
      if (entry === undefined) return;
      said.textContent = `${entry.name}: ${STATUS[entry.status]}`;
      fill(body, ...details(context, entry, images, options.actions?.(entry) ?? []));
    } catch (error) {
      if (turn !== shown) return;
      fill(body, element("p", { class: "problem", role: "alert" }, sentence(error)));
      if (error instanceof OfflineError) stopWaiting = whenBack(refresh);
    }
  };
  const refresh = (): void => void show(context.selection.photo.value);
  const stops = [
    context.selection.photo.watch(refresh),
    context.tab.watch(() => panel.classList.remove("photo-panel-asked")),
  ];
  const stop = (): void => {
    stopWaiting();
    for (const end of stops) end();
  };
  return { element: panel, stop, refresh };
}

function details(context: JobContext, entry: ImageEntry, images: ImageEntry[], actions: Node[]): Node[] {
  const models = [...new Set(images.map(({ cluster }) => cluster).filter((name) => name !== null))].sort();
  const scene = entry.cluster === null ? null : clusterTitle(entry.cluster, models);
  const facts: [string, string | null][] = [
    ["Scene", scene],
    ["3D points seen", entry.registered ? number(entry.inliers) : null],
    ["Mean error", entry.mean_reprojection_error_px === null ? null : pixels(entry.mean_reprojection_error_px)],
    ["Connected photos", entry.status === "unreadable" ? null : number(entry.connected_photos)],
    ["Size", entry.width > 0 ? `${number(entry.width)} × ${number(entry.height)}` : null],
  ];
  return [
    element(
      "div",
      { class: "photo-panel-head" },
      element("h3", { class: "photo-heading", "aria-label": entry.name }, photoName(entry.name)),
      element(
        "button",
        {
          type: "button",
          class: "icon-button",
          "aria-label": "Close this photo",
          onclick: () => context.selection.photo.set(null),
        },
        icon("cross"),
      ),
    ),
    picture(context, entry),
    element(
      "p",
      { class: "photo-state" },
      element("span", { class: `state ${clusterClass(entry.cluster)}` }, STATUS[entry.status]),
      entry.reason !== "" && element("span", { class: "soft" }, capital(entry.reason)),
    ),
    element(
      "dl",
      { class: "pairs" },
      ...facts.flatMap(([name, value]) =>
        value === null ? [] : [element("dt", {}, name), element("dd", { class: "numbers" }, value)],
      ),
    ),
    ...(actions.length > 0 ? [element("div", { class: "photo-actions" }, ...actions)] : []),
    neighbours(context, entry),
  ];
}

function picture(context: JobContext, entry: ImageEntry): HTMLElement {
  const frame = element("div", { class: "photo-frame" });
  if (entry.status === "unreadable") {
    frame.append(icon("photos"));
    return frame;
  }
  if (entry.width > 0) frame.style.aspectRatio = `${entry.width} / ${entry.height}`;
  const image = element("img", { alt: `The photo ${entry.name}`, class: "photo-large" });
  image.addEventListener("load", () => {
    frame.style.aspectRatio = `${image.naturalWidth} / ${image.naturalHeight}`;
    frame.append(image);
  });
  resultData(context)
    .preview(entry.name)
    .then(
      (address) => {
        image.src = address;
      },
      () => frame.append(icon("photos")),
    );
  return frame;
}

function neighbours(context: JobContext, entry: ImageEntry): HTMLElement {
  const place = element("div", { class: "stack-s" });
  if (entry.connected_photos === 0) return place;
  const fillIn = async (): Promise<void> => {
    const found = await resultData(context).neighbours(entry.name);
    const rows = found.slice(0, MOST_NEIGHBOURS).map(({ photo, inliers }) => {
      const image = element("img", { alt: "", class: "neighbour-picture", width: 44, height: 44 });
      void context.api.thumbnail(context.job.job_id, photo).then(
        (address) => {
          image.src = address;
        },
        () => undefined,
      );
      const title = `${photo}: ${plural(inliers, "matching detail")}`;
      return element(
        "button",
        {
          type: "button",
          class: "neighbour",
          title,
          "aria-label": title,
          onclick: () => context.selection.photo.set(photo),
        },
        image,
        element("small", { class: "numbers" }, number(inliers)),
      );
    });
    fill(
      place,
      element("h4", { class: "small-heading" }, "Best matches"),
      element("div", { class: "neighbours" }, ...rows),
    );
  };
  void fillIn().catch(() => undefined);
  return place;
}

export function pixels(value: number): string {
  return `${value.toFixed(2)} px`;
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
