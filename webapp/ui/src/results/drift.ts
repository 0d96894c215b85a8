import { element, svg } from "../element";
import type { DriftCheck, DriftReport } from "../wire";
import { feature } from "../words";
import { capital } from "./photo-panel";

const WIDEST_Z = 8;
const HIGH_Z = 5;

/** What less and more of a feature looks like in photos. */
const DIRECTIONS: Record<string, readonly [less: string, more: string]> = {
  brightness: ["darker", "brighter"],
  contrast: ["flatter in contrast", "harder in contrast"],
  saturation: ["paler", "more colourful"],
  sharpness: ["softer", "crisper"],
  noise: ["cleaner", "noisier"],
  clipping: ["less clipped", "more clipped in highlights or shadows"],
  entropy: ["plainer", "busier"],
  megapixels: ["lower in resolution", "higher in resolution"],
  aspect_ratio: ["squarer", "longer in format"],
};

/** The report in a sentence for a photographer. */
export function driftWords(report: DriftReport): string {
  const far = Object.entries(report.checks)
    .filter(([, check]) => check.severity !== "low")
    .sort(([, a], [, b]) => Math.abs(b.value) - Math.abs(a.value))
    .map(([name, check]) => direction(name, check));
  if (far.length === 0) return "These photos look like those that usually work well.";
  const last = far.pop();
  const listed = far.length === 0 ? last : `${far.join(", ")} and ${last}`;
  return `These photos are ${listed} than usual. Check the result with care.`;
}

/** A line per feature: where this job lies between the bands of what is usual. */
export function driftPlots(report: DriftReport): HTMLElement {
  const rows = Object.entries(report.checks).map(([name, check]) =>
    element(
      "li",
      { class: "drift" },
      element("span", { class: "drift-name" }, capital(feature(name))),
      plot(check),
      element(
        "span",
        { class: `drift-word drift-${check.severity}` },
        check.severity === "low" ? "As usual" : capital(direction(name, check)),
      ),
      element("span", { class: "drift-value numbers soft" }, compared(name, check)),
    ),
  );
  return element("ul", { class: "drifts", role: "list" }, ...rows);
}

/** What the bands behind the dots stand for. */
export function driftLegend(): HTMLElement {
  const bands: [string, string][] = [
    ["usual", "usual"],
    ["some", "unusual"],
    ["far", "very unusual"],
  ];
  return element(
    "p",
    { class: "drift-legend soft" },
    "The dot is these photos, the line in the middle those that this service was set up with:",
    ...bands.map(([kind, text]) =>
      element(
        "span",
        { class: "drift-band" },
        element("i", { class: `swatch swatch-${kind}`, "aria-hidden": "true" }),
        text,
      ),
    ),
  );
}

function plot(check: DriftCheck): SVGSVGElement {
  const x = (z: number): number => ((Math.min(WIDEST_Z, Math.max(-WIDEST_Z, z)) + WIDEST_Z) / (2 * WIDEST_Z)) * 100;
  const band = (from: number, to: number, kind: string): SVGRectElement =>
    svg("rect", { x: `${x(from)}%`, y: 6, width: `${x(to) - x(from)}%`, height: 10, rx: 3, class: kind });
  return svg(
    "svg",
    { class: "drift-plot", "aria-hidden": "true" },
    band(-WIDEST_Z, WIDEST_Z, "band band-far"),
    band(-HIGH_Z, HIGH_Z, "band band-some"),
    band(-check.threshold, check.threshold, "band band-usual"),
    svg("line", { x1: "50%", x2: "50%", y1: 3, y2: 19, class: "drift-middle" }),
    svg("circle", { cx: `${x(check.value)}%`, cy: 11, r: 6, class: `drift-dot drift-dot-${check.severity}` }),
  );
}

function compared(name: string, check: DriftCheck): string {
  const value = shown(name, check.current);
  return value === "" ? "" : `${value}, usually ${shown(name, check.baseline)}`;
}

function direction(name: string, check: DriftCheck): string {
  const [less, more] = DIRECTIONS[name] ?? [`lower in ${feature(name)}`, `higher in ${feature(name)}`];
  return check.value < 0 ? less : more;
}

/** A value where a photographer knows its measure. */
function shown(name: string, value: number): string {
  if (name === "megapixels") return `${value.toFixed(1)} MP`;
  if (name === "aspect_ratio") return `${value.toFixed(2)} : 1`;
  const isShare = ["brightness", "contrast", "saturation", "clipping"].includes(name);
  return isShare ? `${Math.round(value * 100)} %` : "";
}
