import { type Api, ApiError } from "../api";
import { whenBack } from "../connection";
import { element, fill } from "../element";
import { followEvents } from "../events";
import { actions } from "../jobs/actions";
import { mountDownloads } from "../jobs/downloads";
import { driftBanner } from "../jobs/drift-banner";
import { Log } from "../jobs/log";
import { stateChip } from "../jobs/state";
import { tabs } from "../jobs/tabs";
import { Tracker } from "../jobs/tracker";
import { jobContext } from "../results/context";
import { SECTIONS } from "../results/sections";
import { address, note, type Page } from "../router";
import type { Job, JobEvent } from "../wire";
import { advice, duration, isActive, isEnded, moment, number, percent, plural, sentence, title } from "../words";
import { missingPage } from "./missing";

/** One job at its own address: where it is, what it says, and what it made. */
export function jobPage(api: Api): Page {
  return (main, place) => {
    const [, id = "", tab = ""] = place;
    let leave: () => void = () => undefined;
    let left = false;
    const load = async (): Promise<void> => {
      try {
        const job = await api.job(id);
        if (left) return;
        leave();
        leave = shown(api, main, job, tab, load);
      } catch (error) {
        if (left) return;
        leave();
        leave = whenBack(() => void load());
        if (error instanceof ApiError && error.status === 404) leave = missingPage(main, place);
        else fill(main, trouble(error, load));
      }
    };
    fill(main, element("p", { class: "soft", role: "status" }, "Loading …"));
    void load();
    return () => {
      left = true;
      leave();
    };
  };
}

/** Draws a job; `reload` is for when it has ended or begun again. */
function shown(api: Api, main: HTMLElement, first: Job, tab: string, reload: () => Promise<void>): () => void {
  let job = first;
  const chip = element("span", { class: "job-chip" });
  const row = element("div", { class: "row" });
  const tracker = new Tracker();
  const log = new Log();
  const ended = element("div", { class: "stack" });
  const draw = (): void => {
    fill(chip, stateChip(job.stage));
    tracker.show(job);
    document.title = `${title(job)} – reconflow`;
  };
  const changed = (now: Job): void => {
    job = now;
    if (isActive(now.stage) === isActive(first.stage)) draw();
    else void reload();
  };
  const heard = (event: JobEvent): void => {
    log.add(event);
    if (isEnded(first.stage) || isPast(event, job)) return;
    const started = job.started_at ?? (event.stage === "queued" ? null : event.at);
    job = { ...job, stage: event.stage, progress: event.progress, started_at: started };
    if (event.kind !== "notice") job = { ...job, message: event.message };
    draw();
  };
  fill(row, ...actions(api, job, changed));
  fill(
    main,
    element("a", { class: "back", href: address("jobs") }, "All jobs"),
    element(
      "div",
      { class: "head" },
      element(
        "div",
        { class: "job-title" },
        element("h1", {}, job.dataset_name),
        element("p", { class: "soft" }, job.scene_name),
      ),
      row,
    ),
    element("div", { class: "row facts" }, chip, element("span", { class: "soft" }, facts(job))),
    driftBanner(api, job),
    tracker.element,
    ended,
  );
  let leaveEnded: () => void = () => undefined;
  if (job.stage === "success") leaveEnded = results(api, ended, job, log, tab);
  else fill(ended, failure(job), log.element);
  draw();
  const stopEvents = followEvents(api, job.job_id, {
    heard,
    ended: () => {
      if (isActive(first.stage)) void reload();
    },
  });
  const clock = window.setInterval(() => tracker.tick(job), 1000);
  return () => {
    stopEvents();
    window.clearInterval(clock);
    leaveEnded();
    document.title = "reconflow";
  };
}

/** Whether an event of the log, which is told from its beginning, is older than what is shown. */
function isPast(event: JobEvent, job: Job): boolean {
  if (job.started_at !== null && event.at < job.started_at) return true;
  return event.stage !== "queued" && event.progress < job.progress;
}

function results(api: Api, target: HTMLElement, job: Job, log: Log, tab: string): () => void {
  const context = jobContext(api, job);
  const sections = [
    ...SECTIONS.map(({ id, title: name, load }) => ({ id, title: name, load })),
    { id: "downloads", title: "Downloads", load: async () => mountDownloads },
    {
      id: "log",
      title: "Log",
      load: async () => (place: HTMLElement) => {
        place.append(log.element);
        return () => log.element.remove();
      },
    },
  ];
  const made = tabs(sections, context, tab, (id) => note("jobs", job.job_id, id));
  fill(target, numbers(job), made.element);
  return made.stop;
}

function numbers(job: Job): HTMLElement {
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

function failure(job: Job): HTMLElement | null {
  if (isActive(job.stage)) return null;
  const heading = job.stage === "failed" ? sentenceOf(job.error ?? "The job failed") : "This job was cancelled";
  const kind = job.stage === "failed" ? "banner banner-bad" : "banner";
  return element(
    "section",
    { class: kind },
    element("div", {}, element("h2", {}, heading), element("p", {}, advice(job))),
  );
}

function facts(job: Job): string {
  const end = job.finished_at === null ? "" : ` · ended ${moment(job.finished_at)}`;
  const gone = job.expires_at === null ? "" : ` · kept until ${moment(job.expires_at)}`;
  return `${plural(job.n_images, "photo")} · begun ${moment(job.created_at)}${end}${gone}`;
}

function sentenceOf(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function trouble(error: unknown, again: () => Promise<void>): HTMLElement {
  return element(
    "div",
    { class: "empty", role: "alert" },
    element("h1", {}, "The job cannot be shown"),
    element("p", { class: "soft" }, sentence(error)),
    element("button", { type: "button", class: "button", onclick: () => void again() }, "Try again"),
  );
}
