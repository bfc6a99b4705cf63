// walk.ts: where an arrow key leads. From a node to the neighbour that lies best in that direction (within 80° of it);
// from an edge to the end that does. Pure geometry, so that it can be tested without a canvas.

import type { Graph } from "../lib/model";

export type Direction = "left" | "right" | "up" | "down";

const ANGLES: Record<Direction, number> = { right: 0, down: Math.PI / 2, left: Math.PI, up: -Math.PI / 2 };
const WIDEST = (80 * Math.PI) / 180;

type Point = { x: number; y: number };

function turn(from: Point, to: Point, direction: Direction): number {
  const angle = Math.atan2(to.y - from.y, to.x - from.x) - ANGLES[direction];
  return Math.abs(Math.atan2(Math.sin(angle), Math.cos(angle)));
}

function best(from: Point, candidates: { id: string; at: Point }[], direction: Direction): string | null {
  let found: string | null = null;
  let least = Infinity;
  for (const c of candidates) {
    const off = turn(from, c.at, direction);
    const far = Math.hypot(c.at.x - from.x, c.at.y - from.y);
    if (far < 1 || off > WIDEST) continue;
    const cost = off + far / 2000;
    if (cost < least) {
      least = cost;
      found = c.id;
    }
  }
  return found;
}

export function walk(g: Graph, here: string | null, direction: Direction): string | null {
  const places = new Map(g.nodes.flatMap((n) => (n.position && n.type !== "box" ? [[n.id, n.position] as const] : [])));
  const edge = g.edges.find((e) => e.id === here);
  if (edge) {
    const a = places.get(edge.source);
    const b = places.get(edge.target);
    if (!a || !b) return null;
    const middle = { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
    return best(middle, [{ id: edge.source, at: a }, { id: edge.target, at: b }], direction);
  }
  const from = here === null ? undefined : places.get(here);
  if (!from || here === null) return entry(g);
  const near = new Set<string>();
  for (const e of g.edges) {
    if (e.source === here) near.add(e.target);
    if (e.target === here) near.add(e.source);
  }
  const around = [...near].flatMap((id) => {
    const at = places.get(id);
    return at ? [{ id, at }] : [];
  });
  return best(from, around, direction);
}

/** Where walking begins: a node nothing calls, else the first. */
export function entry(g: Graph): string | null {
  const called = new Set(g.edges.map((e) => e.target));
  const calling = new Set(g.edges.map((e) => e.source));
  const nodes = g.nodes.filter((n) => n.type !== "box");
  return (nodes.find((n) => !called.has(n.id) && calling.has(n.id)) ?? nodes[0])?.id ?? null;
}

/** The edges of a node one after the other, or from an edge the next one of the same source. */
export function nextEdge(g: Graph, here: string | null): string | null {
  const edge = g.edges.find((e) => e.id === here);
  const center = edge ? edge.source : here;
  const own = g.edges.filter((e) => e.source === center || e.target === center);
  if (!own.length) return null;
  const at = own.findIndex((e) => e.id === here);
  return own[(at + 1) % own.length]!.id;
}

/** Every node in turn, from left to right and downwards, so that those that no edge leads to are reached, too. */
export function nextNode(g: Graph, here: string | null, back: boolean): string | null {
  const nodes = g.nodes.filter((n) => n.type !== "box");
  const place = (n: (typeof nodes)[number]) => n.position ?? { x: Infinity, y: Infinity };
  nodes.sort((a, b) => place(a).x - place(b).x || place(a).y - place(b).y || (a.id < b.id ? -1 : 1));
  if (!nodes.length) return null;
  const at = nodes.findIndex((n) => n.id === here);
  if (at < 0) return nodes[back ? nodes.length - 1 : 0]!.id;
  return nodes[(at + (back ? -1 : 1) + nodes.length) % nodes.length]!.id;
}
