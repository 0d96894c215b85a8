import type { Api } from "../api";
import type { Job, JobPage, Stage } from "../wire";
import { isActive } from "../words";

const PAGE = 100;

/** What is looked for: words of a job's names, and its stages; none asks for all. */
export interface Wanted {
  words: string;
  stages: Stage[];
}

/** The jobs somebody looks for, newest first, as far back as was asked for; the service does the looking. */
export class Finding {
  /** `null` until the first answer. */
  jobs: Job[] | null = null;
  private cursor: string | null = null;
  private wanted: Wanted = { words: "", stages: [] };
  private answered: Wanted | null = null;
  private round = 0;

  constructor(private readonly api: Api) {}

  /** Whether there are older jobs than those here. */
  get hasMore(): boolean {
    return this.cursor !== null;
  }

  /** Whether all jobs are asked for. */
  get isWhole(): boolean {
    return this.wanted.words === "" && this.wanted.stages.length === 0;
  }

  /** Looks for something else; what was found stays until the answer. */
  async look(wanted: Wanted): Promise<void> {
    this.wanted = wanted;
    await this.refresh();
  }

  /** Asks for the newest jobs again, and for older ones as far as there is something going on. */
  async refresh(): Promise<void> {
    const wanted = this.wanted;
    await this.take(++this.round, wanted, this.answered === wanted ? (this.jobs ?? []) : []);
  }

  /** Goes further back. */
  async older(): Promise<void> {
    const round = ++this.round;
    const answer = await this.page(this.cursor);
    if (round !== this.round) return;
    const known = new Set(this.jobs?.map((job) => job.job_id));
    this.jobs = [...(this.jobs ?? []), ...answer.jobs.filter((job) => !known.has(job.job_id))];
    this.cursor = answer.next_cursor;
  }

  private async take(round: number, wanted: Wanted, before: Job[]): Promise<void> {
    let answer = await this.page(null);
    const fresh = answer.jobs;
    let rest = olderThan(fresh, before);
    while (answer.next_cursor !== null && rest.some((job) => isActive(job.stage))) {
      answer = await this.page(answer.next_cursor);
      fresh.push(...answer.jobs);
      rest = olderThan(fresh, before);
    }
    // An answer to an earlier question, come late.
    if (round !== this.round) return;
    this.answered = wanted;
    const ends = answer.next_cursor === null || rest.length === 0;
    this.jobs = ends ? fresh : [...fresh, ...rest];
    if (ends) this.cursor = answer.next_cursor;
  }

  private page(cursor: string | null): Promise<JobPage> {
    return this.api.jobs({ q: this.wanted.words, stage: this.wanted.stages, limit: PAGE, cursor });
  }
}

function olderThan(fresh: Job[], jobs: Job[]): Job[] {
  const last = fresh.at(-1);
  const known = new Set(fresh.map((job) => job.job_id));
  return jobs.filter((job) => last !== undefined && job.created_at <= last.created_at && !known.has(job.job_id));
}
