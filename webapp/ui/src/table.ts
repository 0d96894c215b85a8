import { element } from "./element";
import { icon } from "./icons";

/** Rows of a first cell that names them, further ones, and what can be done about them. */
export function table(head: string[], rows: (string | HTMLElement)[][]): HTMLElement {
  const columns = head.map((name) => element("th", { scope: "col" }, name));
  const drawn = rows.map(([name, ...cells]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, name),
      ...cells.map((cell) => element("td", typeof cell === "string" ? {} : { class: "cell-end" }, cell)),
    ),
  );
  return element(
    "div",
    { class: "table-place" },
    element(
      "table",
      { class: "table" },
      element("thead", {}, element("tr", {}, ...columns, element("td", {}))),
      element("tbody", {}, ...drawn),
    ),
  );
}

/** What can be done about a row; `what` names the row to who hears the page. */
export function rowButton(name: "trash" | null, text: string, what: string, act: () => void): HTMLElement {
  return element(
    "button",
    { type: "button", class: "button button-small", onclick: act },
    name !== null && icon(name),
    text,
    element("span", { class: "visually-hidden" }, ` ${what}`),
  );
}
