import { passwordCard } from "../account/password";
import type { Api } from "../api";
import { copy } from "../clipboard";
import { ask } from "../dialog";
import { element, fill } from "../element";
import { loading } from "../loading";
import type { Page } from "../router";
import { account } from "../session";
import { rowButton, table } from "../table";
import type { ApiKey } from "../wire";
import { ago, moment, sentence } from "../words";

/** The account that is signed in, and its keys for scripts. */
export function accountPage(api: Api): Page {
  return (main) => {
    const list = element("div", {});
    const made = element("div", { role: "status" });
    const keys = loading(
      list,
      () => api.keys(),
      (found) =>
        fill(
          list,
          drawn(found, api, () => keys.again()),
        ),
    );
    const label = element("input", {
      id: "key-label",
      class: "input",
      required: true,
      maxlength: 100,
      placeholder: "Laptop script",
    });
    const problem = element("p", { class: "problem", role: "alert", hidden: true });
    const add = async (event: Event): Promise<void> => {
      event.preventDefault();
      problem.hidden = true;
      try {
        const { key } = await api.addKey(label.value);
        label.value = "";
        fill(made, newKey(key));
        await keys.again();
      } catch (error) {
        problem.textContent = sentence(error);
        problem.hidden = false;
      }
    };
    fill(
      main,
      element(
        "div",
        { class: "head" },
        element(
          "div",
          {},
          element("h1", {}, account.value?.name ?? ""),
          element("p", { class: "soft" }, account.value?.role === "admin" ? "Administrator" : "User"),
        ),
      ),
      element(
        "section",
        { class: "card stack" },
        element(
          "div",
          {},
          element("h2", {}, "Keys for scripts"),
          element("p", { class: "soft" }, "A key lets a program use the service in your name."),
        ),
        made,
        list,
        element(
          "form",
          { class: "row row-field", onsubmit: add },
          element("div", { class: "field" }, element("label", { for: "key-label" }, "What the new key is for"), label),
          element("button", { type: "submit", class: "button" }, "Make a key"),
        ),
        problem,
      ),
      passwordCard(api),
    );
    return keys.stop;
  };
}

function newKey(key: string): HTMLElement {
  const shown = element("code", { class: "secret" }, key);
  const button = element("button", { type: "button", class: "button" }, "Copy");
  button.addEventListener("click", () => {
    void copy(key, shown).then((done) => fill(button, done ? "Copied" : "Selected: copy it with Ctrl+C"));
  });
  return element(
    "div",
    { class: "banner banner-good" },
    element(
      "div",
      {},
      element("h3", {}, "Your new key"),
      element("p", {}, "Copy it now: it is not shown again."),
      element("div", { class: "row" }, shown, button),
    ),
  );
}

function drawn(keys: ApiKey[], api: Api, again: () => Promise<void>): HTMLElement {
  if (keys.length === 0) return element("p", { class: "soft" }, "You have no keys.");
  const remove = (key: ApiKey): void => {
    void ask({
      title: `Delete the key “${key.label}”?`,
      text: "Programs that use it can no longer reach the service.",
      action: "Delete",
      danger: true,
      act: () => api.removeKey(key.key_id),
    }).then(again);
  };
  const rows = keys.map((key) => [
    key.label,
    moment(key.created_at),
    key.last_used_at === null ? "never" : ago(key.last_used_at),
    rowButton("trash", "Delete", key.label, () => remove(key)),
  ]);
  return table(["For", "Made", "Last used"], rows);
}
