import type { Api } from "../api";
import { type Observable, observable } from "../observable";
import type { Job } from "../wire";

/** What is selected, so that table, 3D view and matrix speak of the same photo. */
export interface Selection {
  /** Name of a photo, as `GET /jobs/{id}/images` has it. */
  readonly photo: Observable<string | null>;
  /** Name of a model, such as `cluster0_model0`; `null` stands for all. */
  readonly cluster: Observable<string | null>;
}

/** What a part of the results page is given. It draws into its element, and returns what takes it away again. */
export interface JobContext {
  readonly api: Api;
  /** A job that has ended with success. */
  readonly job: Job;
  readonly selection: Selection;
}

/** `mount<Name>` of `results/<name>.ts`. */
export type Mount = (element: HTMLElement, context: JobContext) => () => void;

export function jobContext(api: Api, job: Job): JobContext {
  return { api, job, selection: { photo: observable<string | null>(null), cluster: observable<string | null>(null) } };
}
