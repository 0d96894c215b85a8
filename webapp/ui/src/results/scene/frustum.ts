import type { CameraModel, CameraPose } from "../../wire";
import { type Framing, placed } from "./framing";
import { add, length, mean, scale, subtract, type Vector, vector } from "./vectors";

/** A camera on the stage. */
export interface Frustum {
  readonly photo: string;
  readonly apex: Vector;
  /** Of the photo as it is displayed: top left, top right, bottom right, bottom left. */
  readonly corners: readonly [Vector, Vector, Vector, Vector];
}

/** EXIF orientation → where the right and the top of the displayed photo lie in the camera frame (x right, y down). */
const DISPLAY: Record<number, readonly [right: readonly [number, number], up: readonly [number, number]]> = {
  1: [[1, 0], [0, -1]],
  2: [[-1, 0], [0, -1]],
  3: [[-1, 0], [0, 1]],
  4: [[1, 0], [0, 1]],
  5: [[0, 1], [-1, 0]],
  6: [[0, -1], [-1, 0]],
  7: [[0, -1], [1, 0]],
  8: [[0, 1], [1, 0]],
}; // biome-ignore format: a table

export function cameraCenter(pose: CameraPose): Vector {
  return scale(backTurned(pose, vector(pose.translation)), -1);
}

/** The direction a camera looks in, in the world. */
export function lookingAhead(pose: CameraPose): Vector {
  return vector(pose.rotation[2] ?? []);
}

/** The camera as a pyramid; `size` is half the diagonal of its picture, in units of the stage. */
export function frustum(photo: string, pose: CameraPose, camera: CameraModel, frame: Framing, size: number): Frustum {
  const [right, up] = DISPLAY[pose.orientation] ?? [
    [1, 0],
    [0, -1],
  ];
  const focal = camera.params["fx"] ?? camera.params["f"] ?? Math.max(camera.width, camera.height);
  const half: readonly [number, number] = [
    camera.width / 2 / focal,
    camera.height / 2 / (camera.params["fy"] ?? focal),
  ];
  const depth = (size * frame.radius) / Math.hypot(half[0], half[1]);
  const translation = vector(pose.translation);
  const corner = (across: number, upwards: number): Vector => {
    const x = (across * right[0] + upwards * up[0]) * half[0];
    const y = (across * right[1] + upwards * up[1]) * half[1];
    return placed(frame, backTurned(pose, subtract(scale([x, y, 1], depth), translation)));
  };
  return {
    photo,
    apex: placed(frame, cameraCenter(pose)),
    corners: [corner(-1, 1), corner(1, 1), corner(1, -1), corner(-1, -1)],
  };
}

/** A size at which neighbouring cameras just about do not touch, within 2 to 9 % of the scene's radius. */
export function frustumSize(centers: readonly Vector[]): number {
  const sample = centers.slice(0, 400);
  const nearest = sample
    .map((one) => Math.min(...sample.map((other) => (other === one ? Number.POSITIVE_INFINITY : distance(one, other)))))
    .sort((a, b) => a - b);
  const middle = nearest[Math.floor(nearest.length / 2)] ?? Number.POSITIVE_INFINITY;
  return Math.min(0.09, Math.max(0.02, 0.4 * middle));
}

export function middleOf(one: Frustum): Vector {
  return mean(one.corners);
}

/** The edges of a frustum as pairs of points, with a mark over the top edge that says which way up the photo is. */
export function edges(one: Frustum): readonly (readonly [Vector, Vector])[] {
  const { apex, corners } = one;
  const [a, b, c, d] = corners;
  const top = mean([a, b]);
  const mark = add(top, subtract(top, mean([c, d])), 0.2);
  return [
    [apex, a],
    [apex, b],
    [apex, c],
    [apex, d],
    [a, b],
    [b, c],
    [c, d],
    [d, a],
    [add(top, subtract(a, top), 0.35), mark],
    [add(top, subtract(b, top), 0.35), mark],
  ];
}

function backTurned(pose: CameraPose, point: Vector): Vector {
  const [x, y, z] = [0, 1, 2].map((row) => vector(pose.rotation[row] ?? []));
  if (x === undefined || y === undefined || z === undefined) return point;
  return add(add(scale(x, point[0]), y, point[1]), z, point[2]);
}

function distance(a: Vector, b: Vector): number {
  return length(subtract(a, b));
}
