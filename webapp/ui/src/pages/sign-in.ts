import { refusal } from "../api";
import { element, fill } from "../element";
import { signIn } from "../session";
import { sentence } from "../words";

/** Asks who is there, over whatever the page shows; what lies below stays as it is. */
export function signInDialog(): { open(again: boolean): void; close(): void } {
  const heading = element("h1", { id: "sign-in-title" });
  const text = element("p", { class: "soft" });
  const problem = element("p", { class: "problem", role: "alert", hidden: true });
  const name = field("username", "Name", "text", "username");
  const password = field("password", "Password", "password", "current-password");
  const button = element("button", { type: "submit", class: "button button-main button-wide" }, "Sign in");

  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    problem.hidden = true;
    button.disabled = true;
    fill(button, "Signing in …");
    try {
      const answer = await signIn(name.input.value.trim(), password.input.value);
      if (!answer.ok) throw await told(answer);
    } catch (error) {
      problem.textContent = error instanceof TypeError ? "The service cannot be reached." : sentence(error);
      problem.hidden = false;
      password.input.select();
    }
    button.disabled = false;
    fill(button, "Sign in");
  };

  const dialog = element(
    "dialog",
    { class: "sign-in", "aria-labelledby": "sign-in-title", oncancel: (event) => event.preventDefault() },
    element(
      "form",
      { onsubmit: submit },
      element("img", { src: new URL("../mark.svg", import.meta.url).href, alt: "", width: 44, height: 44 }),
      heading,
      text,
      name.row,
      password.row,
      problem,
      button,
    ),
  );
  document.body.append(dialog);
  return {
    open(again: boolean): void {
      if (dialog.open) return;
      heading.textContent = again ? "Please sign in again" : "Sign in to reconflow";
      text.textContent = again
        ? "You were away for a while. Everything stays as you left it."
        : "Turn a pile of photos into camera positions and a 3D point cloud.";
      dialog.classList.toggle("sign-in-first", !again);
      password.input.value = "";
      problem.hidden = true;
      dialog.showModal();
      (name.input.value === "" ? name.input : password.input).focus();
    },
    close(): void {
      password.input.value = "";
      dialog.close();
    },
  };
}

async function told(answer: Response): Promise<Error> {
  return answer.status === 401 ? new Error("Name and password do not belong together.") : refusal(answer);
}

function field(
  id: string,
  label: string,
  type: string,
  autocomplete: string,
): { row: HTMLElement; input: HTMLInputElement } {
  const input = element("input", { id, name: id, type, autocomplete, required: true, class: "input" });
  return { row: element("div", { class: "field" }, element("label", { for: id }, label), input), input };
}
