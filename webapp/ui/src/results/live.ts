import type { Api } from "../api";
import { element } from "../element";
import type { ModelCameras } from "../wire";
import { plural } from "../words";
import { parseCloud } from "./scene/cloud";
import { ModelView } from "./scene/model-view";
import { Stage } from "./scene/stage";
import "./results.css";
import "./scene.css";

const EVERY_MS = 3000;
const GROUND = "#0e1116";
const POINT_SIZE = 1.4;
const TURNS: Record<string, [right: number, up: number]> = {
  ArrowLeft: [-0.12, 0],
  ArrowRight: [0.12, 0],
  ArrowUp: [0, 0.12],
  ArrowDown: [0, -0.12],
};
/** Cameras are not told yet; the first camera's frame is the world, and its y points down. */
const NO_CAMERAS: ModelCameras = { up: [0, -1, 0], cameras: {}, images: {} };

/** Points as they come while a job works out where its cameras stood; to be turned around, not yet to be looked up. */
export class LivePoints {
  readonly element: HTMLElement;
  private readonly canvas = element("canvas", { class: "scene-canvas", tabindex: 0, role: "application" });
  private readonly count = element("p", { class: "soft", role: "status" });
  private readonly place = element("div", { class: "scene-stage" }, this.canvas);
  private stage: Stage | null = null;
  private model: ModelView | null = null;
  private tag = "";
  private asking = false;
  private shownAt = Number.NEGATIVE_INFINITY;
  private left = false;

  constructor(
    private readonly api: Api,
    private readonly job: string,
  ) {
    this.canvas.setAttribute("aria-label", "3D view of the points so far. Arrow keys turn.");
    this.canvas.addEventListener("keydown", (event) => this.turn(event));
    this.element = element(
      "section",
      { class: "stack", hidden: true, "aria-label": "Points so far" },
      this.place,
      this.count,
    );
  }

  /** Something has happened to the job: there may be more points. */
  async look(): Promise<void> {
    if (this.asking || performance.now() < this.shownAt + EVERY_MS) return;
    this.asking = true;
    try {
      const answer = await this.api.answer(`/jobs/${this.job}/clouds/live`, { headers: { "If-None-Match": this.tag } });
      if (answer.status !== 200 || this.left) return;
      this.tag = answer.headers.get("etag") ?? "";
      this.show(await answer.arrayBuffer());
      this.shownAt = performance.now();
    } catch {
      // The next event asks again; without 3D there is nothing to show, and the finished job says so.
    } finally {
      this.asking = false;
    }
  }

  stop(): void {
    this.left = true;
    this.model?.dispose();
    this.stage?.dispose();
    this.element.remove();
  }

  private show(bytes: ArrayBuffer): void {
    const cloud = parseCloud(bytes);
    if (cloud.count === 0 || this.left) return;
    this.stage ??= this.open();
    this.element.hidden = false;
    const model = new ModelView(cloud, NO_CAMERAS);
    model.marks.object.visible = false;
    const before = this.model;
    this.model = model;
    if (before !== null) {
      this.stage.remove(before.object);
      before.dispose();
    }
    model.points.color("photo");
    this.stage.add(model.object);
    // A person who has turned the view keeps it; each cloud fills the stage by itself.
    if (before === null) this.stage.frame(model.sample);
    this.stage.invalidate();
    this.place.dataset["points"] = String(cloud.count);
    this.count.textContent = `${plural(cloud.total, "point")} so far. Drag to turn.`;
  }

  private turn(event: KeyboardEvent): void {
    const [right, up] = TURNS[event.key] ?? [0, 0];
    if (right === 0 && up === 0) return;
    event.preventDefault();
    this.stage?.turn(right, up);
  }

  private open(): Stage {
    const stage = new Stage(this.canvas, (share) => {
      const { model } = this;
      if (model === null) return;
      model.points.prepare(this.canvas.height, POINT_SIZE, stage.distance, GROUND);
      model.points.draw(share);
    });
    stage.background(GROUND);
    return stage;
  }
}
