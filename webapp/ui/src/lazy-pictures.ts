import { element, fill } from "./element";
import { icon } from "./icons";

/** Fetches pictures as their places come near the window; where there is none, an icon stands for it. */
export class LazyPictures {
  private readonly asked = new WeakMap<Element, () => Promise<string>>();
  private readonly observer = new IntersectionObserver((entries) => this.seen(entries), { rootMargin: "300px" });

  watch(place: HTMLElement, address: () => Promise<string>): void {
    this.asked.set(place, address);
    this.observer.observe(place);
  }

  stop(): void {
    this.observer.disconnect();
  }

  private seen(entries: IntersectionObserverEntry[]): void {
    for (const { isIntersecting, target } of entries) {
      const address = this.asked.get(target);
      if (!isIntersecting || address === undefined) continue;
      this.observer.unobserve(target);
      address().then(
        (src) => fill(target, element("img", { src, alt: "", decoding: "async" })),
        () => fill(target, icon("photos")),
      );
    }
  }
}
