import { element, fill } from "../element";
import type { JobContext, Mount } from "../results/context";
import type { Section } from "../results/sections";

/** Tabs whose contents are loaded when they are first looked at, and stay while the page does. */
export function tabs(
  sections: readonly Section[],
  context: JobContext,
  first: string,
  opened: (id: string) => void,
): { element: HTMLElement; stop: () => void } {
  const unmounts: (() => void)[] = [];
  let left = false;
  const list = element("div", { class: "tabs", role: "tablist", "aria-label": "Results" });
  const parts = sections.map((section) => part(section));

  const load = async (panel: HTMLElement, section: Section): Promise<void> => {
    fill(panel, element("p", { class: "soft", role: "status" }, "Loading …"));
    try {
      const mount: Mount = await section.load();
      if (left) return;
      fill(panel);
      unmounts.push(mount(panel, context));
    } catch {
      const again = (): void => void load(panel, section);
      fill(
        panel,
        element("p", { class: "problem", role: "alert" }, "This part of the page cannot be loaded."),
        element("button", { type: "button", class: "button", onclick: again }, "Try again"),
      );
    }
  };
  const open = (id: string): void => {
    for (const each of parts) {
      const here = each.section.id === id;
      each.tab.setAttribute("aria-selected", String(here));
      each.tab.tabIndex = here ? 0 : -1;
      each.panel.hidden = !here;
      if (here && each.panel.childElementCount === 0) void load(each.panel, each.section);
    }
  };
  for (const { tab, section } of parts) tab.addEventListener("click", () => context.tab.set(section.id));
  list.addEventListener("keydown", (event) =>
    step(
      event,
      parts.map(({ tab }) => tab),
    ),
  );
  list.append(...parts.map(({ tab }) => tab));
  context.tab.set(parts.some(({ section }) => section.id === first) ? first : (sections[0]?.id ?? ""));
  let beginning = true;
  const stop = context.tab.watch((id) => {
    open(id);
    if (!beginning) opened(id);
  });
  beginning = false;
  unmounts.push(stop);
  return {
    element: element("div", { class: "results" }, list, ...parts.map(({ panel }) => panel)),
    stop(): void {
      left = true;
      for (const unmount of unmounts) unmount();
    },
  };
}

function part(section: Section): { section: Section; tab: HTMLButtonElement; panel: HTMLElement } {
  const tab = element(
    "button",
    { type: "button", role: "tab", id: `tab-${section.id}`, "aria-controls": `panel-${section.id}`, class: "tab" },
    section.title,
  );
  const panel = element("div", {
    role: "tabpanel",
    id: `panel-${section.id}`,
    "aria-labelledby": `tab-${section.id}`,
    class: "panel",
    hidden: true,
  });
  return { section, tab, panel };
}

/** Arrow keys, Home and End go from tab to tab. */
function step(event: KeyboardEvent, all: HTMLButtonElement[]): void {
  const at = all.indexOf(document.activeElement as HTMLButtonElement);
  const to: Record<string, number> = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: all.length - 1 };
  const next = to[event.key];
  if (at < 0 || next === undefined) return;
  event.preventDefault();
  const tab = all[(next + all.length) % all.length];
  tab?.focus();
  tab?.click();
}
