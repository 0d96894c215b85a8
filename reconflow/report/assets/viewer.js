// The 3D view: one scene at a time, its cameras, and the pointer and keys that move through it.

const BACKGROUND = [0.059, 0.075, 0.098];

// base64 → { positions: Float32Array, colors: Uint8Array }
function decodeCloud(text, count) {
  const raw = atob(text.trim());
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return { positions: new Float32Array(bytes.buffer, 0, count * 3), colors: new Uint8Array(bytes.buffer, count * 12) };
}

class Viewer {
  // onSelect(photo number or null) is told what was clicked. Throws where there is no WebGL.
  constructor(canvas, { scenes, colorOf, onSelect }) {
    this.canvas = canvas;
    this.scenes = scenes;
    this.colorOf = colorOf;
    this.onSelect = onSelect;
    this.painter = new Painter(canvas);
    this.camera = new OrbitCamera(() => this.invalidate());
    this.pointSize = 1;
    this.showCameras = true;
    this.current = -1;
    this.selected = null;
    this.hovered = null;
    this.pending = 0;
    new ResizeObserver(() => this.resize()).observe(canvas);
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.painter.prepare();
      this.fill();
    });
    this.listen();
  }

  get aspect() {
    return this.canvas.width / Math.max(1, this.canvas.height);
  }

  show(number) {
    if (number === this.current) return;
    this.current = number;
    this.selected = this.hovered = null;
    this.resize();
    this.camera.stop();
    this.camera.set(this.camera.home(this.aspect));
    this.fill();
  }

  fill() {
    const scene = this.scenes[this.current];
    const text = document.getElementById(`cloud-${this.current}`).textContent;
    const { positions, colors } = decodeCloud(text, scene.count);
    this.painter.setPoints(positions, colors);
    // Few points lie far apart: larger ones let the surface be seen.
    this.spacing = clamp(1.4 * (45000 / Math.max(1, scene.count)) ** 0.3, 1, 3.2);
    this.cameras = scene.cameras.map(([photo, ...values]) => ({
      photo,
      corners: [0, 3, 6, 9, 12].map((k) => values.slice(k, k + 3)),
    }));
    this.drawCameras();
  }

  drawCameras() {
    const color = this.colorOf(this.scenes[this.current].cluster);
    const segments = [];
    for (const { photo, corners } of this.cameras) {
      const lit = photo === this.selected || photo === this.hovered;
      const tone = lit ? [1, 1, 1, 1] : [...color, this.selected === null ? 0.9 : 0.55];
      const [apex, a, b, c, d] = corners;
      // The edges to the centre would cross out the picture that hangs at the selected camera.
      const thin = photo === this.selected ? [1, 1, 1, 0.3] : tone;
      for (const corner of [a, b, c, d]) segments.push([apex, corner, thin]);
      for (const [p, q] of [[a, b], [b, c], [c, d], [d, a]]) segments.push([p, q, tone]);
      // A mark over the top edge says which way up the photo is.
      const top = mean(a, b);
      const mark = along(top, subtract(top, mean(c, d)), 0.22);
      segments.push([along(top, subtract(a, top), 0.35), mark, tone], [along(top, subtract(b, top), 0.35), mark, tone]);
    }
    this.painter.setLines(segments);
    this.invalidate();
  }

  // Marks a photo's camera and hangs its picture there.
  select(photo, image) {
    this.selected = photo;
    const camera = this.cameras.find((candidate) => candidate.photo === photo);
    this.painter.setPicture(camera && camera.corners.slice(1), image);
    this.drawCameras();
  }

  // Goes to where a photo was taken, a step behind it.
  visit(photo) {
    const camera = this.cameras.find((candidate) => candidate.photo === photo);
    if (!camera) return;
    const [apex, a, b, c, d] = camera.corners;
    const middle = mean(a, b, c, d);
    const ahead = unit(subtract(middle, apex));
    const depth = clamp(-dot(ahead, apex), 0.2, 2);
    const picture = Math.hypot(...subtract(middle, apex));
    this.camera.fly({
      target: along(apex, ahead, depth),
      distance: depth + picture * 1.6,
      azimuth: Math.atan2(-ahead[0], ahead[1]),
      elevation: clamp(Math.asin(clamp(-ahead[2], -1, 1)), -STEEPEST, STEEPEST),
    });
  }

  reset() {
    this.camera.fly(this.camera.home(this.aspect));
  }

  // The photo whose camera lies under a point of the canvas (CSS pixels), the nearest first, or null.
  pick(x, y) {
    if (!this.showCameras) return null;
    const { width, height } = this.canvas.getBoundingClientRect();
    const transform = this.camera.matrix(this.aspect);
    let best = null;
    for (const { photo, corners } of this.cameras) {
      const seen = corners.map((corner) => transformed(transform, corner));
      if (seen.some((p) => p[3] <= 0)) continue;
      const flat = seen.map((p) => [(p[0] / p[3] + 1) * width * 0.5, (1 - p[1] / p[3]) * height * 0.5]);
      const center = [0, 1].map((axis) => flat.reduce((sum, p) => sum + p[axis], 0) / flat.length);
      const reach = Math.max(11, flat.reduce((sum, p) => sum + Math.hypot(p[0] - center[0], p[1] - center[1]), 0) / 5);
      const away = Math.hypot(x - center[0], y - center[1]) / reach;
      const score = away + seen[0][3] * 0.05;
      if (away < 1 && (!best || score < best.score)) best = { photo, score };
    }
    return best && best.photo;
  }

  resize() {
    const ratio = Math.min(2, devicePixelRatio || 1);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
    if (width === this.canvas.width && height === this.canvas.height) return;
    this.canvas.width = width;
    this.canvas.height = height;
    this.invalidate();
  }

  invalidate() {
    if (this.pending) return;
    this.pending = requestAnimationFrame(() => {
      this.pending = 0;
      if (this.current < 0) return;
      this.painter.draw({
        transform: this.camera.matrix(this.aspect),
        distance: this.camera.distance,
        pointSize: this.pointSize * this.spacing,
        lineWidth: 1.5 * Math.min(2, devicePixelRatio || 1),
        background: BACKGROUND,
        showLines: this.showCameras,
      });
      document.documentElement.dataset.view = "drawn";
    });
  }

  hover(photo) {
    if (photo === this.hovered) return;
    this.hovered = photo;
    this.canvas.style.cursor = photo === null ? "" : "pointer";
    this.drawCameras();
  }

  // One finger or the left button turns; two fingers, the right button or shift move; pinch and wheel zoom.
  listen() {
    const { canvas, camera } = this;
    const held = new Map();
    let moved = 0;
    const local = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const spread = () => {
      const [p, q] = [...held.values()];
      return { middle: [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2], gap: Math.hypot(p[0] - q[0], p[1] - q[1]) || 1 };
    };
    canvas.addEventListener("pointerdown", (event) => {
      canvas.focus({ preventScroll: true });
      canvas.setPointerCapture(event.pointerId);
      if (!held.size) moved = 0;
      held.set(event.pointerId, local(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      const at = local(event);
      const before = held.get(event.pointerId);
      if (!before) {
        if (event.pointerType === "mouse") this.hover(this.pick(...at));
        return;
      }
      const height = canvas.clientHeight || 1;
      const [dx, dy] = [at[0] - before[0], at[1] - before[1]];
      moved += Math.abs(dx) + Math.abs(dy);
      if (held.size === 2) {
        const was = spread();
        held.set(event.pointerId, at);
        const is = spread();
        camera.pan((is.middle[0] - was.middle[0]) / height, (is.middle[1] - was.middle[1]) / height);
        camera.zoom(was.gap / is.gap);
        return;
      }
      held.set(event.pointerId, at);
      if (event.buttons & 6 || event.shiftKey) camera.pan(dx / height, dy / height);
      else camera.turn((dx / height) * 4, (dy / height) * 4);
    });
    const release = (event) => {
      const clicked = held.size === 1 && held.has(event.pointerId) && moved < 5 && event.type === "pointerup";
      held.delete(event.pointerId);
      if (clicked && event.button === 0) this.onSelect(this.pick(...local(event)));
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => {
      // Who scrolls past the view wants to read on; who works in it wants to zoom.
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      camera.zoom(Math.exp(clamp(event.deltaY * (event.deltaMode ? 20 : 1), -240, 240) * 0.0014));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      ArrowLeft: () => this.camera.turn(0.12, 0),
      ArrowRight: () => this.camera.turn(-0.12, 0),
      ArrowUp: () => this.camera.turn(0, 0.12),
      ArrowDown: () => this.camera.turn(0, -0.12),
      "+": () => this.camera.zoom(0.85),
      "=": () => this.camera.zoom(0.85),
      "-": () => this.camera.zoom(1.18),
      r: () => this.reset(),
      n: () => this.step(1),
      p: () => this.step(-1),
      Enter: () => this.selected !== null && this.visit(this.selected),
      Escape: () => this.onSelect(null),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  step(by) {
    if (!this.cameras.length) return;
    const at = this.cameras.findIndex((camera) => camera.photo === this.selected);
    const next = at < 0 ? (by > 0 ? 0 : this.cameras.length - 1) : (at + by + this.cameras.length) % this.cameras.length;
    this.onSelect(this.cameras[next].photo);
  }
}
