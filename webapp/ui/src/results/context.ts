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
  /** A job that has ended. */
  readonly job: Job;
  readonly selection: Selection;
  /** The part that is looked at: the id of a section. Setting it opens that part. */
  readonly tab: Observable<string>;
}

/** `mount<Name>` of `results/<name>.ts`. */
export type Mount = (element: HTMLElement, context: JobContext) => () => void;

export function jobContext(api: Api, job: Job): JobContext {
  const selection = { photo: observable<string | null>(null), cluster: observable<string | null>(null) };
  return { api, job, selection, tab: observable("") };
}
