import type { Api } from "../api";
import { ask } from "../dialog";
import { element } from "../element";
import { icon } from "../icons";
import { go } from "../router";
import type { Job } from "../wire";
import { isActive, title } from "../words";

/** What can be done about a job in its state. */
export function actions(api: Api, job: Job, changed: (job: Job) => void): HTMLElement[] {
  const made: HTMLElement[] = [];
  if (isActive(job.stage)) made.push(button("Cancel", "cross", () => cancel(api, job, changed)));
  if (job.stage === "failed" || job.stage === "cancelled")
    made.push(button("Try again", "again", () => retry(api, job, changed), true));
  if (!isActive(job.stage)) made.push(button("Delete", "trash", () => remove(api, job)));
  return made;
}

function button(text: string, shape: "cross" | "again" | "trash", act: () => void, main = false): HTMLElement {
  const style = main ? "button button-main" : "button";
  return element("button", { type: "button", class: style, onclick: act }, icon(shape), text);
}

function cancel(api: Api, job: Job, changed: (job: Job) => void): void {
  void ask({
    title: "Cancel this job?",
    text: "It stops within seconds. Your photos stay, and you can go on later from where it was.",
    action: "Cancel the job",
    danger: true,
    act: async () => changed(await api.cancel(job.job_id)),
  });
}

function remove(api: Api, job: Job): void {
  void ask({
    title: `Delete ${title(job)}?`,
    text: "Its photos and all results are removed from the service. This cannot be undone.",
    action: "Delete for good",
    danger: true,
    act: () => api.remove(job.job_id),
  }).then((done) => done && go("jobs"));
}

function retry(api: Api, job: Job, changed: (job: Job) => void): void {
  const choice = element(
    "select",
    { id: "retry-quality", class: "input" },
    element("option", { value: "" }, "As before"),
    element("option", { value: "fast" }, "Fast"),
    element("option", { value: "default" }, "Balanced"),
    element("option", { value: "detailed" }, "Detailed"),
  );
  void ask({
    title: "Try again?",
    text: element(
      "div",
      { class: "stack" },
      element("p", { class: "soft" }, "The same photos are used, and what is already computed is kept where it fits."),
      element("div", { class: "field" }, element("label", { for: "retry-quality" }, "Quality"), choice),
    ),
    action: "Try again",
    act: async () => changed(await api.retry(job.job_id, choice.value === "" ? {} : { preset: choice.value })),
  });
}
