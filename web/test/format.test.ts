import assert from "node:assert/strict";
import { test } from "node:test";
import * as fmt from "../src/lib/format";

const table = <A, B>(name: string, f: (a: A) => B, rows: [A, B][]) => {
  for (const [input, want] of rows) test(`${name} ${String(input)}`, () => assert.equal(f(input), want));
};

table("number", fmt.number, [
  [0, "0"], [0.0001, "<0.001"], [0.5, "0.5"], [1, "1"], [1.234, "1.23"], [12.34, "12.3"], [99.96, "100"], [123.4, "123"],
  [9999, "9999"], [12345, "12.3k"], [1_500_000, "1.5M"], [2e9, "2G"], [NaN, "–"], [Infinity, "–"], [-1.5, "-1.5"], [100, "100"], [10, "10"],
]);
table("percent", fmt.percent, [
  [0, "0%"], [0.0001, "<0.1%"], [0.001, "0.1%"], [0.05, "5%"], [0.123, "12.3%"], [0.9999, ">99.9%"], [1, "100%"], [0.5, "50%"],
]);
table("duration", fmt.duration, [
  [0, "0 ms"], [0.43, "0.43 ms"], [12, "12 ms"], [999.4, "999 ms"], [1234, "1.23 s"], [59_900, "59.9 s"], [125_000, "2 min 5 s"],
  [3_600_000, "1 h"], [90_000_000, "1 d 1 h"],
]);
table("bytes", fmt.bytes, [[0, "0 B"], [512, "512 B"], [1023.9, "1 KiB"], [1536, "1.5 KiB"], [5 * 1024 ** 3, "5 GiB"]]);
table("count", fmt.count, [[0, "0"], [999, "999"], [1000, "1\u202f000"], [1234567, "1\u202f234\u202f567"]]);
table("age", fmt.age, [[0, "now"], [1499, "now"], [5000, "5 s ago"], [120_000, "2 min ago"], [7_200_000, "2 h ago"], [3 * 86_400_000, "3 d ago"]]);

test("no data is never zero", () => {
  for (const f of [fmt.number, fmt.percent, fmt.duration, fmt.bytes, fmt.throughput, fmt.rate, fmt.count]) assert.equal(f(null), "–");
});

test("a local date and time survives its input", () => {
  const ms = Date.UTC(2026, 2, 1, 14, 3, 9);
  assert.equal(fmt.fromLocalInput(fmt.toLocalInput(ms)), ms);
  assert.equal(fmt.fromLocalInput("nonsense"), null);
});
