import { observable } from "./observable";

/** Whether the service answers. */
export const connected = observable(true);

const ASK_EVERY_MS = 2000;
let asking = 0;

/** Notes that the service did not answer, and asks until it does. */
export function lost(): void {
  if (asking !== 0) return;
  connected.set(false);
  asking = window.setInterval(async () => {
    try {
      await fetch("/health", { cache: "no-store" });
      found();
    } catch {
      // still away: asked again soon
    }
  }, ASK_EVERY_MS);
}

/** Calls back once the service answers again; returns what forgets about it. */
export function whenBack(callback: () => void): () => void {
  if (connected.value) {
    // Another request came through meanwhile: the line was gone for a moment only.
    const timer = window.setTimeout(callback, ASK_EVERY_MS);
    return () => window.clearTimeout(timer);
  }
  const stop = connected.watch((value) => {
    if (!value) return;
    stop();
    callback();
  });
  return stop;
}

export function found(): void {
  window.clearInterval(asking);
  asking = 0;
  connected.set(true);
}
