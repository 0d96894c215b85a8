import { type Api, ApiError, OfflineError } from "../api";
import { connected, lost } from "../connection";
import { observable } from "../observable";
import { account } from "../session";
import { sentence } from "../words";
import type { Source } from "./archive";
import { Pace } from "./pace";
import { forget } from "./records";
import { dropUpload, endUpload, sendPiece, uploadStatus } from "./tus";

const PIECE = 8 * 1024 * 1024;
const AGAIN_MS = 1000;
const AGAIN_AT_MOST_MS = 15_000;
const SIGNED_OUT = 401;
const OTHER_OFFSET = 409;
const BUSY = 423;
const DISK_FULL = 507;

export type Phase = "sending" | "paused" | "waiting" | "checking" | "done" | "failed" | "stopped";

export interface TransferState {
  readonly phase: Phase;
  readonly sent: number;
  /** Bytes per second; 0 while nobody knows. */
  readonly speed: number;
  readonly problem: string;
  readonly jobId: string;
}

/** One upload on its way: it can be paused, survives a lost connection, and ends as a job. */
export class Transfer {
  readonly state = observable<TransferState>({ phase: "sending", sent: 0, speed: 0, problem: "", jobId: "" });
  /** Whether the same files can be sent once more: false where they have changed. */
  canRepeat = true;
  private stopping = new AbortController();
  private readonly pace = new Pace();

  constructor(
    private readonly api: Api,
    readonly url: string,
    readonly name: string,
    private readonly source: Source,
  ) {
    void this.run();
  }

  get total(): number {
    return this.source.size;
  }

  pause(): void {
    if (this.state.value.phase !== "sending" && this.state.value.phase !== "waiting") return;
    this.tell({ phase: "paused", speed: 0 });
    this.stopping.abort();
  }

  resume(): void {
    if (this.state.value.phase !== "paused") return;
    this.stopping = new AbortController();
    this.tell({ phase: "sending" });
    void this.run();
  }

  /** Stops, and has the service drop what has come. */
  async cancel(): Promise<void> {
    this.pause();
    await dropUpload(this.api, this.url);
    forget(this.url);
    this.tell({ phase: "stopped" });
  }

  private async run(): Promise<void> {
    const { signal } = this.stopping;
    let wait = AGAIN_MS;
    while (!signal.aborted) {
      try {
        await this.send(signal, () => {
          wait = AGAIN_MS;
        });
        if (!signal.aborted) await this.finish();
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!mayPass(error)) {
          this.fail(error);
          return;
        }
        if (error instanceof OfflineError) lost();
        this.tell({ phase: "waiting", speed: 0, problem: sentence(error) });
        await pausing(wait, signal);
        wait = Math.min(2 * wait, AGAIN_AT_MOST_MS);
      }
    }
  }

  private async send(signal: AbortSignal, progressed: () => void): Promise<void> {
    const status = await uploadStatus(this.api, this.url);
    if (status === null) throw new ApiError(410, "The service no longer has this upload. Please begin it again.");
    let { offset } = status;
    this.pace.restart(offset);
    while (offset < this.total) {
      if (signal.aborted) return;
      const start = offset;
      const piece = await this.source.slice(start, Math.min(start + PIECE, this.total));
      const tell = (bytes: number): void => {
        if (!signal.aborted) this.tell({ phase: "sending", problem: "", ...this.pace.at(start + bytes) });
      };
      tell(0);
      offset = await sendPiece(this.url, start, piece, tell, signal);
      progressed();
    }
    if (!signal.aborted) this.tell({ sent: this.total, speed: 0 });
  }

  private async finish(): Promise<void> {
    this.tell({ phase: "checking", problem: "" });
    const jobId = await endUpload(this.api, this.url);
    forget(this.url);
    this.tell({ phase: "done", jobId });
  }

  private fail(error: unknown): void {
    // Neither what was refused nor files that are other ones by now can go on from where they were.
    forget(this.url);
    const unreadable = error instanceof DOMException && error.name === "NotReadableError";
    this.canRepeat = !unreadable;
    if (unreadable) void dropUpload(this.api, this.url).catch(() => undefined);
    const problem = unreadable
      ? "A file was changed or removed while it was being sent. Choose the photos again."
      : sentence(error);
    this.tell({ phase: "failed", speed: 0, problem });
  }

  private tell(change: Partial<TransferState>): void {
    this.state.set({ ...this.state.value, ...change });
  }
}

/** Whether it is worth trying again: a lost connection, a busy service, a session that waits for its password. */
function mayPass(error: unknown): boolean {
  if (error instanceof OfflineError) return true;
  if (!(error instanceof ApiError)) return false;
  const { status } = error;
  return [SIGNED_OUT, BUSY, OTHER_OFFSET].includes(status) || (status >= 500 && status !== DISK_FULL);
}

/** Waits, but no longer than until the service answers again or somebody has signed in. */
function pausing(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      window.clearTimeout(timer);
      for (const stop of unwatch) stop();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = window.setTimeout(done, ms);
    const unwatch: (() => void)[] = [];
    if (!connected.value) unwatch.push(connected.watch((value) => value && done()));
    if (account.value === null) unwatch.push(account.watch((who) => who !== null && done()));
    signal.addEventListener("abort", done);
  });
}
