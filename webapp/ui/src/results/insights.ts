import type { Mount } from "./context";

export const mountInsights: Mount = () => () => undefined;
