// A camera that turns around a target in a world with z up, and the few matrices it takes (column-major, as WebGL).

const FIELD_OF_VIEW = 0.78;
const STEEPEST = 1.5;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const subtract = (a, b) => [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
const along = (a, b, t) => [a[0] + b[0] * t, a[1] + b[1] * t, a[2] + b[2] * t];
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
const mean = (...points) => [0, 1, 2].map((axis) => points.reduce((sum, p) => sum + p[axis], 0) / points.length);
const unit = (a) => along([0, 0, 0], a, 1 / (Math.hypot(...a) || 1));

function multiply(a, b) {
  const out = new Float32Array(16);
  for (let column = 0; column < 4; column++) {
    for (let row = 0; row < 4; row++) {
      for (let k = 0; k < 4; k++) out[column * 4 + row] += a[k * 4 + row] * b[column * 4 + k];
    }
  }
  return out;
}

// The homogeneous clip coordinates of a point.
function transformed(matrix, p) {
  return [0, 1, 2, 3].map((row) => matrix[row] * p[0] + matrix[4 + row] * p[1] + matrix[8 + row] * p[2] + matrix[12 + row]);
}

class OrbitCamera {
  constructor(onChange) {
    this.onChange = onChange;
    this.flight = 0;
    this.set(this.home(1));
  }

  // The pose that shows the unit ball in a window of the given width / height.
  home(aspect) {
    const half = Math.atan(Math.tan(FIELD_OF_VIEW / 2) * Math.min(1, aspect));
    return { target: [0, 0, 0], distance: 0.74 / Math.sin(half), azimuth: -0.38, elevation: 0.3 };
  }

  set(pose) {
    Object.assign(this, pose);
  }

  get backward() {
    const flat = Math.cos(this.elevation);
    return [flat * Math.sin(this.azimuth), -flat * Math.cos(this.azimuth), Math.sin(this.elevation)];
  }

  get eye() {
    return along(this.target, this.backward, this.distance);
  }

  matrix(aspect) {
    const z = this.backward;
    const x = unit(cross([0, 0, 1], z));
    const y = cross(z, x);
    const eye = this.eye;
    const view = [x[0], y[0], z[0], 0, x[1], y[1], z[1], 0, x[2], y[2], z[2], 0, -dot(x, eye), -dot(y, eye), -dot(z, eye), 1];
    const near = this.distance * 0.01;
    const far = this.distance + 60;
    const f = 1 / Math.tan(FIELD_OF_VIEW / 2);
    const depth = 1 / (near - far);
    const lens = [f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) * depth, -1, 0, 0, 2 * far * near * depth, 0];
    return multiply(lens, view);
  }

  turn(dx, dy) {
    this.stop();
    this.azimuth -= dx;
    this.elevation = clamp(this.elevation + dy, -STEEPEST, STEEPEST);
    this.onChange();
  }

  // Moves the target in the picture plane; dx and dy are fractions of the window's height.
  pan(dx, dy) {
    this.stop();
    const reach = 2 * Math.tan(FIELD_OF_VIEW / 2) * this.distance;
    const right = unit(cross([0, 0, 1], this.backward));
    const up = cross(this.backward, right);
    this.target = along(along(this.target, right, -dx * reach), up, dy * reach);
    this.onChange();
  }

  zoom(factor) {
    this.stop();
    this.distance = clamp(this.distance * factor, 0.02, 40);
    this.onChange();
  }

  stop() {
    cancelAnimationFrame(this.flight);
  }

  // Glides to a pose; jumps there for those who asked for less motion.
  fly(pose) {
    this.stop();
    const from = { target: this.target, distance: this.distance, azimuth: this.azimuth, elevation: this.elevation };
    const turns = Math.round((from.azimuth - pose.azimuth) / (2 * Math.PI)) * 2 * Math.PI;
    const began = performance.now();
    const length = matchMedia("(prefers-reduced-motion: reduce)").matches ? 0 : 650;
    const step = (now) => {
      const t = length ? clamp((now - began) / length, 0, 1) : 1;
      const s = t * t * (3 - 2 * t);
      const mix = (a, b) => a + (b - a) * s;
      this.target = from.target.map((value, axis) => mix(value, pose.target[axis]));
      this.distance = Math.exp(mix(Math.log(from.distance), Math.log(pose.distance)));
      this.azimuth = mix(from.azimuth, pose.azimuth + turns);
      this.elevation = mix(from.elevation, pose.elevation);
      this.onChange();
      if (t < 1) this.flight = requestAnimationFrame(step);
    };
    step(began);
  }
}
