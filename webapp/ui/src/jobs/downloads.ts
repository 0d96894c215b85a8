import { element, fill } from "../element";
import { icon } from "../icons";
import { clusterTitle } from "../results/clusters";
import type { Mount } from "../results/context";
import type { Cluster } from "../wire";
import { number, sentence } from "../words";

const RENEW_MS = 8 * 60_000;

/** All that can be taken away. The links carry a token of a few minutes, so that the browser loads large files itself. */
export const mountDownloads: Mount = (target, { api, job }) => {
  let timer = 0;
  let left = false;
  const draw = async (): Promise<void> => {
    try {
      const [link, clusters] = await Promise.all([api.link(job.job_id), api.clusters(job.job_id)]);
      if (left) return;
      fill(target, ...groups(job.job_id, link, clusters));
      timer = window.setTimeout(() => void draw(), RENEW_MS);
    } catch (error) {
      if (left) return;
      const again = element("button", { type: "button", class: "button", onclick: () => void draw() }, "Try again");
      fill(target, element("p", { class: "problem", role: "alert" }, sentence(error)), again);
    }
  };
  void draw();
  return () => {
    left = true;
    window.clearTimeout(timer);
  };
};

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
        "Table for Kaggle",
        "The same with an image_id column (CSV)",
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
          "transforms.json",
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
    ),
  );
}
