import { observable } from "./observable";
import type { Session } from "./wire";

/** Who is signed in; `null` while nobody is. The access token stays in memory and never reaches a store. */
export const account = observable<{ name: string; role: Session["role"] } | null>(null);

const EARLY_MS = 30_000;
let token = "";
let expiresAt = 0;
let renewing: Promise<boolean> | null = null;

/** Who signs out in one tab does so in all; nothing of theirs stays on the page. */
const tabs = new BroadcastChannel("reconflow-session");
tabs.addEventListener("message", () => {
  forget();
  location.reload();
});

/** Returns a token that is good for a while yet, or `null` where a person has to sign in. */
export async function accessToken(): Promise<string | null> {
  if (token !== "" && Date.now() < expiresAt - EARLY_MS) return token;
  return (await renew()) ? token : null;
}

/** Trades the refresh cookie for a new access token; many who ask at once share one answer. */
export function renew(): Promise<boolean> {
  renewing ??= alone(trade).finally(() => {
    renewing = null;
  });
  return renewing;
}

export async function signIn(username: string, password: string): Promise<Response> {
  const answer = await fetch("/auth/session", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ username, password }),
  });
  if (answer.ok) keep((await answer.clone().json()) as Session);
  return answer;
}

/** Ends the session, and with it the cookie; throws where the service does not hear of it. */
export async function signOut(): Promise<void> {
  const headers: Record<string, string> = token === "" ? {} : { Authorization: `Bearer ${token}` };
  const answer = await fetch("/auth/session", { method: "DELETE", headers });
  if (!answer.ok) throw new Error(`The service answered ${answer.status}.`);
  tabs.postMessage("signed out");
}

export function forget(): void {
  token = "";
  expiresAt = 0;
  account.set(null);
}

async function trade(): Promise<boolean> {
  const answer = await fetch("/auth/session/refresh", { method: "POST" });
  if (answer.status === 200) {
    keep((await answer.json()) as Session);
    return true;
  }
  if (answer.status !== 204 && answer.status !== 401) throw new Error("The service does not answer as it should.");
  forget();
  return false;
}

function keep(session: Session): void {
  token = session.access_token;
  expiresAt = Date.now() + session.expires_in * 1000;
  const known = account.value;
  if (known?.name !== session.name || known.role !== session.role)
    account.set({ name: session.name, role: session.role });
}

/** A refresh cookie works once and all tabs share it, so they take turns. Browsers offer locks on safe origins only. */
function alone(task: () => Promise<boolean>): Promise<boolean> {
  if (!("locks" in navigator)) return task();
  return navigator.locks.request("reconflow-session", task);
}
