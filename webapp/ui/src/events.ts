import { type Api, ApiError } from "./api";
import { messages } from "./server-sent";
import type { JobEvent } from "./wire";
import { isEnded } from "./words";

const AGAIN_MS = 1000;
const AGAIN_AT_MOST_MS = 15_000;

export interface Listener {
  heard(event: JobEvent): void;
  /** The job has ended, or it was deleted. */
  ended(): void;
}

/**
 * Calls back with all that happened to a job and goes on as it happens, until the job ends.
 *
 * The stream is read by hand, because `EventSource` cannot send an Authorization header. A lost connection is taken up
 * again after the event that was heard last.
 */
export function followEvents(api: Api, jobId: string, listener: Listener): () => void {
  const ending = new AbortController();
  void listen(api, jobId, listener, ending.signal);
  return () => ending.abort();
}

async function listen(api: Api, jobId: string, listener: Listener, signal: AbortSignal): Promise<void> {
  let last = 0;
  let wait = AGAIN_MS;
  while (!signal.aborted) {
    try {
      const headers = { Accept: "text/event-stream", "Last-Event-ID": String(last) };
      const answer = await api.ask(`/jobs/${jobId}/events`, { headers, signal });
      wait = AGAIN_MS;
      for await (const data of messages(answer)) {
        const event = JSON.parse(data) as JobEvent;
        last = event.id;
        listener.heard(event);
      }
      // The service closes the stream of a job that has ended; anything else is a connection that was lost.
      if (isEnded((await api.job(jobId)).stage)) {
        if (!signal.aborted) listener.ended();
        return;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && error.status === 404) {
        listener.ended();
        return;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, wait));
    wait = Math.min(wait * 2, AGAIN_AT_MOST_MS);
  }
}
