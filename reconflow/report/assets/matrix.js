// The map of pairs: photos in order of their clusters on both axes, a cell per pair that was tried.

class PairMap {
  constructor(canvas, { order, clusterOf, pairs, colorOf, onHover, onChoose }) {
    Object.assign(this, { canvas, order, clusterOf, colorOf, onHover, onChoose });
    this.place = new Map(order.map((photo, index) => [photo, index]));
    this.cells = new Map();
    this.strongest = 1;
    for (let at = 0; at < pairs.length; at += 5) {
      const [first, second, inliers, putative, reason] = pairs.slice(at, at + 5);
      const [i, j] = [this.place.get(first), this.place.get(second)];
      if (i === undefined || j === undefined) continue;
      this.cells.set(Math.min(i, j) * order.length + Math.max(i, j), { inliers, putative, reason });
      if (!reason) this.strongest = Math.max(this.strongest, inliers);
    }
    this.cursor = null;
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.listen();
  }

  cell(i, j) {
    return this.cells.get(Math.min(i, j) * this.order.length + Math.max(i, j));
  }

  draw() {
    const n = this.order.length;
    const ratio = Math.min(2, devicePixelRatio || 1);
    const edge = this.canvas.parentElement.clientWidth;
    if (!n || !edge) return;
    const pixels = Math.round(edge * ratio);
    this.canvas.width = this.canvas.height = pixels;
    const pen = this.canvas.getContext("2d");
    const scale = pixels / n;
    const gap = scale > 7 ? Math.max(1, scale * 0.06) : 0;
    const side = Math.max(1, scale - gap);
    const style = getComputedStyle(document.documentElement);
    pen.fillStyle = style.getPropertyValue("--map-back");
    pen.fillRect(0, 0, pixels, pixels);
    // Weak pairs first: where many cells share a pixel the strong ones must stay on top.
    const entries = [...this.cells].sort((a, b) => a[1].inliers - b[1].inliers);
    for (const [key, { inliers, reason }] of entries) {
      const [i, j] = [Math.floor(key / n), key % n];
      pen.fillStyle = reason ? style.getPropertyValue("--map-tried") : this.tone(i, j, inliers, style);
      pen.fillRect(j * scale + gap / 2, i * scale + gap / 2, side, side);
      pen.fillRect(i * scale + gap / 2, j * scale + gap / 2, side, side);
    }
    this.outline(pen, scale, style);
    if (this.cursor) {
      pen.strokeStyle = style.getPropertyValue("--ink");
      pen.lineWidth = 2 * ratio;
      const [i, j] = this.cursor;
      pen.strokeRect(j * scale, i * scale, Math.max(scale, 4), Math.max(scale, 4));
    }
  }

  tone(i, j, inliers, style) {
    const [a, b] = [this.clusterOf(this.order[i]), this.clusterOf(this.order[j])];
    const strength = 0.2 + 0.8 * Math.sqrt(inliers / this.strongest);
    if (a === null || a !== b) return style.getPropertyValue("--map-stray");
    const [red, green, blue] = this.colorOf(a).map((value) => Math.round(value * 255));
    return `rgba(${red}, ${green}, ${blue}, ${strength.toFixed(2)})`;
  }

  outline(pen, scale, style) {
    pen.lineWidth = Math.max(1, Math.min(2, devicePixelRatio || 1));
    let start = 0;
    for (let end = 1; end <= this.order.length; end++) {
      const cluster = this.clusterOf(this.order[start]);
      if (end < this.order.length && this.clusterOf(this.order[end]) === cluster) continue;
      if (cluster !== null) {
        pen.strokeStyle = style.getPropertyValue("--map-line");
        pen.strokeRect(start * scale, start * scale, (end - start) * scale, (end - start) * scale);
      }
      start = end;
    }
  }

  point(i, j, event) {
    this.cursor = [i, j];
    this.draw();
    this.onHover({ first: this.order[i], second: this.order[j], cell: this.cell(i, j) || null, event });
  }

  listen() {
    const n = this.order.length;
    const under = (event) => {
      const box = this.canvas.getBoundingClientRect();
      return [
        clamp(Math.floor(((event.clientY - box.top) / box.height) * n), 0, n - 1),
        clamp(Math.floor(((event.clientX - box.left) / box.width) * n), 0, n - 1),
      ];
    };
    this.canvas.addEventListener("pointermove", (event) => {
      const [i, j] = under(event);
      if (!this.cursor || this.cursor[0] !== i || this.cursor[1] !== j) this.point(i, j, event);
    });
    this.canvas.addEventListener("click", (event) => this.onChoose(this.order[under(event)[0]]));
    this.canvas.addEventListener("pointerleave", () => {
      this.cursor = null;
      this.draw();
      this.onHover(null);
    });
    this.canvas.addEventListener("keydown", (event) => {
      const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (event.key === "Enter" && this.cursor) this.onChoose(this.order[this.cursor[0]]);
      if (!steps[event.key]) return;
      event.preventDefault();
      const [i, j] = this.cursor || [0, 0];
      const [di, dj] = this.cursor ? steps[event.key] : [0, 0];
      this.point(clamp(i + di, 0, n - 1), clamp(j + dj, 0, n - 1), null);
    });
  }
}
