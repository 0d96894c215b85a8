const CLICK_PX = 5;

/** What a pointer and keys do on the view, beside turning it. */
export interface Gestures {
  pick(x: number, y: number): string | null;
  hover(photo: string | null): void;
  select(photo: string): void;
  reset(): void;
  /** A key was pressed; returns whether it meant something. */
  key(key: string, shift: boolean): boolean;
}

/** Listens on the canvas; returns what ends that. */
export function listen(canvas: HTMLCanvasElement, gestures: Gestures): () => void {
  const ended = new AbortController();
  const { signal } = ended;
  let pressed: { x: number; y: number } | null = null;
  const at = (event: MouseEvent): [number, number] => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener(
    "pointerdown",
    (event) => {
      canvas.focus({ preventScroll: true });
      pressed = event.isPrimary && event.button === 0 ? { x: event.clientX, y: event.clientY } : null;
    },
    { signal },
  );
  canvas.addEventListener(
    "pointerup",
    (event) => {
      const still = pressed !== null && Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < CLICK_PX;
      pressed = null;
      const found = still ? gestures.pick(...at(event)) : null;
      if (found !== null) gestures.select(found);
    },
    { signal },
  );
  canvas.addEventListener(
    "pointermove",
    (event) => {
      if (event.buttons === 0 && event.pointerType === "mouse") gestures.hover(gestures.pick(...at(event)));
    },
    { signal },
  );
  canvas.addEventListener("pointerleave", () => gestures.hover(null), { signal });
  canvas.addEventListener(
    "dblclick",
    (event) => {
      if (gestures.pick(...at(event)) === null) gestures.reset();
    },
    { signal },
  );
  canvas.addEventListener(
    "keydown",
    (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (gestures.key(event.key, event.shiftKey)) event.preventDefault();
    },
    { signal },
  );
  return () => ended.abort();
}
