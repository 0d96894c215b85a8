import { Matrix4, type Object3D, PerspectiveCamera, Scene, Vector3, WebGLRenderer } from "three";
import { OrbitControls } from "three/examples/jsm/controls/OrbitControls.js";
import { fitting, type Sample } from "./framing";
import { add, scale, type Vector } from "./vectors";

/** Where the viewer stands: what is looked at, and from where around it. */
export interface Pose {
  readonly target: Vector;
  readonly distance: number;
  /** Radians about the vertical; 0 looks along −z. */
  readonly azimuth: number;
  /** Radians above the horizon. */
  readonly elevation: number;
}

const FIELD_OF_VIEW_DEG = 45;
const MARGIN = 1.15;
const FLIGHT_MS = 700;
const SLOW_MS = 48;
const QUICK_MS = 24;
const PAUSE_MS = 120;
const SETTLED_MS = 160;
const LEAST_SHARE = 0.05;

/** A canvas with a camera that turns, moves and zooms; draws only when something has changed. */
export class Stage {
  readonly canvas: HTMLCanvasElement;
  readonly camera = new PerspectiveCamera(FIELD_OF_VIEW_DEG, 1, 0.01, 100);
  private readonly scene = new Scene();
  private readonly renderer: WebGLRenderer;
  private readonly controls: OrbitControls;
  private readonly watcher: ResizeObserver;
  private pending = 0;
  private settling = 0;
  private flight: ((now: number) => boolean) | null = null;
  private resting: Sample | null = null;
  private drawnAt = Number.NEGATIVE_INFINITY;
  private begunAt = 0;
  private askedAt = 0;
  private share = 1;

  /** Throws where the browser offers no WebGL. `prepare` is called before each frame with the share of points to draw. */
  constructor(
    canvas: HTMLCanvasElement,
    private readonly prepare: (share: number) => void,
  ) {
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, antialias: false, powerPreference: "high-performance" });
    this.renderer.setPixelRatio(Math.min(2, window.devicePixelRatio || 1));
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = !calm();
    this.controls.dampingFactor = 0.12;
    this.controls.rotateSpeed = 0.8;
    this.controls.zoomSpeed = 1.6;
    this.controls.minDistance = 0.01;
    this.controls.maxDistance = 60;
    this.controls.enableZoom = false;
    this.controls.addEventListener("change", () => this.invalidate());
    this.controls.addEventListener("start", () => {
      this.flight = null;
      this.resting = null;
    });
    // A wheel over the page scrolls the page; it zooms once the view has been clicked or reached by keyboard.
    canvas.addEventListener("focus", () => {
      this.controls.enableZoom = true;
    });
    canvas.addEventListener("blur", () => {
      this.controls.enableZoom = false;
    });
    canvas.addEventListener("webglcontextrestored", () => this.invalidate());
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(canvas);
    this.resize();
    this.place(this.home());
  }

  get distance(): number {
    return this.controls.getDistance();
  }

  get height(): number {
    return this.canvas.height;
  }

  add(object: Object3D): void {
    this.scene.add(object);
    this.invalidate();
  }

  remove(object: Object3D): void {
    this.scene.remove(object);
    this.invalidate();
  }

  background(color: string): void {
    this.renderer.setClearColor(color);
    this.invalidate();
  }

  /** Stands where all of a sample is seen, and stays there when the window changes, until somebody moves. */
  frame(sample: Sample): void {
    this.place(this.home(sample));
    this.resting = sample;
  }

  /** Glides to where `frame` would stand. */
  reframe(sample: Sample): void {
    this.fly(this.home(sample));
    this.resting = sample;
  }

  /** Stands at a pose at once. */
  place(pose: Pose): void {
    this.flight = null;
    this.resting = null;
    this.calmDown();
    this.stand(pose);
    this.invalidate();
  }

  /** Glides to a pose; jumps there for those who asked for less motion. */
  fly(pose: Pose): void {
    if (calm()) {
      this.place(pose);
      return;
    }
    this.resting = null;
    this.calmDown();
    const from = this.pose();
    const turns = Math.round((from.azimuth - pose.azimuth) / (2 * Math.PI)) * 2 * Math.PI;
    let began = 0;
    this.flight = (now) => {
      began ||= now;
      const t = Math.min(1, (now - began) / FLIGHT_MS);
      const s = t * t * (3 - 2 * t);
      const mix = (a: number, b: number): number => a + (b - a) * s;
      this.stand({
        target: add(scale(from.target, 1 - s), pose.target, s),
        distance: Math.exp(mix(Math.log(from.distance), Math.log(pose.distance))),
        azimuth: mix(from.azimuth, pose.azimuth + turns),
        elevation: mix(from.elevation, pose.elevation),
      });
      return t < 1;
    };
    this.invalidate();
  }

  turn(right: number, up: number): void {
    const at = this.pose();
    const elevation = Math.min(1.5, Math.max(-1.5, at.elevation + up));
    this.place({ ...at, azimuth: at.azimuth + right, elevation });
  }

  move(right: number, up: number): void {
    this.controls.pan(-right * this.canvas.clientHeight, up * this.canvas.clientHeight);
    this.invalidate();
  }

  zoom(factor: number): void {
    const at = this.pose();
    this.place({ ...at, distance: Math.min(60, Math.max(0.01, at.distance * factor)) });
  }

  /** Draws in the next frame, once however often it is asked. */
  invalidate(): void {
    if (this.pending !== 0) return;
    this.askedAt = performance.now();
    this.pending = requestAnimationFrame((now) => this.draw(now));
  }

  dispose(): void {
    cancelAnimationFrame(this.pending);
    window.clearTimeout(this.settling);
    this.watcher.disconnect();
    this.controls.dispose();
    this.renderer.dispose();
    this.renderer.forceContextLoss();
  }

  /** The pose that shows a sample of what is on the stage, a little from the side and from above. */
  private home(sample: Sample = []): Pose {
    const tangent = Math.tan(((FIELD_OF_VIEW_DEG / 2) * Math.PI) / 180) / MARGIN;
    const view = { azimuth: -0.34, elevation: 0.26 };
    if (sample.length === 0) return { ...view, target: [0, 0, 0], distance: 3 };
    const { target, distance } = fitting(sample, backward(view), tangent, this.camera.aspect);
    return { ...view, target, distance: Math.max(0.3, distance) };
  }

  private draw(now: number): void {
    this.pending = 0;
    const flying = this.flight?.(now) ?? false;
    if (!flying) this.flight = null;
    const gliding = this.controls.update();
    this.camera.near = Math.max(0.0005, this.distance * 0.01);
    this.camera.far = this.distance + 80;
    this.camera.updateProjectionMatrix();
    this.pace(now);
    this.prepare(this.share);
    this.renderer.render(this.scene, this.camera);
    this.begunAt = now;
    this.drawnAt = performance.now();
    window.clearTimeout(this.settling);
    if (flying || gliding) this.invalidate();
    else if (this.share < 1) this.settling = window.setTimeout(() => this.settle(), SETTLED_MS);
  }

  /** While it moves, a slow machine draws fewer points; all of them again once it stands still. */
  private pace(now: number): void {
    if (this.askedAt - this.drawnAt > PAUSE_MS) return;
    const passed = now - this.begunAt;
    if (passed > SLOW_MS) this.share = Math.max(LEAST_SHARE, this.share * Math.max(0.3, SLOW_MS / passed));
    else if (passed < QUICK_MS) this.share = Math.min(1, this.share * 1.15);
  }

  private settle(): void {
    this.share = 1;
    this.drawnAt = Number.NEGATIVE_INFINITY;
    this.invalidate();
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (width === 0 || height === 0) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    if (this.resting !== null) this.frame(this.resting);
    this.invalidate();
  }

  /** Ends what the last drag still gives, so that a flight ends where it should. */
  private calmDown(): void {
    this.controls.enableDamping = false;
    this.controls.update();
    this.controls.enableDamping = !calm();
  }

  private pose(): Pose {
    const { target } = this.controls;
    const elevation = Math.PI / 2 - this.controls.getPolarAngle();
    return {
      target: [target.x, target.y, target.z],
      distance: this.distance,
      azimuth: this.controls.getAzimuthalAngle(),
      elevation,
    };
  }

  private stand(pose: Pose): void {
    this.controls.target.set(...pose.target);
    this.camera.position.set(...add(pose.target, backward(pose), pose.distance));
    this.camera.lookAt(this.controls.target);
  }
}

/** From what is looked at to the viewer. */
function backward({ azimuth, elevation }: Pick<Pose, "azimuth" | "elevation">): Vector {
  const flat = Math.cos(elevation);
  return [flat * Math.sin(azimuth), Math.sin(elevation), flat * Math.cos(azimuth)];
}

/** The matrix that does what a framing says. */
export function stageMatrix(axes: readonly [Vector, Vector, Vector], center: Vector, radius: number): Matrix4 {
  const [x, y, z] = axes.map((axis) => new Vector3(...axis)) as [Vector3, Vector3, Vector3];
  const turned = new Matrix4().makeBasis(x, y, z).transpose();
  const moved = new Matrix4().makeTranslation(-center[0], -center[1], -center[2]);
  return new Matrix4()
    .makeScale(1 / radius, 1 / radius, 1 / radius)
    .multiply(moved)
    .multiply(turned);
}

function calm(): boolean {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}
