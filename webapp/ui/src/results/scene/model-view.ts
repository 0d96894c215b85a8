import { Group } from "three";
import type { ModelCameras } from "../../wire";
import { CameraMarks } from "./cameras";
import type { Cloud } from "./cloud";
import { type Framing, framing, type Sample } from "./framing";
import { cameraCenter, type Frustum, frustum, frustumSize, lookingAhead, middleOf } from "./frustum";
import { CloudPoints } from "./points";
import { type Pose, stageMatrix } from "./stage";
import { add, dot, length, scale, subtract, unit, vector } from "./vectors";

/** One model on the stage: points, cameras, and how they are framed. */
export class ModelView {
  readonly object = new Group();
  readonly points: CloudPoints;
  readonly marks: CameraMarks;
  private readonly frame: Framing;

  constructor(cloud: Cloud, model: ModelCameras) {
    const poses = Object.entries(model.images).sort(([a], [b]) => (a < b ? -1 : 1));
    const centers = poses.map(([, pose]) => cameraCenter(pose));
    const ahead = poses.map(([, pose]) => lookingAhead(pose));
    this.frame = framing(cloud.positions, centers, vector(model.up), ahead);
    this.points = new CloudPoints(cloud);
    const { axes, center, radius } = this.frame;
    this.points.object.matrixAutoUpdate = false;
    this.points.object.matrix = stageMatrix(axes, center, radius);
    const size = frustumSize(centers.map((one) => scale(one, 1 / radius)));
    const frusta = poses.flatMap(([photo, pose]) => {
      const camera = model.cameras[pose.camera];
      return camera === undefined ? [] : [frustum(photo, pose, camera, this.frame, size)];
    });
    this.marks = new CameraMarks(frusta.filter(isKnown));
    this.object.add(this.points.object, this.marks.object);
  }

  /** What the first view has to show. */
  get sample(): Sample {
    return this.frame.sample;
  }

  /** Photos of the model, in the order of their names. */
  get photos(): string[] {
    return this.marks.frusta.map(({ photo }) => photo);
  }

  /** Where to stand to look at the scene from a step behind a photo's camera. */
  behind(photo: string): Pose | null {
    const found = this.marks.find(photo);
    if (found === null) return null;
    const middle = middleOf(found);
    const ahead = unit(subtract(middle, found.apex));
    const depth = Math.min(2, Math.max(0.2, -dot(ahead, found.apex)));
    return {
      target: add(found.apex, ahead, depth),
      distance: depth + length(subtract(middle, found.apex)) * 1.8,
      azimuth: Math.atan2(-ahead[0], -ahead[2]),
      elevation: Math.min(1.5, Math.max(-1.5, Math.asin(Math.min(1, Math.max(-1, -ahead[1]))))),
    };
  }

  dispose(): void {
    this.points.dispose();
    this.marks.dispose();
  }
}

function isKnown({ apex, corners }: Frustum): boolean {
  return [apex, ...corners].every((point) => point.every(Number.isFinite));
}
