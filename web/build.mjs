// Builds the console into the folder given as argument: index.html, app.js, app.css and what lies in static/.
//
//     node build.mjs ../build/web/dist [--watch]
import { build, context } from "esbuild";
import { cp, mkdir, rm } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const args = process.argv.slice(2);
const watch = args.includes("--watch");
const out = args.find((a) => !a.startsWith("--"));
if (!out) {
  console.error("usage: node build.mjs OUTPUT_FOLDER [--watch]");
  process.exit(2);
}
const dist = resolve(out);

const options = {
  absWorkingDir: here,
  entryPoints: { app: "src/main.tsx" },
  outdir: dist,
  bundle: true,
  minify: !watch,
  sourcemap: watch ? "inline" : false,
  format: "iife",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  define: { "process.env.NODE_ENV": '"production"' },
  legalComments: "eof",
  logLevel: "warning",
};

await rm(dist, { recursive: true, force: true });
await mkdir(dist, { recursive: true });
await cp(resolve(here, "static"), dist, { recursive: true });
if (watch) {
  await (await context(options)).watch();
} else {
  await build(options);
}
