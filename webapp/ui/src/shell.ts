import { connected } from "./connection";
import { element, fill } from "./element";
import { address, place } from "./router";
import { account, signOut } from "./session";

/** The frame around every page: the bar with its links, the place for a page, and word of a lost connection. */
export function shell(page: HTMLElement): { main: HTMLElement; end(): void } {
  const links = element("nav", { class: "bar-links", "aria-label": "Main" });
  const main = element("main", { id: "main", class: "main", tabindex: -1 });
  const offline = element(
    "p",
    { class: "offline", role: "status", hidden: true },
    "No connection to the service. This page goes on by itself as soon as it is back.",
  );
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
          "reconflow",
        ),
        links,
      ),
    ),
    offline,
    main,
  );
  const draw = (): void => drawLinks(links);
  window.addEventListener("hashchange", draw);
  const unwatch = [account.watch(draw), connected.watch((value) => (offline.hidden = value))];
  return {
    main,
    end(): void {
      window.removeEventListener("hashchange", draw);
      for (const stop of unwatch) stop();
    },
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
    who !== null && link("account", who.name),
    who !== null && element("button", { type: "button", class: "link", onclick: leave }, "Sign out"),
  );
}

/** Ends the session and forgets all that was on the page. */
async function leave(): Promise<void> {
  await signOut().catch(() => undefined);
  location.hash = "";
  location.reload();
}
