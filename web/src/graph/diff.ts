// diff.ts: what has to change on the canvas so that it shows the next graph.
//
// A refresh touches only what is different: an element keeps its identity (id), an update carries new data, a move
// a new position. An edge whose ends changed, or a node that went to another box, is removed and added again, since
// Cytoscape cannot move those in place. Order: removals (edges before nodes follow by themselves), boxes first on add.

import type { Graph, GraphEdge, GraphNode } from "../lib/model";

export interface GraphDiff {
  removed: string[];
  addedNodes: GraphNode[];
  addedEdges: GraphEdge[];
  /** Same element, other data. */
  updatedNodes: GraphNode[];
  updatedEdges: GraphEdge[];
  /** Same node, other position. */
  moved: GraphNode[];
}

export const EMPTY: Graph = { from: 0, to: 0, nodes: [], edges: [] };

function samePlace(a: GraphNode, b: GraphNode): boolean {
  if (!a.position || !b.position) return a.position === b.position;
  return Math.abs(a.position.x - b.position.x) < 0.5 && Math.abs(a.position.y - b.position.y) < 0.5;
}

function sameData(a: object, b: object): boolean {
  const x = a as Record<string, unknown>;
  const y = b as Record<string, unknown>;
  return Object.keys(y).every(
    (k) => k === "position" || x[k] === y[k] || (typeof y[k] === "object" && JSON.stringify(x[k]) === JSON.stringify(y[k])),
  );
}

/** Boxes before what they hold, at any depth. */
function parentsFirst(nodes: GraphNode[]): GraphNode[] {
  const byId = new Map(nodes.map((n) => [n.id, n]));
  const done = new Set<string>();
  const out: GraphNode[] = [];
  const visit = (n: GraphNode) => {
    if (done.has(n.id)) return;
    done.add(n.id);
    const parent = n.parent ? byId.get(n.parent) : undefined;
    if (parent) visit(parent);
    out.push(n);
  };
  nodes.forEach(visit);
  return out;
}

export function diffGraph(before: Graph, after: Graph): GraphDiff {
  const oldNodes = new Map(before.nodes.map((n) => [n.id, n]));
  const oldEdges = new Map(before.edges.map((e) => [e.id, e]));
  const newNodes = new Map(after.nodes.map((n) => [n.id, n]));
  const newEdges = new Map(after.edges.map((e) => [e.id, e]));
  const diff: GraphDiff = { removed: [], addedNodes: [], addedEdges: [], updatedNodes: [], updatedEdges: [], moved: [] };

  const replaced = new Set<string>();
  for (const [id, n] of oldNodes) {
    const next = newNodes.get(id);
    if (next && next.parent === n.parent && next.type === n.type) continue;
    diff.removed.push(id);
    replaced.add(id);
  }
  /* Removing a box takes its children along: they are put back. */
  for (let grown = true; grown; ) {
    grown = false;
    for (const [id, n] of oldNodes)
      if (n.parent && replaced.has(n.parent) && !replaced.has(id)) {
        replaced.add(id);
        diff.removed.push(id);
        grown = true;
      }
  }
  for (const [id, e] of oldEdges) {
    const next = newEdges.get(id);
    const kept = next && next.source === e.source && next.target === e.target;
    if (kept && !replaced.has(e.source) && !replaced.has(e.target)) continue;
    diff.removed.push(id);
    replaced.add(id);
  }
  const added = after.nodes.filter((n) => !oldNodes.has(n.id) || replaced.has(n.id));
  diff.addedNodes = parentsFirst(added);
  for (const n of after.nodes) {
    const old = oldNodes.get(n.id);
    if (!old || replaced.has(n.id)) continue;
    if (!sameData(old, n)) diff.updatedNodes.push(n);
    if (n.type !== "box" && !samePlace(old, n)) diff.moved.push(n);
  }
  for (const e of after.edges) {
    const old = oldEdges.get(e.id);
    if (!old || replaced.has(e.id)) diff.addedEdges.push(e);
    else if (!sameData(old, e)) diff.updatedEdges.push(e);
  }
  return diff;
}
