import { element } from "../element";
import type { OptionsReply, Schema } from "../wire";

/** Which settings a job starts from, in words that need no manual. */
const PRESETS: Record<string, [name: string, text: string]> = {
  fast: ["Fast", "A first look. Fewer details per photo."],
  default: ["Balanced", "Good for most sets of photos."],
  detailed: ["Detailed", "Full resolution. Takes several times longer."],
  best: ["Best", "Finds matches where others see none. Needs a graphics card."],
};

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

type Tree = Record<string, unknown>;

/** Presets and, folded away, every single option of the service. */
export class OptionsForm {
  readonly element: HTMLElement;
  private readonly inputs = new Map<string, HTMLInputElement | HTMLSelectElement>();

  constructor(private readonly options: OptionsReply) {
    this.element = element("div", { class: "stack" }, this.presets(), this.advanced());
    this.showStart();
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
        if (first !== undefined) first.textContent = `Usual: ${shown(value)}`;
      } else input.placeholder = shown(value);
    }
  }

  private presets(): HTMLElement {
    const names = Object.keys(this.options.presets).sort((a, b) => order(a) - order(b));
    return element(
      "fieldset",
      { class: "presets" },
      element("legend", {}, "Quality"),
      ...names.map((name) => {
        const [label, text] = PRESETS[name] ?? [name, ""];
        const missing = this.options.presets_missing[name];
        return element(
          "label",
          { class: "preset", title: missing ?? "" },
          element("input", {
            type: "radio",
            name: "preset",
            value: name,
            checked: name === "default",
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
    return element(
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
    const input = control(id, schema);
    this.inputs.set(path, input);
    return element("div", { class: "field" }, element("label", { for: id, title: path }, sentenceCase(name)), input);
  }
}

function control(id: string, schema: Schema): HTMLInputElement | HTMLSelectElement {
  const choices = schema.type === "boolean" ? [true, false] : schema.enum;
  if (choices !== undefined) {
    const options = choices.map((value) => element("option", { value: JSON.stringify(value) }, shown(value)));
    return element("select", { id, class: "input" }, element("option", { value: "" }, "Usual"), ...options);
  }
  if (schema.type === "integer" || schema.type === "number") {
    const step = schema.type === "integer" ? 1 : "any";
    return element("input", { id, class: "input", type: "number", step, min: schema.minimum, max: schema.maximum });
  }
  return element("input", { id, class: "input", type: "text" });
}

function read(input: HTMLInputElement | HTMLSelectElement): unknown {
  if (input.value === "") return undefined;
  if (input instanceof HTMLSelectElement) return JSON.parse(input.value);
  return input.type === "number" ? Number(input.value) : input.value;
}

function at(tree: Tree, path: string): unknown {
  const [section = "", name = ""] = path.split(".");
  return (tree[section] as Tree | undefined)?.[name];
}

function resolved(schema: Schema, root: Schema): Schema {
  const name = schema.$ref?.split("/").pop();
  return name === undefined ? schema : (root.$defs?.[name] ?? schema);
}

function order(preset: string): number {
  return Object.keys(PRESETS).indexOf(preset) + 1 || Number.POSITIVE_INFINITY;
}

function shown(value: unknown): string {
  if (value === true) return "yes";
  if (value === false) return "no";
  return value === undefined || value === null ? "" : String(value);
}

function sentenceCase(name: string): string {
  const words = name
    .replaceAll("_", " ")
    .replace(/\b(gps|vlad)\b/g, (short) => short.toUpperCase())
    .replace(/ px$/, " (pixels)")
    .replace(/ mb$/, " (MB)");
  return words.charAt(0).toUpperCase() + words.slice(1);
}
