import assert from "node:assert/strict";
import { test } from "node:test";
import { timeline, valuesAt } from "../src/lib/align";
import { accessEntry, parseIstioLine } from "../src/lib/accesslog";
import { readLoki, readPrometheus, seriesName } from "../src/lib/api";
import { readGraph, type GraphNode } from "../src/lib/model";
import { chartQueries, edgeLogs, edgeMatchers, nodeLogs, quote, selector, stepFor } from "../src/lib/queries";

const node = (data: object): GraphNode => readGraph({ elements: { nodes: [{ data: { id: "x", ...data } }], edges: [] } }).nodes[0]!;
const frontend = node({ nodeType: "workload", workload: "frontend-v1", namespace: "guestbook", app: "frontend", version: "v1" });
const redis = node({ nodeType: "workload", workload: "redis-master", namespace: "guestbook" });
const app = node({ nodeType: "app", app: "frontend", version: "v1", namespace: "guestbook", workload: "frontend-v1" });
const service = node({ nodeType: "service", service: "redis-slave", namespace: "guestbook" });
const unknown = node({ nodeType: "unknown", namespace: "unknown", workload: "unknown" });

test("values are quoted", () => assert.equal(quote('a"b\\c\nd'), '"a\\"b\\\\c\\nd"'));
test("a name cannot leave its quotes", () =>
  assert.equal(selector([["a", '"} or up{x="']]), '{a="\\"} or up{x=\\""}'));

test("an edge in labels", () =>
  assert.deepEqual(edgeMatchers(frontend, redis), [
    ["source_workload", "frontend-v1"], ["source_workload_namespace", "guestbook"],
    ["destination_workload", "redis-master"], ["destination_workload_namespace", "guestbook"],
  ]));

test("an edge between apps and services", () =>
  assert.deepEqual(edgeMatchers(app, service), [
    ["source_canonical_service", "frontend"], ["source_canonical_revision", "v1"], ["source_workload_namespace", "guestbook"],
    ["destination_service_name", "redis-slave"], ["destination_service_namespace", "guestbook"],
  ]));

test("charts take one reporter, never both", () => {
  const q = chartQueries([["source_workload", "a"]], false, "60s");
  assert.equal(q.tcp, false);
  if (q.tcp) return;
  assert.equal(q.requests,
    'sum(rate(istio_requests_total{source_workload="a",reporter="source"}[60s])) or sum(rate(istio_requests_total{source_workload="a",reporter="destination"}[60s]))');
  assert.match(q.errors, /response_code=~"0\|5\.\."/);
});

test("the logs of an edge come from the side that has a proxy", () => {
  assert.match(edgeLogs(frontend, redis), /^\{kind="access_log", reporter="source"\} \| source_workload="frontend-v1"/);
  assert.match(edgeLogs(unknown, redis), /reporter="destination"/);
});

test("the logs of nodes", () => {
  assert.equal(nodeLogs(frontend), '{kind="access_log",namespace="guestbook",workload="frontend-v1"}');
  assert.equal(nodeLogs(app), '{kind="access_log",namespace="guestbook",app="frontend",version="v1"}');
  assert.match(nodeLogs(service), /destination_service_name="redis-slave"/);
});

test("steps", () => {
  assert.deepEqual(stepFor(60_000), { step: 1, range: "60s" });
  assert.deepEqual(stepFor(86_400_000), { step: 720, range: "2880s" });
});

test("series are put on one row of times", () => {
  const times = timeline(0, 10_000, 5);
  assert.deepEqual(times, [0, 5, 10]);
  assert.deepEqual(valuesAt(times, { labels: {}, points: [[5, 2], [10, NaN]] }, 0), [0, 2, 0]);
  assert.deepEqual(valuesAt(times, undefined, null), [null, null, null]);
});

test("Prometheus' answers", () => {
  const m = readPrometheus({ data: { resultType: "matrix", result: [{ metric: { a: "b" }, values: [[1, "2"], [2, "+Inf"], [3, "NaN"]] }] } });
  assert.deepEqual(m.series[0]!.points.slice(0, 2), [[1, 2], [2, Infinity]]);
  assert.equal(readPrometheus({ data: { resultType: "scalar", result: [1, "5"] } }).series[0]!.points[0]![1], 5);
  assert.deepEqual(readPrometheus(null).series, []);
  assert.equal(seriesName({ __name__: "up", a: "b" }), 'up{a="b"}');
  assert.equal(seriesName({}), "{}");
});

test("Loki's answers, newest first, metadata in either place", () => {
  const lines = readLoki({ data: { resultType: "streams", result: [
    { stream: { kind: "log" }, values: [["999", "a"], ["1000000001000000001", "b", { structuredMetadata: { x: "1" } }]] },
    { stream: { kind: "log", y: "2" }, values: [["1000000001000000002", "c"]] },
  ] } });
  assert.deepEqual(lines.map((l) => l.line), ["c", "b", "a"]);
  assert.deepEqual(lines[1]!.fields, { kind: "log", x: "1" });
  assert.equal(lines[1]!.ms, 1000000001000);
  assert.throws(() => readLoki({ data: { resultType: "matrix", result: [] } }), /Metrics page/);
});

const HTTP = '[2026-11-25T21:26:18.409Z] "GET /a?b=\\"c HTTP/1.1" 503 UF,URX via_upstream - "-" 0 135 4 3 "-" "curl/7.88" "id-1" "guestbook.lvh.me" "127.10.0.1:80" outbound|80||frontend 127.0.0.1:1 127.0.0.1:2 127.0.0.1:3 - default';
const TCP = '[2026-11-25T21:26:18.409Z] "- - -" 0 - - - "-" 27 31 12 - "-" "-" "-" "-" "127.10.0.4:6379" outbound|6379||redis-slave.guestbook.svc.cluster.local 127.10.0.1:1 127.10.0.2:2 127.10.0.3:3 - -';
const line = (text: string, fields: Record<string, string> = {}) => ({ ns: "1", ms: 0, line: text, fields });

test("Istio's text line", () => {
  const e = accessEntry(line(HTTP))!;
  assert.deepEqual([e.method, e.status, e.flags, e.duration, e.tcp, e.failed], ["GET", "503", "UF,URX", 4, false, true]);
  const t = accessEntry(line(TCP, { kind: "access_log" }))!;
  assert.deepEqual([t.tcp, t.status, t.duration, t.failed], [true, "", 12, false]);
  assert.equal(parseIstioLine("hello world"), null);
  assert.equal(parseIstioLine("[] short"), null);
  assert.equal(accessEntry(line("plain text", { kind: "log" })), null);
});

test("fields beside the line win over its text", () => {
  const e = accessEntry(line(HTTP, { kind: "access_log", method: "POST", path: "/x", response_code: "200", duration_us: "1500", request_protocol: "http" }))!;
  assert.deepEqual([e.method, e.path, e.status, e.duration, e.failed], ["POST", "/x", "200", 1.5, false]);
});
