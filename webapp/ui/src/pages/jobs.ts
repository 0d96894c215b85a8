import type { Api } from "../api";
import { arrange, element, fill } from "../element";
import { icon } from "../icons";
import { Finding } from "../jobs/finding";
import { JobList } from "../jobs/list";
import { address, go, type Page } from "../router";
import { acceptDrops } from "../upload/dropping";
import type { Photos } from "../upload/photos";
import { transferCard } from "../upload/transfer-card";
import type { Transfers } from "../upload/transfers";
import type { Stage } from "../wire";
import { isActive, plural, sentence } from "../words";

const BUSY_MS = 2500;
const IDLE_MS = 15_000;
const TYPING_MS = 250;

type Filter = "all" | "active" | "success" | "failed" | "cancelled";
const STAGES_OF: Record<Filter, Stage[]> = {
  all: [],
  active: ["queued", "extracting", "matching", "triangulating", "decimating"],
  success: ["success"],
  failed: ["failed"],
  cancelled: ["cancelled"],
};

/** All jobs, newest first, kept up to date; photos dropped anywhere begin a new one. */
export function jobsPage(api: Api, transfers: Transfers): Page {
  return (main) => {
    const list = element("div", { class: "stack", "aria-live": "off" });
    const rows = new JobList(api);
    const more = element("button", { type: "button", class: "button", hidden: true }, "Show older jobs");
    const search = element("input", {
      id: "search",
      type: "search",
      class: "input",
      placeholder: "Search by name",
      maxlength: 100,
    });
    const filter = stateFilter();
    const count = element("p", { class: "visually-hidden", role: "status" });
    const card = transferCard(transfers);
    const found = new Finding(api);
    let timer = 0;
    let typing = 0;
    let left = false;

    const draw = (): void => {
      const jobs = found.jobs;
      if (jobs === null) return;
      more.hidden = !found.hasMore;
      count.textContent = `${plural(jobs.length, "job")} shown`;
      if (jobs.length === 0 && found.isWhole) fill(list, welcome());
      else if (jobs.length === 0) fill(list, nothingFits(search, filter, look));
      else {
        rows.show(jobs);
        arrange(list, [rows.element]);
      }
    };
    const load = async (ask: () => Promise<void> = () => found.refresh()): Promise<void> => {
      window.clearTimeout(timer);
      try {
        await ask();
        if (!left) draw();
      } catch (error) {
        if (found.jobs === null && !left) fill(list, trouble(error, load));
      }
      const wait = found.jobs?.some((job) => isActive(job.stage)) ? BUSY_MS : IDLE_MS;
      window.clearTimeout(timer);
      if (!left) timer = window.setTimeout(() => void load(), document.hidden ? IDLE_MS : wait);
    };
    const look = (): void => {
      window.clearTimeout(typing);
      const wanted = { words: search.value.trim(), stages: STAGES_OF[filter.value as Filter] };
      void load(() => found.look(wanted));
    };
    more.addEventListener("click", () => void load(() => found.older()));
    search.addEventListener("input", () => {
      window.clearTimeout(typing);
      typing = window.setTimeout(look, TYPING_MS);
    });
    filter.addEventListener("change", look);

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
    const stopDrops = acceptDrops((photos: Photos) => {
      void transfers.choose(photos).then(() => go("upload"));
    });
    return () => {
      left = true;
      window.clearTimeout(timer);
      window.clearTimeout(typing);
      stopDrops();
      rows.stop();
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

function nothingFits(search: HTMLInputElement, filter: HTMLSelectElement, look: () => void): HTMLElement {
  const reset = (): void => {
    search.value = "";
    filter.value = "all";
    look();
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
