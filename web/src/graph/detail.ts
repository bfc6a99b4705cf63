// detail.ts: how much of each edge is drawn, so that a graph of thousands stays quick.
//
// Cytoscape's time goes into curves, arrow heads and labels, and from far away none of them can be seen. In a graph of
// many edges each is a mere line ("far") without a label, whose numbers then change nothing on the canvas, until the
// reader comes close; and then only those about the viewport are drawn in full.

import type { Graph } from "../lib/model";

export const MANY_EDGES = 400;
/** From this zoom on labels can be read (style.ts: 11 points, not under 7 pixels). */
export const CLOSE = 0.64;

export interface Extent {
  x1: number;
  y1: number;
  x2: number;
  y2: number;
}

/** Ids of the edges to be drawn in full: those with an end in view. Null: all. */
export function nearEdges(g: Graph, zoom: number, view: Extent): Set<string> | null {
  if (g.edges.length <= MANY_EDGES) return null;
  const near = new Set<string>();
  if (zoom < CLOSE) return near;
  const inView = new Set<string>();
  for (const { id, position: p } of g.nodes) if (p && p.x > view.x1 && p.x < view.x2 && p.y > view.y1 && p.y < view.y2) inView.add(id);
  for (const e of g.edges) if (inView.has(e.source) || inView.has(e.target)) near.add(e.id);
  return near;
}

/** What takes the nodes in, with their names; null without any. */
export function boundsOf(g: Graph): Extent | null {
  let b: Extent | null = null;
  for (const { position: p, type } of g.nodes) {
    if (!p || type === "box") continue;
    b ??= { x1: p.x, y1: p.y, x2: p.x, y2: p.y };
    b = { x1: Math.min(b.x1, p.x), y1: Math.min(b.y1, p.y), x2: Math.max(b.x2, p.x), y2: Math.max(b.y2, p.y) };
  }
  return b && { x1: b.x1 - 60, y1: b.y1 - 40, x2: b.x2 + 60, y2: b.y2 + 60 };
}
