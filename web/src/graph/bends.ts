// bends.ts: edges that would run through a node go round it.
//
// The server places nodes; edges are drawn straight, and a straight line may pass behind a node that has no part in it,
// as if it ended there. Such an edge becomes a curve with one control point, beside its middle, at the smallest of a
// few distances that clears the other nodes; if none does, at the one that hits the fewest. It depends on positions
// alone, so that a curve does not swing when a rate changes.

import type { Graph } from "../lib/model";

export interface Point {
  x: number;
  y: number;
}

const DISTANCES = [0, 70, -70, 110, -110, 160, -160, 220, -220];
/** Half of what a node with its name takes, and where the middle of that is below the node's. */
const HALF = { x: 34, y: 38 };
const BELOW = 8;
const SAMPLES = 24;
/** Beyond this many edges the picture is too dense for it to help, and the work grows with edges times nodes. */
const MOST_EDGES = 600;

/** A point of the curve from a to b whose control point is `bend` beside the middle; positive is clockwise of a → b. */
export function onCurve(a: Point, b: Point, bend: number, t: number): Point {
  const length = Math.hypot(b.x - a.x, b.y - a.y) || 1;
  const cx = (a.x + b.x) / 2 - ((b.y - a.y) / length) * bend;
  const cy = (a.y + b.y) / 2 + ((b.x - a.x) / length) * bend;
  const u = 1 - t;
  return { x: u * u * a.x + 2 * u * t * cx + t * t * b.x, y: u * u * a.y + 2 * u * t * cy + t * t * b.y };
}

function hits(a: Point, b: Point, bend: number, others: Point[]): number {
  let n = 0;
  for (let i = 1; i < SAMPLES; i++) {
    const p = onCurve(a, b, bend, i / SAMPLES);
    for (const o of others) if (Math.abs(p.x - o.x) < HALF.x && Math.abs(p.y - o.y - BELOW) < HALF.y) n++;
  }
  return n;
}

/** The bend of each edge that needs one. */
export function edgeBends(g: Graph): Map<string, number> {
  const bends = new Map<string, number>();
  if (g.edges.length > MOST_EDGES) return bends;
  const places = new Map(g.nodes.flatMap((n) => (n.position && n.type !== "box" ? [[n.id, n.position] as const] : [])));
  const reach = Math.max(...DISTANCES) / 2 + HALF.x + HALF.y;
  for (const e of g.edges) {
    const a = places.get(e.source);
    const b = places.get(e.target);
    if (!a || !b || e.source === e.target) continue;
    const others = [...places].flatMap(([id, p]) => {
      const far =
        p.x < Math.min(a.x, b.x) - reach || p.x > Math.max(a.x, b.x) + reach ||
        p.y < Math.min(a.y, b.y) - reach || p.y > Math.max(a.y, b.y) + reach;
      return far || id === e.source || id === e.target ? [] : [p];
    });
    let best = 0;
    let least = Infinity;
    for (const bend of DISTANCES) {
      const n = hits(a, b, bend, others);
      if (n >= least) continue;
      least = n;
      best = bend;
      if (n === 0) break;
    }
    if (best !== 0) bends.set(e.id, best);
  }
  return bends;
}
