import { tell } from "../dialog";
import { element } from "../element";
import { sentence } from "../words";
import { choose, fromDrop, type Photos } from "./photos";

/** Takes files dropped anywhere but on a dialog; returns what ends that. */
export function acceptDrops(chosen: (photos: Photos) => void): () => void {
  // Once it is shown it lies over everything, so that what is redrawn below takes no drop with it and no leave either.
  const veil = element("div", { class: "veil", hidden: true }, element("p", {}, "Drop to begin a new job"));
  const enter = (event: DragEvent): void => {
    if (isForUs(event)) veil.hidden = false;
  };
  const leave = (): void => {
    veil.hidden = true;
  };
  const over = (event: DragEvent): void => {
    if (isForUs(event)) event.preventDefault();
  };
  const drop = async (event: DragEvent): Promise<void> => {
    veil.hidden = true;
    if (event.dataTransfer === null || !isForUs(event)) return;
    event.preventDefault();
    try {
      chosen(choose(await fromDrop(event.dataTransfer)));
    } catch (error) {
      await tell("These files cannot be used", sentence(error));
    }
  };
  veil.addEventListener("dragleave", leave);
  document.body.append(veil);
  document.body.addEventListener("dragenter", enter);
  document.body.addEventListener("dragover", over);
  document.body.addEventListener("drop", drop);
  return () => {
    veil.remove();
    document.body.removeEventListener("dragenter", enter);
    document.body.removeEventListener("dragover", over);
    document.body.removeEventListener("drop", drop);
  };
}

/** Files, and not text or links; a dialog is in front of the page. */
function isForUs(event: DragEvent): boolean {
  const onDialog = event.target instanceof Element && event.target.closest("dialog") !== null;
  return !onDialog && (event.dataTransfer?.types.includes("Files") ?? false);
}
