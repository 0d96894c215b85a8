import type { Api } from "../api";
import { element, fill } from "../element";
import { icon } from "../icons";
import { loading } from "../loading";
import { driftWords } from "../results/drift";
import type { Insights, Job } from "../wire";

/** Where there is less room than this, the details wait until somebody asks for them. */
const ROOMY = "(min-width: 40rem)";

/** Says what about the photos is unlike those the service is known to do well on; empty where nothing is. */
export function driftBanner(api: Api, job: Job): { element: HTMLElement; stop(): void } {
  const place = element("div", { class: "drift-place" });
  if (!job.has_drift) return { element: place, stop: () => undefined };
  const draw = (insights: Insights): void => fill(place, banner(insights));
  // The page says elsewhere that the service does not answer.
  const { stop } = loading(place, () => api.insights(job.job_id), draw, { waiting: "", failed: () => undefined });
  return { element: place, stop };
}

function banner(insights: Insights): HTMLElement {
  const heading = insights.drift_severity === "high" ? "These photos are very unusual" : "These photos are unusual";
  return element(
    "section",
    { class: "banner banner-warn", "aria-label": "Unusual photos" },
    icon("alert"),
    element(
      "details",
      { open: window.matchMedia(ROOMY).matches },
      element("summary", {}, element("h2", {}, heading)),
      element("p", {}, driftWords(insights.drift_report)),
      element(
        "p",
        { class: "soft" },
        "“Usual” is what the photos are like that this service was set up with. The result may be good all the same.",
      ),
    ),
  );
}
