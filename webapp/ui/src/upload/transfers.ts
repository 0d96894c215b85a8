import type { Api } from "../api";
import { observable } from "../observable";
import { account } from "../session";
import { sourceOf } from "./archive";
import { bytesOf, fingerprint, type Photos } from "./photos";
import { forget, records, remember, type UploadRecord } from "./records";
import { type Phase, Transfer } from "./transfer";
import { createUpload, dropUpload } from "./tus";

const ENDED: readonly Phase[] = ["done", "failed", "stopped"];

export interface JobForm {
  readonly dataset: string;
  readonly scene: string;
  readonly options: Record<string, unknown>;
}

/** The upload of this tab, what was chosen for the next one, and those that wait for their photos. */
export class Transfers {
  readonly current = observable<Transfer | null>(null);
  readonly chosen = observable<Photos | null>(null);
  /** Whether an upload has not come to its end. */
  readonly busy = observable(false);

  constructor(private readonly api: Api) {
    window.addEventListener("beforeunload", (event) => {
      if (this.busy.value && this.current.value?.state.value.phase !== "paused") event.preventDefault();
    });
  }

  /** Takes photos: for a new job, or for the upload that waits for just these. */
  choose(photos: Photos): void {
    const waiting = this.unfinished().find((record) => record.fingerprint === fingerprint(photos));
    if (waiting !== undefined && !this.busy.value) this.goOn(waiting, photos);
    else this.chosen.set(photos);
  }

  async begin(photos: Photos, form: JobForm): Promise<Transfer> {
    const source = sourceOf(photos);
    const url = await createUpload(this.api, source.size, {
      filename: `${photos.name || "photos"}.zip`,
      dataset_name: form.dataset,
      scene_name: form.scene,
      options: JSON.stringify(form.options),
      idempotency_key: key(),
    });
    remember({
      url,
      fingerprint: fingerprint(photos),
      owner: account.value?.name ?? "",
      kind: photos.kind,
      dataset: form.dataset,
      scene: form.scene,
      size: bytesOf(photos),
      count: photos.kind === "zip" ? 1 : photos.files.length,
      at: Date.now() / 1000,
    });
    return this.started(new Transfer(this.api, url, `${form.dataset} · ${form.scene}`, source));
  }

  /** Goes on with an upload that a reload interrupted. */
  goOn(record: UploadRecord, photos: Photos): Transfer {
    return this.started(new Transfer(this.api, record.url, `${record.dataset} · ${record.scene}`, sourceOf(photos)));
  }

  /** Those of this account that no tab of this page sends. */
  unfinished(): UploadRecord[] {
    return records(account.value?.name ?? "").filter(({ url }) => url !== this.current.value?.url || !this.busy.value);
  }

  async discard(record: UploadRecord): Promise<void> {
    await dropUpload(this.api, record.url);
    forget(record.url);
  }

  private started(transfer: Transfer): Transfer {
    this.chosen.set(null);
    this.current.set(transfer);
    transfer.state.watch(({ phase }) => this.busy.set(!ENDED.includes(phase)));
    return transfer;
  }
}

function key(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
