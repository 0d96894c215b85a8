import { element, fill } from "../../element";
import { observable } from "../../observable";
import { number } from "../../words";
import { type Coloring, RAMPS, type Span } from "./points";

export type Ground = "dark" | "light";

/** What a person sets about the view. */
export interface Settings {
  readonly coloring: ReturnType<typeof observable<Coloring>>;
  readonly pointSize: ReturnType<typeof observable<number>>;
  readonly cameras: ReturnType<typeof observable<boolean>>;
  readonly ground: ReturnType<typeof observable<Ground>>;
}

export function settings(): Settings {
  return {
    coloring: observable<Coloring>("photo"),
    pointSize: observable(1),
    cameras: observable(true),
    ground: observable<Ground>("dark"),
  };
}

const COLORINGS: [Coloring, string][] = [
  ["photo", "Photo colours"],
  ["observations", "Photos that see a point"],
  ["error", "Error in the photos"],
];

/** The controls beside the view. */
export function tools(set: Settings): HTMLElement {
  const coloring = element(
    "select",
    { class: "input input-small", id: "point-color" },
    ...COLORINGS.map(([value, text]) => element("option", { value }, text)),
  );
  coloring.addEventListener("change", () => set.coloring.set(coloring.value as Coloring));
  const size = element("input", { type: "range", id: "point-size", min: 0.3, max: 3, step: 0.1, value: 1 });
  size.addEventListener("input", () => set.pointSize.set(size.valueAsNumber));
  const cameras = element("input", { type: "checkbox", checked: true });
  cameras.addEventListener("change", () => set.cameras.set(cameras.checked));
  const ground = element("input", { type: "checkbox" });
  ground.addEventListener("change", () => set.ground.set(ground.checked ? "light" : "dark"));
  return element(
    "div",
    { class: "scene-tools", role: "group", "aria-label": "Settings of the view" },
    element("label", { class: "tool", for: "point-color" }, "Colour", coloring),
    element("label", { class: "tool", for: "point-size" }, "Point size", size),
    element("label", { class: "tool" }, cameras, "Cameras"),
    element("label", { class: "tool" }, ground, "Light background"),
  );
}

/** What the colours of the points mean; nothing for the photos' own. */
export function legend(target: HTMLElement, coloring: Coloring, span: Span): void {
  target.hidden = coloring === "photo";
  if (coloring === "photo") return;
  const bar = element("div", { class: "legend-bar" });
  bar.style.background = `linear-gradient(to right, ${RAMPS[coloring].join(", ")})`;
  const ends =
    coloring === "observations"
      ? [`${span.low}`, `${number(span.high)} or more photos`]
      : ["0", `${span.high} px or more`];
  const title = coloring === "observations" ? "Photos that see a point" : "Error in the photos";
  fill(
    target,
    element("strong", {}, title),
    bar,
    element("div", { class: "legend-ends numbers" }, ...ends.map((end) => element("span", {}, end))),
  );
}
