import type { Mount } from "./context";

/** A tab of the results. It is loaded when it is first looked at, so that the rest of the page needs no three.js. */
export interface Section {
  readonly id: string;
  readonly title: string;
  readonly load: () => Promise<Mount>;
}

export const SECTIONS: readonly Section[] = [
  { id: "scene", title: "3D view", load: async () => (await import("./scene")).mountScene },
  { id: "photos", title: "Photos", load: async () => (await import("./photos")).mountPhotos },
  { id: "matches", title: "Connections", load: async () => (await import("./matches")).mountMatches },
  { id: "insights", title: "Quality", load: async () => (await import("./insights")).mountInsights },
];
