import type { Mount } from "./context";

export const mountScene: Mount = () => () => undefined;
