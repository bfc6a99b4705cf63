// labels.ts: the words and weights on the canvas, worked out from the model alone.

import * as fmt from "../lib/format";
import { isTcp, type Graph, type GraphEdge, type GraphNode, type Health, type Numbers } from "../lib/model";
import type { EdgeLabel } from "../lib/state";

/** From which share on a node or edge is degraded or failing: the server's rules, which are Kiali's defaults. */
const LIMITS = { errors: { Degraded: 0, Failure: 0.1 }, client: { Degraded: 0.1, Failure: 0.2 } } as const;

/** Why the health is what it is, where the numbers tell; null where they do not, or nothing is wrong. */
export function healthReason(health: Health, n: Numbers): string | null {
  if (health !== "Degraded" && health !== "Failure") return null;
  const word = health === "Failure" ? "failing" : "degraded";
  const errors = n.errorShare ?? 0;
  const client = n.clientShare ?? 0;
  if (errors > 0 && errors >= LIMITS.errors[health])
    return `${fmt.percent(errors)} errors (${word} from ${LIMITS.errors[health] ? fmt.percent(LIMITS.errors[health]) : "the first"})`;
  if (client >= LIMITS.client[health]) return `${fmt.percent(client)} of answers are 4xx (${word} from ${fmt.percent(LIMITS.client[health])})`;
  return null;
}

/** Of a node: its own numbers, else the edge that is as bad. */
export function nodeReason(n: GraphNode, g: Graph, nodes: Map<string, GraphNode>): string | null {
  const own = healthReason(n.health, n);
  if (own !== null) return own;
  for (const e of g.edges) {
    const reason = (e.source === n.id || e.target === n.id) && e.health === n.health ? healthReason(e.health, e) : null;
    if (reason !== null) return `${edgeName(e, nodes)}: ${reason}`;
  }
  return null;
}

export function edgeLabel(e: GraphEdge, modes: readonly EdgeLabel[]): string {
  if (e.idle) return "";
  const parts: string[] = [];
  if (isTcp(e)) {
    if (modes.includes("rate") || modes.includes("throughput")) parts.push(e.bps ? fmt.throughput(e.bps) : fmt.plural(e.connections ?? 0, "connection"));
    return parts.join("\n");
  }
  if (modes.includes("rate") && e.rps !== null) parts.push(fmt.rate(e.rps));
  if (modes.includes("errors") && e.errorShare) parts.push(fmt.percent(e.errorShare) + " err");
  if (modes.includes("errors") && (e.clientShare ?? 0) >= LIMITS.client.Degraded) parts.push(fmt.percent(e.clientShare) + " 4xx");
  if (modes.includes("p95") && e.p95 !== null) parts.push("p95 " + fmt.duration(e.p95));
  if (modes.includes("throughput") && e.bps) parts.push(fmt.throughput(e.bps));
  return parts.join("\n");
}

/** 1.5 to 6 points, by the magnitude of the traffic: ten times as much is one point more. In steps of half a point, so
 * that most refreshes leave the shape of an edge alone: working it out anew is what costs on a big graph. */
export function edgeWidth(e: GraphEdge): number {
  if (e.idle) return 1.5;
  const amount = isTcp(e) ? (e.bps ?? 0) / 1024 : e.rps ?? 0;
  return Math.min(6, Math.round(2 * (1.8 + Math.log10(1 + amount * 3))) / 2);
}

/** The namespace that need not be said on each node: the one most nodes are in, or null when boxes say it. */
export function homeNamespace(g: Graph): string | null {
  if (g.nodes.some((n) => n.box === "namespace")) return null;
  const sizes = new Map<string, number>();
  for (const n of g.nodes) if (n.type !== "box" && n.type !== "unknown") sizes.set(n.namespace, (sizes.get(n.namespace) ?? 0) + 1);
  const [first] = [...sizes].sort(([a, x], [b, y]) => y - x || a.localeCompare(b));
  return first?.[0] ?? "";
}

export function nodeLabel(n: GraphNode, home: string | null): string {
  if (n.type === "box") return n.box === "app" ? `app ${n.name}` : n.name;
  /* "latest" is what Istio calls a workload without a version. */
  const lines = [n.type === "app" && n.version && n.version !== "latest" ? `${n.name} ${n.version}` : n.name];
  if (home !== null && n.namespace !== home && n.namespace && n.type !== "unknown") lines.push(n.namespace);
  return lines.join("\n");
}

/** The labels of all nodes. Apps that would read alike say their workload, too. */
export function nodeLabels(g: Graph): Map<string, string> {
  const home = homeNamespace(g);
  const labels = new Map(g.nodes.map((n) => [n.id, nodeLabel(n, home)]));
  const times = new Map<string, number>();
  for (const label of labels.values()) times.set(label, (times.get(label) ?? 0) + 1);
  for (const n of g.nodes) {
    const label = labels.get(n.id)!;
    if (n.type === "app" && n.workload && n.workload !== n.name && times.get(label)! > 1) labels.set(n.id, `${label}\n${n.workload}`);
  }
  return labels;
}

export function edgeName(e: GraphEdge, nodes: Map<string, GraphNode>): string {
  return `${nodes.get(e.source)?.name ?? "?"} → ${nodes.get(e.target)?.name ?? "?"}`;
}

/** One sentence for who cannot see the picture. */
export function describeNode(n: GraphNode, edges: readonly GraphEdge[]): string {
  const out = edges.filter((e) => e.source === n.id).length;
  const into = edges.filter((e) => e.target === n.id).length;
  const health = { Healthy: "healthy", Degraded: "degraded", Failure: "failing", NA: "no health" }[n.health];
  return `${n.name}, ${n.type}, ${health}, ${fmt.plural(into, "edge")} in, ${out} out`;
}

export function describeEdge(e: GraphEdge, nodes: Map<string, GraphNode>): string {
  const what = e.idle
    ? "no traffic"
    : isTcp(e)
      ? `TCP ${fmt.throughput(e.bps)}`
      : `${fmt.rate(e.rps)}, ${fmt.percent(e.errorShare ?? 0)} errors, p95 ${fmt.duration(e.p95)}`;
  return `${edgeName(e, nodes)}: ${what}`;
}
