// style.ts: how the graph looks. Colour is for state alone, and state is never told by colour alone: a failing node
// has a cross, a degraded one an exclamation mark; a failing edge a crossed arrow head, a degraded one a ringed;
// idle is dashed, mTLS a double line.

import type { StylesheetJson } from "cytoscape";
import { cssColor, reducedMotion } from "../lib/hooks";

const FONT = "system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, DejaVu Sans, sans-serif";

const SHAPES = {
  workload: "ellipse",
  app: "round-rectangle",
  service: "round-triangle",
  aggregate: "round-hexagon",
  unknown: "round-diamond",
} as const;

/** The type's icon in the middle, and the badge of a bad health at the upper right. */
function pictures(icon: string, badge: string | null, shift: number): Record<string, unknown> {
  if (!badge) {
    return {
      "background-image": `icons/${icon}.svg`,
      "background-width": "20px",
      "background-height": "20px",
      "background-position-y": `${50 + shift}%`,
    };
  }
  return {
    "background-image": [`icons/${icon}.svg`, `icons/${badge}.svg`],
    "background-width": ["20px", "18px"],
    "background-height": ["20px", "18px"],
    "background-position-x": ["50%", "100%"],
    "background-position-y": [`${50 + shift}%`, "0%"],
    "background-offset-x": ["0px", "6px"],
    "background-offset-y": ["0px", "-6px"],
    "background-clip": ["node", "none"],
    "background-image-containment": ["inside", "over"],
    "bounds-expansion": 8,
  };
}

export function graphStyle(): StylesheetJson {
  const c = (name: string) => cssColor(`--${name}`);
  const health = { Healthy: c("ok"), Degraded: c("warn"), Failure: c("bad"), NA: c("idle") };
  const sheet: { selector: string; style: Record<string, unknown> }[] = [
    {
      selector: "node",
      style: {
        width: 44, height: 44,
        "background-color": c("node"),
        "border-width": 2.5, "border-color": c("idle"),
        label: "data(label)", color: c("ink"),
        "font-family": FONT, "font-size": 12.5, "font-weight": 600,
        "text-valign": "bottom", "text-halign": "center", "text-margin-y": 5,
        "text-wrap": "wrap", "text-max-width": "180px", "line-height": 1.2,
        "text-background-color": c("canvas"), "text-background-opacity": 0.85,
        "text-background-padding": "2px", "text-background-shape": "roundrectangle",
        "min-zoomed-font-size": 6, "z-index": 10,
        "transition-property": "opacity", "transition-duration": reducedMotion() ? 0 : 120,
      },
    },
    {
      selector: "edge",
      style: {
        "curve-style": "bezier", "control-point-step-size": 46,
        "loop-direction": "-45deg", "loop-sweep": "60deg",
        width: "data(width)", "line-color": c("idle"), "target-arrow-color": c("idle"),
        "target-arrow-shape": "triangle", "arrow-scale": 1.05,
        label: "data(label)", color: c("ink2"),
        "text-margin-x": "data(dx)", "text-margin-y": "data(dy)",
        "font-family": FONT, "font-size": 11, "line-height": 1.25, "text-wrap": "wrap",
        "text-background-color": c("canvas"), "text-background-opacity": 0.92,
        "text-background-padding": "3px", "text-background-shape": "roundrectangle",
        "min-zoomed-font-size": 7,
        "transition-property": "opacity", "transition-duration": reducedMotion() ? 0 : 120,
      },
    },
    {
      selector: "node.box",
      style: {
        shape: "round-rectangle",
        "background-color": c("box"), "background-opacity": 0.55,
        "border-width": 1, "border-color": c("line"), "border-style": "solid",
        "text-valign": "top", "text-margin-y": -4, color: c("ink2"), "font-size": 11.5, "font-weight": 500,
        padding: "22px", "z-index": 0,
      },
    },
  ];
  for (const [type, shape] of Object.entries(SHAPES)) {
    const shift = type === "service" ? 22 : 0;
    sheet.push({ selector: `node.t-${type}`, style: { shape, ...pictures(type, null, shift) } });
    for (const h of ["Degraded", "Failure"] as const)
      sheet.push({ selector: `node.t-${type}.h-${h}`, style: pictures(type, h.toLowerCase(), shift) });
  }
  sheet.push({ selector: "node.gateway", style: { shape: "round-hexagon", width: 50, ...pictures("gateway", null, 0) } });
  for (const h of ["Degraded", "Failure"] as const)
    sheet.push({ selector: `node.gateway.h-${h}`, style: pictures("gateway", h.toLowerCase(), 0) });
  for (const [h, color] of Object.entries(health)) {
    if (h === "NA") continue;
    sheet.push({ selector: `node.h-${h}`, style: { "border-color": color } });
    sheet.push({ selector: `edge.h-${h}`, style: { "line-color": color, "target-arrow-color": color } });
  }
  sheet.push(
    { selector: "node.box", style: { "background-image": "none", "border-color": c("line") } },
    { selector: "node.h-Failure", style: { "border-width": 3.5 } },
    {
      selector: "edge.bent",
      style: {
        "curve-style": "unbundled-bezier", "control-point-distances": "data(bend)", "control-point-weights": 0.5,
        "edge-distances": "node-position",
      },
    },
    { selector: "edge.tcp", style: { "line-color": c("tcp"), "target-arrow-color": c("tcp") } },
    { selector: "edge.h-Degraded", style: { "target-arrow-shape": "circle-triangle", color: c("warn"), "font-weight": 600 } },
    { selector: "edge.h-Failure", style: { "target-arrow-shape": "triangle-cross", color: c("bad"), "font-weight": 700 } },
    {
      selector: "edge.mtls",
      style: {
        "line-outline-width": 1.2,
        "line-outline-color": (e: { style: (name: string) => string }) => e.style("line-color"),
      },
    },
    { selector: "node.idle", style: { "border-style": "dashed", "border-color": c("idle"), color: c("ink2") } },
    {
      selector: "edge.idle",
      style: {
        "line-style": "dashed", "line-dash-pattern": [5, 5],
        "line-color": c("idle"), "target-arrow-color": c("idle"), "target-arrow-shape": "vee",
      },
    },
    /* From far away (detail.ts): a line, which is the quickest there is. What fails is dashed, since its head is not seen. */
    { selector: "edge.far", style: { "curve-style": "haystack", "haystack-radius": 0, label: "" } },
    { selector: "edge.far.h-Failure", style: { "line-style": "dashed", "line-dash-pattern": [12, 4] } },
    { selector: ".dim", style: { opacity: 0.18 } },
    { selector: ".found", style: { "underlay-color": c("find"), "underlay-opacity": 0.45, "underlay-padding": 7 } },
    { selector: ".hover", style: { "underlay-color": c("accent"), "underlay-opacity": 0.14, "underlay-padding": 6 } },
    { selector: ".chosen", style: { "underlay-color": c("accent"), "underlay-opacity": 0.34, "underlay-padding": 8, "z-index": 20 } },
    { selector: "node.chosen, node.found, node.hover", style: { "underlay-shape": "ellipse" } },
    { selector: "node.box", style: { "underlay-shape": "round-rectangle" } },
    { selector: "node:active, edge:active", style: { "overlay-opacity": 0 } },
    { selector: "core", style: { "active-bg-opacity": 0, "selection-box-opacity": 0 } },
  );
  return sheet as unknown as StylesheetJson;
}
