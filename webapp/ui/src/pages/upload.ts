import type { Api } from "../api";
import { ask } from "../dialog";
import { element, fill } from "../element";
import { icon } from "../icons";
import { go, type Page, place } from "../router";
import { acceptDrops } from "../upload/dropping";
import { OptionsForm } from "../upload/options-form";
import { ACCEPTED, bytesOf, ChoiceError, choose, fingerprint, fromInput, type Photos } from "../upload/photos";
import type { UploadRecord } from "../upload/records";
import { transferCard } from "../upload/transfer-card";
import type { Transfers } from "../upload/transfers";
import { ago, bytes, plural, sentence } from "../words";

/** A new job: photos, names, quality; and uploads that a reload interrupted. */
export function uploadPage(api: Api, transfers: Transfers): Page {
  return (main) => {
    const card = transferCard(transfers);
    const unfinished = element("div", { class: "stack" });
    const body = element("div", { class: "stack" });
    fill(main, element("div", { class: "head" }, element("h1", {}, "New job")), card.element, unfinished, body);

    const drawUnfinished = (): void => drawRecords(unfinished, transfers, drawUnfinished);
    const draw = (): void => {
      drawUnfinished();
      drawBody(body, api, transfers);
    };
    const stops = [
      card.stop,
      acceptDrops(document.body, (photos) => transfers.choose(photos)),
      transfers.chosen.watch(draw),
      transfers.busy.watch(draw),
      openWhenDone(transfers),
    ];
    return () => {
      for (const stop of stops) stop();
    };
  };
}

function drawBody(body: HTMLElement, api: Api, transfers: Transfers): void {
  const photos = transfers.chosen.value;
  if (photos !== null && !transfers.busy.value) fill(body, jobForm(api, transfers, photos));
  else fill(body, transfers.busy.value ? null : chooser((chosen) => transfers.choose(chosen)));
}

/** Shows the job as soon as there is one, unless somebody has gone elsewhere meanwhile. */
function openWhenDone(transfers: Transfers): () => void {
  let stop = (): void => undefined;
  const stopWatch = transfers.current.watch((transfer) => {
    stop();
    stop = (): void => undefined;
    if (transfer === null || transfer.state.value.phase === "done") return;
    stop = transfer.state.watch(({ phase, jobId }) => {
      if (phase !== "done" || place()[0] !== "upload") return;
      transfers.current.set(null);
      go("jobs", jobId);
    });
  });
  return () => {
    stopWatch();
    stop();
  };
}

function chooser(chosen: (photos: Photos) => void): HTMLElement {
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const taken = (event: Event): void => {
    const input = event.currentTarget as HTMLInputElement;
    if (input.files === null || input.files.length === 0) return;
    try {
      chosen(choose(fromInput(input.files)));
    } catch (error) {
      if (!(error instanceof ChoiceError)) throw error;
      problem.textContent = error.message;
      problem.hidden = false;
    }
    input.value = "";
  };
  const files = element("input", {
    type: "file",
    id: "choose-files",
    multiple: true,
    accept: ACCEPTED,
    onchange: taken,
  });
  const folder = element("input", { type: "file", id: "choose-folder", webkitdirectory: true, onchange: taken });
  files.classList.add("visually-hidden");
  folder.classList.add("visually-hidden");
  return element(
    "section",
    { class: "drop", "aria-label": "Choose photos" },
    icon("photos"),
    element("h2", {}, "Drop photos, a folder or a ZIP here"),
    element(
      "p",
      { class: "soft" },
      "JPEG, PNG, TIFF, BMP or WebP. Twenty or more photos that overlap by half work well.",
    ),
    element(
      "div",
      { class: "row row-centre" },
      files,
      element("label", { class: "button button-main", for: "choose-files" }, "Choose photos or a ZIP"),
      folder,
      element("label", { class: "button", for: "choose-folder" }, "Choose a folder"),
    ),
    problem,
  );
}

function jobForm(api: Api, transfers: Transfers, photos: Photos): HTMLElement {
  const dataset = named("dataset", "Project", "Several scenes may belong to one project.", photos.name || "my-photos");
  const scene = named("scene", "Scene", "What these photos show.", "scene_01");
  const quality = element("div", {}, element("p", { class: "soft", role: "status" }, "Loading the settings …"));
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const start = element("button", { type: "submit", class: "button button-main" }, icon("upload"), "Upload and start");
  let options: OptionsForm | null = null;
  api.options().then(
    (reply) => {
      options = new OptionsForm(reply);
      fill(quality, options.element);
    },
    () => fill(quality, element("p", { class: "soft" }, "The settings cannot be loaded; the usual ones are taken.")),
  );
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    problem.hidden = true;
    start.disabled = true;
    try {
      const form = { dataset: dataset.input.value, scene: scene.input.value, options: options?.value() ?? {} };
      await transfers.begin(photos, form);
    } catch (error) {
      problem.textContent = sentence(error);
      problem.hidden = false;
      start.disabled = false;
    }
  };
  return element(
    "form",
    { class: "stack", onsubmit: submit },
    element(
      "section",
      { class: "card row row-apart" },
      element("div", {}, element("h2", {}, summary(photos)), element("p", { class: "soft" }, details(photos))),
      element(
        "button",
        { type: "button", class: "button", onclick: () => transfers.chosen.set(null) },
        "Choose others",
      ),
    ),
    element("section", { class: "card fields" }, dataset.row, scene.row),
    element("section", { class: "card" }, quality),
    problem,
    element("div", { class: "row row-end" }, start),
  );
}

function summary(photos: Photos): string {
  if (photos.kind === "zip") return `${photos.name}.zip`;
  return plural(photos.files.length, "photo") + (photos.name === "" ? "" : ` in ${photos.name}`);
}

function details(photos: Photos): string {
  const size = bytes(bytesOf(photos));
  if (photos.kind === "zip" || photos.skipped === 0) return size;
  return `${size} · ${plural(photos.skipped, "other file")} left out`;
}

function named(id: string, label: string, hint: string, value: string): { row: HTMLElement; input: HTMLInputElement } {
  const input = element("input", {
    id,
    class: "input",
    value: value.slice(0, 100),
    required: true,
    maxlength: 100,
    pattern: "[^\\/]+",
    title: "1 to 100 characters without a slash",
    "aria-describedby": `${id}-hint`,
  });
  const row = element(
    "div",
    { class: "field" },
    element("label", { for: id }, label),
    input,
    element("p", { class: "soft hint", id: `${id}-hint` }, hint),
  );
  return { row, input };
}

function drawRecords(target: HTMLElement, transfers: Transfers, again: () => void): void {
  if (transfers.busy.value) {
    fill(target);
    return;
  }
  fill(target, ...transfers.unfinished().map((record) => unfinishedCard(record, transfers, again)));
}

/** Browsers do not let a page read files again after a reload, so the same photos are chosen once more. */
function unfinishedCard(record: UploadRecord, transfers: Transfers, again: () => void): HTMLElement {
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const id = `again-${record.fingerprint}`;
  const taken = (event: Event): void => {
    const input = event.currentTarget as HTMLInputElement;
    try {
      const photos = choose(fromInput(input.files ?? new DataTransfer().files));
      if (fingerprint(photos) !== record.fingerprint)
        throw new ChoiceError("These are other photos than before. Choose the same ones, or discard this upload.");
      transfers.goOn(record, photos);
    } catch (error) {
      problem.textContent = sentence(error);
      problem.hidden = false;
    }
    input.value = "";
  };
  const discard = (): void => {
    void ask({
      title: "Discard this upload?",
      text: "What was sent so far is removed from the service. Your photos stay where they are.",
      action: "Discard",
      danger: true,
      act: () => transfers.discard(record),
    }).then(again);
  };
  const what = record.kind === "zip" ? "the same ZIP" : `the same ${plural(record.count, "photo")}`;
  return element(
    "section",
    { class: "card", "aria-label": "Unfinished upload" },
    element("h2", {}, `Unfinished: ${record.dataset} · ${record.scene}`),
    element(
      "p",
      { class: "soft" },
      `${bytes(record.size)}, begun ${ago(record.at)}. Choose ${what} again and it goes on where it stopped.`,
    ),
    problem,
    element(
      "div",
      { class: "row" },
      element("input", {
        type: "file",
        id,
        class: "visually-hidden",
        multiple: true,
        accept: ACCEPTED,
        onchange: taken,
      }),
      element("label", { class: "button button-main", for: id }, "Choose files"),
      record.kind === "photos" &&
        element("input", {
          type: "file",
          id: `${id}-folder`,
          class: "visually-hidden",
          webkitdirectory: true,
          onchange: taken,
        }),
      record.kind === "photos" && element("label", { class: "button", for: `${id}-folder` }, "Choose the folder"),
      element("button", { type: "button", class: "button", onclick: discard }, "Discard"),
    ),
  );
}
