import type { Api } from "../api";
import { element, fill } from "../element";
import { icon } from "../icons";
import { driftWords } from "../results/drift";
import type { Insights, Job } from "../wire";

/** Says what about the photos is unlike those the service is known to do well on; empty where nothing is. */
export function driftBanner(api: Api, job: Job): HTMLElement {
  const place = element("div", { class: "drift-place" });
  if (!job.has_drift) return place;
  api.insights(job.job_id).then(
    (insights) => fill(place, banner(insights)),
    () => undefined, // the page says elsewhere that the service does not answer
  );
  return place;
}

function banner(insights: Insights): HTMLElement {
  return element(
    "section",
    { class: "banner banner-warn", "aria-label": "Unusual photos" },
    icon("alert"),
    element(
      "div",
      {},
      element(
        "h2",
        {},
        insights.drift_severity === "high" ? "These photos are very unusual" : "These photos are unusual",
      ),
      element("p", {}, driftWords(insights.drift_report)),
      element(
        "p",
        { class: "soft" },
        "“Usual” is what the photos are like that this service was set up with. The result may be good all the same.",
      ),
    ),
  );
}
