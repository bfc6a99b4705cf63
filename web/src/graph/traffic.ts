// traffic.ts: dots that move along the edges, as fast and as many as the traffic; errors as red diamonds.
//
// They are drawn on a canvas of their own above Cytoscape's, which then need not redraw the graph. The number of dots
// is bounded for the whole picture, and nothing moves while the tab is hidden or motion is unwanted.

import type { Core, EdgeSingular } from "cytoscape";
import { cssColor, reducedMotion } from "../lib/hooks";

const MOST_DOTS = 600;
const CROSSING_MS = 2600;

interface Point {
  x: number;
  y: number;
}

interface Lane {
  from: Point;
  to: Point;
  control: Point | null;
  dots: number;
  errorShare: number;
  tcp: boolean;
}

const amount = (e: EdgeSingular) => (e.scratch("_flow") as { amount: number } | undefined)?.amount ?? 0;

function lanes(cy: Core): Lane[] {
  const all = cy.edges().filter((e) => !e.hasClass("idle") && !e.hasClass("dim") && e.visible()).toArray() as EdgeSingular[];
  /* The busiest, where there are more edges than dots. */
  const edges = all.length > MOST_DOTS ? all.sort((a, b) => amount(b) - amount(a)).slice(0, MOST_DOTS) : all;
  const share = Math.max(1, Math.floor(MOST_DOTS / Math.max(1, edges.length)));
  return edges.flatMap((e) => {
    const from = e.sourceEndpoint();
    const to = e.targetEndpoint();
    if (!from || !to || !Number.isFinite(from.x) || !Number.isFinite(to.x)) return [];
    const controls = e.isLoop() ? undefined : (e.controlPoints() as Point[] | undefined);
    const flow = e.scratch("_flow") as { amount: number; errorShare: number } | undefined;
    const dots = Math.min(share, Math.max(1, Math.round(1 + 2 * Math.log10(1 + (flow?.amount ?? 0) * 4))));
    return [{ from, to, control: controls?.[0] ?? null, dots, errorShare: flow?.errorShare ?? 0, tcp: e.hasClass("tcp") }];
  });
}

function along(l: Lane, t: number): Point {
  const u = 1 - t;
  if (!l.control) return { x: u * l.from.x + t * l.to.x, y: u * l.from.y + t * l.to.y };
  return {
    x: u * u * l.from.x + 2 * u * t * l.control.x + t * t * l.to.x,
    y: u * u * l.from.y + 2 * u * t * l.control.y + t * t * l.to.y,
  };
}

export class Traffic {
  private frame = 0;
  private lanes: Lane[] = [];
  private dirty = true;
  private readonly canvas = document.createElement("canvas");

  constructor(
    private readonly cy: Core,
    private readonly host: HTMLElement,
  ) {
    this.canvas.className = "traffic";
    this.canvas.setAttribute("aria-hidden", "true");
    cy.on("position add remove class bounds", () => this.refresh());
  }

  /** What flows, or where, has changed. */
  refresh(): void {
    this.dirty = true;
  }

  run(on: boolean): void {
    if (on === (this.frame !== 0)) return;
    if (!on || reducedMotion()) {
      cancelAnimationFrame(this.frame);
      this.frame = 0;
      this.canvas.remove();
      return;
    }
    this.host.append(this.canvas);
    const draw = (now: number) => {
      this.frame = requestAnimationFrame(draw);
      if (!document.hidden) this.draw(now);
    };
    this.frame = requestAnimationFrame(draw);
  }

  private resize(): CanvasRenderingContext2D | null {
    const ratio = devicePixelRatio || 1;
    const width = Math.round(this.host.clientWidth * ratio);
    const height = Math.round(this.host.clientHeight * ratio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    return this.canvas.getContext("2d");
  }

  private draw(now: number): void {
    const ctx = this.resize();
    if (!ctx) return;
    if (this.dirty) {
      this.lanes = lanes(this.cy);
      this.dirty = false;
    }
    const ratio = devicePixelRatio || 1;
    const pan = this.cy.pan();
    const zoom = this.cy.zoom();
    ctx.setTransform(1, 0, 0, 1, 0, 0);
    ctx.clearRect(0, 0, this.canvas.width, this.canvas.height);
    ctx.setTransform(zoom * ratio, 0, 0, zoom * ratio, pan.x * ratio, pan.y * ratio);
    const colors = { ok: cssColor("--ok"), tcp: cssColor("--tcp"), bad: cssColor("--bad"), rim: cssColor("--canvas") };
    this.lanes.forEach((l, i) => this.drawLane(ctx, l, now / CROSSING_MS + i * 0.37, colors));
  }

  private drawLane(ctx: CanvasRenderingContext2D, l: Lane, time: number, colors: Record<"ok" | "tcp" | "bad" | "rim", string>): void {
    for (let d = 0; d < l.dots; d++) {
      const phase = time + d / l.dots;
      const p = along(l, phase % 1);
      /* Whether a dot is an error is fixed for one crossing, by a hash of its turn. */
      const turn = Math.abs(Math.sin(Math.floor(phase) * 12.9898 + d * 78.233) * 43758.5453) % 1;
      const failed = turn < l.errorShare;
      ctx.beginPath();
      if (failed) {
        ctx.moveTo(p.x, p.y - 5);
        ctx.lineTo(p.x + 5, p.y);
        ctx.lineTo(p.x, p.y + 5);
        ctx.lineTo(p.x - 5, p.y);
        ctx.closePath();
      } else {
        ctx.arc(p.x, p.y, 3.2, 0, 2 * Math.PI);
      }
      ctx.fillStyle = failed ? colors.bad : l.tcp ? colors.tcp : colors.ok;
      ctx.strokeStyle = colors.rim;
      ctx.lineWidth = 1;
      ctx.fill();
      ctx.stroke();
    }
  }

  destroy(): void {
    this.run(false);
  }
}
