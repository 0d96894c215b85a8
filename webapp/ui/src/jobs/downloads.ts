import { element, fill } from "../element";
import { icon } from "../icons";
import { loading, trouble } from "../loading";
import { clusterTitle } from "../results/clusters";
import type { Mount } from "../results/context";
import type { Cluster } from "../wire";
import { bytes, number } from "../words";

const RENEW_MS = 8 * 60_000;

/** All that can be taken away. The links carry a token of a few minutes, so that the browser loads large files itself. */
export const mountDownloads: Mount = (target, { api, job }) => {
  let drawn = false;
  const links = loading(
    target,
    () => Promise.all([api.link(job.job_id), api.clusters(job.job_id)]),
    ([link, clusters], ends) => {
      if (drawn) renew(target, link);
      else {
        fill(target, ...groups(job.job_id, link, clusters));
        void tellSizes(target);
      }
      drawn = true;
      const made = Date.now();
      const timer = window.setTimeout(() => void links.again(), RENEW_MS);
      // Timers stand still while a machine sleeps.
      const seen = (): void => {
        if (!document.hidden && Date.now() - made > RENEW_MS) void links.again();
      };
      document.addEventListener("visibilitychange", seen);
      ends(() => {
        window.clearTimeout(timer);
        document.removeEventListener("visibilitychange", seen);
      });
    },
    {
      failed: (error, again) => {
        if (!drawn) fill(target, ...trouble(error, again));
      },
    },
  );
  return links.stop;
};

/** Puts a fresh token into links that are there already. */
function renew(target: HTMLElement, link: string): void {
  for (const one of target.querySelectorAll<HTMLAnchorElement>("a.file")) {
    const address = new URL(one.href);
    address.searchParams.set("link", link);
    one.href = address.href;
  }
}

/** Says how large each file is; asks for one byte of it. */
async function tellSizes(target: HTMLElement): Promise<void> {
  for (const one of target.querySelectorAll<HTMLAnchorElement>("a.file")) {
    const place = one.querySelector(".file-size");
    if (!target.isConnected || place === null) return;
    const answer = await fetch(one.href, { headers: { Range: "bytes=0-0" } }).catch(() => null);
    const size = answer?.ok === true ? sizeOf(answer.headers) : 0;
    void answer?.body?.cancel();
    if (size > 0) place.textContent = bytes(size);
  }
}

/** The size of a whole file, of which a part was asked for; 0 where it is not told. */
function sizeOf(headers: Headers): number {
  const part = /\/(\d+)$/.exec(headers.get("Content-Range") ?? "");
  if (part !== null) return Number(part[1]);
  return headers.has("Content-Encoding") ? 0 : Number(headers.get("Content-Length") ?? 0);
}

function groups(id: string, link: string, clusters: Cluster[]): HTMLElement[] {
  const at = (path: string, query = ""): string => `/download/jobs/${id}${path}?${query}link=${link}`;
  const titled = (name: string): string =>
    clusterTitle(
      name,
      clusters.map((each) => each.name),
    );
  const clouds = clusters.filter(({ filename }) => filename !== "");
  const made = [
    group(
      "Look and share",
      file(at("/report"), "Report", "One page with everything, opens in any browser", "html", "reconflow-report.html"),
      clouds.length > 0 && file(at(""), "All point clouds", "ZIP of PLY files, as below", "zip"),
    ),
    group(
      "Camera positions",
      file(at("/csv"), "Table", "One line per photo: rotation and position (CSV)", "csv"),
      file(
        at("/csv", "format=kaggle&"),
        "Table for the Image Matching Challenge",
        "The same in the form of its rules (CSV)",
        "csv",
        `${id}-kaggle.csv`,
      ),
      clusters.length > 0 && file(at("/models"), "COLMAP models", "Cameras, photos and points (ZIP)", "zip"),
      ...clusters.map(({ name }) =>
        file(
          at(`/transforms/${name}`),
          `transforms.json of ${titled(name)}`,
          "For nerfstudio and instant-ngp",
          "json",
          `transforms-${titled(name)
            .toLowerCase()
            .replaceAll(/[^a-z0-9]+/g, "-")}.json`,
        ),
      ),
    ),
  ];
  if (clouds.length > 0)
    made.push(group("Point clouds", ...clouds.flatMap((cluster) => plys(at, cluster, titled(cluster.name)))));
  return made;
}

function plys(at: (path: string) => string, cluster: Cluster, name: string): HTMLElement[] {
  const about = `${number(cluster.num_points3D)} points`;
  const raw = cluster.filename.replace("_decimated_", "_");
  const files = [file(at(`/${raw}`), `${name}, all points`, `${about} (PLY)`, "ply")];
  if (raw !== cluster.filename)
    files.unshift(
      file(at(`/${cluster.filename}`), `${name}, cleaned`, "Without stray points, thinned out (PLY)", "ply"),
    );
  return files;
}

function group(title: string, ...files: (HTMLElement | false)[]): HTMLElement {
  return element(
    "section",
    { class: "card" },
    element("h2", {}, title),
    element("ul", { class: "files", role: "list" }, ...files),
  );
}

function file(href: string, name: string, about: string, kind: string, saveAs = ""): HTMLElement {
  const opens = kind === "html";
  const target = opens ? { target: "_blank", rel: "noopener" } : { download: saveAs };
  return element(
    "li",
    {},
    element(
      "a",
      { class: "file", href, ...target },
      icon(opens ? "open" : "download"),
      element("span", {}, element("strong", {}, name), element("span", { class: "soft" }, about)),
      element("span", { class: "file-size soft numbers" }),
    ),
  );
}
