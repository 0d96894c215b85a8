import { element, fill } from "../element";
import { icon } from "../icons";
import type { Job, Stage } from "../wire";
import { duration, isActive, STAGES, step } from "../words";

const STEPS: Stage[] = ["queued", "extracting", "matching", "triangulating", "decimating", "success"];

/** Where a job is on its way, with live counts and how long it has been running. */
export class Tracker {
  readonly element = element("section", { class: "card tracker", "aria-label": "Progress" });
  private readonly list = element("ol", { class: "steps" });
  private readonly bar = element("progress", { class: "progress", max: 100, "aria-label": "Progress of the job" });
  private readonly now = element("p", { class: "tracker-now" });
  private readonly spoken = element("p", { class: "visually-hidden", role: "status" });
  private readonly time = element("p", { class: "soft numbers" });
  private stage: Stage | null = null;

  constructor() {
    fill(
      this.element,
      this.list,
      this.bar,
      element("div", { class: "row row-apart" }, this.now, this.time),
      this.spoken,
    );
  }

  show(job: Job): void {
    this.element.hidden = !isActive(job.stage);
    this.bar.value = job.progress;
    this.now.textContent = step(job.message);
    this.tick(job);
    if (job.stage === this.stage) return;
    this.stage = job.stage;
    this.spoken.textContent = STAGES[job.stage];
    const here = STEPS.indexOf(job.stage);
    fill(this.list, ...STEPS.map((stage, index) => drawn(stage, index, here)));
  }

  /** Lets the clock go on. */
  tick(job: Job): void {
    if (job.started_at === null) this.time.textContent = `waiting for ${duration(Date.now() / 1000 - job.created_at)}`;
    else this.time.textContent = `running for ${duration(Date.now() / 1000 - job.started_at)}`;
  }
}

function drawn(stage: Stage, index: number, here: number): HTMLElement {
  const state = index < here ? "past" : index === here ? "now" : "next";
  return element(
    "li",
    { class: `step step-${state}`, ...(state === "now" ? { "aria-current": "step" } : {}) },
    element("span", { class: "step-dot" }, state === "past" ? icon("check") : null),
    element("span", { class: "step-name" }, STAGES[stage]),
  );
}
