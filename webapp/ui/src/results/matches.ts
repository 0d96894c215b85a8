import { element, fill } from "../element";
import { loading } from "../loading";
import { observable } from "../observable";
import type { ViewGraph } from "../wire";
import { number, plural } from "../words";
import { clusterChooser } from "./clusters";
import type { JobContext, Mount } from "./context";
import { resultData } from "./data";
import { inScene } from "./in-scene";
import { MatchMatrix, type Spot } from "./matrix";
import { photoPanel } from "./photo-panel";
import "./results.css";
import "./matches.css";

/** Which photos match which, as a matrix ordered by scene. */
export const mountMatches: Mount = (target, context) => {
  const panel = photoPanel(context, { idle, actions: (entry) => inScene(context, entry) });
  const place = element("div", { class: "stack" });
  target.append(element("div", { class: "with-panel" }, place, panel.element));
  const matrix = loading(place, resultData(context).viewGraph, (graph, ends) => ends(show(context, place, graph)));
  return () => {
    matrix.stop();
    panel.stop();
  };
};

function show(context: JobContext, place: HTMLElement, graph: ViewGraph): () => void {
  if (graph.pairs.length === 0) {
    fill(place, element("p", { class: "soft" }, "No two photos match."));
    return () => undefined;
  }
  const chosen = observable<string | null>(null);
  const canvas = element("canvas", { class: "matrix-canvas", tabindex: 0, role: "application" });
  const told = element("p", { class: "matrix-told numbers", role: "status" });
  const pictures = element("div", { class: "matrix-pictures", "aria-hidden": "true" });
  const matrix = new MatchMatrix(canvas, (spot, final) => {
    told.textContent = spoken(spot);
    showPair(context, pictures, spot);
    if (final && spot !== null) context.selection.photo.set(spot.first);
  });
  const counts = new Map<string, number>();
  for (const name of graph.clusters) if (name !== null) counts.set(name, (counts.get(name) ?? 0) + 1);
  const models = [...counts].map(([name, photos]) => ({ name, photos }));
  const chooser = clusterChooser(models, chosen, { title: "All photos", photos: graph.photos.length });
  fill(
    place,
    element(
      "p",
      { class: "soft" },
      "Each square is a pair of photos that show the same details; the stronger its colour, the more of them. ",
      verdict(graph),
    ),
    chooser.element,
    element(
      "div",
      { class: "matrix" },
      canvas,
      element("div", { class: "matrix-below" }, pictures, element("div", {}, told, key())),
    ),
  );
  const stops = [
    chosen.watch((cluster) => matrix.show(graph, cluster)),
    context.selection.photo.watch((photo) => matrix.mark(photo)),
    chooser.stop,
    () => matrix.stop(),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

function key(): HTMLElement {
  const bar = element("span", { class: "matrix-bar", "aria-hidden": "true" });
  return element("p", { class: "matrix-key soft" }, "few", bar, "many matching details");
}

function verdict(graph: ViewGraph): string {
  return `${plural(graph.pairs.length, "pair")} of ${plural(graph.photos.length, "photo")} match.`;
}

function spoken(spot: Spot | null): string {
  if (spot === null)
    return window.matchMedia("(pointer: coarse)").matches
      ? "Tap a square to see its two photos."
      : "Point at a square to see its two photos, or use the arrow keys.";
  if (spot.first === spot.second) return spot.first;
  const both = `${spot.first} and ${spot.second}`;
  return spot.inliers === 0 ? `${both}: no match` : `${both}: ${number(spot.inliers)} matching details`;
}

function showPair(context: JobContext, target: HTMLElement, spot: Spot | null): void {
  const names = spot === null ? [] : [...new Set([spot.first, spot.second])];
  fill(
    target,
    ...names.map((name) => {
      const image = element("img", { alt: "", class: "pair-picture" });
      context.api.thumbnail(context.job.job_id, name).then(
        (address) => {
          image.src = address;
        },
        () => undefined,
      );
      return image;
    }),
  );
}

function idle(): Node {
  return element(
    "div",
    { class: "stack" },
    element("h3", {}, "How to read this"),
    element(
      "p",
      { class: "soft" },
      "A dense block is a scene whose photos overlap well. A thin bridge between two blocks is where a few more photos would help.",
    ),
  );
}
