import { element } from "../element";

/** A photo's name as a person reads it: its folders small above it, both cut short where there is no room. */
export function photoName(name: string): HTMLElement {
  const at = name.lastIndexOf("/") + 1;
  return element(
    "span",
    { class: "photo-name", title: name },
    at > 0 && element("small", { class: "photo-folder soft" }, name.slice(0, at)),
    element("span", { class: "photo-file" }, name.slice(at)),
  );
}
