import { element, fill } from "../element";
import { address, type Page } from "../router";

export const missingPage: Page = (main) => {
  fill(
    main,
    element(
      "div",
      { class: "empty" },
      element("h1", {}, "There is nothing here"),
      element("p", { class: "soft" }, "The address may be mistyped, or what it showed was removed."),
      element("a", { class: "button button-main", href: address("jobs") }, "Show all jobs"),
    ),
  );
  return () => undefined;
};
