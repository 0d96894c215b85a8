import { element } from "../element";
import type { OptionsReply, Schema } from "../wire";
import { number } from "../words";
import { methodName, OPTION_WORDS } from "./option-words";
import { presetOrder, presetWords } from "./presets";

const SECTIONS: Record<string, string> = {
  ingest: "Reading photos",
  extract: "Details in photos",
  shortlist: "Which photos are compared",
  match: "Comparing photos",
  verify: "Checking matches",
  split: "Grouping photos",
  reconstruct: "3D model",
  cloud: "Point cloud",
};

const EXTRACTOR = "extract.extractor";
const MATCHER = "match.matcher";

type Tree = Record<string, unknown>;

/** Presets and, folded away, every single option of the service. */
export class OptionsForm {
  readonly element: HTMLElement;
  private readonly inputs = new Map<string, HTMLInputElement | HTMLSelectElement>();

  /** `before` is what `value` gave, to be shown again. */
  constructor(
    private readonly options: OptionsReply,
    before: Tree = {},
  ) {
    this.element = element("div", { class: "stack" }, this.presets(before["preset"] ?? "default"), this.advanced());
    for (const [path, input] of this.inputs) write(input, at(before, path));
    this.showStart();
    this.inputs.get(EXTRACTOR)?.addEventListener("change", () => this.offerMethods());
  }

  /** What the job is told: the preset and whatever differs from it. */
  value(): Tree {
    const tree: Tree = { preset: this.preset() };
    for (const [path, input] of this.inputs) {
      const given = read(input);
      if (given === undefined || given === at(this.start(), path)) continue;
      const [section = "", name = ""] = path.split(".");
      tree[section] = { ...(tree[section] as Tree | undefined), [name]: given };
    }
    return tree;
  }

  private preset(): string {
    return this.element.querySelector<HTMLInputElement>("input[name=preset]:checked")?.value ?? "default";
  }

  private start(): Tree {
    const differences = this.options.presets[this.preset()] ?? {};
    const tree: Tree = { ...this.options.defaults };
    for (const [section, values] of Object.entries(differences))
      tree[section] = { ...(tree[section] as Tree), ...(values as Tree) };
    return tree;
  }

  /** Shows what each option is when it is left alone. */
  private showStart(): void {
    const start = this.start();
    for (const [path, input] of this.inputs) {
      const value = at(start, path);
      if (input instanceof HTMLSelectElement) {
        const [first] = input.options;
        const usual = isOpen(path, value) ? "what suits the machine" : shown(value);
        if (first !== undefined) first.textContent = `Usual: ${usual}`;
      } else input.placeholder = shown(value);
    }
    this.offerMethods();
  }

  private presets(chosen: unknown): HTMLElement {
    return element(
      "fieldset",
      { class: "presets" },
      element("legend", {}, "Quality"),
      ...presetOrder(this.options).map((name) => {
        const [label, text] = presetWords(name);
        const missing = this.options.presets_missing[name];
        return element(
          "label",
          { class: "preset", title: missing ?? "" },
          element("input", {
            type: "radio",
            name: "preset",
            value: name,
            checked: name === chosen,
            disabled: missing !== undefined,
            onchange: () => this.showStart(),
          }),
          element(
            "span",
            {},
            element("strong", {}, label),
            element("span", { class: "soft" }, missing === undefined ? text : "Not set up on this service."),
          ),
        );
      }),
    );
  }

  private advanced(): HTMLElement {
    const sections = Object.entries(resolved(this.options.schema, this.options.schema).properties ?? {});
    const made = element(
      "details",
      { class: "advanced" },
      element("summary", {}, "Advanced settings"),
      element(
        "p",
        { class: "soft" },
        "For people who know the methods. What is left empty stays as the quality above has it.",
      ),
      ...sections.map(([section, schema]) => this.section(section, resolved(schema, this.options.schema))),
    );
    // A browser cannot point at what is wrong while it is folded away. The event does not bubble.
    made.addEventListener("invalid", () => made.setAttribute("open", ""), { capture: true });
    return made;
  }

  private section(name: string, schema: Schema): HTMLElement {
    const fields = Object.entries(schema.properties ?? {}).map(([field, kind]) =>
      this.field(`${name}.${field}`, field, resolved(kind, this.options.schema)),
    );
    return element(
      "fieldset",
      { class: "fields" },
      element("legend", {}, SECTIONS[name] ?? sentenceCase(name)),
      ...fields,
    );
  }

  private field(path: string, name: string, schema: Schema): HTMLElement {
    const id = `option-${path}`;
    const [title, help] = OPTION_WORDS[path] ?? [sentenceCase(name), ""];
    const input = this.control(path, id, schema);
    input.setAttribute("aria-describedby", `${id}-help`);
    this.inputs.set(path, input);
    return element(
      "div",
      { class: "field" },
      element("label", { for: id, title: path }, title),
      input,
      element(
        "p",
        { class: "soft hint", id: `${id}-help` },
        [help, span(schema)].filter((text) => text !== "").join(" "),
      ),
    );
  }

  private control(path: string, id: string, schema: Schema): HTMLInputElement | HTMLSelectElement {
    const { methods } = this.options;
    if (path === EXTRACTOR) return select(id, [...new Set(methods.map(({ extractor }) => extractor))]);
    if (path === MATCHER) return select(id, [...new Set(methods.map(({ matcher }) => matcher))]);
    const choices = schema.type === "boolean" ? [true, false] : schema.enum;
    if (choices !== undefined) return select(id, choices);
    if (schema.type !== "integer" && schema.type !== "number")
      return element("input", { id, class: "input", type: "text" });
    const step = schema.type === "integer" ? 1 : "any";
    return element("input", { id, class: "input", type: "number", step, min: schema.minimum, max: schema.maximum });
  }

  /** Offers only methods that run here, and only matchers that suit the finder of details. */
  private offerMethods(): void {
    const [finder, matcher] = [this.inputs.get(EXTRACTOR), this.inputs.get(MATCHER)];
    if (!(finder instanceof HTMLSelectElement && matcher instanceof HTMLSelectElement)) return;
    const usable = this.options.methods.filter((method) => method.usable);
    const usual = at(this.start(), EXTRACTOR);
    const chosen = read(finder) ?? (isOpen(EXTRACTOR, usual) || String(usual).includes(",") ? undefined : usual);
    disable(finder, (name) => !usable.some(({ extractor }) => extractor === name));
    disable(
      matcher,
      (name) => !usable.some((one) => one.matcher === name && (chosen === undefined || one.extractor === chosen)),
    );
    const fits = matcher.selectedOptions[0]?.disabled === false && (matcher.value !== "" || this.suits(chosen));
    if (!fits) matcher.value = [...matcher.options].find((one) => one.value !== "" && !one.disabled)?.value ?? "";
  }

  /** Whether the usual matcher goes with a finder. */
  private suits(finder: unknown): boolean {
    if (finder === undefined) return true;
    const matcher = at(this.start(), MATCHER);
    if (isOpen(MATCHER, matcher)) return true;
    return this.options.methods.some((one) => one.usable && one.extractor === finder && one.matcher === matcher);
  }
}

/** Whether an option leaves the method to the run. */
function isOpen(path: string, value: unknown): boolean {
  return (path === EXTRACTOR || path === MATCHER) && value === "auto";
}

function select(id: string, choices: readonly unknown[]): HTMLSelectElement {
  const options = choices.map((value) => element("option", { value: JSON.stringify(value) }, shown(value)));
  return element("select", { id, class: "input" }, element("option", { value: "" }, "Usual"), ...options);
}

function disable(input: HTMLSelectElement, isUnfit: (value: unknown) => boolean): void {
  for (const option of input.options) option.disabled = option.value !== "" && isUnfit(JSON.parse(option.value));
}

/** What numbers an option takes, in words. */
function span({ minimum, maximum }: Schema): string {
  if (minimum !== undefined && maximum !== undefined) return `${number(minimum)} to ${number(maximum)}.`;
  return minimum === undefined ? "" : `${number(minimum)} or more.`;
}

function read(input: HTMLInputElement | HTMLSelectElement): unknown {
  if (input.value === "") return undefined;
  if (input instanceof HTMLSelectElement) return JSON.parse(input.value);
  return input.type === "number" ? Number(input.value) : input.value;
}

function write(input: HTMLInputElement | HTMLSelectElement, value: unknown): void {
  if (value === undefined) return;
  input.value = input instanceof HTMLSelectElement ? JSON.stringify(value) : String(value);
}

function at(tree: Tree, path: string): unknown {
  const [section = "", name = ""] = path.split(".");
  return (tree[section] as Tree | undefined)?.[name];
}

function resolved(schema: Schema, root: Schema): Schema {
  const name = schema.$ref?.split("/").pop();
  return name === undefined ? schema : (root.$defs?.[name] ?? schema);
}

function shown(value: unknown): string {
  if (value === true) return "yes";
  if (value === false) return "no";
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value.split(",").map(methodName).join(" and ") : String(value);
}

function sentenceCase(name: string): string {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
