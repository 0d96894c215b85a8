import type { Api } from "../api";
import { observable } from "../observable";
import { account } from "../session";
import { type Source, sourceOf } from "./archive";
import { heldUploads, hold } from "./locks";
import { bytesOf, fingerprint, isFolder, type Photos } from "./photos";
import { forget, records, remember, type UploadRecord } from "./records";
import { type Phase, Transfer } from "./transfer";
import { createUpload, dropUpload, uploadStatus } from "./tus";

const ENDED: readonly Phase[] = ["done", "failed", "stopped"];

export interface JobForm {
  readonly dataset: string;
  readonly scene: string;
  readonly options: Record<string, unknown>;
}

/** What a new job is made of: photos, and the form as it was filled in where it comes back from a refusal. */
export interface Chosen {
  readonly photos: Photos;
  readonly form?: JobForm;
}

/** An upload that waits for its photos, or for its job. */
export interface Unfinished {
  readonly record: UploadRecord;
  /** 0 to 1. */
  readonly sent: number;
  readonly isComplete: boolean;
  /** Bytes of the whole upload. */
  readonly length: number;
}

/** The upload of this tab, what was chosen for the next one, and those that wait for their photos. */
export class Transfers {
  readonly current = observable<Transfer | null>(null);
  readonly chosen = observable<Chosen | null>(null);
  /** Whether an upload has not come to its end. */
  readonly busy = observable(false);

  constructor(private readonly api: Api) {
    window.addEventListener("beforeunload", (event) => {
      if (this.busy.value && this.current.value?.state.value.phase !== "paused") event.preventDefault();
    });
  }

  /** Takes photos: for a new job, or for the upload that waits for just these. */
  async choose(photos: Photos): Promise<void> {
    const waiting = await this.waitingFor(photos);
    if (waiting !== undefined && !this.busy.value) this.goOn(waiting, photos);
    else this.chosen.set({ photos });
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
      folder: isFolder(photos),
      dataset: form.dataset,
      scene: form.scene,
      size: bytesOf(photos),
      count: photos.kind === "zip" ? 1 : photos.files.length,
      at: Date.now() / 1000,
    });
    return this.started(new Transfer(this.api, url, named(form), source), { photos, form });
  }

  /** Goes on with an upload that a reload interrupted. */
  goOn(record: UploadRecord, photos: Photos): Transfer {
    const form = { dataset: record.dataset, scene: record.scene, options: {} };
    return this.started(new Transfer(this.api, record.url, named(record), sourceOf(photos)), { photos, form });
  }

  /** Makes the job of an upload of which all bytes have come. */
  finish({ record, length }: Unfinished): Transfer {
    return this.started(new Transfer(this.api, record.url, named(record), arrived(length)), null);
  }

  /** Those of this account that no tab sends and that the service still has. */
  async unfinished(): Promise<Unfinished[]> {
    const isHeld = await heldUploads();
    const mine = records(account.value?.name ?? "");
    const found = await Promise.all(
      mine.filter(({ url }) => !isHeld(url) && !this.sends(url)).map((one) => this.look(one)),
    );
    return found.filter((one) => one !== null);
  }

  async discard(record: UploadRecord): Promise<void> {
    await dropUpload(this.api, record.url);
    forget(record.url);
  }

  private async look(record: UploadRecord): Promise<Unfinished | null> {
    const status = await uploadStatus(this.api, record.url);
    if (status === null) {
      forget(record.url);
      return null;
    }
    const { offset, length } = status;
    return { record, sent: length === 0 ? 1 : offset / length, isComplete: offset === length, length };
  }

  private async waitingFor(photos: Photos): Promise<UploadRecord | undefined> {
    const wanted = fingerprint(photos);
    const isHeld = await heldUploads();
    const mine = records(account.value?.name ?? "");
    return mine.find(({ url, fingerprint: print }) => print === wanted && !isHeld(url) && !this.sends(url));
  }

  private sends(url: string): boolean {
    return this.busy.value && this.current.value?.url === url;
  }

  private started(transfer: Transfer, from: Chosen | null): Transfer {
    const release = hold(transfer.url);
    this.chosen.set(null);
    this.current.set(transfer);
    transfer.state.watch(({ phase }) => {
      if (ENDED.includes(phase)) release();
      if (this.current.value === transfer) this.busy.set(!ENDED.includes(phase));
      // What was refused comes back, so that a setting or a photo can be changed.
      if (phase === "failed" && transfer.canRepeat && this.chosen.value === null) this.chosen.set(from);
    });
    return transfer;
  }
}

function named({ dataset, scene }: { dataset: string; scene: string }): string {
  return `${dataset} · ${scene}`;
}

/** The bytes of an upload that has come whole: none of them is asked for again. */
function arrived(length: number): Source {
  return { size: length, slice: () => Promise.reject(new Error("The photos of this upload are no longer at hand.")) };
}

function key(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
