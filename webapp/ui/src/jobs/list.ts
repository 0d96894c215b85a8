import type { Api } from "../api";
import { arrange, element } from "../element";
import { icon } from "../icons";
import { LazyPictures } from "../lazy-pictures";
import { address } from "../router";
import { account } from "../session";
import type { Job } from "../wire";
import { ago, duration, isActive, number, percent, plural, sentenceOf, step, title } from "../words";
import { progressBar, stateChip } from "./state";

/** Rows of jobs. A row stays the same element while its job is shown, so that the keyboard stays where it is. */
export class JobList {
  readonly element = element("ul", { class: "jobs", role: "list" });
  private readonly rows = new Map<string, Row>();
  private readonly lazy = new LazyPictures();

  constructor(private readonly api: Api) {}

  stop(): void {
    this.lazy.stop();
  }

  show(jobs: readonly Job[]): void {
    const shown = new Set(jobs.map((job) => job.job_id));
    for (const id of this.rows.keys()) if (!shown.has(id)) this.rows.delete(id);
    arrange(
      this.element,
      jobs.map((job) => this.row(job)),
    );
  }

  private row(job: Job): HTMLElement {
    const row =
      this.rows.get(job.job_id) ??
      new Row(job.job_id, (place) => this.lazy.watch(place, () => this.api.thumbnail(job.job_id)));
    this.rows.set(job.job_id, row);
    row.show(job);
    return row.element;
  }
}

class Row {
  readonly element: HTMLElement;
  private readonly dataset = element("strong");
  private readonly scene = element("span", { class: "soft" });
  private readonly state = element("span", { class: "job-state" });
  private readonly facts = element("span", { class: "job-facts soft" });
  private readonly when = element("span", { class: "job-when soft" });
  private readonly bar = element("span", { class: "job-bar" });
  private readonly cover = element("span", { class: "thumb", "aria-hidden": "true" }, icon("photos"));
  private stage = "";

  constructor(
    id: string,
    private readonly fetchCover: (place: HTMLElement) => void,
  ) {
    const name = element("span", { class: "job-name" }, this.dataset, this.scene);
    this.element = element(
      "li",
      {},
      element(
        "a",
        { class: "job", href: address("jobs", id) },
        this.cover,
        name,
        this.state,
        this.facts,
        this.when,
        this.bar,
      ),
    );
  }

  show(job: Job): void {
    write(this.dataset, job.dataset_name);
    write(this.scene, whose(job));
    write(this.facts, facts(job));
    write(this.when, ago(job.created_at));
    if (job.stage !== this.stage) {
      const bar = progressBar(job, `Progress of ${title(job)}`);
      this.state.replaceChildren(stateChip(job.stage));
      this.bar.replaceChildren(...(bar === null ? [] : [bar]));
      if (job.stage === "success") this.fetchCover(this.cover);
      this.stage = job.stage;
    }
    const [bar] = this.bar.children;
    if (bar instanceof HTMLProgressElement) bar.value = job.progress;
  }
}

/** The scene, and for administrators whose job it is where it is not their own. */
function whose(job: Job): string {
  return job.owner === null || job.owner === account.value?.name ? job.scene_name : `${job.scene_name} · ${job.owner}`;
}

function write(target: Element, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

function facts(job: Job): string {
  if (isActive(job.stage)) return `${plural(job.n_images, "photo")} – ${step(job.message)}`;
  if (job.stage !== "success") return sentenceOf(job.error ?? plural(job.n_images, "photo"));
  const took = job.finished_at === null ? "" : ` in ${duration(job.finished_at - (job.started_at ?? job.created_at))}`;
  const placed = job.registration_rate === null ? "" : `, ${percent(job.registration_rate)} placed`;
  return `${plural(job.n_images, "photo")}${placed}, ${number(job.n_points)} points${took}`;
}
