import { element } from "../element";
import { icon } from "../icons";
import type { Gpu, Machine, Runner } from "../wire";
import { bytes, plural } from "../words";

/** What works on jobs: every runner with its machines and their GPUs. */
export function workers(runners: Runner[]): HTMLElement {
  if (runners.length === 0)
    return element(
      "p",
      { class: "problem" },
      "No worker is up: jobs wait until one is. Have a look at the service's log.",
    );
  return element("ul", { class: "files", role: "list" }, ...runners.map(drawn));
}

function drawn(runner: Runner): HTMLElement {
  const host = runner.runner.split(":")[0] ?? "";
  const device = runner.device.replace(/^cpu$/, "Processor (no GPU)");
  return element(
    "li",
    { class: "stack-s" },
    element("strong", {}, device === "" ? "Starting …" : device),
    element("span", { class: "soft" }, `on ${host}`),
    ...runner.machines.flatMap(machineLines),
    runner.dashboard_url !== "" && dashboard(runner.dashboard_url),
  );
}

function machineLines(machine: Machine): HTMLElement[] {
  const scenes = machine.mapping > 0 ? `, ${plural(machine.mapping, "scene")} being built` : "";
  const facts = [
    `${plural(machine.workers, "worker")}, ${machine.busy} busy${scenes}`,
    plural(machine.threads, "thread"),
    memory(machine.memory_bytes, machine.memory_limit_bytes),
  ];
  const host = !isLoopback(machine.host) && element("span", { class: "soft" }, `${machine.host}: `);
  return [element("span", {}, host, facts.join(" · ")), ...machine.gpus.map(gpuLine)];
}

function gpuLine(gpu: Gpu): HTMLElement {
  const used = gpu.total_bytes > 0 ? ` · ${memory(gpu.memory_bytes, gpu.total_bytes)}` : "";
  return element("span", {}, `${gpu.name} · ${gpu.busy ? "busy" : "idle"}${used}`);
}

function memory(used: number, most: number): string {
  return most > 0 ? `${bytes(used)} of ${bytes(most)} memory` : `${bytes(used)} memory`;
}

/** A dashboard on the service's loopback opens from that machine only: for everybody else its address is but told. */
function dashboard(url: string): HTMLElement {
  if (isLoopback(new URL(url).hostname) && !isLoopback(location.hostname))
    return element("span", { class: "soft" }, "Dask dashboard: ", element("code", {}, url), " on the server");
  return element("a", { href: url, target: "_blank", rel: "noopener" }, "Dask dashboard ", icon("open"));
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || host === "::1" || host.startsWith("127.");
}
