import type { Api } from "../api";
import { element, fill } from "../element";
import { icon } from "../icons";
import { loading } from "../loading";
import { go, type Page, place } from "../router";
import { acceptDrops } from "../upload/dropping";
import { OptionsForm } from "../upload/options-form";
import { ACCEPTED, bytesOf, ChoiceError, choose, fromInput, type Photos } from "../upload/photos";
import { transferCard } from "../upload/transfer-card";
import type { Chosen, Transfers } from "../upload/transfers";
import { unfinishedUploads } from "../upload/unfinished";
import { bytes, plural, sentence } from "../words";

/** A new job: photos, names, quality; and uploads that a reload interrupted. */
export function uploadPage(api: Api, transfers: Transfers): Page {
  return (main) => {
    const card = transferCard(transfers);
    const unfinished = unfinishedUploads(transfers);
    const body = element("div", { class: "stack" });
    fill(main, element("div", { class: "head" }, element("h1", {}, "New job")), card.element, unfinished.element, body);

    let stopForm = (): void => undefined;
    const draw = (): void => {
      const chosen = transfers.chosen.value;
      stopForm();
      stopForm = (): void => undefined;
      if (chosen === null) {
        fill(body, chooser(transfers));
        return;
      }
      const form = jobForm(api, transfers, chosen);
      fill(body, form.element);
      stopForm = form.stop;
    };
    const stops = [
      card.stop,
      unfinished.stop,
      acceptDrops((photos) => void transfers.choose(photos)),
      transfers.chosen.watch(draw),
      openWhenDone(transfers),
    ];
    return () => {
      for (const stop of stops) stop();
      stopForm();
    };
  };
}

/** Shows the job as soon as there is one, unless somebody has gone elsewhere or prepares the next one meanwhile. */
function openWhenDone(transfers: Transfers): () => void {
  let stop = (): void => undefined;
  const stopWatch = transfers.current.watch((transfer) => {
    stop();
    stop = (): void => undefined;
    if (transfer === null || transfer.state.value.phase === "done") return;
    stop = transfer.state.watch(({ phase, jobId }) => {
      if (phase !== "done" || place()[0] !== "upload" || transfers.chosen.value !== null) return;
      transfers.current.set(null);
      go("jobs", jobId);
    });
  });
  return () => {
    stopWatch();
    stop();
  };
}

function chooser(transfers: Transfers): HTMLElement {
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const taken = (event: Event): void => {
    const input = event.currentTarget as HTMLInputElement;
    if (input.files === null || input.files.length === 0) return;
    try {
      void transfers.choose(choose(fromInput(input.files)));
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

function jobForm(
  api: Api,
  transfers: Transfers,
  { photos, form: before }: Chosen,
): { element: HTMLElement; stop(): void } {
  const dataset = named(
    "dataset",
    "Project",
    "Several scenes may belong to one project.",
    before?.dataset ?? (photos.name || "My photos"),
  );
  const scene = named("scene", "Scene", "What these photos show.", before?.scene ?? "Scene 1");
  const quality = element("div", { class: "stack" });
  const wait = element(
    "p",
    { class: "soft", role: "status", hidden: true },
    "Ready to go when the photos above are sent.",
  );
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const start = element("button", { type: "submit", class: "button button-main" }, icon("upload"), "Upload and start");
  let options: OptionsForm | null = null;
  const settings = loading(
    quality,
    () => api.options(),
    (reply) => {
      options = new OptionsForm(reply, before?.options);
      fill(quality, options.element);
    },
    { waiting: "Loading the settings …" },
  );
  const stopBusy = transfers.busy.watch((busy) => {
    start.disabled = busy;
    wait.hidden = !busy;
  });
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
  const made = element(
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
    element("div", { class: "row row-end" }, wait, start),
  );
  return {
    element: made,
    stop(): void {
      settings.stop();
      stopBusy();
    },
  };
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
