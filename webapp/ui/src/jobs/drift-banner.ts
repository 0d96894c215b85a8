import type { Api } from "../api";
import { element, fill } from "../element";
import { icon } from "../icons";
import type { Insights, Job } from "../wire";
import { feature } from "../words";

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
  const checks = Object.entries(insights.drift_report.checks)
    .filter(([, check]) => check.severity !== "low")
    .sort(([, one], [, other]) => Math.abs(other.value) - Math.abs(one.value));
  const named = checks.map(([name, check]) => `${feature(name)} (${check.value > 0 ? "higher" : "lower"} than usual)`);
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
      element("p", {}, `What differs from the photos this service was set up with: ${joined(named)}.`),
      element("p", { class: "soft" }, "The result may still be good: have a look at it before you rely on it."),
    ),
  );
}

function joined(words: string[]): string {
  if (words.length < 2) return words.join("");
  return `${words.slice(0, -1).join(", ")} and ${words[words.length - 1]}`;
}
