// labelplace.ts: where along its edge a label stands, so that labels do not lie on each other or on nodes.
//
// Greedy, in the order of ids: the middle if it is free, else the nearest free place of a fixed few, else the one
// with the least overlap. All labels count as equally large, so that a label does not wander when its number changes.

import type { Graph } from "../lib/model";
import { onCurve, type Point } from "./bends";

const PLACES = [0.5, 0.42, 0.58, 0.34, 0.66, 0.27, 0.73];
const LABEL = { w: 76, h: 32 };
const NODE = { w: 64, h: 74 };
/** Beyond this many edges labels are too small to read at once, and the work grows with the square. */
const MOST_EDGES = 600;

interface Box {
  x: number;
  y: number;
  w: number;
  h: number;
}

function overlap(a: Box, b: Box): number {
  const w = (a.w + b.w) / 2 - Math.abs(a.x - b.x);
  const h = (a.h + b.h) / 2 - Math.abs(a.y - b.y);
  return w > 0 && h > 0 ? w * h : 0;
}

/** Shift of each label from the middle of its edge, in points; edges not in the map stay there. */
export function placeLabels(g: Graph, bends: Map<string, number>): Map<string, Point> {
  const shifts = new Map<string, Point>();
  if (g.edges.length > MOST_EDGES) return shifts;
  const places = new Map(g.nodes.flatMap((n) => (n.position && n.type !== "box" ? [[n.id, n.position] as const] : [])));
  const taken: Box[] = [...places.values()].map((p) => ({ x: p.x, y: p.y + 8, ...NODE }));
  for (const e of [...g.edges].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    const a = places.get(e.source);
    const b = places.get(e.target);
    if (!a || !b || e.idle || e.source === e.target) continue;
    const bend = bends.get(e.id) ?? 0;
    const middle = onCurve(a, b, bend, 0.5);
    let best: Box | null = null;
    let least = Infinity;
    for (const t of PLACES) {
      const box = { ...onCurve(a, b, bend, t), ...LABEL };
      const cost = taken.reduce((sum, other) => sum + overlap(box, other), 0);
      if (cost >= least) continue;
      least = cost;
      best = box;
      if (cost === 0) break;
    }
    if (!best) continue;
    taken.push(best);
    const shift = { x: best.x - middle.x, y: best.y - middle.y };
    if (Math.abs(shift.x) > 0.5 || Math.abs(shift.y) > 0.5) shifts.set(e.id, shift);
  }
  return shifts;
}
