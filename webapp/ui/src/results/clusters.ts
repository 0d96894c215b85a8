import { element } from "../element";
import type { Observable } from "../observable";
import { plural } from "../words";

const COLORS = 8;

/** `cluster1_model0` → 1. */
export function clusterNumber(model: string): number {
  return Number(/^cluster(\d+)_/.exec(model)?.[1] ?? 0);
}

/** The class that carries a cluster's colour as `--cluster`; see results.css. */
export function clusterClass(model: string | null): string {
  return model === null ? "cluster-none" : `cluster-${clusterNumber(model) % COLORS}`;
}

/** What a person calls a model: "Scene 2", or "Scene 2, part 1" where a scene fell into several. */
export function clusterTitle(model: string, all: readonly string[]): string {
  const number = clusterNumber(model);
  const parts = all.filter((other) => clusterNumber(other) === number);
  const part = parts.length > 1 ? `, part ${parts.indexOf(model) + 1}` : "";
  return `Scene ${number + 1}${part}`;
}

/** Buttons that choose one of the models, or all where `everything` names that choice. */
export function clusterChooser(
  models: readonly { name: string; photos: number }[],
  chosen: Observable<string | null>,
  everything?: { title: string; photos: number },
): { element: HTMLElement; stop(): void } {
  const names = models.map(({ name }) => name);
  const choices: [string | null, string, number][] = models.map(({ name, photos }) => [
    name,
    clusterTitle(name, names),
    photos,
  ]);
  if (everything !== undefined) choices.unshift([null, everything.title, everything.photos]);
  const buttons = choices.map(([name, title, photos]) =>
    element(
      "button",
      {
        type: "button",
        class: `choice ${name === null ? "" : clusterClass(name)}`,
        title: plural(photos, "photo"),
        onclick: () => chosen.set(name),
      },
      name !== null && element("i", { class: "dot", "aria-hidden": "true" }),
      title,
      element("small", { class: "numbers" }, photos),
    ),
  );
  const stop = chosen.watch((name) => {
    choices.forEach(([choice], place) => {
      buttons[place]?.setAttribute("aria-pressed", String(choice === name || (name === null && place === 0)));
    });
  });
  const made = element("div", { class: "choices", role: "group", "aria-label": "Scene" }, ...buttons);
  made.hidden = models.length < 2;
  return { element: made, stop };
}
