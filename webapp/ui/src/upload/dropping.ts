import { tell } from "../dialog";
import { element } from "../element";
import { sentence } from "../words";
import { choose, fromDrop, type Photos } from "./photos";

/** Takes files dropped onto an element; returns what ends that. */
export function acceptDrops(target: HTMLElement, chosen: (photos: Photos) => void): () => void {
  let depth = 0;
  const veil = element("div", { class: "veil", hidden: true }, element("p", {}, "Drop to begin a new job"));
  target.append(veil);
  const show = (visible: boolean): void => {
    veil.hidden = !visible;
    target.classList.toggle("dropping", visible);
  };
  const enter = (event: DragEvent): void => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    depth += 1;
    show(true);
  };
  const leave = (): void => {
    depth = Math.max(0, depth - 1);
    if (depth === 0) show(false);
  };
  const over = (event: DragEvent): void => event.preventDefault();
  const drop = async (event: DragEvent): Promise<void> => {
    event.preventDefault();
    depth = 0;
    show(false);
    if (event.dataTransfer === null) return;
    try {
      chosen(choose(await fromDrop(event.dataTransfer)));
    } catch (error) {
      await tell("These files cannot be used", sentence(error));
    }
  };
  target.addEventListener("dragenter", enter);
  target.addEventListener("dragleave", leave);
  target.addEventListener("dragover", over);
  target.addEventListener("drop", drop);
  return () => {
    veil.remove();
    target.removeEventListener("dragenter", enter);
    target.removeEventListener("dragleave", leave);
    target.removeEventListener("dragover", over);
    target.removeEventListener("drop", drop);
  };
}
