// console.test.mjs: the console in a real browser, against a running server that has seen guestbook traffic.
//
//     VIGLA_URL=http://127.0.0.1:20001 OUT=build node tests/e2e/console.test.mjs
//
// VIGLA_URL      the server; it must go on getting a little traffic, so that rates are not 0
// OUT            where console.png and console-dark.png go (build)
// CONSOLE_NODES  names that must be on the workload graph (istio-ingressgateway,frontend-v1,redis-master,redis-slave)
// CONSOLE_EDGES  edges that must be (istio-ingressgateway>frontend-v1,frontend-v1>redis-slave); the first is clicked on
//                and must carry HTTP
// CHROMIUM       the browser (/usr/bin/chromium)
//
// The last line counts: "N passed, N failed, N skipped". Without a browser or playwright-core all is skipped.

import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const server = (process.env.VIGLA_URL ?? "http://127.0.0.1:20001").replace(/\/$/, "");
const out = resolve(process.env.OUT ?? join(root, "build"));
const browserPath = process.env.CHROMIUM ?? "/usr/bin/chromium";
const list = (name, fallback) => (process.env[name] ?? fallback).split(",").filter(Boolean);
const nodes = list("CONSOLE_NODES", "istio-ingressgateway,frontend-v1,redis-master,redis-slave");
const edges = list("CONSOLE_EDGES", "istio-ingressgateway>frontend-v1,frontend-v1>redis-slave");
const [from, to] = edges[0].split(">");

/** What Chromium does by itself (updates, QUIC, sync) has no place in a test. */
const ARGS = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];
const WAIT = 20_000;

function skip(why) {
  console.log(`console: ${why}`);
  console.log("0 passed, 0 failed, 1 skipped");
  process.exit(0);
}

function findPlaywright() {
  try {
    return createRequire(join(root, "web/package.json"))("playwright-core").chromium;
  } catch {
    return skip("playwright-core is not installed (npm ci in web/)");
  }
}

if (!existsSync(browserPath)) skip(`no browser at ${browserPath} (apt-get install chromium)`);
const chromium = findPlaywright();
mkdirSync(out, { recursive: true });

const browser = await chromium.launch({ executablePath: browserPath, args: ARGS });
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: "light", reducedMotion: "reduce" });
const page = await context.newPage();
page.setDefaultTimeout(WAIT);

const complaints = [];
let forgiving = false; /* while the test itself breaks something */
page.on("console", (m) => {
  if (!forgiving && (m.type() === "error" || m.type() === "warning")) complaints.push(`${m.type()}: ${m.text()}`);
});
page.on("pageerror", (e) => complaints.push(`exception: ${e.message}`));
page.on("request", (r) => {
  if (!r.url().startsWith(server) && !r.url().startsWith("data:")) complaints.push(`request to elsewhere: ${r.url()}`);
});

let passed = 0;
let failed = 0;
async function check(name, body) {
  try {
    await body();
    passed++;
    console.log(`ok   ${name}`);
  } catch (e) {
    failed++;
    console.log(`FAIL ${name}: ${e.message}`);
    await page.screenshot({ path: join(out, `console-failed-${failed}.png`) }).catch(() => {});
  }
}

const open = async (hash = "") => {
  await page.goto("about:blank");
  await page.goto(`${server}/${hash}`);
};
const drawn = () => page.evaluate(() => window.__vigla.graph());
const nameOf = (node) => node.label.split("\n")[0];
const byName = (graph, name) => graph.nodes.find((n) => nameOf(n) === name && !n.classes.includes("box"));
const edgeOf = (graph, a, b) =>
  graph.edges.find((e) => e.source === byName(graph, a)?.id && e.target === byName(graph, b)?.id);
const selected = () => new URLSearchParams(page.url().split("?")[1] ?? "").get("sel");

async function waitForGraph() {
  await page.waitForFunction(
    (names) => {
      const graph = window.__vigla?.graph();
      return graph && names.every((name) => graph.nodes.some((n) => n.label.split("\n")[0] === name));
    },
    nodes,
  );
}

/** Another edge may cross where one clicks: tries a few places along the edge, as a hand would. */
async function clickEdge(a, b) {
  const graph = await drawn();
  const edge = edgeOf(graph, a, b);
  const [p, q] = [byName(graph, a).rendered, byName(graph, b).rendered];
  const box = await page.locator(".canvas").boundingBox();
  for (const t of [0.5, 0.4, 0.6, 0.32, 0.68]) {
    await page.mouse.click(box.x + p.x + (q.x - p.x) * t, box.y + p.y + (q.y - p.y) * t);
    await page.waitForTimeout(100);
    if (selected() === edge.id) return edge;
  }
  throw new Error(`no click along ${a} → ${b} chose it; chosen is ${selected()}`);
}

await open();

await check("the graph shows the nodes", async () => {
  await waitForGraph();
  assert.match(await page.title(), /Vigla/);
});

await check("the graph shows the edges", async () => {
  const graph = await drawn();
  for (const e of edges) assert.ok(edgeOf(graph, ...e.split(">")), `${e} is missing; there are ${graph.edges.length} edges`);
});

await check("nodes do not lie on each other", async () => {
  const real = (await drawn()).nodes.filter((n) => !n.classes.includes("box"));
  for (const a of real)
    for (const b of real)
      assert.ok(a === b || Math.hypot(a.position.x - b.position.x, a.position.y - b.position.y) > 40, `${a.label} and ${b.label}`);
});

await check("the gateway looks like one and stands leftmost", async () => {
  const real = (await drawn()).nodes.filter((n) => !n.classes.includes("box"));
  const gateway = real.find((n) => nameOf(n) === "istio-ingressgateway");
  if (!gateway) return; /* another mesh */
  assert.ok(gateway.classes.includes("gateway"), gateway.classes.join(" "));
  assert.ok(real.every((n) => n.position.x >= gateway.position.x - 1), JSON.stringify(real.map((n) => [n.label, n.position.x])));
});

await check("a refresh moves nothing", async () => {
  const before = await drawn();
  await Promise.all([1, 2].map(() => page.waitForResponse((r) => r.url().includes("/api/graph"))));
  await page.waitForTimeout(300);
  const after = await drawn();
  for (const n of before.nodes) assert.deepEqual(after.nodes.find((m) => m.id === n.id)?.position, n.position, n.label);
});

await check("a click on an edge opens its numbers", async () => {
  await clickEdge(from, to);
  const title = await page.locator(".panel h2").innerText();
  assert.ok(title.includes(from) && title.includes(to), title);
  const figure = await page.locator(".panel .figure dd").first().innerText();
  assert.match(figure, /^[<\d.]+[kM]? rps$/);
  const answer = await (await page.request.get(`${server}/api/graph?window=1m`)).json();
  const told = answer.elements.edges.find((e) => e.data.id === selected())?.data.vigla;
  assert.ok(told && told.requests > 0, "the edge has no requests at the server");
  assert.match(await page.locator(".panel").innerText(), /200/);
});

await check("the charts are drawn, and said in a sentence", async () => {
  await page.locator(".panel .chart canvas").first().waitFor();
  assert.match(await page.locator(".panel .chart figcaption").first().innerText(), /on average, at most/);
  assert.ok((await page.locator(".panel .chart").count()) >= 2);
});

await check("the edge's log lines are there", async () => {
  const rows = page.locator(".panel .log-table tbody tr:not(.fields-row)");
  await rows.first().waitFor();
  assert.match(await rows.first().innerText(), /\d\d:\d\d:\d\d[\s\S]*(GET|POST|HEAD|PUT|DELETE)/);
});

await page.screenshot({ path: join(out, "console.png") });

await check("a log line opens into its fields", async () => {
  await page.locator(".panel .row-open").nth(1).click();
  const fields = await page.locator(".panel .fields dl").innerText();
  assert.match(fields, /response_code/);
  assert.match(await page.locator(".panel .fields .whole").innerText(), /"[A-Z]+ .* HTTP\/1\.1" \d+/);
  await page.locator(".panel tr.open .row-open").click();
  await page.locator(".panel .fields").waitFor({ state: "detached" });
});

await check("the address keeps the choice", async () => {
  const chosen = selected();
  assert.ok(chosen);
  await open(page.url().slice(page.url().indexOf("#")));
  await page.locator(".panel h2").waitFor();
  assert.ok((await page.locator(".panel h2").innerText()).includes(to));
});

await check("arrow keys walk, Enter opens, Esc closes", async () => {
  await open();
  await waitForGraph();
  await page.locator(".canvas").focus();
  await page.keyboard.press("ArrowRight");
  const first = selected();
  assert.ok(first, "the first arrow chooses where walking begins");
  await page.keyboard.press("ArrowRight");
  assert.notEqual(selected(), first);
  const graph = await drawn();
  assert.ok(graph.edges.some((e) => [e.source, e.target].includes(first) && [e.source, e.target].includes(selected())));
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.activeElement?.tagName === "H2");
  await page.keyboard.press("Escape");
  await page.locator(".panel").waitFor({ state: "detached" });
  assert.equal(selected(), null);
});

await check("/ finds, ? helps", async () => {
  await page.keyboard.press("/");
  await page.keyboard.type(nodes.at(-1));
  await page.waitForFunction((name) => {
    const found = window.__vigla.graph().nodes.filter((n) => n.classes.includes("found"));
    return found.length > 0 && found.every((n) => n.label.includes(name));
  }, nodes.at(-1));
  assert.ok((await drawn()).nodes.some((n) => n.classes.includes("dim")));
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => !window.__vigla.graph().nodes.some((n) => n.classes.includes("dim")));
  await page.keyboard.press("?");
  await page.locator("dialog.help").waitFor();
  await page.keyboard.press("Escape");
  await page.locator("dialog.help").waitFor({ state: "detached" });
});

await check("the table has the same nodes and edges, and sorts", async () => {
  await page.locator(".canvas").focus();
  const graph = await drawn();
  await page.keyboard.press("t");
  for (const name of nodes) await page.locator(`#nodes tr[data-node="${name}"]`).first().waitFor();
  for (const e of edges) await page.locator(`#edges tr[data-edge="${e}"]`).first().waitFor();
  assert.ok((await page.locator("#edges tbody tr").count()) >= graph.edges.length);
  await page.getByRole("button", { name: "Requests", exact: true }).click();
  assert.equal(await page.locator('#edges th[aria-sort="descending"]').innerText().then((s) => s.split(" ")[0]), "Requests");
  await page.locator(`#edges tr[data-edge="${edges[0]}"] button`).first().click();
  assert.ok((await page.locator(".panel h2").innerText()).includes(to));
});

await check("every control can be reached and has a name", async () => {
  const nameless = await page.evaluate(() =>
    [...document.querySelectorAll("button, a[href], input, select, textarea, [role=application]")]
      .filter((e) => !(e.textContent?.trim() || e.getAttribute("aria-label") || e.closest("label")?.textContent?.trim()))
      .map((e) => e.outerHTML.slice(0, 80)));
  assert.deepEqual(nameless, []);
  const small = await page.evaluate(() =>
    [...document.querySelectorAll("button, select")]
      .map((e) => [e.outerHTML.slice(0, 60), e.getBoundingClientRect()])
      .filter(([, r]) => r.width > 0 && (r.height < 23.5 || r.width < 23.5))
      .map(([text, r]) => `${text} ${r.width.toFixed()}×${r.height.toFixed()}`));
  assert.deepEqual(small.filter((s) => !s.includes('class="link"')), []);
});

await check("every graph type is drawn", async () => {
  for (const type of ["app", "versionedApp", "service", "workload"]) {
    const answered = page.waitForResponse((r) => r.url().includes(`graphType=${type}`));
    await open(`#/graph?type=${type}`);
    assert.equal((await answered).status(), 200, type);
    await page.waitForFunction(() => (window.__vigla.graph()?.nodes.length ?? 0) > 0);
  }
});

await check("a past window can be asked for", async () => {
  await open(`#/graph?at=${Date.now() - 86_400_000 * 300}&window=1m`);
  await page.getByText("No traffic in this window").waitFor();
  assert.match(await page.locator(".live").innerText(), /Replay/);
  await page.getByRole("button", { name: "Back to now" }).click();
  await waitForGraph();
});

await check("the Logs page shows lines", async () => {
  await page.getByRole("link", { name: "Logs" }).click();
  await page.locator(".log-table tbody tr").first().waitFor();
});

await check("a wrong query is explained", async () => {
  forgiving = true;
  await page.locator(".query textarea").fill("{kind=");
  await page.keyboard.press("Enter");
  assert.match(await page.getByRole("alert").innerText(), /parse error|400/);
  await page.locator(".query textarea").fill('{kind="access_log"}');
  await page.keyboard.press("Enter");
  await page.locator(".log-table tbody tr").first().waitFor();
  forgiving = false;
});

await check("the Metrics page draws a query", async () => {
  await page.getByRole("link", { name: "Metrics" }).click();
  await page.locator(".chart canvas").waitFor();
  assert.match(await page.locator("table.wide").innerText(), new RegExp(to));
});

await check("the Mesh page lists objects or says what to do", async () => {
  await page.getByRole("link", { name: "Mesh" }).click();
  await page.locator(".objects table, .empty").first().waitFor();
  assert.equal(await page.getByRole("alert").count(), 0);
});

await check("a server that fails leaves the last picture and says so", async () => {
  await open("#/graph?refresh=1s");
  await waitForGraph();
  forgiving = true;
  await page.route("**/api/graph*", (r) => r.fulfill({ status: 503, body: '{"error":"store: busy"}' }));
  await page.getByRole("alert").filter({ hasText: "store: busy" }).waitFor();
  assert.match(await page.locator(".live").innerText(), /Stale/);
  assert.ok((await drawn()).nodes.length >= nodes.length);
  await page.unroute("**/api/graph*");
  await page.getByRole("button", { name: "Retry" }).click();
  await page.getByRole("alert").waitFor({ state: "detached" });
  forgiving = false;
});

await check("the dark theme holds over a reload", async () => {
  await open();
  await page.getByRole("button", { name: "Switch to the dark theme" }).click();
  await open();
  await waitForGraph();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await clickEdge(from, to);
  await page.locator(".panel .log-table tbody tr").first().waitFor();
  await page.locator(".panel .chart canvas").first().waitFor();
  await page.screenshot({ path: join(out, "console-dark.png") });
});

await check("nothing runs off the side of a narrow window", async () => {
  await page.setViewportSize({ width: 400, height: 800 });
  for (const where of ["#/graph", "#/graph?view=table", "#/logs", "#/metrics", "#/mesh"]) {
    await open(where);
    await page.waitForTimeout(500);
    const over = await page.evaluate(() => Math.max(document.documentElement.scrollWidth, document.querySelector("main").scrollWidth) - innerWidth);
    assert.ok(over <= 0, `${where}: ${over} px too wide`);
  }
});

await check("no complaints in the browser's console, no request to elsewhere", () => assert.deepEqual([...new Set(complaints)], []));

await browser.close();
console.log(`${passed} passed, ${failed} failed, 0 skipped`);
process.exit(failed ? 1 : 0);
