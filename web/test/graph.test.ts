import assert from "node:assert/strict";
import { test } from "node:test";
import { edgeBends, onCurve } from "../src/graph/bends";
import { CLOSE, MANY_EDGES, boundsOf, nearEdges } from "../src/graph/detail";
import { EMPTY, diffGraph } from "../src/graph/diff";
import { placeLabels } from "../src/graph/labelplace";
import { edgeLabel, edgeWidth, healthReason, homeNamespace, nodeLabel, nodeLabels, nodeReason } from "../src/graph/labels";
import { entry, nextEdge, nextNode, walk } from "../src/graph/walk";
import { matches, readGraph, totals, withoutIdle, type Graph } from "../src/lib/model";

const node = (id: string, x: number, y: number, more: object = {}) => ({
  data: { id, nodeType: "workload", workload: id, namespace: "guestbook", healthStatus: "Healthy", ...more },
  position: { x, y },
});
const edge = (source: string, target: string, rps: number, more: object = {}) => ({
  data: {
    id: `${source}-${target}`, source, target, healthStatus: "Healthy",
    traffic: { protocol: "http", rates: { http: String(rps) }, responses: { 200: { flags: { "-": "90.0" } }, 503: { flags: { UF: "10.0" } } } },
    vigla: { requests: rps * 60, errors: rps * 6, rps, errorShare: rps ? 0.1 : 0, p50: 1, p95: 20, p99: 30 },
    ...more,
  },
});
const answer = (nodes: object[], edges: object[]) => ({ from: 0, to: 60_000, elements: { nodes, edges } });
const sample = (): Graph =>
  readGraph(answer(
    [node("gw", 0, 100, { isGateway: { ingressInfo: {} }, namespace: "istio-system" }), node("f1", 200, 0), node("f2", 200, 200), node("db", 400, 100)],
    [edge("gw", "f1", 5), edge("gw", "f2", 15), edge("f1", "db", 0), edge("f2", "db", 0, { traffic: { protocol: "tcp" }, vigla: { sentBytes: 6000, receivedBytes: 60, connections: 2 } })],
  ));

test("a graph is read", () => {
  const g = sample();
  assert.equal(g.nodes.length, 4);
  assert.equal(g.nodes[0]!.gateway, true);
  assert.deepEqual(g.edges[0]!.responses, [{ code: "200", flags: "-", share: 0.9 }, { code: "503", flags: "UF", share: 0.1 }]);
  assert.equal(g.edges[2]!.idle, true);
  assert.equal(g.edges[3]!.bps, 101);
});

test("what is no graph is refused in words", () => {
  for (const bad of [null, 1, "x", [], {}, { elements: 3 }]) assert.throws(() => readGraph(bad), /elements/);
});

test("elements that make no sense are left out", () => {
  const g = readGraph(answer([node("a", 0, 0), { data: {} }, null as never, { data: { id: 7 } }], [edge("a", "gone", 1), {}, { data: { id: "x" } }]));
  assert.equal(g.nodes.length, 1);
  assert.equal(g.edges.length, 0);
});

test("wrong types become defaults", () => {
  const g = readGraph(answer([{ data: { id: "a", nodeType: "script", healthStatus: "<b>", workload: 5 }, position: { x: "NaN", y: {} } }], []));
  assert.deepEqual([g.nodes[0]!.type, g.nodes[0]!.health, g.nodes[0]!.name, g.nodes[0]!.position], ["unknown", "NA", "unknown", null]);
});

test("a graph does not differ from itself", () => {
  const d = diffGraph(sample(), sample());
  for (const part of Object.values(d)) assert.deepEqual(part, []);
});

test("from nothing all is added, to nothing all is removed", () => {
  const g = sample();
  const add = diffGraph(EMPTY, g);
  assert.equal(add.addedNodes.length, 4);
  assert.equal(add.addedEdges.length, 4);
  assert.equal(diffGraph(g, EMPTY).removed.length, 8);
});

test("a new rate is an update and moves nothing", () => {
  const next = sample();
  next.edges[0]!.rps = 6;
  const d = diffGraph(sample(), next);
  assert.deepEqual(d.updatedEdges.map((e) => e.id), ["gw-f1"]);
  assert.equal(d.moved.length + d.removed.length + d.addedEdges.length + d.updatedNodes.length, 0);
});

test("a new place is a move and nothing else", () => {
  const next = sample();
  next.nodes[1]!.position = { x: 210, y: 0 };
  const d = diffGraph(sample(), next);
  assert.deepEqual(d.moved.map((n) => n.id), ["f1"]);
  assert.equal(d.updatedNodes.length, 0);
});

test("a box comes before what it holds, and takes it along when it goes", () => {
  const boxed = sample();
  for (const n of boxed.nodes) n.parent = "box";
  boxed.nodes.push({ ...boxed.nodes[0]!, id: "box", type: "box", box: "namespace", parent: null, position: null });
  const into = diffGraph(sample(), boxed);
  assert.equal(into.addedNodes[0]!.id, "box");
  assert.equal(into.addedNodes.length, 5);
  assert.equal(into.addedEdges.length, 4);
  const back = diffGraph(boxed, sample());
  assert.equal(back.removed.length, 9);
  assert.equal(back.addedNodes.length, 4);
});

test("an edge with other ends is another edge", () => {
  const next = sample();
  next.edges[0]!.target = "db";
  const d = diffGraph(sample(), next);
  assert.deepEqual([d.removed, d.addedEdges.map((e) => e.id)], [["gw-f1"], ["gw-f1"]]);
});

test("idle edges and lonely nodes can be hidden", () => {
  const g = withoutIdle(sample());
  assert.deepEqual(g.edges.map((e) => e.id), ["gw-f1", "gw-f2", "f2-db"]);
  assert.equal(g.nodes.length, 4);
  assert.equal(withoutIdle(readGraph(answer([node("a", 0, 0)], []))).nodes.length, 0);
});

test("totals count what enters once", () => {
  const t = totals(sample());
  assert.equal(t.rps, 20);
  assert.equal(t.errorShare, 0.1);
  assert.equal(t.bps, 101);
});

test("labels say what was asked for", () => {
  const [http, , idle, tcp] = sample().edges;
  assert.equal(edgeLabel(http!, ["rate", "errors"]), "5 rps\n10% err");
  assert.equal(edgeLabel(http!, ["p95"]), "p95 20 ms");
  assert.equal(edgeLabel(http!, []), "");
  assert.equal(edgeLabel(idle!, ["rate", "errors", "p95"]), "");
  assert.equal(edgeLabel(tcp!, ["rate"]), "101 B/s");
  assert.ok(edgeWidth(http!) < edgeWidth({ ...http!, rps: 500 }));
  assert.ok(edgeWidth({ ...http!, rps: 1e12 }) <= 6);
});

test("only a foreign namespace is named", () => {
  const g = sample();
  const home = homeNamespace(g);
  assert.equal(nodeLabel(g.nodes[0]!, home), "gw\nistio-system");
  assert.equal(nodeLabel(g.nodes[1]!, home), "f1");
});

test("find takes words in any order and case", () => {
  assert.ok(matches("REDIS slave", "redis-slave guestbook"));
  assert.ok(matches("", "anything"));
  assert.ok(!matches("redis v9", "redis-slave"));
});

test("arrows walk along edges", () => {
  const g = sample();
  assert.equal(entry(g), "gw");
  assert.equal(walk(g, null, "right"), "gw");
  assert.equal(walk(g, "gw", "up"), "f1");
  assert.equal(walk(g, "f1", "right"), "db");
  assert.equal(walk(g, "db", "left") !== null, true);
  assert.equal(walk(g, "gw", "left"), null);
  assert.equal(walk(g, "gw-f1", "right"), "f1");
  assert.equal(walk(g, "gw-f1", "left"), "gw");
});

test("e goes round a node's edges", () => {
  const g = sample();
  const seen = new Set<string>();
  let at: string | null = "gw";
  for (let i = 0; i < 2; i++) seen.add((at = nextEdge(g, at))!);
  assert.deepEqual([...seen].sort(), ["gw-f1", "gw-f2"]);
});

test("labels of crossing edges keep apart, and stay where they are at other rates", () => {
  const cross = (rps: number) => readGraph(answer(
    [node("a", 0, 0), node("b", 0, 300), node("c", 400, 0), node("d", 400, 300)], [edge("a", "d", rps), edge("b", "c", rps)]));
  const once = placeLabels(cross(1), new Map());
  assert.equal(once.size, 1);
  assert.deepEqual([...placeLabels(cross(99), new Map())], [...once]);
});

test("an edge goes round a node in its way, and only then", () => {
  const line = (y: number) => readGraph(answer([node("a", 0, 0), node("b", 200, y), node("c", 400, 0)], [edge("a", "b", 1), edge("b", "c", 1), edge("a", "c", 1)]));
  assert.deepEqual([...edgeBends(line(200)).keys()], []);
  const bends = edgeBends(line(5));
  assert.deepEqual([...bends.keys()], ["a-c"]);
  const middle = onCurve({ x: 0, y: 0 }, { x: 400, y: 0 }, bends.get("a-c")!, 0.5);
  assert.ok(Math.abs(middle.y - 5 - 8) >= 38, `passes at ${middle.y}`);
  assert.deepEqual([...edgeBends(line(5))], [...bends]);
});

test("curves end where they should", () => {
  for (const bend of [0, 70, -160]) {
    assert.deepEqual(onCurve({ x: 1, y: 2 }, { x: 30, y: 40 }, bend, 0), { x: 1, y: 2 });
    assert.deepEqual(onCurve({ x: 1, y: 2 }, { x: 30, y: 40 }, bend, 1), { x: 30, y: 40 });
  }
  assert.ok(onCurve({ x: 0, y: 0 }, { x: 10, y: 0 }, 8, 0.5).y > 0, "a positive bend is below an edge that goes right");
});

test("every node is reached in turn, with or without edges", () => {
  const g = readGraph(answer([node("b", 200, 0), node("a", 0, 0), node("alone", 0, 300)], [edge("a", "b", 1)]));
  const seen: (string | null)[] = [];
  for (let i = 0, at: string | null = null; i < 4; i++) seen.push((at = nextNode(g, at, false)));
  assert.deepEqual(seen, ["a", "alone", "b", "a"]);
  assert.equal(nextNode(g, "a", true), "b");
  assert.equal(nextNode(g, null, true), "b");
  assert.equal(nextNode(EMPTY, null, false), null);
});

const numbers = (errorShare: number, clientErrors: number) =>
  edge("gw", "f1", 1, { healthStatus: "Failure", vigla: { requests: 100, errors: errorShare * 100, clientErrors, rps: 1, errorShare } });

test("what is red says why", () => {
  const of = (item: object) => readGraph(answer([node("gw", 0, 0, { healthStatus: "Failure" }), node("f1", 9, 0)], [item]));
  const client = of(numbers(0, 34));
  assert.equal(healthReason("Failure", client.edges[0]!), "34% of answers are 4xx (failing from 20%)");
  assert.equal(healthReason("Degraded", client.edges[0]!), "34% of answers are 4xx (degraded from 10%)");
  assert.equal(healthReason("Healthy", client.edges[0]!), null);
  assert.equal(healthReason("Failure", of(numbers(0.12, 0)).edges[0]!), "12% errors (failing from 10%)");
  assert.equal(healthReason("Degraded", of(numbers(0.01, 0)).edges[0]!), "1% errors (degraded from the first)");
  assert.equal(healthReason("Failure", of(numbers(0, 0)).edges[0]!), null);
  assert.equal(nodeReason(client.nodes[0]!, client, new Map(client.nodes.map((n) => [n.id, n]))), "gw → f1: 34% of answers are 4xx (failing from 20%)");
  assert.equal(edgeLabel(client.edges[0]!, ["rate", "errors"]), "1 rps\n34% 4xx");
});

test("a gateway says for which hosts, and has no rate of what comes in", () => {
  const info = { ingressInfo: { hostnames: ["guestbook.lvh.me"] }, egressInfo: {}, gatewayAPIInfo: {} };
  const [gw] = readGraph(answer([node("gw", 0, 0, { isGateway: info, vigla: { requests: 0, errors: 0, rps: 0, errorShare: null } })], [])).nodes;
  assert.deepEqual([gw!.gateway, gw!.hosts, gw!.rps, gw!.errorShare], [true, ["guestbook.lvh.me"], null, null]);
});

test("apps that read alike are told apart by their workload", () => {
  const app = (id: string, workload: string, version: string) =>
    node(id, 0, 0, { nodeType: "app", app: "redis", workload, version });
  const g = readGraph(answer([app("a", "redis-master", "latest"), app("b", "redis-slave", "latest"), app("c", "redis-v2", "v2")], []));
  assert.deepEqual([...nodeLabels(g).values()], ["redis\nredis-master", "redis\nredis-slave", "redis v2"]);
});

const grid = (nodes: number, edges: number) =>
  readGraph(answer(
    Array.from({ length: nodes }, (_, i) => node(`n${i}`, i * 100, 0)),
    Array.from({ length: edges }, (_, i) => edge(`n${i % nodes}`, `n${(i * 7 + 1) % nodes}`, 1, { id: `e${i}` }))));
const view = { x1: -50, y1: -50, x2: 250, y2: 50 };

test("few edges are always drawn in full, many only near by and close", () => {
  assert.equal(nearEdges(grid(50, MANY_EDGES), 0.1, view), null);
  const many = grid(50, MANY_EDGES + 100);
  assert.equal(nearEdges(many, CLOSE / 2, view)!.size, 0);
  const near = nearEdges(many, CLOSE, view)!;
  const inView = new Set(["n0", "n1", "n2"]);
  for (const e of many.edges) assert.equal(near.has(e.id), inView.has(e.source) || inView.has(e.target), e.id);
});

test("bounds take in all places and leave room for names", () => {
  assert.equal(boundsOf(EMPTY), null);
  const b = boundsOf(grid(3, 2))!;
  assert.ok(b.x1 < 0 && b.x2 > 200 && b.y1 < 0 && b.y2 > 0);
});
