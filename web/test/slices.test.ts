import assert from "node:assert/strict";
import { test } from "node:test";
import { Slices } from "../src/graph/slices";

/** Frames that come when the test says so. */
const frames: (() => void)[] = [];
Object.assign(globalThis, { requestAnimationFrame: (f: () => void) => frames.push(f), cancelAnimationFrame: () => frames.splice(0) });
const frame = () => frames.shift()?.();

test("work that is not cut is done at once", () => {
  const done: number[][] = [];
  new Slices().run(Infinity, [1, 2, 3], (some) => done.push(some));
  assert.deepEqual(done, [[1, 2, 3]]);
  assert.equal(frames.length, 0);
});

test("slices come one in each frame, in order, and what follows waits for them", () => {
  const s = new Slices();
  const done: (number | string)[][] = [];
  s.run(2, [1, 2, 3], (some) => done.push(some));
  s.run(Infinity, ["last"], (some) => done.push(some));
  assert.deepEqual(done, []);
  frame();
  assert.deepEqual(done, [[1, 2]]);
  frame();
  frame();
  assert.deepEqual(done, [[1, 2], [3], ["last"]]);
  frame();
  assert.equal(frames.length, 0);
});

test("what waits can be done at once, or forgotten", () => {
  const s = new Slices();
  let sum = 0;
  s.run(1, [1, 2, 3], ([n]) => (sum += n!));
  frame();
  s.drain();
  assert.equal(sum, 6);
  s.run(1, [10, 20], ([n]) => (sum += n!));
  s.stop();
  frame();
  assert.equal(sum, 6);
});
