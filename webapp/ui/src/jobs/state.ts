import { element } from "../element";
import type { Job, Stage } from "../wire";
import { isActive, STAGES } from "../words";

const TONES: Partial<Record<Stage, string>> = { success: "good", failed: "bad", cancelled: "quiet", queued: "quiet" };

/** A job's state as a small coloured word. */
export function stateChip(stage: Stage): HTMLElement {
  return element("span", { class: `chip chip-${TONES[stage] ?? "busy"}` }, STAGES[stage]);
}

/** How far a running job is. */
export function progressBar(job: Pick<Job, "stage" | "progress">, label: string): HTMLProgressElement | null {
  if (!isActive(job.stage)) return null;
  return element("progress", { class: "progress", max: 100, value: job.progress, "aria-label": label });
}
