import type { Mount } from "./context";

export const mountMatches: Mount = () => () => undefined;
