import { type Api, ApiError, OfflineError, refusal } from "../api";
import { accessToken, renew } from "../session";

/** The protocol of resumable uploads, https://tus.io: what is used of it here. */
const VERSION = { "Tus-Resumable": "1.0.0" };

export interface UploadForm {
  readonly filename: string;
  readonly dataset_name: string;
  readonly scene_name: string;
  readonly options: string;
  readonly idempotency_key: string;
}

/** Begins an upload and returns its address. */
export async function createUpload(api: Api, length: number, form: UploadForm): Promise<string> {
  const metadata = Object.entries(form)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `${name} ${base64(value)}`)
    .join(",");
  const headers = { ...VERSION, "Upload-Length": String(length), "Upload-Metadata": metadata };
  const answer = await api.ask("/uploads", { method: "POST", headers });
  const location = answer.headers.get("Location");
  if (location === null) throw new ApiError(answer.status, "The service did not say where the photos go.");
  return location;
}

/** Returns how many bytes have come, and how many there are; `null` where the upload is gone. */
export async function uploadStatus(api: Api, url: string): Promise<{ offset: number; length: number } | null> {
  const answer = await api.answer(url, { method: "HEAD", headers: VERSION });
  if (answer.status === 404 || answer.status === 410) return null;
  if (!answer.ok) throw await refusal(answer);
  const read = (name: string): number => Number(answer.headers.get(name));
  return { offset: read("Upload-Offset"), length: read("Upload-Length") };
}

export async function dropUpload(api: Api, url: string): Promise<void> {
  const answer = await api.answer(url, { method: "DELETE", headers: VERSION });
  if (!answer.ok && answer.status !== 404 && answer.status !== 410) throw await refusal(answer);
}

/** Makes a job of a complete upload and returns the job's id. */
export async function endUpload(api: Api, url: string): Promise<string> {
  return (await api.json<{ job_id: string }>(`${url}/job`, { method: "POST" })).job_id;
}

/** Sends a piece and returns the offset after it. `XMLHttpRequest`, because `fetch` does not tell how much was sent. */
export async function sendPiece(
  url: string,
  offset: number,
  piece: Blob,
  sent: (bytes: number) => void,
  signal: AbortSignal,
): Promise<number> {
  let answer = await patch(url, offset, piece, sent, signal);
  if (answer.status === 401 && (await renew())) answer = await patch(url, offset, piece, sent, signal);
  if (answer.status === 204) return Number(answer.getResponseHeader("Upload-Offset"));
  throw await refusal(new Response(answer.responseText, { status: answer.status }));
}

async function patch(
  url: string,
  offset: number,
  piece: Blob,
  sent: (bytes: number) => void,
  signal: AbortSignal,
): Promise<XMLHttpRequest> {
  const token = await accessToken();
  if (token === null) throw new ApiError(401, "Please sign in again.");
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = (): void => request.abort();
    request.open("PATCH", url);
    request.setRequestHeader("Tus-Resumable", VERSION["Tus-Resumable"]);
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.setRequestHeader("Upload-Offset", String(offset));
    request.setRequestHeader("Content-Type", "application/offset+octet-stream");
    request.upload.onprogress = (event) => sent(event.loaded);
    request.onload = () => resolve(request);
    // A request fails in the same way for a lost line and for a file that has changed: only reading tells which.
    request.onerror = () => piece.arrayBuffer().then(() => reject(new OfflineError()), reject);
    request.onabort = () => reject(new DOMException("paused", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", stop);
    signal.addEventListener("abort", stop);
    if (signal.aborted) reject(new DOMException("paused", "AbortError"));
    else request.send(piece);
  });
}

function base64(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
