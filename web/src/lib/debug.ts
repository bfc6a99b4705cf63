// debug.ts: window.__vigla, a read-only look at what the canvas holds, for tests and the browser's console.

import type { GraphCanvas } from "../graph/canvas";

let view: GraphCanvas | null = null;

export function publish(canvas: GraphCanvas | null): void {
  view = canvas;
}

const point = (p: { x: number; y: number }) => ({ x: p.x, y: p.y });

const hook = Object.freeze({
  /** The elements on the canvas, with where they are on the page (CSS pixels from the canvas' corner). */
  graph() {
    const cy = view?.cy;
    if (!cy) return null;
    return {
      nodes: cy.nodes().map((n) => ({
        id: n.id(),
        label: String(n.data("label")),
        classes: n.classes(),
        position: point(n.position()),
        rendered: point(n.renderedPosition()),
      })),
      edges: cy.edges().map((e) => ({
        id: e.id(),
        source: e.source().id(),
        target: e.target().id(),
        label: String(e.data("label")),
        classes: e.classes(),
        rendered: point(e.renderedMidpoint()),
      })),
    };
  },
});

Object.defineProperty(window, "__vigla", { value: hook, writable: false, configurable: false });
