/** Which uploads a tab of this page is sending: each holds a lock by its address. Browsers offer locks on safe origins only. */
const name = (url: string): string => `reconflow-upload:${url}`;

/** Marks an upload as being sent by this tab; returns what ends that. */
export function hold(url: string): () => void {
  let release = (): void => undefined;
  if (!("locks" in navigator)) return release;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  void navigator.locks.request(name(url), () => held);
  return () => release();
}

/** Returns a test for uploads that some tab is sending now. */
export async function heldUploads(): Promise<(url: string) => boolean> {
  if (!("locks" in navigator)) return () => false;
  const { held = [] } = await navigator.locks.query();
  const names = new Set(held.map((lock) => lock.name));
  return (url) => names.has(name(url));
}
