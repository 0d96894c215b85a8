import type { Api } from "../api";
import { element, fill } from "../element";
import { icon } from "../icons";
import { progressBar, stateChip } from "../jobs/state";
import { address, go, type Page } from "../router";
import { acceptDrops } from "../upload/dropping";
import type { Photos } from "../upload/photos";
import { transferCard } from "../upload/transfer-card";
import type { Transfers } from "../upload/transfers";
import type { Job } from "../wire";
import { ago, duration, isActive, number, percent, plural, sentence, step, title } from "../words";

const BUSY_MS = 2500;
const IDLE_MS = 15_000;
const PAGE = 100;

type Filter = "all" | "active" | "success" | "failed" | "cancelled";

/** All jobs, newest first, kept up to date; photos dropped anywhere begin a new one. */
export function jobsPage(api: Api, transfers: Transfers): Page {
  return (main) => {
    const list = element("div", { class: "stack", "aria-live": "off" });
    const more = element("button", { type: "button", class: "button", hidden: true }, "Show older jobs");
    const search = element("input", { id: "search", type: "search", class: "input", placeholder: "Search by name" });
    const filter = stateFilter();
    const count = element("p", { class: "visually-hidden", role: "status" });
    const card = transferCard(transfers);
    let jobs: Job[] | null = null;
    let cursor: string | null = null;
    let pages = 1;
    let timer = 0;
    let left = false;

    const draw = (): void => {
      if (jobs === null) return;
      const shown = jobs.filter((job) => fits(job, filter.value as Filter, search.value));
      more.hidden = cursor === null;
      count.textContent = `${plural(shown.length, "job")} shown`;
      if (jobs.length === 0) fill(list, welcome());
      else if (shown.length === 0) fill(list, nothingFits(search, filter, draw));
      else fill(list, element("ul", { class: "jobs", role: "list" }, ...shown.map(row)));
    };
    const load = async (): Promise<void> => {
      window.clearTimeout(timer);
      try {
        const found: Job[] = [];
        cursor = null;
        for (let page = 0; page < pages; page += 1) {
          const answer = await api.jobs({ limit: PAGE, cursor: cursor ?? undefined });
          found.push(...answer.jobs);
          cursor = answer.next_cursor;
          if (cursor === null) break;
        }
        jobs = found;
        if (!left) draw();
      } catch (error) {
        if (jobs === null && !left) fill(list, trouble(error, load));
      }
      const wait = jobs?.some((job) => isActive(job.stage)) ? BUSY_MS : IDLE_MS;
      if (!left) timer = window.setTimeout(() => void load(), document.hidden ? IDLE_MS : wait);
    };
    more.addEventListener("click", () => {
      pages += 1;
      void load();
    });
    search.addEventListener("input", draw);
    filter.addEventListener("change", draw);

    fill(
      main,
      element(
        "div",
        { class: "head" },
        element("h1", {}, "Jobs"),
        element("a", { class: "button button-main", href: address("upload") }, icon("upload"), "New job"),
      ),
      element(
        "div",
        { class: "row filters", role: "search" },
        element("label", { class: "visually-hidden", for: "search" }, "Search jobs by name"),
        search,
        element("label", { class: "visually-hidden", for: "state" }, "Show jobs in this state"),
        filter,
      ),
      card.element,
      list,
      element("div", { class: "row row-centre" }, more),
      count,
    );
    fill(list, element("p", { class: "soft", role: "status" }, "Loading …"));
    void load();
    const stopDrops = acceptDrops(document.body, (photos: Photos) => {
      transfers.choose(photos);
      go("upload");
    });
    return () => {
      left = true;
      window.clearTimeout(timer);
      stopDrops();
      card.stop();
    };
  };
}

function stateFilter(): HTMLSelectElement {
  const states: [Filter, string][] = [
    ["all", "All states"],
    ["active", "Waiting or running"],
    ["success", "Done"],
    ["failed", "Failed"],
    ["cancelled", "Cancelled"],
  ];
  return element(
    "select",
    { id: "state", class: "input" },
    ...states.map(([value, text]) => element("option", { value }, text)),
  );
}

function fits(job: Job, filter: Filter, search: string): boolean {
  const state = filter === "all" || (filter === "active" ? isActive(job.stage) : job.stage === filter);
  return state && `${title(job)} ${job.job_id}`.toLowerCase().includes(search.trim().toLowerCase());
}

function row(job: Job): HTMLElement {
  return element(
    "li",
    {},
    element(
      "a",
      { class: "job", href: address("jobs", job.job_id) },
      element(
        "span",
        { class: "job-name" },
        element("strong", {}, job.dataset_name),
        element("span", { class: "soft" }, job.scene_name),
      ),
      element("span", { class: "job-state" }, stateChip(job.stage)),
      element("span", { class: "job-facts soft" }, facts(job)),
      element("span", { class: "job-when soft" }, ago(job.created_at)),
      progressBar(job, `Progress of ${title(job)}`),
    ),
  );
}

function facts(job: Job): string {
  if (isActive(job.stage)) return `${plural(job.n_images, "photo")} – ${step(job.message)}`;
  if (job.stage !== "success") return job.error ?? plural(job.n_images, "photo");
  const took = job.finished_at === null ? "" : ` in ${duration(job.finished_at - (job.started_at ?? job.created_at))}`;
  const placed = job.registration_rate === null ? "" : `, ${percent(job.registration_rate)} placed`;
  return `${plural(job.n_images, "photo")}${placed}, ${number(job.n_points)} points${took}`;
}

function welcome(): HTMLElement {
  return element(
    "div",
    { class: "empty" },
    icon("photos"),
    element("h2", {}, "Drop photos here to begin"),
    element(
      "p",
      { class: "soft" },
      "Twenty or more photos of the same place that overlap by half work well. A folder, a ZIP or the photos themselves.",
    ),
    element("a", { class: "button button-main", href: address("upload") }, "Choose photos"),
  );
}

function nothingFits(search: HTMLInputElement, filter: HTMLSelectElement, draw: () => void): HTMLElement {
  const reset = (): void => {
    search.value = "";
    filter.value = "all";
    draw();
    search.focus();
  };
  return element(
    "div",
    { class: "empty" },
    element("h2", {}, "No job fits"),
    element("button", { type: "button", class: "button", onclick: reset }, "Show all jobs"),
  );
}

function trouble(error: unknown, again: () => Promise<void>): HTMLElement {
  return element(
    "div",
    { class: "empty", role: "alert" },
    element("h2", {}, "The jobs cannot be shown"),
    element("p", { class: "soft" }, sentence(error)),
    element("button", { type: "button", class: "button", onclick: () => void again() }, "Try again"),
  );
}
