import type { OptionsReply } from "../wire";

/** What settings a job starts from, in words that need no manual. */
const PRESETS: Record<string, [name: string, text: string]> = {
  fast: ["Fast", "A first look. Fewer details per photo."],
  default: ["Balanced", "Good for most sets of photos."],
  detailed: ["Detailed", "Full resolution. Takes several times longer."],
  best: ["Best", "Finds matches where others see none. Needs a graphics card."],
};

export function presetWords(name: string): [name: string, text: string] {
  return PRESETS[name] ?? [name, ""];
}

/** The names of all presets, from the quickest to the most thorough. */
export function presetOrder(options: OptionsReply): string[] {
  const place = (name: string): number => Object.keys(PRESETS).indexOf(name) + 1 || Number.POSITIVE_INFINITY;
  return Object.keys(options.presets).sort((a, b) => place(a) - place(b));
}
