import type { Api } from "../api";
import { ask } from "../dialog";
import { element, fill } from "../element";
import { loading } from "../loading";
import { presetOrder, presetWords } from "../upload/presets";
import type { Job, OptionsReply } from "../wire";

/** Has a failed or cancelled job done again, as before or with another quality. */
export function retry(api: Api, job: Job, changed: (job: Job) => void): void {
  const choice = element("select", { id: "retry-quality", class: "input" });
  const place = element("div", { class: "stack" });
  const dropped = element(
    "p",
    { class: "soft", hidden: true },
    "All settings become those of this quality, also those that were changed by hand.",
  );
  choice.addEventListener("change", () => {
    dropped.hidden = choice.value === "";
  });
  const options = loading(
    place,
    () => api.options(),
    (reply) => {
      fill(
        choice,
        element("option", { value: "" }, "As before"),
        ...presetOrder(reply).map((name) => offer(name, reply)),
      );
      fill(place, element("div", { class: "field" }, element("label", { for: choice.id }, "Quality"), choice), dropped);
    },
  );
  void ask({
    title: "Try again?",
    text: element(
      "div",
      { class: "stack" },
      element("p", { class: "soft" }, "The same photos are used, and what is already computed is kept where it fits."),
      place,
    ),
    action: "Try again",
    act: async () => changed(await api.retry(job.job_id, choice.value === "" ? {} : { preset: choice.value })),
  }).finally(options.stop);
}

function offer(name: string, reply: OptionsReply): HTMLOptionElement {
  const [title] = presetWords(name);
  const missing = reply.presets_missing[name] !== undefined;
  return element(
    "option",
    { value: name, disabled: missing },
    missing ? `${title} – not set up on this service` : title,
  );
}
