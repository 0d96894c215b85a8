import type { Job, Stage } from "./wire";

/** How the page speaks of stages, times and sizes: in a photographer's words. */
export const STAGES: Record<Stage, string> = {
  queued: "Waiting",
  extracting: "Checking photos",
  matching: "Comparing photos",
  triangulating: "Building the 3D model",
  decimating: "Finishing",
  success: "Done",
  failed: "Failed",
  cancelled: "Cancelled",
};

const STEPS: Record<string, [title: string, unit: string]> = {
  weights: ["Fetching what looks at the photos", "MB"],
  ingest: ["Reading photos", "photos"],
  extract: ["Finding details in photos", "photos"],
  shortlist: ["Choosing which photos to compare", "steps"],
  match: ["Comparing photos", "pairs"],
  turn: ["Turning photos that lie on their side", "steps"],
  split: ["Grouping photos", "groups"],
  reconstruct: ["Working out camera positions", "photos placed"],
  cloud: ["Cleaning the points", "models"],
  report: ["Writing the report", "parts"],
};

/** What a person can do about a failure; the service's own hints speak to people who write programs. */
const ADVICE: Record<string, string> = {
  no_images: "Send JPEG, PNG, TIFF, BMP or WebP photos.",
  too_few_images: "Send at least three readable photos; twenty or more that overlap work well.",
  no_matches:
    "Photos must show the same place and overlap by half. Take more of them, closer together, and begin a new job with all of them.",
  no_model: "Walk around while you take photos instead of turning on the spot, or try again with the quality “Best”.",
  bad_options: "A setting is out of range: begin a new job with the usual settings.",
  out_of_memory: "There was not enough memory. Try again with the quality “Fast”, or with fewer photos.",
  worker_lost: "Try again: it goes on from where it was.",
  timeout: "Try again: it goes on from where it was. The quality “Fast” takes less time.",
  disk_full: "The service's disk is full: delete old jobs, then try again.",
  cancelled: "Try again to go on from where it was.",
  internal: "Try again. If it fails once more, tell whoever runs this service the address of this page.",
};

const FEATURES: Record<string, string> = {
  brightness: "brightness",
  contrast: "contrast",
  saturation: "colourfulness",
  sharpness: "sharpness",
  noise: "noise",
  exposure_clipping: "blown highlights or blocked shadows",
  clipping: "blown highlights or blocked shadows",
  entropy: "amount of detail",
  megapixels: "resolution",
  aspect_ratio: "picture format",
};

export function isActive(stage: Stage): boolean {
  return !isEnded(stage);
}

export function isEnded(stage: Stage): boolean {
  return stage === "success" || stage === "failed" || stage === "cancelled";
}

/** What is going on, with counts: `match: 5 of 20` → "Comparing photos: 5 of 20 pairs". */
export function step(message: string): string {
  const [, name = "", rest = ""] = /^(\w+): (.*)$/.exec(message) ?? [];
  const known = STEPS[name];
  if (known === undefined) return message;
  const [title, unit] = known;
  const counted = /^(\d+) of (\d+)$/.exec(rest);
  if (counted !== null) return `${title}: ${number(Number(counted[1]))} of ${number(Number(counted[2]))} ${unit}`;
  return `${title}: ${rest}`;
}

export function feature(name: string): string {
  return FEATURES[name] ?? name.replaceAll("_", " ");
}

/** Whether the same photos would fail in the same way once more. */
export function needsOtherPhotos(job: Job): boolean {
  return ["no_images", "too_few_images", "no_matches"].includes(job.error_code ?? "");
}

export function advice(job: Job): string {
  return ADVICE[job.error_code ?? ""] ?? job.hint ?? step(job.message);
}

export function title(job: Job): string {
  return `${job.dataset_name} · ${job.scene_name}`;
}

export function number(value: number): string {
  return new Intl.NumberFormat("en").format(value);
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

export function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

export function bytes(count: number): string {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** Its spaces do not break: the parts are one thing. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}\u00a0s`;
  const [large, small, units] =
    whole < 3600
      ? [Math.floor(whole / 60), whole % 60, ["min", "s"]]
      : [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), ["h", "min"]];
  return `${large}\u00a0${units[0]}\u00a0${String(small).padStart(2, "0")}\u00a0${units[1]}`;
}

export function ago(seconds: number): string {
  const passed = Date.now() / 1000 - seconds;
  if (passed < 60) return "just now";
  if (passed < 3600) return `${Math.floor(passed / 60)} min ago`;
  if (passed < 86_400) return `${Math.floor(passed / 3600)} h ago`;
  return new Intl.DateTimeFormat("en", { dateStyle: "medium" }).format(new Date(seconds * 1000));
}

export function moment(seconds: number): string {
  const style = { dateStyle: "medium", timeStyle: "short", hourCycle: "h23" } as const;
  return new Intl.DateTimeFormat("en", style).format(new Date(seconds * 1000));
}

export function clock(seconds: number): string {
  return new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(new Date(seconds * 1000));
}

export function sentenceOf(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

export function sentence(error: unknown): string {
  if (!(error instanceof Error)) return "Something went wrong.";
  const text = error.message;
  const whole = /[.!?…]$/.test(text) ? text : `${text}.`;
  return sentenceOf(whole);
}
