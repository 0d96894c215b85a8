import type { Api } from "../api";
import { element } from "../element";
import { account, signIn } from "../session";
import { sentence } from "../words";

/** Lets people change their own password; all other devices are signed out by it. */
export function passwordCard(api: Api): HTMLElement {
  const field = (id: string, label: string, complete: string): [HTMLElement, HTMLInputElement] => {
    const input = element("input", {
      id,
      class: "input",
      type: "password",
      required: true,
      autocomplete: complete,
      minlength: complete === "new-password" ? 8 : undefined,
    });
    return [element("div", { class: "field" }, element("label", { for: id }, label), input), input];
  };
  const [currentField, current] = field("password-current", "Password now", "current-password");
  const [freshField, fresh] = field("password-new", "New password (8 characters or more)", "new-password");
  const told = element("p", { role: "status", hidden: true });
  const change = async (event: Event): Promise<void> => {
    event.preventDefault();
    told.hidden = true;
    try {
      await api.changePassword(current.value, fresh.value);
      await signIn(account.value?.name ?? "", fresh.value);
      current.value = "";
      fresh.value = "";
      told.className = "soft";
      told.textContent = "Your password is changed. Other devices have to sign in again; keys go on working.";
    } catch (error) {
      told.className = "problem";
      told.textContent = sentence(error);
    }
    told.hidden = false;
  };
  return element(
    "section",
    { class: "card stack" },
    element("h2", {}, "Password"),
    element(
      "form",
      { class: "stack", onsubmit: change },
      element("div", { class: "fields" }, currentField, freshField),
      told,
      element(
        "div",
        { class: "row row-end" },
        element("button", { type: "submit", class: "button" }, "Change password"),
      ),
    ),
  );
}
