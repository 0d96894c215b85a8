import { type Child, element } from "./element";
import { sentence } from "./words";

/** Asks before something is done; the action's own failure is told in the dialog. Resolves to whether it was done. */
export function ask(question: {
  title: string;
  text: Child;
  action: string;
  danger?: boolean;
  act: () => Promise<void>;
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
    keep.focus();
  });
}
