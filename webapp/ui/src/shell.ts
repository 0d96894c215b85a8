import { connected, lost } from "./connection";
import { tell } from "./dialog";
import { element, fill } from "./element";
import { address, place } from "./router";
import { account, signOut } from "./session";
import { transferLine } from "./upload/transfer-line";
import type { Transfers } from "./upload/transfers";

/** The frame around every page: the bar with its links, the place for a page, and word of a lost connection. */
export function shell(page: HTMLElement, transfers: Transfers): { main: HTMLElement; end(): void } {
  const links = element("nav", { class: "bar-links", "aria-label": "Main" });
  const main = element("main", { id: "main", class: "main", tabindex: -1 });
  const offline = element(
    "p",
    { class: "offline", role: "status", hidden: true },
    "No connection to the service. This page goes on by itself as soon as it is back.",
  );
  const sending = transferLine(transfers);
  const skip = (event: Event): void => {
    event.preventDefault();
    main.focus();
  };
  fill(
    page,
    element("a", { class: "skip", href: "#main", onclick: skip }, "Skip to the page"),
    element(
      "header",
      { class: "bar" },
      element(
        "div",
        { class: "bar-in" },
        element(
          "a",
          { class: "brand", href: address("jobs") },
          element("img", { src: new URL("./mark.svg", import.meta.url).href, alt: "", width: 26, height: 26 }),
          element("span", {}, "reconflow"),
        ),
        links,
      ),
    ),
    offline,
    sending.element,
    main,
  );
  const draw = (): void => {
    const [name = "jobs", ...rest] = place();
    drawLinks(links);
    sending.element.classList.toggle(
      "sending-shown-below",
      name === "upload" || (name === "jobs" && rest.length === 0),
    );
  };
  const stopDrops = ignoreDrops();
  window.addEventListener("hashchange", draw);
  const unwatch = [account.watch(draw), connected.watch((value) => (offline.hidden = value))];
  return {
    main,
    end(): void {
      window.removeEventListener("hashchange", draw);
      stopDrops();
      sending.stop();
      for (const stop of unwatch) stop();
    },
  };
}

/** A file dropped where no page takes it must not take the browser away from here. */
function ignoreDrops(): () => void {
  const ignore = (event: DragEvent): void => {
    if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    if (event.type === "dragover") event.dataTransfer.dropEffect = "none";
  };
  window.addEventListener("dragover", ignore);
  window.addEventListener("drop", ignore);
  return () => {
    window.removeEventListener("dragover", ignore);
    window.removeEventListener("drop", ignore);
  };
}

function drawLinks(links: HTMLElement): void {
  const who = account.value;
  const [here = "jobs"] = place();
  const link = (name: string, text: string): HTMLElement =>
    element("a", { href: address(name), ...(here === name ? { "aria-current": "page" } : {}) }, text);
  fill(
    links,
    link("jobs", "Jobs"),
    link("upload", "New job"),
    who?.role === "admin" && link("admin", "Service"),
    who !== null && link("account", "Account"),
    who !== null && element("button", { type: "button", class: "link", onclick: leave }, "Sign out"),
  );
}

/** Ends the session and forgets all that was on the page. */
async function leave(): Promise<void> {
  try {
    await signOut();
  } catch {
    lost();
    await tell(
      "You are still signed in",
      "The service cannot be reached, and only it can end your session. Try again.",
    );
    return;
  }
  location.hash = "";
  location.reload();
}
