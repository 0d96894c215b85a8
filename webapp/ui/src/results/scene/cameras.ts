import {
  BufferAttribute,
  BufferGeometry,
  type Camera,
  Color,
  DoubleSide,
  Group,
  InstancedBufferAttribute,
  InstancedBufferGeometry,
  LinearFilter,
  Mesh,
  MeshBasicMaterial,
  ShaderMaterial,
  SRGBColorSpace,
  Texture,
  Vector3,
} from "three";
import { edges, type Frustum } from "./frustum";
import { length, mean, subtract } from "./vectors";

const EDGES = 10;
const NEAREST_PX = 11;

// A line is a quad: each of its four vertices knows both ends and its side. Its edges fade out over a pixel, so that the
// canvas needs no multisampling, which would cost a software renderer four times the work.
const VERTEX = `
  attribute vec3 start, end;
  attribute vec4 color;
  uniform vec2 window;
  uniform float width;
  varying vec4 tone;
  varying float side;
  void main() {
    vec4 p = projectionMatrix * modelViewMatrix * vec4(start, 1.0);
    vec4 q = projectionMatrix * modelViewMatrix * vec4(end, 1.0);
    float near = 0.0005;
    if (p.w < near && q.w > near) p = mix(p, q, (near - p.w) / (q.w - p.w));
    if (q.w < near && p.w > near) q = mix(q, p, (near - q.w) / (p.w - q.w));
    vec2 way = (q.xy / q.w - p.xy / p.w) * window;
    way = length(way) > 0.0001 ? normalize(way) : vec2(1.0, 0.0);
    vec4 at = position.x < 0.5 ? p : q;
    side = position.y * (0.5 * width + 0.5);
    gl_Position = at + vec4(vec2(-way.y, way.x) * 2.0 * side / window * at.w, 0.0, 0.0);
    tone = color;
  }`;
const FRAGMENT = `
  uniform float width;
  varying vec4 tone;
  varying float side;
  void main() { gl_FragColor = vec4(tone.rgb, tone.a * clamp(0.5 * width + 0.5 - abs(side), 0.0, 1.0)); }`;

/** The cameras of a model: all their edges in one geometry, and the picture that hangs at the selected one. */
export class CameraMarks {
  readonly object = new Group();
  private readonly lines: Mesh<InstancedBufferGeometry, ShaderMaterial>;
  private readonly colors: InstancedBufferAttribute;
  private readonly uniforms = { window: { value: [1, 1] }, width: { value: 1.5 } };
  private picture: Mesh<BufferGeometry, MeshBasicMaterial> | null = null;

  constructor(readonly frusta: readonly Frustum[]) {
    const segments = frusta.flatMap(edges);
    const geometry = new InstancedBufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array([0, -1, 0, 0, 1, 0, 1, -1, 0, 1, 1, 0]), 3));
    geometry.setIndex([0, 1, 2, 2, 1, 3]);
    geometry.instanceCount = segments.length;
    const ends = (which: 0 | 1): InstancedBufferAttribute =>
      new InstancedBufferAttribute(new Float32Array(segments.flatMap((segment) => [...segment[which]])), 3);
    geometry.setAttribute("start", ends(0));
    geometry.setAttribute("end", ends(1));
    this.colors = new InstancedBufferAttribute(new Float32Array(4 * segments.length), 4);
    geometry.setAttribute("color", this.colors);
    const material = new ShaderMaterial({
      vertexShader: VERTEX,
      fragmentShader: FRAGMENT,
      uniforms: this.uniforms,
      transparent: true,
      depthWrite: false,
      side: DoubleSide,
    });
    this.lines = new Mesh(geometry, material);
    this.lines.frustumCulled = false;
    this.lines.renderOrder = 1;
    this.object.add(this.lines);
  }

  /** Colours the cameras; the selected and the hovered one stand out, and the others step back. */
  paint(cluster: string, lit: string, selected: string | null, hovered: string | null): void {
    const plain = channels(cluster);
    const bright = channels(lit);
    this.frusta.forEach(({ photo }, number) => {
      const here = photo === selected || photo === hovered;
      const alpha = here ? 1 : selected === null ? 0.9 : 0.5;
      for (let edge = 0; edge < EDGES; edge += 1) {
        // The edges to the centre would cross out the picture that hangs at the selected camera.
        const faint = photo === selected && edge < 4 ? 0 : alpha;
        this.colors.set([...(here ? bright : plain), faint], 4 * (EDGES * number + edge));
      }
    });
    this.colors.needsUpdate = true;
  }

  prepare(width: number, height: number, ratio: number): void {
    this.uniforms.window.value = [width, height];
    this.uniforms.width.value = 1.6 * ratio;
  }

  find(photo: string | null): Frustum | null {
    return this.frusta.find((one) => one.photo === photo) ?? null;
  }

  /** Hangs a picture at a camera; `null` takes it away. */
  hang(photo: string | null, image: ImageBitmap | null): void {
    if (this.picture !== null) {
      this.object.remove(this.picture);
      this.picture.geometry.dispose();
      this.picture.material.map?.dispose();
      this.picture.material.dispose();
      this.picture = null;
    }
    const frustum = this.find(photo);
    if (frustum === null || image === null) return;
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array(frustum.corners.flatMap((c) => [...c])), 3));
    geometry.setAttribute("uv", new BufferAttribute(new Float32Array([0, 0, 1, 0, 1, 1, 0, 1]), 2));
    geometry.setIndex([0, 1, 2, 0, 2, 3]);
    const map = new Texture(image);
    map.colorSpace = SRGBColorSpace;
    map.flipY = false;
    map.minFilter = LinearFilter;
    map.generateMipmaps = false;
    map.needsUpdate = true;
    this.picture = new Mesh(geometry, new MeshBasicMaterial({ map, side: DoubleSide }));
    this.picture.frustumCulled = false;
    this.object.add(this.picture);
  }

  /** The photo whose camera lies under a point of the canvas, the nearest first. */
  pick(x: number, y: number, width: number, height: number, camera: Camera): string | null {
    let best: { photo: string; score: number } | null = null;
    const point = new Vector3();
    for (const { photo, apex, corners } of this.frusta) {
      const flat: [number, number, number][] = [];
      let depth = 0;
      for (const corner of [apex, ...corners]) {
        point.set(...corner).applyMatrix4(camera.matrixWorldInverse);
        if (point.z > -1e-4) break;
        if (flat.length === 0) depth = -point.z;
        point.applyMatrix4(camera.projectionMatrix);
        flat.push([((point.x + 1) / 2) * width, ((1 - point.y) / 2) * height, 0]);
      }
      if (flat.length < 5) continue;
      const center = mean(flat);
      const reach = Math.max(NEAREST_PX, flat.reduce((sum, one) => sum + length(subtract(one, center)), 0) / 5);
      const away = Math.hypot(x - center[0], y - center[1]) / reach;
      const score = away + depth * 0.05;
      if (away < 1 && (best === null || score < best.score)) best = { photo, score };
    }
    return best?.photo ?? null;
  }

  dispose(): void {
    this.hang(null, null);
    this.lines.geometry.dispose();
    this.lines.material.dispose();
  }
}

function channels(hex: string): [number, number, number] {
  const { r, g, b } = new Color(hex).convertLinearToSRGB();
  return [r, g, b];
}
