// model.ts: the graph as the console uses it, read from /api/graph (Kiali's JSON with our keys beside it).
// Everything from outside is checked here: what is missing or of a wrong type becomes null or a default, so that the
// rest of the console need not doubt.

export type Health = "Healthy" | "Degraded" | "Failure" | "NA";
export type NodeType = "workload" | "app" | "service" | "unknown" | "box" | "aggregate";

export interface Numbers {
  requests: number | null;
  /** No answer, 5xx and gRPC errors; `errorShare` is their share, 0–1. */
  errors: number | null;
  /** 4xx, 0–1. */
  clientShare: number | null;
  rps: number | null;
  errorShare: number | null;
  p50: number | null;
  p95: number | null;
  p99: number | null;
  connections: number | null;
  sentBytes: number | null;
  receivedBytes: number | null;
}

export interface GraphNode extends Numbers {
  id: string;
  parent: string | null;
  type: NodeType;
  /** What a box holds: "app", "namespace", "cluster". */
  box: string | null;
  name: string;
  namespace: string;
  cluster: string;
  workload: string;
  app: string;
  version: string;
  service: string;
  health: Health;
  idle: boolean;
  root: boolean;
  gateway: boolean;
  /** What a gateway's Gateways let in. */
  hosts: string[];
  serviceEntry: boolean;
  inaccessible: boolean;
  position: { x: number; y: number } | null;
}

export interface ResponseShare {
  code: string;
  flags: string;
  /** 0–1 of the edge's requests. */
  share: number;
}

export interface GraphEdge extends Numbers {
  id: string;
  source: string;
  target: string;
  protocol: string;
  health: Health;
  mtls: number | null;
  idle: boolean;
  /** Bytes per second, both directions. */
  bps: number | null;
  responses: ResponseShare[];
}

export interface Graph {
  from: number;
  to: number;
  nodes: GraphNode[];
  edges: GraphEdge[];
}

type Json = Record<string, unknown>;

const isObject = (v: unknown): v is Json => typeof v === "object" && v !== null && !Array.isArray(v);
const object = (v: unknown): Json => (isObject(v) ? v : {});
const list = (v: unknown): unknown[] => (Array.isArray(v) ? v : []);
const text = (v: unknown): string => (typeof v === "string" ? v : "");

function num(v: unknown): number | null {
  const n = typeof v === "string" && v !== "" ? Number(v) : v;
  return typeof n === "number" && Number.isFinite(n) ? n : null;
}

function health(v: unknown): Health {
  return v === "Healthy" || v === "Degraded" || v === "Failure" ? v : "NA";
}

function numbers(v: Json): Numbers {
  const requests = num(v.requests);
  const client = num(v.clientErrors);
  return {
    requests,
    errors: num(v.errors),
    clientShare: requests && client !== null ? client / requests : null,
    rps: num(v.rps),
    errorShare: num(v.errorShare),
    p50: num(v.p50),
    p95: num(v.p95),
    p99: num(v.p99),
    connections: num(v.connections),
    sentBytes: num(v.sentBytes),
    receivedBytes: num(v.receivedBytes),
  };
}

const NODE_TYPES: readonly string[] = ["workload", "app", "service", "unknown", "box", "aggregate"];

function nodeName(d: Json, type: NodeType): string {
  if (type === "box") return text(d[text(d.isBox)]) || text(d.namespace);
  if (type === "workload") return text(d.workload);
  if (type === "service") return text(d.service);
  if (type === "app") return text(d.app) || text(d.workload);
  if (type === "aggregate") return text(d.aggregate);
  return "unknown";
}

/** Of a node they are what comes in: where no requests do, there is no rate and no share of errors either. */
function nodeNumbers(v: Json): Numbers {
  const n = numbers(v);
  if (n.requests) return n;
  return { ...n, rps: null, errorShare: n.connections ? n.errorShare : null };
}

function hosts(v: unknown): string[] {
  return Object.values(object(v)).flatMap((info) => list(object(info).hostnames)).map(text).filter(Boolean);
}

function readNode(item: unknown): GraphNode | null {
  const d = object(object(item).data);
  const id = text(d.id);
  if (!id) return null;
  const declared = text(d.nodeType);
  const type = (NODE_TYPES.includes(declared) ? declared : "unknown") as NodeType;
  const p = object(object(item).position);
  const x = num(p.x);
  const y = num(p.y);
  return {
    ...nodeNumbers(object(d.vigla)),
    id,
    parent: text(d.parent) || null,
    type,
    box: text(d.isBox) || null,
    name: nodeName(d, type) || "unknown",
    namespace: text(d.namespace),
    cluster: text(d.cluster),
    workload: text(d.workload),
    app: text(d.app),
    version: text(d.version),
    service: text(d.service),
    health: health(d.healthStatus),
    idle: d.isIdle === true,
    root: d.isRoot === true,
    gateway: isObject(d.isGateway),
    hosts: hosts(d.isGateway),
    serviceEntry: isObject(d.isServiceEntry),
    inaccessible: d.isInaccessible === true,
    position: x !== null && y !== null ? { x, y } : null,
  };
}

function readResponses(v: unknown): ResponseShare[] {
  const rows: ResponseShare[] = [];
  for (const [code, entry] of Object.entries(object(v)))
    for (const [flags, share] of Object.entries(object(object(entry).flags)))
      rows.push({ code, flags, share: (num(share) ?? 0) / 100 });
  return rows.sort((a, b) => b.share - a.share || a.code.localeCompare(b.code));
}

function readEdge(item: unknown, seconds: number): GraphEdge | null {
  const d = object(object(item).data);
  const id = text(d.id);
  const source = text(d.source);
  const target = text(d.target);
  if (!id || !source || !target) return null;
  const traffic = object(d.traffic);
  const rates = object(traffic.rates);
  const n = numbers(object(d.vigla));
  const moved = n.sentBytes === null && n.receivedBytes === null ? null : (n.sentBytes ?? 0) + (n.receivedBytes ?? 0);
  n.rps ??= num(rates.http) ?? num(rates.grpc);
  const bps = moved ? moved / seconds : num(d.throughput) ?? num(rates.tcp);
  return {
    ...n,
    id,
    source,
    target,
    protocol: text(traffic.protocol),
    health: health(d.healthStatus),
    mtls: num(d.isMTLS),
    idle: !n.rps && !bps && !n.requests && !n.connections,
    bps,
    responses: readResponses(traffic.responses),
  };
}

/** Throws when the answer is no graph at all; single elements that make no sense are left out. */
export function readGraph(answer: unknown): Graph {
  const top = object(answer);
  if (!isObject(top.elements)) throw new Error('The server\'s answer has no "elements": is this address a Vigla server?');
  const to = num(top.to) ?? (num(top.timestamp) ?? 0) * 1000;
  const from = num(top.from) ?? to - (num(top.duration) ?? 600) * 1000;
  const seconds = Math.max(1, (to - from) / 1000);
  const nodes = list(top.elements.nodes).map(readNode).filter((n): n is GraphNode => n !== null);
  const ids = new Set(nodes.map((n) => n.id));
  const edges = list(top.elements.edges)
    .map((e) => readEdge(e, seconds))
    .filter((e): e is GraphEdge => e !== null && ids.has(e.source) && ids.has(e.target));
  for (const n of nodes) if (n.parent !== null && !ids.has(n.parent)) n.parent = null;
  return { from, to, nodes, edges };
}

/** The graph without edges that carried nothing, and without the nodes that then stand alone or were idle. */
export function withoutIdle(g: Graph): Graph {
  const edges = g.edges.filter((e) => !e.idle);
  const busy = new Set(edges.flatMap((e) => [e.source, e.target]));
  const nodes = g.nodes.filter((n) => n.type === "box" || busy.has(n.id));
  const kept = new Set(nodes.flatMap((n) => (n.parent ? [n.parent] : [])));
  for (const n of nodes) if (n.type === "box" && kept.has(n.id) && n.parent) kept.add(n.parent);
  return { ...g, edges, nodes: nodes.filter((n) => n.type !== "box" || kept.has(n.id)) };
}

export const isTcp = (e: GraphEdge): boolean => e.protocol === "tcp";

/** Plain words for what a node is. */
export function typeName(n: GraphNode): string {
  if (n.type === "box") return `${n.box ?? "box"} box`;
  if (n.gateway) return "gateway";
  if (n.serviceEntry) return "service entry";
  if (n.type === "unknown") return "unknown source";
  return n.type;
}

export const HEALTH_WORDS: Record<Health, string> = {
  Healthy: "healthy",
  Degraded: "degraded",
  Failure: "failing",
  NA: "not rated",
};

/** Does what `find` says match? Words are all to be found, in any order, in the element's names. */
export function matches(find: string, haystack: string): boolean {
  const hay = haystack.toLowerCase();
  return find.toLowerCase().split(/\s+/).filter(Boolean).every((word) => hay.includes(word));
}

export function nodeText(n: GraphNode): string {
  return [n.name, n.namespace, n.app, n.version, n.service, n.workload, typeName(n), HEALTH_WORDS[n.health]].join(" ");
}

export interface Totals {
  rps: number;
  errorShare: number | null;
  clientShare: number | null;
  bps: number;
}

/** What enters the mesh: traffic of edges whose source is a root (nothing calls it), so that hops are not added up. */
export function totals(g: Graph): Totals {
  const called = new Set(g.edges.filter((e) => !e.idle && e.source !== e.target).map((e) => e.target));
  let rps = 0;
  let requests = 0;
  let errors = 0;
  let client = 0;
  let bps = 0;
  for (const e of g.edges) {
    if (isTcp(e)) {
      bps += e.bps ?? 0;
    } else if (!called.has(e.source)) {
      rps += e.rps ?? 0;
      requests += e.requests ?? 0;
      errors += e.errors ?? 0;
      client += (e.clientShare ?? 0) * (e.requests ?? 0);
    }
  }
  const share = (n: number) => (requests > 0 ? n / requests : null);
  return { rps, errorShare: share(errors), clientShare: share(client), bps };
}
