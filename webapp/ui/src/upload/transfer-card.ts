import { ask } from "../dialog";
import { element, fill } from "../element";
import { icon } from "../icons";
import { address, place } from "../router";
import { bytes, duration } from "../words";
import type { Transfer, TransferState } from "./transfer";
import type { Transfers } from "./transfers";

export const HEADINGS: Record<TransferState["phase"], string> = {
  sending: "Sending photos",
  paused: "Paused",
  waiting: "Waiting for the connection",
  checking: "Checking the photos",
  done: "Sent",
  failed: "Not accepted",
  stopped: "Stopped",
};

/** The upload under way, with what can be done about it; empty while there is none. */
export function transferCard(transfers: Transfers): { element: HTMLElement; stop: () => void } {
  const slot = element("div", { class: "transfer-place" });
  let stopCard = (): void => undefined;
  const stopWatch = transfers.current.watch((transfer) => {
    stopCard();
    fill(slot);
    if (transfer === null) return;
    const card = drawn(transfer, () => transfers.current.set(null));
    slot.append(card.element);
    stopCard = card.stop;
  });
  return {
    element: slot,
    stop(): void {
      stopWatch();
      stopCard();
    },
  };
}

function drawn(transfer: Transfer, close: () => void): { element: HTMLElement; stop: () => void } {
  const heading = element("h2", {});
  const numbers = element("p", { class: "soft numbers" });
  const problem = element("p", { class: "problem", role: "alert" });
  const bar = element("progress", { class: "progress", max: transfer.total, value: 0, "aria-label": "Photos sent" });
  const actions = element("div", { class: "row" });
  const card = element(
    "section",
    { class: "card transfer", "aria-label": "Upload" },
    element("div", { class: "row row-apart" }, element("div", {}, heading, element("p", {}, transfer.name)), actions),
    bar,
    numbers,
    problem,
  );
  let phase = "";
  const stop = transfer.state.watch((state) => {
    bar.value = state.sent;
    numbers.textContent = told(state, transfer.total);
    problem.textContent = state.problem;
    problem.hidden = state.problem === "" || state.phase !== "failed";
    if (phase === state.phase) return;
    phase = state.phase;
    heading.textContent = HEADINGS[state.phase];
    card.dataset["phase"] = state.phase;
    bar.hidden = state.phase === "done" || state.phase === "failed";
    if (state.phase === "checking") bar.removeAttribute("value");
    fill(actions, ...buttons(transfer, state, close));
  });
  return { element: card, stop };
}

function buttons(transfer: Transfer, state: TransferState, close: () => void): HTMLElement[] {
  const button = (text: string, shape: "pause" | "play" | "cross", act: () => void): HTMLElement =>
    element("button", { type: "button", class: "button", onclick: act }, icon(shape), text);
  const drop = (): void => {
    void ask({
      title: "Stop this upload?",
      text: "What was sent so far is removed from the service. Your photos stay where they are.",
      action: "Stop and remove",
      danger: true,
      act: () => transfer.cancel(),
    }).then((done) => done && close());
  };
  switch (state.phase) {
    case "sending":
    case "waiting":
      return [button("Pause", "pause", () => transfer.pause()), button("Stop", "cross", drop)];
    case "paused":
      return [button("Resume", "play", () => transfer.resume()), button("Stop", "cross", drop)];
    case "done":
      return [
        element("a", { class: "button button-main", href: address("jobs", state.jobId) }, "Show the job"),
        button("Close", "cross", close),
      ];
    case "failed":
      return [
        ...(place()[0] === "upload"
          ? []
          : [element("a", { class: "button button-main", href: address("upload") }, "Change and send again")]),
        button("Close", "cross", close),
      ];
    case "stopped":
      return [button("Close", "cross", close)];
    case "checking":
      return [];
  }
}

function told(state: TransferState, total: number): string {
  const share = `${bytes(state.sent)} of ${bytes(total)}`;
  if (state.phase === "checking") return "All photos have arrived and are being looked at.";
  if (state.phase === "done") return bytes(total);
  if (state.phase === "waiting") return `${share} · goes on by itself`;
  if (state.phase !== "sending" || state.speed === 0) return share;
  return `${share} · ${bytes(state.speed)}/s · ${duration((total - state.sent) / state.speed)} left`;
}
