import { element, fill } from "../element";
import { address } from "../router";
import { percent } from "../words";
import type { Transfer } from "./transfer";
import { HEADINGS } from "./transfer-card";
import type { Transfers } from "./transfers";

/** The upload under way in one line, for pages that show something else. */
export function transferLine(transfers: Transfers): { element: HTMLElement; stop(): void } {
  const line = element("p", { class: "sending" });
  let stopState = (): void => undefined;
  const stopCurrent = transfers.current.watch((transfer) => {
    stopState();
    stopState = transfer === null ? (): void => undefined : transfer.state.watch(() => fill(line, told(transfer)));
    if (transfer === null) fill(line);
  });
  return {
    element: line,
    stop(): void {
      stopCurrent();
      stopState();
    },
  };
}

function told(transfer: Transfer): HTMLElement {
  const { phase, sent, jobId } = transfer.state.value;
  const share = phase === "done" || phase === "failed" ? "" : `: ${percent(sent / Math.max(1, transfer.total))}`;
  const href = phase === "done" ? address("jobs", jobId) : address("upload");
  return element("a", { href }, `${HEADINGS[phase]} – ${transfer.name}${share}`);
}
