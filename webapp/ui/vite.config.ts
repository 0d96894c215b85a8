import { defineConfig, loadEnv } from "vite";

const ADDRESSES = ["auth", "jobs", "upload", "uploads", "options", "clusters", "download", "drift", "users", "admin"];

/** `npm run build` writes what the service serves under /static; `npm run dev` asks a running service for the rest. */
export default defineConfig(({ mode }) => {
  const service = loadEnv(mode, ".", "RECONFLOW_")["RECONFLOW_URL"] ?? "http://127.0.0.1:8000";
  return {
    base: "/static/",
    build: {
      outDir: "../static",
      emptyOutDir: true,
      target: "es2022",
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      chunkSizeWarningLimit: 800,
    },
    server: { proxy: Object.fromEntries(ADDRESSES.map((name) => [`/${name}`, service])) },
  };
});
