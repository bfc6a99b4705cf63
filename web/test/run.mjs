// Runs test/*.test.ts: bundled by esbuild into a scratch folder, then by Node's own test runner. The last line counts.
import { build } from "esbuild";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = mkdtempSync(join(tmpdir(), "vigla-web-test-"));
let status = 1;
try {
  const names = readdirSync(here).filter((n) => n.endsWith(".test.ts"));
  await build({
    entryPoints: names.map((n) => join(here, n)),
    outdir: out,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node18",
    logLevel: "warning",
  });
  const files = names.map((n) => join(out, n.replace(/\.ts$/, ".mjs")));
  const run = spawnSync(process.execPath, ["--test", "--test-reporter=tap", ...files], {
    encoding: "utf8",
    env: { ...process.env, TZ: "UTC" },
  });
  const count = (what) => Number(new RegExp(`^# ${what} (\\d+)$`, "m").exec(run.stdout)?.[1] ?? 0);
  status = run.status ?? 1;
  if (status !== 0) process.stdout.write(run.stdout + run.stderr);
  const failed = Math.max(count("fail") + count("cancelled"), status === 0 ? 0 : 1);
  console.log(`web: ${count("pass")} passed, ${failed} failed, ${count("skipped") + count("todo")} skipped`);
} finally {
  rmSync(out, { recursive: true, force: true });
}
process.exit(status);
