// state.ts: what is looked at, and nothing else, lives in the URL, so that a link shows a colleague the same picture.
//
// #/graph?ns=guestbook&window=5m&sel=…   A value equal to its default is left out. What is not understood falls back
// to the default: an old or hand-made link still opens. The theme is a matter of the reader and stays out.

export type Page = "graph" | "logs" | "metrics" | "mesh";
export type GraphType = "workload" | "app" | "versionedApp" | "service";
export type View = "graph" | "table";
export type EdgeLabel = "rate" | "errors" | "p95" | "throughput";
export type Box = "namespace" | "app";

export interface State {
  page: Page;
  namespaces: string[];
  windowMs: number;
  /** 0: paused. */
  refreshMs: number;
  /** The end of the window; null is now. */
  at: number | null;
  type: GraphType;
  boxes: Box[];
  labels: EdgeLabel[];
  view: View;
  find: string;
  showIdle: boolean;
  animate: boolean;
  /** Id of the chosen node or edge. */
  selected: string | null;
  logQuery: string;
  promQuery: string;
  kind: string;
  object: string;
}

export const PAGES: readonly Page[] = ["graph", "logs", "metrics", "mesh"];
export const GRAPH_TYPES: readonly GraphType[] = ["workload", "app", "versionedApp", "service"];
export const EDGE_LABELS: readonly EdgeLabel[] = ["rate", "errors", "p95", "throughput"];
export const BOXES: readonly Box[] = ["namespace", "app"];

const S = 1000;
const M = 60 * S;
const H = 60 * M;
export const WINDOWS: readonly number[] = [1 * M, 5 * M, 10 * M, 30 * M, 1 * H, 3 * H, 6 * H, 24 * H];
/** A line needs some length to say anything: charts show at least this much, whatever the window. */
export const SHORTEST_CHART = 10 * M;
export const REFRESHES: readonly number[] = [0, 1 * S, 5 * S, 15 * S, 1 * M];

export const DEFAULTS: State = {
  page: "graph",
  namespaces: [],
  windowMs: 1 * M,
  refreshMs: 5 * S,
  at: null,
  type: "workload",
  boxes: [],
  labels: ["rate", "errors"],
  view: "graph",
  find: "",
  showIdle: false,
  animate: false,
  selected: null,
  /* A request is logged at both of its ends: once is enough to begin with. */
  logQuery: '{kind="access_log", reporter="source"}',
  promQuery: "sum by (destination_workload) (rate(istio_requests_total[1m]))",
  kind: "",
  object: "",
};

/** 90000 → "90s", 300000 → "5m", 86400000 → "1d". */
export function spanText(ms: number): string {
  if (ms % (24 * H) === 0) return ms / (24 * H) + "d";
  if (ms % H === 0) return ms / H + "h";
  if (ms % M === 0) return ms / M + "m";
  return Math.round(ms / S) + "s";
}

export function parseSpan(text: string | null): number | null {
  const found = /^(\d{1,4})([smhd])$/.exec(text ?? "");
  if (!found) return null;
  const unit = { s: S, m: M, h: H, d: 24 * H }[found[2] as "s" | "m" | "h" | "d"];
  return Number(found[1]) * unit;
}

function oneOf<T extends string>(text: string | null | undefined, all: readonly T[], fallback: T): T {
  return all.includes(text as T) ? (text as T) : fallback;
}

function someOf<T extends string>(text: string | null, all: readonly T[], fallback: T[]): T[] {
  if (text === null) return fallback;
  return all.filter((one) => text.split(",").includes(one));
}

function parseAt(text: string | null): number | null {
  if (!text) return null;
  const ms = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  return Number.isFinite(ms) && ms > 0 && ms < 8.64e15 ? ms : null;
}

export function parseState(hash: string): State {
  const text = hash.replace(/^#\/?/, "");
  const cut = text.indexOf("?");
  const page = cut < 0 ? text : text.slice(0, cut);
  const q = new URLSearchParams(cut < 0 ? "" : text.slice(cut + 1));
  const windowMs = parseSpan(q.get("window"));
  const refresh = q.get("refresh");
  const refreshMs = refresh === "off" ? 0 : parseSpan(refresh);
  return {
    page: oneOf(page, PAGES, DEFAULTS.page),
    namespaces: (q.get("ns") ?? "").split(",").filter(Boolean),
    windowMs: windowMs && windowMs <= 31 * 24 * H ? windowMs : DEFAULTS.windowMs,
    refreshMs: refreshMs === null ? DEFAULTS.refreshMs : refreshMs === 0 ? 0 : Math.max(refreshMs, S),
    at: parseAt(q.get("at")),
    type: oneOf(q.get("type"), GRAPH_TYPES, DEFAULTS.type),
    boxes: someOf(q.get("box"), BOXES, DEFAULTS.boxes),
    labels: someOf(q.get("labels"), EDGE_LABELS, DEFAULTS.labels),
    view: oneOf(q.get("view"), ["graph", "table"], DEFAULTS.view),
    find: q.get("find") ?? "",
    showIdle: q.get("idle") === "show",
    animate: q.get("traffic") === "on",
    selected: q.get("sel"),
    logQuery: q.get("logql") ?? DEFAULTS.logQuery,
    promQuery: q.get("promql") ?? DEFAULTS.promQuery,
    kind: q.get("kind") ?? "",
    object: q.get("object") ?? "",
  };
}

export function formatState(s: State): string {
  const q = new URLSearchParams();
  const put = (key: string, value: string, fallback: string) => {
    if (value !== fallback) q.set(key, value);
  };
  put("ns", s.namespaces.join(","), "");
  put("window", spanText(s.windowMs), spanText(DEFAULTS.windowMs));
  put("refresh", s.refreshMs === 0 ? "off" : spanText(s.refreshMs), spanText(DEFAULTS.refreshMs));
  put("at", s.at === null ? "" : new Date(s.at).toISOString(), "");
  put("type", s.type, DEFAULTS.type);
  put("box", s.boxes.join(","), "");
  put("labels", s.labels.join(","), DEFAULTS.labels.join(","));
  put("view", s.view, DEFAULTS.view);
  put("find", s.find, "");
  put("idle", s.showIdle ? "show" : "", "");
  put("traffic", s.animate ? "on" : "", "");
  put("sel", s.selected ?? "", "");
  put("logql", s.logQuery, DEFAULTS.logQuery);
  put("promql", s.promQuery, DEFAULTS.promQuery);
  put("kind", s.kind, "");
  put("object", s.object, "");
  const text = q.toString();
  return `#/${s.page}${text ? "?" + text : ""}`;
}
