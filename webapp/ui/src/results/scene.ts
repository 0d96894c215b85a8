import { OfflineError } from "../api";
import { whenBack } from "../connection";
import { element, fill } from "../element";
import { type IconName, icon } from "../icons";
import type { ImageEntry } from "../wire";
import { number, percent, sentence } from "../words";
import { clusterChooser, clusterNumber, clusterTitle } from "./clusters";
import type { JobContext, Mount } from "./context";
import { resultData } from "./data";
import { bringToSight } from "./in-scene";
import { photoPanel } from "./photo-panel";
import { fetchCloud } from "./scene/download";
import { ModelView } from "./scene/model-view";
import { type Gestures, listen } from "./scene/pointer";
import { Stage } from "./scene/stage";
import { type Ground, legend, settings, tools } from "./scene/tools";
import "./results.css";
import "./scene.css";

const GROUNDS: Record<Ground, string> = { dark: "#0e1116", light: "#f2f4f7" };
const LIT: Record<Ground, string> = { dark: "#ffffff", light: "#0b0e14" };
/** Clusters as they stand out on each ground: the values of the two colour schemes in tokens.css. */
const CLUSTERS: Record<Ground, readonly string[]> = {
  dark: ["#8ea6ff", "#ff9d79", "#58d0b1", "#cf97f0", "#f0c64e", "#ff8dc0", "#77cbec", "#bccb73"],
  light: ["#3559e0", "#d1603d", "#16856b", "#9a4fc4", "#b98900", "#c43b7c", "#2a8bb0", "#6b7a2a"],
};
const KEYS =
  "Arrow keys turn, with Shift they move; plus and minus zoom; N and P go from photo to photo; R resets the view.";
const STEP = 0.12;
/** So few are quick to draw on any machine. */
const FEWEST_POINTS = 40_000;

export const mountScene: Mount = (target, context) => {
  const canvas = element("canvas", {
    class: "scene-canvas",
    tabindex: 0,
    role: "application",
    "aria-label": `3D view of points and cameras. ${KEYS}`,
  });
  const note = element("p", { class: "scene-note", role: "status" }, "Loading the view …");
  const key = element("div", { class: "legend", hidden: true });
  const place = element("div", { class: "scene-stage" }, canvas, key, note);
  const corner = element("div", { class: "scene-corner" });
  const view = new SceneView(context, canvas, place, note, key);
  const panel = photoPanel(context, {
    idle: () => view.summary(),
    actions: (entry) => view.actions(entry),
    heading: "Scene and selected photo",
  });
  const chooser = element("div", { class: "scene-chooser" });
  const controls = tools(view.set);
  corner.append(cornerButton("again", "Reset the view", () => view.reset()));
  // Phones of one maker know no full screen but for films.
  if (document.fullscreenEnabled) corner.append(cornerButton("full", "Full screen", () => void fullScreen(place)));
  if (view.works) place.append(corner);
  target.append(element("div", { class: "scene" }, element("div", {}, chooser, place, controls), panel.element));
  if (context.selection.photo.value !== null) bringToSight();
  view.ready = (models) => {
    const made = clusterChooser(models, context.selection.cluster);
    fill(chooser, made.element);
    view.ends.push(made.stop);
  };
  view.shown = () => {
    if (context.selection.photo.value === null) panel.refresh();
  };
  controls.hidden = !view.works;
  void view.start();
  return () => {
    panel.stop();
    view.stop();
  };
};

function cornerButton(name: IconName, title: string, act: () => void): HTMLElement {
  return element(
    "button",
    { type: "button", class: "corner-button", title, "aria-label": title, onclick: act },
    icon(name),
  );
}

async function fullScreen(place: HTMLElement): Promise<void> {
  if (document.fullscreenElement === null) await place.requestFullscreen().catch(() => undefined);
  else await document.exitFullscreen();
}

/** The view of one model at a time, in step with what is selected. */
class SceneView {
  readonly set = settings();
  readonly ends: (() => void)[] = [];
  ready: (models: { name: string; photos: number }[]) => void = () => undefined;
  /** A model has come to the stage. */
  shown: () => void = () => undefined;
  private readonly stage: Stage | null;
  private model: ModelView | null = null;
  private name = "";
  private names: string[] = [];
  private hovered: string | null = null;
  private loading = new AbortController();
  private hung = 0;

  constructor(
    private readonly context: JobContext,
    private readonly canvas: HTMLCanvasElement,
    private readonly place: HTMLElement,
    private readonly note: HTMLElement,
    private readonly key: HTMLElement,
  ) {
    this.stage = this.open();
  }

  get works(): boolean {
    return this.stage !== null;
  }

  async start(): Promise<void> {
    try {
      const cameras = await resultData(this.context).cameras();
      this.names = Object.keys(cameras).sort(byNumber);
      this.ready(this.names.map((name) => ({ name, photos: Object.keys(cameras[name]?.images ?? {}).length })));
    } catch (error) {
      this.fail(error, () => void this.start());
      return;
    }
    if (this.stage === null) return;
    const { cluster, photo } = this.context.selection;
    const { coloring, pointSize, cameras, ground } = this.set;
    this.ends.push(
      listen(this.canvas, this.gestures()),
      cluster.watch((name) => void this.show(name ?? this.names[0] ?? "")),
      photo.watch((name) => void this.select(name)),
      coloring.watch(() => this.paint()),
      pointSize.watch(() => this.stage?.invalidate()),
      cameras.watch(() => this.paint()),
      ground.watch(() => this.paint()),
    );
  }

  stop(): void {
    this.loading.abort();
    for (const end of this.ends) end();
    this.model?.dispose();
    this.stage?.dispose();
  }

  reset(): void {
    if (this.model !== null) this.stage?.reframe(this.model.sample);
  }

  /** What stands beside the view while no photo is selected. */
  summary(): Node {
    const model = this.model;
    const cloud = model?.points.cloud;
    const facts: [string, string][] = [
      ["Photos", number(model?.photos.length ?? 0)],
      ["Points", number(cloud?.total ?? 0)],
    ];
    if (cloud !== undefined && cloud.count < cloud.total) facts.push(["Points shown", number(cloud.count)]);
    const rows = facts.flatMap(([name, value]) => [
      element("dt", {}, name),
      element("dd", { class: "numbers" }, value),
    ]);
    return element(
      "div",
      { class: "stack" },
      element("h3", {}, this.name === "" ? "3D view" : clusterTitle(this.name, this.names)),
      model !== null && element("dl", { class: "pairs" }, ...rows),
      ...(this.works ? handling() : []),
      this.works && element("p", { class: "soft keys" }, KEYS),
    );
  }

  actions(entry: ImageEntry): Node[] {
    if (!this.works || entry.cluster === null) return [];
    const button = (text: string, act: () => void): Node =>
      element("button", { type: "button", class: "button button-small", onclick: act }, text);
    return [
      button("Previous", () => this.step(-1)),
      button("Next", () => this.step(1)),
      button("Go to camera", () => this.visit(entry.name)),
    ];
  }

  private open(): Stage | null {
    try {
      return new Stage(this.canvas, (share) => this.prepare(share));
    } catch {
      this.canvas.hidden = true;
      this.place.classList.add("scene-stage-off");
      this.say(
        "This browser cannot draw in 3D: switch on hardware acceleration or try another browser. Everything else here works without it.",
      );
      return null;
    }
  }

  private async show(name: string): Promise<void> {
    if (name === this.name || !this.names.includes(name)) {
      if (this.names.length === 0) this.say("Nothing could be reconstructed, so there is nothing to show.");
      return;
    }
    this.name = name;
    this.loading.abort();
    this.loading = new AbortController();
    const { signal } = this.loading;
    try {
      const { api, job } = this.context;
      const told = (share: number): void => this.say(`Loading points … ${percent(share)}`);
      const [cloud, cameras] = await Promise.all([
        fetchCloud(api, job.job_id, name, signal, told),
        resultData(this.context).cameras(),
      ]);
      performance.mark("cloud-downloaded");
      const model = cameras[name];
      if (signal.aborted || model === undefined) return;
      this.put(new ModelView(cloud, model));
      this.say("");
    } catch (error) {
      if (signal.aborted) return;
      this.name = "";
      this.fail(error, () => void this.show(name));
    }
  }

  private put(model: ModelView): void {
    const { stage } = this;
    if (stage === null) return;
    if (this.model !== null) {
      stage.remove(this.model.object);
      this.model.dispose();
    }
    this.model = model;
    this.hovered = null;
    stage.add(model.object);
    stage.frame(model.sample);
    this.shown();
    this.paint();
    void this.select(this.context.selection.photo.value);
  }

  private async select(photo: string | null): Promise<void> {
    this.hung += 1;
    const turn = this.hung;
    this.model?.marks.hang(null, null);
    this.paint();
    if (photo === null) return;
    const data = resultData(this.context);
    const entry = await data.image(photo).catch(() => undefined);
    if (turn !== this.hung || entry === undefined || entry.cluster === null) return;
    if (entry.cluster !== this.name) {
      this.context.selection.cluster.set(entry.cluster);
      return; // selects again once the model is there
    }
    this.visit(photo);
    const picture = await data.picture(photo).catch(() => null);
    const image = picture && (await createImageBitmap(picture));
    if (turn !== this.hung) return;
    this.model?.marks.hang(photo, image);
    this.stage?.invalidate();
  }

  private visit(photo: string): void {
    const pose = this.model?.behind(photo);
    if (pose) this.stage?.fly(pose);
  }

  private step(by: number): void {
    const photos = this.model?.photos ?? [];
    const at = photos.indexOf(this.context.selection.photo.value ?? "");
    const next = photos[(at + by + photos.length) % photos.length];
    if (next !== undefined) this.context.selection.photo.set(next);
  }

  private paint(): void {
    const { model, stage } = this;
    const { coloring, cameras, ground } = this.set;
    stage?.background(GROUNDS[ground.value]);
    this.place.dataset["ground"] = ground.value;
    if (model === null) return;
    const colors = CLUSTERS[ground.value];
    const color = colors[clusterNumber(this.name) % colors.length] ?? "#8ea6ff";
    model.points.color(coloring.value);
    model.marks.object.visible = cameras.value;
    model.marks.paint(color, LIT[ground.value], this.context.selection.photo.value, this.hovered);
    legend(this.key, coloring.value, model.points.span(coloring.value));
    stage?.invalidate();
  }

  private prepare(share: number): void {
    const { model, stage } = this;
    if (model === null || stage === null) return;
    const { width, height } = this.canvas;
    model.points.prepare(height, this.set.pointSize.value, stage.distance, GROUNDS[this.set.ground.value]);
    const { count } = model.points.cloud;
    const drawn = Math.min(1, Math.max(share, FEWEST_POINTS / count));
    model.points.draw(drawn);
    model.marks.prepare(width, height, height / Math.max(1, this.canvas.clientHeight));
    this.place.dataset["points"] = String(Math.ceil(count * drawn));
  }

  private gestures(): Gestures {
    const act: Record<string, (shift: boolean) => void> = {
      ArrowLeft: (shift) => (shift ? this.stage?.move(-STEP, 0) : this.stage?.turn(-STEP, 0)),
      ArrowRight: (shift) => (shift ? this.stage?.move(STEP, 0) : this.stage?.turn(STEP, 0)),
      ArrowUp: (shift) => (shift ? this.stage?.move(0, STEP) : this.stage?.turn(0, STEP)),
      ArrowDown: (shift) => (shift ? this.stage?.move(0, -STEP) : this.stage?.turn(0, -STEP)),
      "+": () => this.stage?.zoom(1 / 1.2),
      "=": () => this.stage?.zoom(1 / 1.2),
      "-": () => this.stage?.zoom(1.2),
      n: () => this.step(1),
      p: () => this.step(-1),
      r: () => this.reset(),
      Home: () => this.reset(),
      Escape: () => this.context.selection.photo.set(null),
    };
    return {
      pick: (x, y) => this.pick(x, y),
      hover: (photo) => {
        if (photo === this.hovered) return;
        this.hovered = photo;
        this.canvas.style.cursor = photo === null ? "" : "pointer";
        this.canvas.title = photo ?? "";
        this.paint();
      },
      select: (photo) => this.context.selection.photo.set(photo),
      reset: () => this.reset(),
      key: (name, shift) => {
        const found = act[name.length === 1 ? name.toLowerCase() : name];
        found?.(shift);
        return found !== undefined;
      },
    };
  }

  private pick(x: number, y: number): string | null {
    const { model, stage } = this;
    if (model === null || stage === null || !this.set.cameras.value) return null;
    return model.marks.pick(x, y, this.canvas.clientWidth, this.canvas.clientHeight, stage.camera);
  }

  private fail(error: unknown, again: () => void): void {
    this.say(sentence(error), again);
    if (error instanceof OfflineError) this.ends.push(whenBack(again));
  }

  private say(text: string, again?: () => void): void {
    const button =
      again && element("button", { type: "button", class: "button button-small", onclick: again }, "Try again");
    fill(this.note, text, button);
    this.note.hidden = text === "";
  }
}

/** How the view is turned, by what there is to turn it with. */
function handling(): Node[] {
  const isTouch = window.matchMedia("(pointer: coarse)").matches;
  const told = isTouch
    ? ["Tap a camera to see its photo. Drag to turn; two fingers move and zoom. Double-tap to start over."]
    : [
        "Click a camera to see its photo. Drag to turn, right-drag to move.",
        "Click the view, then scroll to zoom. Double-click to start over.",
      ];
  return told.map((text) => element("p", { class: "soft" }, text));
}

function byNumber(a: string, b: string): number {
  return clusterNumber(a) - clusterNumber(b) || (a < b ? -1 : 1);
}
