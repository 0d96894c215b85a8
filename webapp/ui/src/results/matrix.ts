import type { ViewGraph } from "../wire";
import { clusterNumber } from "./clusters";

/** A cell of the matrix. */
export interface Spot {
  readonly first: string;
  readonly second: string;
  /** 0 where the pair does not match. */
  readonly inliers: number;
}

const EDGE_PX = 6;
const COLORS = 8;
const FAINTEST = 0.16;

/** A square of all photos against all photos, on a canvas; hears pointer and keys, and says what they point at. */
export class MatchMatrix {
  private readonly ended = new AbortController();
  private readonly watcher: ResizeObserver;
  private readonly scheme = window.matchMedia("(prefers-color-scheme: dark)");
  private photos: string[] = [];
  private clusters: (string | null)[] = [];
  private inliers = new Map<number, number>();
  private most = 1;
  private cursor: [row: number, column: number] | null = null;
  private marked = -1;
  private picture: HTMLCanvasElement | null = null;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly heard: (spot: Spot | null, final: boolean) => void,
  ) {
    const { signal } = this.ended;
    canvas.setAttribute(
      "aria-label",
      "Which photos match which. Arrow keys go from pair to pair, Enter selects the photo.",
    );
    canvas.addEventListener("pointermove", (event) => this.point(this.cell(event)), { signal });
    canvas.addEventListener("pointerdown", (event) => this.point(this.cell(event)), { signal });
    canvas.addEventListener("click", () => this.heard(this.spot(), true), { signal });
    canvas.addEventListener("keydown", (event) => this.key(event), { signal });
    this.scheme.addEventListener("change", () => this.repaint(), { signal });
    this.watcher = new ResizeObserver(() => this.repaint());
    this.watcher.observe(canvas);
  }

  /** Shows the photos of a model, or all. */
  show(graph: ViewGraph, cluster: string | null): void {
    const kept = graph.photos.map((_, k) => k).filter((k) => cluster === null || graph.clusters[k] === cluster);
    const place = new Map(kept.map((k, row) => [k, row]));
    this.photos = kept.map((k) => graph.photos[k] ?? "");
    this.clusters = kept.map((k) => graph.clusters[k] ?? null);
    this.inliers.clear();
    for (const [first, second, inliers] of graph.pairs) {
      const [row, column] = [place.get(first), place.get(second)];
      if (row !== undefined && column !== undefined) this.inliers.set(row * kept.length + column, inliers);
    }
    this.most = 2;
    for (const inliers of this.inliers.values()) this.most = Math.max(this.most, inliers);
    this.cursor = null;
    this.heard(null, false);
    this.repaint();
  }

  /** Marks the row and column of a photo. */
  mark(photo: string | null): void {
    this.marked = photo === null ? -1 : this.photos.indexOf(photo);
    this.draw();
  }

  stop(): void {
    this.ended.abort();
    this.watcher.disconnect();
  }

  private spot(): Spot | null {
    if (this.cursor === null) return null;
    const [row, column] = this.cursor;
    const [low, high] = row < column ? [row, column] : [column, row];
    return {
      first: this.photos[row] ?? "",
      second: this.photos[column] ?? "",
      inliers: this.inliers.get(low * this.photos.length + high) ?? 0,
    };
  }

  private cell(event: MouseEvent): [number, number] {
    const box = this.canvas.getBoundingClientRect();
    const at = (value: number): number => {
      const found = Math.floor(((value - EDGE_PX) / (box.width - EDGE_PX)) * this.photos.length);
      return Math.min(this.photos.length - 1, Math.max(0, found));
    };
    return [at(event.clientY - box.top), at(event.clientX - box.left)];
  }

  private point(cell: [number, number]): void {
    if (this.cursor !== null && this.cursor[0] === cell[0] && this.cursor[1] === cell[1]) return;
    this.cursor = cell;
    this.draw();
    this.heard(this.spot(), false);
  }

  private key(event: KeyboardEvent): void {
    const [row, column] = this.cursor ?? [0, 0];
    const steps: Record<string, [number, number]> = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
      Home: [row, 0],
      End: [row, this.photos.length - 1],
    };
    const to = steps[event.key];
    if (event.key === "Enter") this.heard(this.spot(), true);
    else if (to === undefined) return;
    else {
      const last = this.photos.length - 1;
      this.point([Math.min(last, Math.max(0, to[0])), Math.min(last, Math.max(0, to[1]))]);
    }
    event.preventDefault();
  }

  private repaint(): void {
    this.picture = null;
    this.draw();
  }

  private draw(): void {
    const side = this.canvas.clientWidth;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    const brush = this.canvas.getContext("2d");
    if (brush === null || side === 0 || this.photos.length === 0) return;
    this.picture ??= this.painted(side, ratio);
    this.canvas.width = this.picture.width;
    this.canvas.height = this.picture.height;
    brush.drawImage(this.picture, 0, 0);
    brush.scale(ratio, ratio);
    const cell = (side - EDGE_PX) / this.photos.length;
    const at = (place: number): number => EDGE_PX + place * cell;
    brush.fillStyle = this.color("--ink");
    if (this.marked >= 0) {
      brush.fillRect(0, at(this.marked), EDGE_PX, Math.max(2, cell));
      brush.fillRect(at(this.marked), 0, Math.max(2, cell), EDGE_PX);
    }
    if (this.cursor === null) return;
    const [row, column] = this.cursor;
    brush.globalAlpha = 0.06;
    brush.fillRect(EDGE_PX, at(row), side, Math.max(1, cell));
    brush.fillRect(at(column), EDGE_PX, Math.max(1, cell), side);
    brush.globalAlpha = 1;
    brush.strokeStyle = this.color("--ink");
    brush.lineWidth = 1.5;
    const grown = Math.max(cell, 5);
    brush.strokeRect(at(column) + (cell - grown) / 2, at(row) + (cell - grown) / 2, grown, grown);
  }

  /** The matrix without cursor and marks, kept until it or the window changes. */
  private painted(side: number, ratio: number): HTMLCanvasElement {
    const made = document.createElement("canvas");
    made.width = made.height = Math.round(side * ratio);
    const brush = made.getContext("2d");
    if (brush === null) return made;
    brush.scale(ratio, ratio);
    const count = this.photos.length;
    const cell = (side - EDGE_PX) / count;
    const gap = cell > 6 ? 1 : 0;
    const at = (place: number): number => EDGE_PX + place * cell;
    brush.fillStyle = this.color("--sunken");
    brush.fillRect(EDGE_PX, EDGE_PX, side, side);
    this.clusters.forEach((cluster, place) => {
      brush.fillStyle =
        cluster === null ? this.color("--line") : this.color(`--cluster-${clusterNumber(cluster) % COLORS}`);
      brush.fillRect(0, at(place), EDGE_PX - 2, cell + 0.5);
      brush.fillRect(at(place), 0, cell + 0.5, EDGE_PX - 2);
      brush.globalAlpha = 0.35;
      brush.fillRect(at(place), at(place), Math.max(1, cell - gap), Math.max(1, cell - gap));
      brush.globalAlpha = 1;
    });
    brush.fillStyle = this.color("--accent");
    const low = Math.log(10);
    for (const [key, inliers] of this.inliers) {
      const [row, column] = [Math.floor(key / count), key % count];
      const share = (Math.log(Math.max(10, inliers)) - low) / Math.max(0.1, Math.log(this.most) - low);
      brush.globalAlpha = FAINTEST + (1 - FAINTEST) * Math.min(1, Math.max(0, share));
      brush.fillRect(at(column), at(row), Math.max(1, cell - gap), Math.max(1, cell - gap));
      brush.fillRect(at(row), at(column), Math.max(1, cell - gap), Math.max(1, cell - gap));
    }
    return made;
  }

  private color(name: string): string {
    return getComputedStyle(this.canvas).getPropertyValue(name).trim() || "#888";
  }
}
