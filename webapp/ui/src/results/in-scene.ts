import { element } from "../element";
import type { ImageEntry } from "../wire";
import type { JobContext } from "./context";

/** Selects a photo and shows its camera in the 3D view, if it has one. */
export function showInScene(context: JobContext, entry: ImageEntry): void {
  if (entry.cluster === null) return;
  context.selection.photo.set(entry.name);
  context.tab.set("scene");
  bringToSight();
}

/** Scrolls to the 3D view, below the page's bar. */
export function bringToSight(): void {
  document.querySelector(".scene-stage")?.scrollIntoView({ block: "start" });
}

/** The way from a photo to its camera in the 3D view. */
export function inScene(context: JobContext, entry: ImageEntry): Node[] {
  if (entry.cluster === null) return [];
  const show = (): void => showInScene(context, entry);
  return [element("button", { type: "button", class: "button button-main button-small", onclick: show }, "Show in 3D")];
}
