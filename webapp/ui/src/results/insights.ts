import { element, fill } from "../element";
import { loading } from "../loading";
import type { Insights, RunDetails } from "../wire";
import { duration, number, percent, plural, sentence } from "../words";
import type { Mount } from "./context";
import { resultData } from "./data";
import { driftLegend, driftPlots, driftWords } from "./drift";
import "./results.css";
import "./insights.css";

const STEPS: Record<string, string> = {
  ingest: "Reading photos",
  extract: "Finding details",
  shortlist: "Choosing pairs",
  match: "Comparing photos",
  turn: "Turning photos",
  split: "Grouping photos",
  reconstruct: "Placing cameras",
  cloud: "Cleaning points",
  report: "Writing the report",
};

/** How good the result is, where the time went, and what would make it better. */
export const mountInsights: Mount = (target, context) => {
  const place = element("div", { class: "quality" });
  target.append(place);
  return loading(place, resultData(context).insights, (found) => fill(place, ...cards(found))).stop;
};

function cards(found: Insights): HTMLElement[] {
  const { details } = found;
  if (details === null) return [drift(found)];
  const tall = Object.keys(found.drift_report.checks).length > 0;
  const times = timings(details);
  return [
    figures(details),
    element("div", { class: "stack" }, advice(found, details), tracks(details), tall && times),
    element("div", { class: "stack" }, drift(found), !tall && times),
  ];
}

function card(title: string, ...children: (Node | string | null | false)[]): HTMLElement {
  return element(
    "section",
    { class: "card" },
    element("h2", {}, title),
    element("div", { class: "stack" }, ...children),
  );
}

function figures(details: RunDetails): HTMLElement {
  const placed = details.n_readable === 0 ? 0 : details.n_registered / details.n_readable;
  const error = details.mean_reprojection_error_px;
  const length = details.mean_track_length;
  const cells: [string, string, string][] = [
    [percent(placed), "photos placed", `${number(details.n_registered)} of ${number(details.n_readable)} readable`],
    [length === null ? "–" : length.toFixed(1), "photos per point", length === null ? "" : trackVerdict(length)],
    [error === null ? "–" : `${error.toFixed(2)} px`, "mean error", error === null ? "" : errorVerdict(error)],
    [number(details.n_verified_pairs), "pairs match", `of ${number(details.n_pairs)} compared`],
  ];
  return element(
    "dl",
    { class: "quality-figures" },
    ...cells.map(([value, name, note]) =>
      element(
        "div",
        { class: "quality-figure" },
        element("dt", {}, name),
        element("dd", { class: "numbers" }, value),
        element("dd", { class: "soft" }, note),
      ),
    ),
  );
}

function trackVerdict(length: number): string {
  if (length >= 4) return "many views: depth is sound";
  return length >= 2.7 ? "enough for sound depth" : "few views: depth is uncertain";
}

function errorVerdict(error: number): string {
  if (error <= 0.8) return "sharp and consistent";
  return error <= 1.5 ? "good" : "blur or an unusual lens?";
}

function advice(found: Insights, details: RunDetails): HTMLElement {
  const items = [...details.warnings, ...details.recommendations].map(plainly);
  if (found.drift_severity !== "low")
    items.push("Check the result with care: the photos are unlike those that this service was set up with.");
  if (found.drift_severity === "high")
    items.push("Where many jobs look like this one, whoever runs the service can set it up anew with such photos.");
  if (items.length === 0)
    return card("What to do next", element("p", {}, "Nothing stands out: take the results as they are."));
  return card("What to do next", element("ul", { class: "advice" }, ...items.map((text) => element("li", {}, text))));
}

/** What the report says, with the names that this page uses. */
function plainly(text: string): string {
  return text
    .replaceAll(
      /\bcluster(\d+)_model(\d+)\b/g,
      (_, scene, part) => `scene ${Number(scene) + 1}, part ${Number(part) + 1}`,
    )
    .replaceAll(/\bcluster (\d+)\b/g, (_, scene) => `scene ${Number(scene) + 1}`)
    .replaceAll(/\bclusters?\b/g, (word) => word.replace("cluster", "scene"))
    .replaceAll(/\binliers?\b/g, "matching details");
}

function drift(found: Insights): HTMLElement {
  const { drift_report: report } = found;
  const names = Object.keys(report.checks);
  const head = element("p", {}, driftWords(report));
  const warnings = report.warnings.map((text) => element("p", { class: "soft" }, sentence(new Error(text))));
  if (names.length === 0) return card("Compared with usual photos", ...(warnings.length > 0 ? warnings : [head]));
  return card("Compared with usual photos", head, driftPlots(report), driftLegend(), ...warnings);
}

function tracks(details: RunDetails): HTMLElement {
  const bins = Object.entries(details.track_length_histogram);
  const most = Math.max(1, ...bins.map(([, count]) => count));
  const columns = bins.map(([photos, count]) => {
    const bar = element("div", { class: "column-bar" });
    bar.style.height = `${Math.max(1, (count / most) * 100)}%`;
    return element(
      "li",
      { class: "column" },
      element("span", { class: "column-value numbers" }, compact(count)),
      element("div", { class: "column-place" }, bar),
      element("span", { class: "numbers" }, photos),
      element("span", { class: "visually-hidden" }, `photos see ${plural(count, "point")}`),
    );
  });
  return card(
    "How many photos see each point",
    element("p", { class: "soft" }, "The more photos see a point, the surer its position."),
    element("ul", { class: "columns", role: "list" }, ...columns),
  );
}

function timings(details: RunDetails): HTMLElement {
  const steps = Object.entries(details.timings_s).filter(([, seconds]) => seconds > 0);
  const total = steps.reduce((sum, [, seconds]) => sum + seconds, 0);
  const rows = steps.map(([name, seconds]) => {
    const bar = element("div", { class: "time-bar" });
    bar.style.width = `${Math.max(0.5, (seconds / Math.max(total, 1e-9)) * 100)}%`;
    return element(
      "li",
      { class: "time" },
      element("span", {}, STEPS[name] ?? name),
      element("div", { class: "time-place", "aria-hidden": "true" }, bar),
      element("span", { class: "numbers time-value" }, short(seconds)),
    );
  });
  return card(
    "Where the time went",
    element("p", { class: "soft numbers" }, `${short(total)} in all`),
    element("ul", { class: "times", role: "list" }, ...rows),
  );
}

function short(seconds: number): string {
  return seconds < 10 ? `${seconds.toFixed(1)} s` : duration(seconds);
}

function compact(count: number): string {
  return new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(count);
}
