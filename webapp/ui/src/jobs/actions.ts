import type { Api } from "../api";
import { ask } from "../dialog";
import { element, fill } from "../element";
import { type IconName, icon } from "../icons";
import { address, go } from "../router";
import type { Job } from "../wire";
import { isActive, needsOtherPhotos, title } from "../words";
import { retry } from "./retry";

export interface Acts {
  changed(job: Job): void;
  download(): void;
}

/** What can be done about a job in its state; what is most likely wanted stands out. */
export function actions(api: Api, job: Job, acts: Acts): HTMLElement[] {
  if (isActive(job.stage)) return [cancelButton(api, job, acts)];
  const made: HTMLElement[] = [];
  if (job.stage === "success") made.push(button("Download", "download", () => acts.download(), "button-main"));
  else {
    const wantsPhotos = needsOtherPhotos(job);
    if (wantsPhotos)
      made.push(
        element(
          "a",
          { class: "button button-main", href: address("upload") },
          icon("upload"),
          "New job with more photos",
        ),
      );
    made.push(button("Try again", "again", () => retry(api, job, acts.changed), wantsPhotos ? "" : "button-main"));
  }
  made.push(button("Delete", "trash", () => remove(api, job), "button-quiet button-brief"));
  return made;
}

function button(text: string, shape: IconName, act: () => void, kind = ""): HTMLButtonElement {
  return element(
    "button",
    { type: "button", class: `button ${kind}`, onclick: act },
    icon(shape),
    element("span", {}, text),
  );
}

function cancelButton(api: Api, job: Job, acts: Acts): HTMLElement {
  const made = button("Cancel", "cross", () => {
    void ask({
      title: "Cancel this job?",
      text: "It stops within seconds. Your photos stay, and you can go on later from where it was.",
      action: "Cancel the job",
      danger: true,
      act: async () => {
        const now = await api.cancel(job.job_id);
        made.disabled = true;
        fill(made, "Cancelling …");
        acts.changed(now);
      },
    });
  });
  return made;
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
