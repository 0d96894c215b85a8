import { element } from "../element";
import type { JobEvent } from "../wire";
import { clock, step } from "../words";

/** What happened to a job, line by line. */
export class Log {
  readonly element: HTMLElement;
  private readonly lines = element("ol", { class: "log-lines", tabindex: 0, "aria-label": "Log" });
  private last: { event: JobEvent; line: HTMLElement } | null = null;

  constructor() {
    this.element = element("section", { class: "card log" }, element("h2", {}, "Log"), this.lines);
  }

  /** Adds an event; one that only counts on replaces the count before it. */
  add(event: JobEvent): void {
    const follows = this.lines.scrollHeight - this.lines.scrollTop - this.lines.clientHeight < 24;
    const line = element(
      "li",
      { class: `log-line log-${event.kind}` },
      element("time", { class: "numbers soft" }, clock(event.at)),
      element("span", {}, text(event)),
    );
    if (this.last !== null && counts(this.last.event) && counts(event) && isSameStep(this.last.event, event))
      this.last.line.replaceWith(line);
    else this.lines.append(line);
    this.last = { event, line };
    if (follows) this.lines.scrollTop = this.lines.scrollHeight;
  }
}

function text(event: JobEvent): string {
  return step(event.message);
}

function counts(event: JobEvent): boolean {
  return event.kind === "progress" && / \d+ of \d+$/.test(event.message);
}

function isSameStep(one: JobEvent, other: JobEvent): boolean {
  return one.message.split(":")[0] === other.message.split(":")[0];
}
