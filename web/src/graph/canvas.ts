// canvas.ts: the picture of the graph on Cytoscape.
//
// The server gives positions; the canvas never lays out by itself. A refresh is applied as a difference (diff.ts), so
// that nothing flickers, what the reader chose stays chosen, and a node moves only when the server moved it. The view
// follows the graph (fit) until the reader pans or zooms; from then on it is the reader's.

import cytoscape, { type Core, type ElementDefinition, type EventObject, type SingularElementArgument } from "cytoscape";
import { reducedMotion } from "../lib/hooks";
import { isTcp, matches, nodeText, type Graph, type GraphEdge, type GraphNode } from "../lib/model";
import type { EdgeLabel } from "../lib/state";
import { edgeBends, type Point } from "./bends";
import { MANY_EDGES, boundsOf, nearEdges } from "./detail";
import { EMPTY, diffGraph, type GraphDiff } from "./diff";
import { edgeLabel, edgeWidth, nodeLabels } from "./labels";
import { placeLabels } from "./labelplace";
import { Slices } from "./slices";
import { graphStyle } from "./style";
import { Traffic } from "./traffic";

const MOVE_MS = 350;
const FIT_PADDING = 48;
const LARGEST_FIT = 1.4;
/** How long the view is still before edges are drawn in more or less detail, and how many at once. */
const REFINE_MS = 120;
const EDGES_AT_ONCE = 30;
/** New edges of a large graph come in slices, so that the page answers meanwhile. */
const ADDED_AT_ONCE = 150;

function nodeClasses(n: GraphNode): string {
  if (n.type === "box") return "box";
  return [`t-${n.type}`, `h-${n.health}`, n.gateway && "gateway", n.idle && "idle"].filter(Boolean).join(" ");
}

function edgeClasses(e: GraphEdge): string {
  /* A TCP edge is blue unless its health says worse. */
  const plain = e.health === "Healthy" || e.health === "NA";
  return [`h-${e.health}`, isTcp(e) && plain && "tcp", e.mtls && "mtls", e.idle && "idle"].filter(Boolean).join(" ");
}

/** Classes that do not come from the element's own data. */
const TRANSIENT = ["chosen", "hover", "dim", "found", "bent", "far"];

const flow = (e: GraphEdge) => ({ amount: isTcp(e) ? (e.bps ?? 0) / 1024 : e.rps ?? 0, errorShare: e.errorShare ?? 0 });

/** Cytoscape works out the style anew of all that is set, whether it is new or not: only what is new is set. */
function setData(element: SingularElementArgument, data: Record<string, unknown>): void {
  const news = Object.entries(data).filter(([k, v]) => element.data(k) !== v);
  if (news.length) element.data(Object.fromEntries(news));
}

export class GraphCanvas {
  readonly cy: Core;
  private shown: Graph = EMPTY;
  private labels: readonly EdgeLabel[] = [];
  private chosen: string | null = null;
  private marked: string | null = null;
  private sought = "";
  private dimmed = false;
  private touched = false;
  private bends = new Map<string, number>();
  private shifts = new Map<string, Point>();
  /** The edges that are drawn in full; null: all are, as always in a graph of few. */
  private close: Set<string> | null = null;
  private readonly slices = new Slices();
  private refining: ReturnType<typeof setTimeout> | undefined;
  private readonly traffic: Traffic;
  private readonly observer: ResizeObserver;

  constructor(host: HTMLElement, onChoose: (id: string | null) => void) {
    this.cy = cytoscape({
      container: host,
      style: graphStyle(),
      layout: { name: "preset" },
      minZoom: 0.05,
      maxZoom: 4,
      boxSelectionEnabled: false,
      selectionType: "single",
      autounselectify: true,
      pixelRatio: "auto",
    });
    this.traffic = new Traffic(this.cy, host);
    this.cy.on("tap", (e: EventObject) => onChoose(e.target === this.cy ? null : (e.target.id() as string)));
    /* Cytoscape swallows the press that would give the keyboard to the picture. */
    this.cy.on("tapstart", () => {
      host.dataset.focus = "pointer";
      host.focus({ preventScroll: true });
    });
    host.addEventListener("keydown", () => delete host.dataset.focus);
    host.addEventListener("blur", () => delete host.dataset.focus);
    this.cy.on("mouseover", "node, edge", (e: EventObject) => {
      e.target.addClass("hover");
      host.style.cursor = "pointer";
    });
    this.cy.on("mouseout", "node, edge", (e: EventObject) => {
      e.target.removeClass("hover");
      host.style.cursor = "";
    });
    this.cy.on("dragpan scrollzoom pinchzoom", () => {
      this.touched = true;
    });
    this.cy.on("viewport", () => {
      if (this.close) this.refineSoon();
    });
    this.observer = new ResizeObserver(() => {
      this.cy.resize();
      if (!this.touched) this.fit(false);
    });
    this.observer.observe(host);
  }

  destroy(): void {
    clearTimeout(this.refining);
    this.slices.stop();
    this.observer.disconnect();
    this.traffic.destroy();
    this.cy.destroy();
  }

  restyle(): void {
    this.cy.style(graphStyle());
  }

  animateTraffic(on: boolean): void {
    this.traffic.run(on);
  }

  setLabels(labels: readonly EdgeLabel[]): void {
    this.labels = labels;
    this.cy.batch(() => {
      for (const e of this.shown.edges) setData(this.cy.getElementById(e.id), { label: this.labelOf(e) });
    });
  }

  private isFar(id: string): boolean {
    return this.close !== null && !this.close.has(id);
  }

  private labelOf(e: GraphEdge): string {
    return this.isFar(e.id) ? "" : edgeLabel(e, this.labels);
  }

  private edgeData(e: GraphEdge): Record<string, unknown> {
    const shift = this.shifts.get(e.id);
    const width = this.isFar(e.id) ? Math.round(edgeWidth(e)) : edgeWidth(e);
    return { label: this.labelOf(e), width, dx: shift?.x ?? 0, dy: shift?.y ?? 0 };
  }

  setGraph(next: Graph): void {
    this.slices.drain();
    const first = this.shown.nodes.length === 0;
    const diff = diffGraph(this.shown, next);
    const changed = diff.addedNodes.length > 0 || diff.removed.length > 0 || diff.moved.length > 0;
    this.shown = next;
    if (changed || diff.addedEdges.length) {
      this.bends = edgeBends(next);
      this.shifts = placeLabels(next, this.bends);
    }
    /* Where one will stand decides how much of each edge is drawn. */
    const many = next.edges.length > MANY_EDGES;
    if (many && changed && !this.touched) this.fit(false);
    if (!many) this.close = null;
    else if (this.close === null) this.close = new Set();
    this.changeNodes(next, diff);
    this.slices.run(many ? ADDED_AT_ONCE : Infinity, diff.addedEdges, (some) => this.addEdges(some));
    for (const e of diff.updatedEdges) this.cy.getElementById(e.id).scratch("_flow", flow(e));
    const differ = many ? diff.updatedEdges.filter((e) => this.looksOther(e)) : diff.updatedEdges;
    this.slices.run(many ? EDGES_AT_ONCE : Infinity, differ, (some) => this.updateEdges(some));
    this.slices.run(Infinity, [next], () => {
      if (changed) this.cy.batch(() => this.arrange(next));
      this.mark();
      this.traffic.refresh();
    });
    this.move(diff.moved);
    this.placeLost(next);
    if (!many && changed && !this.touched) this.fit(!first);
    if (many) this.refineSoon();
  }

  private changeNodes(next: Graph, diff: GraphDiff): void {
    const labels = nodeLabels(next);
    this.cy.batch(() => {
      for (const id of diff.removed) this.cy.getElementById(id).remove();
      this.cy.add(diff.addedNodes.map((n): ElementDefinition => ({
        group: "nodes",
        data: { id: n.id, ...(n.parent ? { parent: n.parent } : {}), label: labels.get(n.id)! },
        classes: nodeClasses(n),
        ...(n.position && n.type !== "box" ? { position: { ...n.position } } : {}),
      })));
      for (const n of diff.updatedNodes) this.update(n.id, nodeClasses(n), { label: labels.get(n.id)! });
    });
  }

  private addEdges(edges: GraphEdge[]): void {
    this.cy.batch(() => {
      this.cy.add(edges.map((e): ElementDefinition => ({
        group: "edges",
        data: { id: e.id, source: e.source, target: e.target, bend: 0, ...this.edgeData(e) },
        classes: edgeClasses(e) + (this.isFar(e.id) ? " far" : ""),
        scratch: { _flow: flow(e) },
      })));
    });
  }

  private updateEdges(edges: GraphEdge[]): void {
    this.cy.batch(() => {
      for (const e of edges) this.update(e.id, edgeClasses(e), this.edgeData(e));
    });
  }

  /** Whether new numbers change what is drawn of the edge: of most, from far away, they do not. */
  private looksOther(e: GraphEdge): boolean {
    const element = this.cy.getElementById(e.id);
    const health = `h-${e.health}`;
    return !element.hasClass(health) || element.hasClass("idle") !== e.idle || element.hasClass("mtls") !== !!e.mtls ||
      Object.entries(this.edgeData(e)).some(([k, v]) => element.data(k) !== v);
  }

  /** What depends on the other elements, too: whether a namespace is named, how edges run, where labels stand. */
  private arrange(g: Graph): void {
    const labels = nodeLabels(g);
    for (const n of g.nodes) setData(this.cy.getElementById(n.id), { label: labels.get(n.id)! });
    for (const e of g.edges) {
      const element = this.cy.getElementById(e.id);
      setData(element, { bend: this.bends.get(e.id) ?? 0, ...this.edgeData(e) });
      if (element.hasClass("bent") !== this.bends.has(e.id)) element.toggleClass("bent");
      if (element.hasClass("far") !== this.isFar(e.id)) element.toggleClass("far");
    }
  }

  private refineSoon(): void {
    clearTimeout(this.refining);
    this.refining = setTimeout(() => this.refine(), REFINE_MS);
  }

  /** Draws in full the edges that one is close to now, a few in each frame, and the others as lines again. */
  private refine(): void {
    const wanted = nearEdges(this.shown, this.cy.zoom(), this.cy.extent());
    if (!wanted || !this.close) return;
    const close = this.close;
    const todo = this.shown.edges.filter((e) => wanted.has(e.id) !== close.has(e.id)).slice(0, EDGES_AT_ONCE);
    if (!todo.length) return;
    this.cy.batch(() => {
      for (const e of todo) {
        if (wanted.has(e.id)) close.add(e.id);
        else close.delete(e.id);
        const element = this.cy.getElementById(e.id);
        element.toggleClass("far", this.isFar(e.id));
        setData(element, this.edgeData(e));
      }
    });
    this.refining = setTimeout(() => this.refine());
  }

  private update(id: string, classes: string, data: Record<string, unknown>): void {
    const element = this.cy.getElementById(id);
    const kept = TRANSIENT.filter((c) => element.hasClass(c));
    const wanted = [...classes.split(" "), ...kept];
    const had = element.classes();
    if (wanted.length !== had.length || wanted.some((c) => !had.includes(c))) element.classes(wanted);
    setData(element, data);
  }

  private move(moved: GraphNode[]): void {
    const animated = moved.length <= 200 && !reducedMotion();
    for (const n of moved) {
      if (!n.position) continue;
      const element = this.cy.getElementById(n.id);
      if (animated) element.animate({ position: { ...n.position }, duration: MOVE_MS, easing: "ease-in-out" });
      else element.position({ ...n.position });
    }
  }

  /** Nodes that the server gave no place go in rows below the others rather than on top of each other. */
  private placeLost(g: Graph): void {
    const lost = g.nodes.filter((n) => n.type !== "box" && !n.position);
    if (!lost.length) return;
    const bottom = g.nodes.reduce((y, n) => Math.max(y, n.position?.y ?? 0), 0) + 120;
    const columns = Math.ceil(Math.sqrt(lost.length * 2));
    lost.forEach((n, i) => {
      const position = { x: (i % columns) * 170, y: bottom + Math.floor(i / columns) * 120 };
      this.cy.getElementById(n.id).position(position);
    });
  }

  choose(id: string | null): void {
    this.chosen = id;
    this.mark();
    if (id !== null) this.reveal(id);
  }

  find(text: string): void {
    this.sought = text.trim();
    this.mark();
  }

  private found(): GraphNode[] {
    if (!this.sought) return [];
    return this.shown.nodes.filter((n) => n.type !== "box" && matches(this.sought, nodeText(n)));
  }

  private mark(): void {
    const ids = new Set(this.found().map((n) => n.id));
    this.cy.batch(() => {
      if (this.marked !== this.chosen) this.cy.elements(".chosen").removeClass("chosen");
      this.marked = this.chosen;
      if (this.chosen !== null) this.cy.getElementById(this.chosen).addClass("chosen");
      if (!this.sought && !this.dimmed) return;
      this.dimmed = this.sought !== "";
      this.cy.nodes().forEach((n) => {
        if (n.hasClass("box")) return;
        n.toggleClass("found", ids.has(n.id()));
        n.toggleClass("dim", this.sought !== "" && !ids.has(n.id()));
      });
      this.cy.edges().forEach((e) => {
        e.toggleClass("dim", this.sought !== "" && !ids.has(e.source().id()) && !ids.has(e.target().id()));
      });
    });
  }

  /** Pans so that the element is in view, as little as needed. */
  private reveal(id: string): void {
    const element = this.cy.getElementById(id);
    if (element.empty()) return;
    const b = element.renderedBoundingBox();
    const margin = 30;
    const dx = b.x1 < margin ? margin - b.x1 : b.x2 > this.cy.width() - margin ? this.cy.width() - margin - b.x2 : 0;
    const dy = b.y1 < margin ? margin - b.y1 : b.y2 > this.cy.height() - margin ? this.cy.height() - margin - b.y2 : 0;
    if (!dx && !dy) return;
    if (reducedMotion()) this.cy.panBy({ x: dx, y: dy });
    else this.cy.animate({ panBy: { x: dx, y: dy }, duration: 200 });
  }

  fit(animated = true): void {
    this.touched = false;
    /* The bounds of many elements take their styles to be worked out; their places are near enough. */
    const many = this.shown.edges.length > MANY_EDGES;
    const b = many ? boundsOf(this.shown) : this.cy.elements().nonempty() ? this.cy.elements().boundingBox({}) : null;
    if (!b || this.cy.width() === 0) return;
    const [w, h] = [b.x2 - b.x1, b.y2 - b.y1];
    const padding = Math.min(FIT_PADDING, this.cy.width() * 0.05, this.cy.height() * 0.08);
    const zoom = Math.min(
      LARGEST_FIT,
      (this.cy.width() - 2 * padding) / Math.max(1, w),
      (this.cy.height() - 2 * padding) / Math.max(1, h),
    );
    if (!(zoom > 0)) return;
    const pan = {
      x: this.cy.width() / 2 - zoom * (b.x1 + w / 2),
      y: this.cy.height() / 2 - zoom * (b.y1 + h / 2),
    };
    if (animated && !reducedMotion()) this.cy.animate({ zoom, pan, duration: MOVE_MS, easing: "ease-in-out" });
    else this.cy.viewport({ zoom, pan });
  }

  zoomBy(factor: number): void {
    this.touched = true;
    this.cy.zoom({
      level: this.cy.zoom() * factor,
      renderedPosition: { x: this.cy.width() / 2, y: this.cy.height() / 2 },
    });
  }
}
