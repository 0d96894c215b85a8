export type Child = Node | string | number | null | undefined | false;
type Attribute = string | number | boolean | undefined | ((event: Event) => void);

/**
 * Makes an element: `element("button", { class: "button", onclick: save }, "Save")`.
 *
 * A function under `on…` becomes a listener; `true` sets a bare attribute, `false` and `undefined` leave it out. Styles go
 * through classes or `.style`, because the page's policy forbids style attributes.
 */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Record<string, Attribute> = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== undefined) made.setAttribute(name, String(value));
  }
  made.append(...kept(children));
  return made;
}

/** Puts other children into an element. */
export function fill(target: Element, ...children: Child[]): void {
  target.replaceChildren(...kept(children));
}

/**
 * Makes an element's children look like these, and changes only what is different, so that the keyboard stays where it is.
 *
 * Elements that stay keep their own listeners: for what is only shown.
 */
export function refill(target: Element, ...children: Child[]): void {
  const old = [...target.childNodes];
  arrange(
    target,
    kept(children).map((child, at) => {
      const made = typeof child === "string" ? document.createTextNode(child) : child;
      return matched(old[at], made);
    }),
  );
}

function matched(old: Node | undefined, made: Node): Node {
  if (old === undefined || old.nodeName !== made.nodeName) return made;
  if (old.isEqualNode(made)) return old;
  if (!(old instanceof Element && made instanceof Element)) return made;
  for (const { name } of [...old.attributes]) if (!made.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of made.attributes) old.setAttribute(name, value);
  refill(old, ...made.childNodes);
  return old;
}

/** Makes these an element's children, in this order, and moves only those that do not stand where they should. */
export function arrange(target: Element, children: readonly Node[]): void {
  const wanted = new Set(children);
  for (const child of [...target.childNodes]) if (!wanted.has(child)) child.remove();
  children.forEach((child, at) => {
    const there = target.childNodes[at];
    if (there !== child) target.insertBefore(child, there ?? null);
  });
}

const SVG = "http://www.w3.org/2000/svg";

/** Makes an SVG element; attributes as they stand in SVG. */
export function svg<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number> = {},
  ...children: Child[]
): SVGElementTagNameMap[K] {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...kept(children));
  return made;
}

function kept(children: Child[]): (Node | string)[] {
  return children
    .filter((child): child is Node | string | number => child !== null && child !== undefined && child !== false)
    .map((child) => (typeof child === "number" ? String(child) : child));
}
