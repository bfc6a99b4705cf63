import assert from "node:assert/strict";
import { test } from "node:test";
import { DEFAULTS, formatState, parseSpan, parseState, spanText, type State } from "../src/lib/state";

const EVERYTHING: State = {
  page: "logs",
  namespaces: ["default", "guestbook"],
  windowMs: 3_600_000,
  refreshMs: 0,
  at: Date.UTC(2026, 0, 6, 14, 3, 0),
  type: "versionedApp",
  boxes: ["namespace", "app"],
  labels: ["p95"],
  view: "table",
  find: 'redis & "more"',
  showIdle: true,
  animate: true,
  selected: "abc123",
  logQuery: '{kind="log"} |= "x?y#z"',
  promQuery: "up{a=\"b\"} + 1",
  kind: "VirtualService",
  object: "VirtualService/guestbook/guestbook",
};

test("the default is a bare address", () => assert.equal(formatState(DEFAULTS), "#/graph"));
test("an empty address is the default", () => assert.deepEqual(parseState(""), DEFAULTS));
test("everything survives the address", () => assert.deepEqual(parseState(formatState(EVERYTHING)), EVERYTHING));
test("no labels at all survive, too", () => {
  const none = { ...DEFAULTS, labels: [] };
  assert.deepEqual(parseState(formatState(none)), none);
});

for (const bad of [
  "#/nowhere?window=5x", "#/graph?window=", "#/graph?window=99999d", "#/graph?refresh=-1s", "#/graph?at=yesterday", "#/graph?type=tree",
  "#/graph?view=3d", "#///", "#?&&=", "#/graph?at=99999999999999999999", "#/graph?sel",
]) {
  test(`nonsense falls back: ${bad}`, () => {
    const s = parseState(bad);
    assert.equal(s.page, "graph");
    assert.equal(s.windowMs, DEFAULTS.windowMs);
    assert.equal(s.refreshMs, DEFAULTS.refreshMs);
    assert.equal(s.at, null);
    assert.equal(s.type, "workload");
    assert.equal(s.view, "graph");
  });
}

test("a refresh of 0 s is a pause", () => assert.equal(parseState("#/graph?refresh=0s").refreshMs, 0));

for (const [ms, text] of [[1000, "1s"], [90_000, "90s"], [300_000, "5m"], [3_600_000, "1h"], [86_400_000, "1d"]] as const) {
  test(`span ${text}`, () => {
    assert.equal(spanText(ms), text);
    assert.equal(parseSpan(text), ms);
  });
}
