import type { Api } from "../../api";
import { type Cloud, parseCloud } from "./cloud";

/** Fetches a model's points; `progress` hears the share that has arrived. */
export async function fetchCloud(
  api: Api,
  job: string,
  model: string,
  signal: AbortSignal,
  progress: (share: number) => void,
): Promise<Cloud> {
  const answer = await api.ask(`/jobs/${job}/clouds/${model}`, { signal });
  const length = Number(answer.headers.get("content-length") ?? 0);
  if (answer.body === null || length === 0) return parseCloud(await answer.arrayBuffer());
  const bytes = new Uint8Array(length);
  const reader = answer.body.getReader();
  let at = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    if (at + part.value.length > length) throw new Error("The point cloud is longer than announced.");
    bytes.set(part.value, at);
    at += part.value.length;
    progress(at / length);
  }
  if (at < length) throw new Error("The connection broke while the points were loading.");
  return parseCloud(bytes.buffer);
}
