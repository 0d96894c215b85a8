/** What the service says, as `webapp/replies.py` has it. Times are seconds since 1970. */

export type Stage =
  | "queued"
  | "extracting"
  | "matching"
  | "triangulating"
  | "decimating"
  | "success"
  | "failed"
  | "cancelled";
export type Severity = "low" | "moderate" | "high";
export type Role = "user" | "admin";

export interface Session {
  access_token: string;
  expires_in: number;
  name: string;
  role: Role;
}

export interface Job {
  job_id: string;
  stage: Stage;
  /** 0 to 100. */
  progress: number;
  message: string;
  created_at: number;
  started_at: number | null;
  finished_at: number | null;
  expires_at: number | null;
  n_images: number;
  n_points: number;
  /** 0 to 1. */
  registration_rate: number | null;
  error: string | null;
  error_code: string | null;
  hint: string | null;
  download_url: string | null;
  has_drift: boolean;
  drift_severity: Severity;
  dataset_name: string;
  scene_name: string;
  attempt: number;
  options: Record<string, unknown>;
  /** Whose job it is; administrators are told. */
  owner: string | null;
}

export interface JobPage {
  jobs: Job[];
  next_cursor: string | null;
}

export interface JobEvent {
  id: number;
  job_id: string;
  at: number;
  kind: "stage" | "progress" | "notice";
  stage: Stage;
  progress: number;
  message: string;
}

export interface Cluster {
  id: number;
  /** `cluster0_model0`. */
  name: string;
  num_points3D: number;
  /** Its decimated cloud; empty where it has no points. */
  filename: string;
}

export interface ImageEntry {
  name: string;
  registered: boolean;
  status: "registered" | "unregistered" | "outlier" | "unreadable";
  /** The model it is in. */
  cluster: string | null;
  inliers: number;
  mean_reprojection_error_px: number | null;
  /** Why it is not registered; empty when it is. */
  reason: string;
  /** Pixels of the raw raster; 0 where it is unreadable. */
  width: number;
  height: number;
  /** Photos it shares a verified geometry with. */
  connected_photos: number;
}

export interface CameraModel {
  model: string;
  width: number;
  height: number;
  params: Record<string, number>;
}

/** World to camera: x_cam = R x_world + t, x to the right and y down in the raw raster. */
export interface CameraPose {
  camera: string;
  rotation: number[][];
  translation: number[];
  /** EXIF tag, for display. */
  orientation: number;
}

export interface ModelCameras {
  /** Unit vector in the world that photographers held upwards. */
  up: number[];
  cameras: Record<string, CameraModel>;
  images: Record<string, CameraPose>;
}

export interface ViewGraph {
  /** By cluster; those in no model come last. */
  photos: string[];
  clusters: (string | null)[];
  /** Places of two photos, the first before the second, and the inliers of their verified geometry. */
  pairs: [number, number, number][];
}

export interface RunDetails {
  n_images: number;
  n_readable: number;
  n_registered: number;
  n_points: number;
  mean_track_length: number | null;
  mean_reprojection_error_px: number | null;
  /** Points by the number of photos that see them: `"2"` … `"9"`, `"10+"`. */
  track_length_histogram: Record<string, number>;
  n_pairs: number;
  n_verified_pairs: number;
  warnings: string[];
  recommendations: string[];
  timings_s: Record<string, number>;
}

export interface DriftCheck {
  drift: boolean;
  severity: Severity;
  /** What `value` is: `robust_z`. */
  statistic: string;
  value: number;
  threshold: number;
  baseline: number;
  current: number;
  n: number;
}

export interface DriftReport {
  drift_detected: boolean;
  severity: Severity;
  checks: Record<string, DriftCheck>;
  warnings: string[];
}

export interface Insights {
  registration_rate: number | null;
  n_points: number;
  has_drift: boolean;
  drift_severity: Severity;
  drift_report: DriftReport;
  recommendation: string;
  /** `null` while there is no result. */
  details: RunDetails | null;
}

export interface User {
  user_id: string;
  name: string;
  role: Role;
  created_at: number;
}

export interface ApiKey {
  key_id: string;
  user_id: string;
  label: string;
  created_at: number;
  last_used_at: number | null;
}

export interface NewApiKey {
  key_id: string;
  label: string;
  key: string;
}

export interface Runner {
  /** `host:pid:random`. */
  runner: string;
  /** Empty while its workers are starting. */
  device: string;
  dashboard_url: string;
  seen_at: number;
  /** Those of its cluster; none while it starts. */
  machines: Machine[];
}

export interface Machine {
  /** Its address; a loopback one is the runner's own machine. */
  host: string;
  workers: number;
  threads: number;
  /** Workers that have work. */
  busy: number;
  /** Scenes that are being reconstructed. */
  mapping: number;
  memory_bytes: number;
  /** 0 where there is no limit. */
  memory_limit_bytes: number;
  gpus: Gpu[];
}

export interface Gpu {
  name: string;
  busy: boolean;
  memory_bytes: number;
  /** 0 where it is not known. */
  total_bytes: number;
}

export interface ServiceStatus {
  version: string;
  runners: Runner[];
  stages: Partial<Record<Stage, number>>;
  oldest_queued_s: number;
  free_bytes: number;
  total_bytes: number;
}

/** A part of JSON Schema: what `GET /options` uses. */
export interface Schema {
  $ref?: string;
  $defs?: Record<string, Schema>;
  title?: string;
  description?: string;
  type?: string | string[];
  enum?: (string | number | boolean | null)[];
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  items?: Schema;
  default?: unknown;
  minimum?: number;
  maximum?: number;
  exclusiveMinimum?: number;
  exclusiveMaximum?: number;
}

export interface OptionsReply {
  schema: Schema;
  presets: Record<string, Record<string, unknown>>;
  /** What keeps presets from running here, by name. */
  presets_missing: Record<string, string>;
  defaults: Record<string, unknown>;
  methods: Method[];
}

/** A finder of details and a matcher that go together. */
export interface Method {
  extractor: string;
  matcher: string;
  usable: boolean;
}
