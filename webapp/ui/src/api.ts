import { found, lost } from "./connection";
import { accessToken, account, forget, renew } from "./session";
import type {
  ApiKey,
  Cluster,
  ImageEntry,
  Insights,
  Job,
  JobPage,
  NewApiKey,
  OptionsReply,
  ServiceStatus,
  Stage,
  User,
} from "./wire";

/** The service refused; `message` is its sentence. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly hint: string = "",
  ) {
    super(message);
  }
}

/** The service cannot be reached. */
export class OfflineError extends Error {
  constructor() {
    super("The service cannot be reached. Check your connection.");
  }
}

/** The REST API, with the session's token on every request and one silent renewal when it has run out. */
export class Api {
  private readonly thumbnails = new Map<string, Promise<string>>();

  job(id: string): Promise<Job> {
    return this.json(`/jobs/${id}`);
  }

  jobs(query: { q: string; stage: Stage[]; limit: number; cursor: string | null }): Promise<JobPage> {
    const given = query.stage.map((stage) => ["stage", stage]);
    given.push(["q", query.q], ["limit", String(query.limit)]);
    if (query.cursor !== null) given.push(["cursor", query.cursor]);
    return this.json(`/jobs?${new URLSearchParams(given)}`);
  }

  cancel(id: string): Promise<Job> {
    return this.json(`/jobs/${id}/cancel`, { method: "POST" });
  }

  retry(id: string, options: Record<string, unknown> = {}): Promise<Job> {
    return this.json(`/jobs/${id}/retry`, { method: "POST", ...body({ options }) });
  }

  async remove(id: string): Promise<void> {
    await this.ask(`/jobs/${id}`, { method: "DELETE" });
  }

  async clusters(id: string): Promise<Cluster[]> {
    return (await this.json<{ clusters: Cluster[] }>(`/clusters/${id}`)).clusters;
  }

  async images(id: string): Promise<ImageEntry[]> {
    return (await this.json<{ images: ImageEntry[] }>(`/jobs/${id}/images`)).images;
  }

  insights(id: string): Promise<Insights> {
    return this.json(`/jobs/${id}/insights`);
  }

  options(): Promise<OptionsReply> {
    return this.json("/options");
  }

  async users(): Promise<User[]> {
    return (await this.json<{ users: User[] }>("/users")).users;
  }

  addUser(username: string, password: string, role: User["role"]): Promise<User> {
    return this.json("/users", { method: "POST", ...body({ username, password, role }) });
  }

  async keys(): Promise<ApiKey[]> {
    return (await this.json<{ keys: ApiKey[] }>("/auth/keys")).keys;
  }

  addKey(label: string): Promise<NewApiKey> {
    return this.json("/auth/keys", { method: "POST", ...body({ label }) });
  }

  async removeKey(id: string): Promise<void> {
    await this.ask(`/auth/keys/${id}`, { method: "DELETE" });
  }

  changeUser(id: string, changes: { role?: User["role"]; password?: string }): Promise<User> {
    return this.json(`/users/${id}`, { method: "PATCH", ...body(changes) });
  }

  async removeUser(id: string): Promise<void> {
    await this.ask(`/users/${id}`, { method: "DELETE" });
  }

  /** Everybody's keys, for administrators. */
  async allKeys(): Promise<ApiKey[]> {
    return (await this.json<{ keys: ApiKey[] }>("/admin/keys")).keys;
  }

  async removeAnyKey(id: string): Promise<void> {
    await this.ask(`/admin/keys/${id}`, { method: "DELETE" });
  }

  /** Changes one's own password, which ends all sessions. */
  async changePassword(current: string, fresh: string): Promise<void> {
    await this.ask("/auth/password", { method: "PUT", ...body({ current, new: fresh }) });
  }

  /** Returns a token of a few minutes for `GET /download/jobs/{id}…?link=TOKEN`. */
  async link(id: string): Promise<string> {
    return (await this.json<{ link: string }>(`/jobs/${id}/links`, { method: "POST" })).link;
  }

  status(): Promise<ServiceStatus> {
    return this.json("/admin/status");
  }

  /** Returns the address of a photo's small picture, good while the page is open; without a name of one that shows the job. */
  thumbnail(id: string, name?: string): Promise<string> {
    const path = `/jobs/${id}/thumbnail${name === undefined ? "" : `?name=${encodeURIComponent(name)}`}`;
    let found = this.thumbnails.get(path);
    if (found === undefined) {
      found = this.ask(path).then(async (answer) => URL.createObjectURL(await answer.blob()));
      found.catch(() => this.thumbnails.delete(path));
      this.thumbnails.set(path, found);
    }
    return found;
  }

  async json<T>(path: string, init: RequestInit = {}): Promise<T> {
    return (await (await this.ask(path, init)).json()) as T;
  }

  /** Asks and returns the answer, its body unread; anything but success is thrown as a sentence. */
  async ask(path: string, init: RequestInit = {}): Promise<Response> {
    const answer = await this.answer(path, init);
    if (!answer.ok) throw await refusal(answer);
    return answer;
  }

  /**
   * Asks and returns whatever comes back, also a refusal; a token that has run out is renewed once.
   *
   * Where the session itself has run out, this waits until the same person has signed in again, and asks once more.
   */
  async answer(path: string, init: RequestInit = {}): Promise<Response> {
    const asker = account.value?.name;
    const first = await this.renewed(path, init);
    if (first.status !== 401) return first;
    forget();
    const who = await signedIn(init.signal);
    return who === asker || asker === undefined ? this.renewed(path, init) : first;
  }

  private async renewed(path: string, init: RequestInit): Promise<Response> {
    const answer = await this.once(path, init);
    if (answer.status !== 401 || !(await renew().catch(offline))) return answer;
    return this.once(path, init);
  }

  private async once(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    try {
      const token = await accessToken();
      if (token === null) return new Response('{"detail": "Please sign in again."}', { status: 401 });
      headers.set("Authorization", `Bearer ${token}`);
      const answer = await fetch(path, { ...init, headers });
      found();
      return answer;
    } catch (error) {
      if (init.signal?.aborted) throw error;
      return offline();
    }
  }
}

function offline(): never {
  lost();
  throw new OfflineError();
}

/** Waits until somebody is signed in, and returns who. */
function signedIn(signal?: AbortSignal | null): Promise<string> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      queueMicrotask(() => stop());
      reject(new DOMException("nobody waits for it any more", "AbortError"));
    };
    const stop = account.watch((who) => {
      if (who === null) return;
      queueMicrotask(() => stop());
      signal?.removeEventListener("abort", end);
      resolve(who.name);
    });
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
  });
}

/** Returns a refusal as an error with the service's own sentence. */
export async function refusal(answer: Response): Promise<ApiError> {
  const said: unknown = await answer.json().catch(() => null);
  const told = (said ?? {}) as { detail?: string; hint?: string };
  const detail = told.detail ?? `The service answered ${answer.status}.`;
  return new ApiError(answer.status, detail, told.hint ?? "");
}

function body(value: unknown): RequestInit {
  return { headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) };
}
