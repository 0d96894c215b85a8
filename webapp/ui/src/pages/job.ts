import { type Api, ApiError, OfflineError } from "../api";
import { whenBack } from "../connection";
import { element, fill } from "../element";
import { followEvents } from "../events";
import { actions } from "../jobs/actions";
import { driftBanner } from "../jobs/drift-banner";
import { Log } from "../jobs/log";
import { type Outcome, outcome } from "../jobs/outcome";
import { stateChip } from "../jobs/state";
import { Tracker } from "../jobs/tracker";
import type { LivePoints } from "../results/live";
import { address, type Page } from "../router";
import type { Job, JobEvent } from "../wire";
import { isActive, isEnded, moment, plural, sentence, title } from "../words";
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
        leave = error instanceof OfflineError ? whenBack(() => void load()) : () => undefined;
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
  const live = livePoints(api, job.job_id);
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
    if (event.stage === "triangulating") void live.look();
    draw();
  };
  const banner = driftBanner(api, job);
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
    banner.element,
    tracker.element,
    live.element,
    ended,
  );
  let end: Outcome | null = null;
  if (isEnded(job.stage)) end = outcome(api, ended, job, log, tab);
  else fill(ended, log.element);
  fill(row, ...actions(api, job, { changed, download: () => end?.open("downloads") }));
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
    live.stop();
    banner.stop();
    end?.stop();
  };
}

/** Points while the cameras are worked out; what draws them is fetched when there may be some. */
function livePoints(api: Api, id: string): { element: HTMLElement; look(): Promise<void>; stop(): void } {
  const place = element("div", {});
  let made: Promise<LivePoints> | null = null;
  let left = false;
  return {
    element: place,
    async look(): Promise<void> {
      made ??= import("../results/live").then(({ LivePoints }) => new LivePoints(api, id));
      const points = await made.catch(() => null);
      if (points === null) made = null; // the line is cut: the next event tries again
      if (points === null || left) return;
      if (!place.contains(points.element)) place.append(points.element);
      await points.look();
    },
    stop(): void {
      left = true;
      void made?.then((points) => points.stop()).catch(() => undefined);
    },
  };
}

/** Whether an event of the log, which is told from its beginning, is older than what is shown. */
function isPast(event: JobEvent, job: Job): boolean {
  if (job.started_at !== null && event.at < job.started_at) return true;
  return event.stage !== "queued" && event.progress < job.progress;
}

function facts(job: Job): string {
  const photos = job.stage === "success" ? "" : `${plural(job.n_images, "photo")} · `; // the figures have them
  const gone = job.expires_at === null ? "" : ` · kept until ${moment(job.expires_at)}`;
  return `${photos}${moment(job.created_at)}${gone}`;
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
