import { OfflineError } from "./api";
import { whenBack } from "./connection";
import { element, fill } from "./element";
import { sentence } from "./words";

/** A part of the page that is filled with an answer of the service. */
export interface Loading {
  /** Asks once more, as after a change. */
  again(): Promise<void>;
  stop(): void;
}

/**
 * Fills a place with what is asked for.
 *
 * A failure is told there, with a button that tries again; where the service cannot be reached, it is asked again by
 * itself as soon as it is back. `draw` hands over what takes away what it drew.
 */
export function loading<T>(
  place: Element,
  ask: () => Promise<T>,
  draw: (found: T, ends: (end: () => void) => void) => void,
  told: Told = {},
): Loading {
  let left = false;
  let turn = 0;
  let ends: (() => void)[] = [];
  let stopWaiting = (): void => undefined;
  const clear = (): void => {
    for (const end of ends) end();
    ends = [];
  };
  const again = async (): Promise<void> => {
    turn += 1;
    const mine = turn;
    stopWaiting();
    try {
      const found = await ask();
      if (left || mine !== turn) return;
      clear();
      draw(found, (end) => ends.push(end));
    } catch (error) {
      if (left || mine !== turn) return;
      clear();
      if (told.failed === undefined) fill(place, ...trouble(error, () => void again()));
      else told.failed(error, () => void again());
      if (error instanceof OfflineError) stopWaiting = whenBack(() => void again());
    }
  };
  if (told.waiting !== "") fill(place, element("p", { class: "soft", role: "status" }, told.waiting ?? "Loading …"));
  void again();
  return {
    again,
    stop(): void {
      left = true;
      stopWaiting();
      clear();
    },
  };
}

interface Told {
  /** What stands in the place until there is an answer; empty leaves it as it is. */
  readonly waiting?: string;
  /** Tells a failure in a way of its own. */
  readonly failed?: (error: unknown, again: () => void) => void;
}

/** A failure with the button that tries again. */
export function trouble(error: unknown, again: () => void): HTMLElement[] {
  return [
    element("p", { class: "problem", role: "alert" }, sentence(error)),
    element(
      "div",
      { class: "row" },
      element("button", { type: "button", class: "button", onclick: again }, "Try again"),
    ),
  ];
}
