import type { Api } from "../api";
import { element, fill } from "../element";
import { loading } from "../loading";
import { type JobContext, jobContext } from "../results/context";
import { resultData } from "../results/data";
import { SECTIONS, type Section } from "../results/sections";
import { note } from "../router";
import type { Job } from "../wire";
import { advice, duration, number, percent, sentenceOf } from "../words";
import { mountDownloads } from "./downloads";
import type { Log } from "./log";
import { tabs } from "./tabs";

/** What a job that has ended shows. */
export interface Outcome {
  /** Opens a part, such as "downloads", and brings it into sight. */
  open(part: string): void;
  stop(): void;
}

/** Parts that tell why nothing came of the photos. */
const OF_FAILED = ["photos", "matches", "insights"];

export function outcome(api: Api, target: HTMLElement, job: Job, log: Log, tab: string): Outcome {
  const context = jobContext(api, job);
  if (job.stage === "success") {
    const place = element("div");
    fill(target, figures(job), place);
    const stop = parts(place, context, [...SECTIONS, DOWNLOADS, logSection(log)], tab);
    return { open: (part) => open(context, place, part), stop };
  }
  const place = element("div", { class: "stack" });
  fill(target, failure(job), place);
  const found = loading(place, resultData(context).insights, ({ details }, ends) => {
    if (details === null) fill(place, log.element);
    else ends(parts(place, context, [...SECTIONS.filter(({ id }) => OF_FAILED.includes(id)), logSection(log)], tab));
  });
  return { open: (part) => open(context, place, part), stop: found.stop };
}

const DOWNLOADS: Section = { id: "downloads", title: "Downloads", load: async () => mountDownloads };

function logSection(log: Log): Section {
  return {
    id: "log",
    title: "Log",
    load: async () => (place) => {
      place.append(log.element);
      return () => log.element.remove();
    },
  };
}

function parts(place: HTMLElement, context: JobContext, sections: readonly Section[], tab: string): () => void {
  const made = tabs(sections, context, tab, (id) => note("jobs", context.job.job_id, id));
  fill(place, made.element);
  return made.stop;
}

function open(context: JobContext, place: HTMLElement, part: string): void {
  context.tab.set(part);
  place.scrollIntoView({ block: "start" });
}

function figures(job: Job): HTMLElement {
  const cells: [string, string][] = [
    [job.registration_rate === null ? "–" : percent(job.registration_rate), "photos placed"],
    [number(job.n_images), job.n_images === 1 ? "photo" : "photos in all"],
    [number(job.n_points), "3D points"],
    [duration((job.finished_at ?? 0) - (job.started_at ?? job.created_at)), "computing time"],
  ];
  return element(
    "dl",
    { class: "figures" },
    ...cells.map(([value, name]) =>
      element("div", { class: "figure" }, element("dt", {}, name), element("dd", { class: "numbers" }, value)),
    ),
  );
}

function failure(job: Job): HTMLElement {
  const heading = job.stage === "failed" ? sentenceOf(job.error ?? "The job failed") : "This job was cancelled";
  const kind = job.stage === "failed" ? "banner banner-bad" : "banner";
  return element(
    "section",
    { class: kind },
    element("div", {}, element("h2", {}, heading), element("p", {}, advice(job))),
  );
}
