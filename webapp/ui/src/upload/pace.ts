const WINDOW_MS = 6000;

/** How fast bytes go, over the last seconds. */
export class Pace {
  private seen: { at: number; sent: number }[] = [];

  restart(sent: number): void {
    this.seen = [{ at: performance.now(), sent }];
  }

  at(sent: number): { sent: number; speed: number } {
    const now = performance.now();
    this.seen.push({ at: now, sent });
    while (this.seen.length > 2 && now - (this.seen[0]?.at ?? now) > WINDOW_MS) this.seen.shift();
    const first = this.seen[0] ?? { at: now, sent };
    const passed = (now - first.at) / 1000;
    return { sent, speed: passed < 0.5 ? 0 : (sent - first.sent) / passed };
  }
}
