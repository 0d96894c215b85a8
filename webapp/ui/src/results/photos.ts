import type { Mount } from "./context";

export const mountPhotos: Mount = () => () => undefined;
