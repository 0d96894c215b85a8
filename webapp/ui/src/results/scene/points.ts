import {
  BufferAttribute,
  BufferGeometry,
  Color,
  Float16BufferAttribute,
  Points,
  ShaderMaterial,
  Sphere,
  Vector3,
} from "three";
import { type Cloud, halfToNumber, quantile } from "./cloud";

export type Coloring = "photo" | "observations" | "error";

/** What a colour scale goes from and to. */
export interface Span {
  readonly low: number;
  readonly high: number;
}

/** Few to many photos, and small to large errors; shader and legend share them. */
export const RAMPS: Record<Exclude<Coloring, "photo">, readonly string[]> = {
  observations: ["#5b52d6", "#2b8fd4", "#27b99a", "#a9d34a", "#fbe02f"],
  error: ["#2bb3a1", "#9ccf5a", "#f3d34a", "#f0953f", "#e3503e"],
};

const MODES: Record<Coloring, number> = { photo: 0, observations: 1, error: 2 };
const WIDEST_SHARE = 0.014;

const VERTEX = `
  attribute vec4 look;
  attribute float error;
  uniform float size, widest, narrowest;
  uniform int mode;
  uniform vec2 span;
  uniform vec3 ramp[5];
  varying vec3 tone;
  varying float away;
  vec3 along(float t) {
    float at = clamp(t, 0.0, 1.0) * 4.0;
    if (at < 1.0) return mix(ramp[0], ramp[1], at);
    if (at < 2.0) return mix(ramp[1], ramp[2], at - 1.0);
    if (at < 3.0) return mix(ramp[2], ramp[3], at - 2.0);
    return mix(ramp[3], ramp[4], at - 3.0);
  }
  void main() {
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
    gl_PointSize = clamp(size / gl_Position.w, narrowest, widest);
    away = gl_Position.w;
    float known = mode == 1 ? log2(look.a * 255.0) : error;
    tone = mode == 0 ? look.rgb : along((known - span.x) / max(span.y - span.x, 1e-6));
  }`;

const FRAGMENT = `
  uniform vec3 back;
  uniform float reach, round;
  varying vec3 tone;
  varying float away;
  void main() {
    vec2 p = gl_PointCoord - 0.5;
    if (round > 0.5 && dot(p, p) > 0.25) discard;
    gl_FragColor = vec4(mix(tone, back, 0.3 * smoothstep(0.9 * reach, 3.0 * reach, away)), 1.0);
  }`;

/** A cloud on the graphics card: one geometry, one material. */
export class CloudPoints {
  readonly object: Points<BufferGeometry, ShaderMaterial>;
  readonly cloud: Cloud;
  private readonly uniforms;
  private readonly spans: Record<Coloring, Span>;

  constructor(cloud: Cloud) {
    this.cloud = cloud;
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(cloud.positions, 3));
    geometry.setAttribute("look", new BufferAttribute(cloud.look, 4, true));
    geometry.setAttribute("error", new Float16BufferAttribute(cloud.errors, 1));
    geometry.boundingSphere = new Sphere(new Vector3(), Number.POSITIVE_INFINITY);
    this.uniforms = {
      size: { value: 1 },
      widest: { value: 30 },
      narrowest: { value: 1.5 },
      mode: { value: 0 },
      span: { value: [0, 1] },
      ramp: { value: RAMPS.error.map(rgb) },
      back: { value: new Color() },
      reach: { value: 1 },
      round: { value: 1 },
    };
    const material = new ShaderMaterial({ vertexShader: VERTEX, fragmentShader: FRAGMENT, uniforms: this.uniforms });
    this.object = new Points(geometry, material);
    this.object.frustumCulled = false;
    this.spans = { photo: { low: 0, high: 1 }, observations: observed(cloud), error: missed(cloud) };
  }

  /** Few points lie far apart: larger ones let the surface be seen. */
  get spacing(): number {
    return Math.min(3.2, Math.max(0.75, 1.4 * (45_000 / Math.max(1, this.cloud.count)) ** 0.3));
  }

  span(coloring: Coloring): Span {
    return this.spans[coloring];
  }

  color(coloring: Coloring): void {
    const { low, high } = this.spans[coloring];
    this.uniforms.mode.value = MODES[coloring];
    this.uniforms.span.value = coloring === "observations" ? [Math.log2(low), Math.log2(high)] : [low, high];
    if (coloring !== "photo") this.uniforms.ramp.value = RAMPS[coloring].map(rgb);
  }

  /** Before each frame: sizes in pixels of the canvas, distances in units of the stage. */
  prepare(height: number, pointSize: number, distance: number, back: string): void {
    this.uniforms.size.value = pointSize * this.spacing * height * 0.0085;
    this.uniforms.widest.value = height * WIDEST_SHARE;
    this.uniforms.narrowest.value = Math.max(1, height / 700);
    this.uniforms.round.value = this.uniforms.size.value / distance > 2.2 ? 1 : 0;
    this.uniforms.reach.value = distance;
    this.uniforms.back.value = rgb(back);
  }

  /** Draws a share of the points: any first part of them is the whole cloud, thinned. */
  draw(share: number): void {
    this.object.geometry.setDrawRange(0, Math.ceil(this.cloud.count * share));
  }

  dispose(): void {
    this.object.geometry.dispose();
    this.object.material.dispose();
  }
}

/** A colour as the screen has it: the shader computes in screen colours. */
function rgb(hex: string): Color {
  const value = Number.parseInt(hex.slice(1), 16);
  const made = new Color();
  made.r = ((value >> 16) & 255) / 255;
  made.g = ((value >> 8) & 255) / 255;
  made.b = (value & 255) / 255;
  return made;
}

function observed(cloud: Cloud): Span {
  const counts = Array.from({ length: Math.min(20_000, cloud.count) }, (_, k) => cloud.look[4 * k + 3] ?? 0);
  return { low: 2, high: Math.max(4, quantile(counts, 0.98)) };
}

function missed(cloud: Cloud): Span {
  const errors = Array.from({ length: Math.min(20_000, cloud.count) }, (_, k) => halfToNumber(cloud.errors[k] ?? 0));
  return { low: 0, high: Math.max(0.5, Math.ceil(quantile(errors, 0.97) * 2) / 2) };
}
