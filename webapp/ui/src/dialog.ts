import { type Child, element } from "./element";
import { sentence } from "./words";

/** Asks before something is done; the action's own failure is told in the dialog. Resolves to whether it was done. */
export function ask(question: {
  title: string;
  text: Child;
  action: string;
  danger?: boolean;
  act: () => Promise<void>;
  /** Nothing is asked: there is one button. */
  told?: boolean;
}): Promise<boolean> {
  return new Promise((resolve) => {
    let done = false;
    const problem = element("p", { class: "problem", role: "alert", hidden: true });
    const act = element(
      "button",
      { type: "submit", class: question.danger ? "button button-danger" : "button button-main" },
      question.action,
    );
    const keep = element("button", { type: "button", class: "button", onclick: () => dialog.close() }, "Keep");
    if (!question.danger) keep.textContent = "Back";
    keep.hidden = question.told === true;
    const submit = async (event: Event): Promise<void> => {
      event.preventDefault();
      act.disabled = true;
      problem.hidden = true;
      try {
        await question.act();
        done = true;
        dialog.close();
      } catch (error) {
        problem.textContent = sentence(error);
        problem.hidden = false;
        act.disabled = false;
      }
    };
    const dialog = element(
      "dialog",
      { class: "dialog", "aria-labelledby": "dialog-title" },
      element(
        "form",
        { onsubmit: submit },
        element("h2", { id: "dialog-title" }, question.title),
        typeof question.text === "string" ? element("p", { class: "soft" }, question.text) : question.text,
        problem,
        element("div", { class: "row row-end" }, keep, act),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(done);
    });
    document.body.append(dialog);
    dialog.showModal();
    (question.told === true ? act : keep).focus();
  });
}

/** Tells something that needs no more than to be read. */
export async function tell(title: string, text: string): Promise<void> {
  await ask({ title, text, action: "All right", act: async () => undefined, told: true });
}
