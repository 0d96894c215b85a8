import { OfflineError } from "../api";
import { whenBack } from "../connection";
import { ask } from "../dialog";
import { element, fill } from "../element";
import { ago, bytes, percent, plural, sentence } from "../words";
import { ACCEPTED, ChoiceError, choose, fingerprint, fromInput } from "./photos";
import type { Transfers, Unfinished } from "./transfers";

const EVERY_MS = 3000;

/** Uploads that a reload or a closed tab interrupted, and the way on with each; kept up to date. */
export function unfinishedUploads(transfers: Transfers): { element: HTMLElement; stop(): void } {
  const place = element("div", { class: "stack" });
  let drawn = "";
  let left = false;
  let timer = 0;
  let stopWaiting = (): void => undefined;
  const look = async (): Promise<void> => {
    window.clearTimeout(timer);
    stopWaiting();
    try {
      const found = await transfers.unfinished();
      const now = JSON.stringify(found);
      if (left) return;
      if (now !== drawn) fill(place, ...found.map((one) => card(one, transfers, () => void look())));
      drawn = now;
    } catch (error) {
      if (left) return;
      if (error instanceof OfflineError) stopWaiting = whenBack(() => void look());
    }
    timer = window.setTimeout(() => void look(), EVERY_MS);
  };
  const stopBusy = transfers.busy.watch(() => void look());
  return {
    element: place,
    stop(): void {
      left = true;
      window.clearTimeout(timer);
      stopWaiting();
      stopBusy();
    },
  };
}

function card(upload: Unfinished, transfers: Transfers, again: () => void): HTMLElement {
  const { record, sent, isComplete } = upload;
  const discard = (): void => {
    void ask({
      title: "Discard this upload?",
      text: "What was sent so far is removed from the service. Your photos stay where they are.",
      action: "Discard",
      danger: true,
      act: () => transfers.discard(record),
    }).then(again);
  };
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const ways = isComplete
    ? [
        element(
          "button",
          { type: "button", class: "button button-main", onclick: () => transfers.finish(upload) },
          "Start the job",
        ),
      ]
    : choosers(upload, transfers, problem);
  return element(
    "section",
    { class: "card stack", "aria-label": "Unfinished upload" },
    element(
      "div",
      { class: "stack-s" },
      element("h2", {}, `Unfinished: ${record.dataset} · ${record.scene}`),
      element("p", { class: "soft" }, isComplete ? "All photos have arrived." : told(upload)),
    ),
    !isComplete &&
      element("progress", { class: "progress", max: 1, value: sent, "aria-label": "Photos that have arrived" }),
    problem,
    element(
      "div",
      { class: "row" },
      ...ways,
      element("button", { type: "button", class: "button", onclick: discard }, "Discard"),
    ),
  );
}

function told({ record, sent }: Unfinished): string {
  const what =
    record.kind === "zip"
      ? "ZIP"
      : record.folder === true
        ? "folder"
        : plural(record.count, "photo").replace(/^1 /, "");
  return `${percent(sent)} of ${bytes(record.size)} sent, begun ${ago(record.at)}. Choose the same ${what} again and it goes on where it stopped.`;
}

/** Browsers do not let a page read files again after a reload, so the same photos are chosen once more, in the same way. */
function choosers({ record }: Unfinished, transfers: Transfers, problem: HTMLElement): HTMLElement[] {
  const taken = (event: Event): void => {
    const input = event.currentTarget as HTMLInputElement;
    try {
      const photos = choose(fromInput(input.files ?? new DataTransfer().files));
      if (fingerprint(photos) !== record.fingerprint)
        throw new ChoiceError("These are other photos than before. Choose the same ones, or discard this upload.");
      transfers.goOn(record, photos);
    } catch (error) {
      problem.textContent = sentence(error);
      problem.hidden = false;
    }
    input.value = "";
  };
  const id = `again-${record.fingerprint}`;
  const isFolder = record.kind === "photos" && record.folder === true;
  const input = isFolder
    ? element("input", { type: "file", id, class: "visually-hidden", webkitdirectory: true, onchange: taken })
    : element("input", {
        type: "file",
        id,
        class: "visually-hidden",
        multiple: true,
        accept: ACCEPTED,
        onchange: taken,
      });
  const name = isFolder ? "Choose the folder" : record.kind === "zip" ? "Choose the ZIP" : "Choose the photos";
  return [input, element("label", { class: "button button-main", for: id }, name)];
}
