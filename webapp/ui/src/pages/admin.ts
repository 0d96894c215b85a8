import { usersAndKeys } from "../admin/users";
import { workers } from "../admin/workers";
import type { Api } from "../api";
import { element, fill, refill } from "../element";
import { loading } from "../loading";
import type { Page } from "../router";
import type { Role, ServiceStatus, Stage } from "../wire";
import { bytes, duration, isEnded, plural, sentence } from "../words";

const EVERY_MS = 5000;

/** How the service is doing and who may use it; for administrators. */
export function adminPage(api: Api): Page {
  return (main) => {
    const state = element("div", { class: "cards" });
    const people = element("div", { class: "stack" });
    let timer = 0;
    let left = false;
    const watch = async (): Promise<void> => {
      try {
        const status = await api.status();
        if (!left) refill(state, ...cards(status));
      } catch (error) {
        if (!left && state.childElementCount === 0) fill(state, problemOf(error));
      }
      if (!left) timer = window.setTimeout(() => void watch(), EVERY_MS);
    };
    const users = loading(
      people,
      () => Promise.all([api.users(), api.allKeys()]),
      ([found, keys]) => fill(people, ...usersAndKeys(api, found, keys, () => users.again())),
    );
    fill(
      main,
      element("div", { class: "head" }, element("h1", {}, "Service")),
      state,
      element("section", { class: "card stack" }, element("h2", {}, "Users"), people, userForm(api, users.again)),
    );
    void watch();
    return () => {
      left = true;
      window.clearTimeout(timer);
      users.stop();
    };
  };
}

function cards(status: ServiceStatus): HTMLElement[] {
  const used = status.total_bytes - status.free_bytes;
  const counts = Object.entries(status.stages) as [Stage, number][];
  const running = counts
    .filter(([stage]) => stage !== "queued" && !isEnded(stage))
    .reduce((sum, [, count]) => sum + count, 0);
  const waiting = status.stages.queued ?? 0;
  return [
    element("section", { class: "card stack" }, element("h2", {}, "Workers"), workers(status.runners)),
    element(
      "section",
      { class: "card stack" },
      element("h2", {}, "Queue"),
      element("p", {}, `${plural(running, "job")} running, ${waiting} waiting.`),
      waiting > 0 && element("p", { class: "soft" }, `The oldest has waited for ${duration(status.oldest_queued_s)}.`),
      element(
        "p",
        { class: "soft" },
        `${status.stages.success ?? 0} done, ${status.stages.failed ?? 0} failed, ${status.stages.cancelled ?? 0} cancelled.`,
      ),
    ),
    element(
      "section",
      { class: "card stack" },
      element("h2", {}, "Disk"),
      element("p", {}, `${bytes(status.free_bytes)} free of ${bytes(status.total_bytes)}.`),
      element("meter", {
        class: "meter",
        min: 0,
        max: status.total_bytes,
        value: used,
        low: status.total_bytes * 0.75,
        high: status.total_bytes * 0.9,
        optimum: 0,
        "aria-label": "Disk used",
      }),
      element("p", { class: "soft" }, `reconflow ${status.version}`),
    ),
  ];
}

function userForm(api: Api, changed: () => Promise<void>): HTMLElement {
  const name = element("input", {
    id: "user-name",
    class: "input",
    required: true,
    maxlength: 100,
    autocomplete: "off",
  });
  const password = element("input", {
    id: "user-password",
    class: "input",
    type: "password",
    required: true,
    minlength: 8,
    autocomplete: "new-password",
  });
  const role = element(
    "select",
    { id: "user-role", class: "input" },
    element("option", { value: "user" }, "User"),
    element("option", { value: "admin" }, "Administrator"),
  );
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const add = async (event: Event): Promise<void> => {
    event.preventDefault();
    problem.hidden = true;
    try {
      await api.addUser(name.value, password.value, role.value as Role);
      name.value = "";
      password.value = "";
      await changed();
    } catch (error) {
      problem.textContent = sentence(error);
      problem.hidden = false;
    }
  };
  const field = (label: string, input: HTMLElement): HTMLElement =>
    element("div", { class: "field" }, element("label", { for: input.id }, label), input);
  return element(
    "form",
    { class: "stack", onsubmit: add },
    element("h3", {}, "Add a user"),
    element(
      "div",
      { class: "fields" },
      field("Name", name),
      field("Password (8 characters or more)", password),
      field("Role", role),
    ),
    problem,
    element("div", { class: "row row-end" }, element("button", { type: "submit", class: "button" }, "Add")),
  );
}

function problemOf(error: unknown): HTMLElement {
  return element("p", { class: "problem", role: "alert" }, sentence(error));
}
