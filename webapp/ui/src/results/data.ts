import type { ImageEntry, Insights, ModelCameras, ViewGraph } from "../wire";
import type { JobContext } from "./context";

/** What the parts of the results share, each asked for once. */
export interface ResultData {
  images(): Promise<ImageEntry[]>;
  cameras(): Promise<Record<string, ModelCameras>>;
  viewGraph(): Promise<ViewGraph>;
  insights(): Promise<Insights>;
  /** The photo's row; `undefined` where there is no such photo. */
  image(name: string): Promise<ImageEntry | undefined>;
  /** The photos that match one, the strongest first, with the matches that hold. */
  neighbours(name: string): Promise<{ photo: string; inliers: number }[]>;
  /** A photo's picture, 640 pixels along its long edge. */
  picture(name: string): Promise<Blob>;
  /** Its address, good while the page is open. */
  preview(name: string): Promise<string>;
}

const known = new WeakMap<JobContext, ResultData>();

export function resultData(context: JobContext): ResultData {
  const found = known.get(context) ?? make(context);
  known.set(context, found);
  return found;
}

function make({ api, job }: JobContext): ResultData {
  const id = job.job_id;
  const images = once(() => api.images(id));
  const viewGraph = once(() => api.json<ViewGraph>(`/jobs/${id}/view-graph`));
  const pictures = new Map<string, Promise<Blob>>();
  const previews = new Map<string, Promise<string>>();
  return {
    images,
    viewGraph,
    cameras: once(() => api.json<Record<string, ModelCameras>>(`/jobs/${id}/cameras`)),
    insights: once(() => api.insights(id)),
    async image(name): Promise<ImageEntry | undefined> {
      return (await images()).find((entry) => entry.name === name);
    },
    async neighbours(name): Promise<{ photo: string; inliers: number }[]> {
      const { photos, pairs } = await viewGraph();
      const here = photos.indexOf(name);
      return pairs
        .filter(([first, second]) => first === here || second === here)
        .map(([first, second, inliers]) => ({ photo: photos[first === here ? second : first] ?? "", inliers }))
        .sort((a, b) => b.inliers - a.inliers);
    },
    picture,
    preview(name): Promise<string> {
      return kept(previews, name, async () => URL.createObjectURL(await picture(name)));
    },
  };

  function picture(name: string): Promise<Blob> {
    return kept(pictures, name, async () => {
      const answer = await api.ask(`/jobs/${id}/thumbnail?size=large&name=${encodeURIComponent(name)}`);
      return answer.blob();
    });
  }
}

function kept<T>(all: Map<string, Promise<T>>, name: string, make: () => Promise<T>): Promise<T> {
  let found = all.get(name);
  if (found === undefined) {
    found = make();
    found.catch(() => all.delete(name));
    all.set(name, found);
  }
  return found;
}

/** Asks when it is first needed, and again after a failure. */
function once<T>(ask: () => Promise<T>): () => Promise<T> {
  let asked: Promise<T> | null = null;
  return () => {
    asked ??= ask().catch((error: unknown) => {
      asked = null;
      throw error;
    });
    return asked;
  };
}
