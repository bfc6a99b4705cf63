// api.ts: calls to the server. Every failure becomes a sentence that says what was asked and what went wrong.

import { quote } from "./queries";

export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

const TIMEOUT_MS = 20_000;

/** The reason a server gave, in whichever of the shapes of the APIs we speak it came. */
function reason(body: string): string {
  try {
    const j = JSON.parse(body) as Record<string, unknown>;
    for (const key of ["error", "message"]) if (typeof j[key] === "string") return j[key] as string;
    const first = Array.isArray(j.errors) ? (j.errors[0] as Record<string, unknown> | undefined) : undefined;
    if (first && typeof first.msg === "string") return first.msg;
  } catch {
    /* plain text then */
  }
  return body.trim().slice(0, 300);
}

export async function fetchText(path: string, signal?: AbortSignal, init: RequestInit = {}): Promise<string> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), TIMEOUT_MS);
  const stop = () => timeout.abort();
  signal?.addEventListener("abort", stop);
  try {
    const response = await fetch(path, { ...init, signal: timeout.signal });
    const body = await response.text();
    if (response.ok) return body;
    const why = reason(body);
    throw new ApiError(`The server answered ${response.status}${why ? `: ${why}` : ` ${response.statusText}`}`, response.status);
  } catch (e) {
    if (e instanceof ApiError || signal?.aborted) throw e;
    if (timeout.signal.aborted) throw new ApiError(`No answer within ${TIMEOUT_MS / 1000} s`, 0);
    throw new ApiError("The server cannot be reached", 0);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", stop);
  }
}

export async function fetchJson(path: string, signal?: AbortSignal): Promise<unknown> {
  const body = await fetchText(path, signal);
  try {
    return JSON.parse(body);
  } catch {
    throw new ApiError(`The answer of ${path.split("?")[0]} is no JSON`, 0);
  }
}

export function url(path: string, params: Record<string, string | number | null | undefined>): string {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(params)) if (v !== null && v !== undefined && v !== "") q.set(k, String(v));
  const text = q.toString();
  return text ? `${path}?${text}` : path;
}

type Json = Record<string, unknown>;
const obj = (v: unknown): Json => (typeof v === "object" && v !== null ? (v as Json) : {});
const arr = (v: unknown): unknown[] => (Array.isArray(v) ? v : []);
const str = (v: unknown): string => (typeof v === "string" ? v : "");

export type Labels = Record<string, string>;

function labels(v: unknown): Labels {
  const out: Labels = {};
  for (const [k, value] of Object.entries(obj(v))) out[k] = String(value);
  return out;
}

// --- Prometheus ------------------------------------------------------------------------------------------------

export interface Series {
  labels: Labels;
  /** [seconds since the epoch, value] */
  points: [number, number][];
}

export interface QueryResult {
  type: string;
  series: Series[];
  warnings: string[];
}

function point(v: unknown): [number, number] {
  const [t, value] = arr(v);
  return [Number(t), value === "+Inf" ? Infinity : value === "-Inf" ? -Infinity : Number(value)];
}

export function readPrometheus(answer: unknown): QueryResult {
  const data = obj(obj(answer).data);
  const type = str(data.resultType);
  const warnings = arr(obj(answer).warnings).map(String);
  if (type === "scalar" || type === "string") return { type, series: [{ labels: {}, points: [point(data.result)] }], warnings };
  const series = arr(data.result).map((r) => ({
    labels: labels(obj(r).metric),
    points: type === "matrix" ? arr(obj(r).values).map(point) : [point(obj(r).value)],
  }));
  return { type, series, warnings };
}

export async function queryRange(query: string, fromMs: number, toMs: number, step: number, signal?: AbortSignal) {
  const path = url("api/v1/query_range", { query, start: fromMs / 1000, end: toMs / 1000, step });
  return readPrometheus(await fetchJson(path, signal));
}

export async function queryInstant(query: string, atMs: number, signal?: AbortSignal) {
  return readPrometheus(await fetchJson(url("api/v1/query", { query, time: atMs / 1000 }), signal));
}

export async function labelValues(name: string, fromMs: number, toMs: number, signal?: AbortSignal): Promise<string[]> {
  const path = url(`api/v1/label/${encodeURIComponent(name)}/values`, { start: fromMs / 1000, end: toMs / 1000 });
  return arr(obj(await fetchJson(path, signal)).data).map(String);
}

// --- Loki --------------------------------------------------------------------------------------------------------

export interface LogLine {
  /** Nanoseconds since the epoch, as text: too big for a number. */
  ns: string;
  ms: number;
  line: string;
  /** Stream labels and structured metadata. */
  fields: Labels;
}

export function readLoki(answer: unknown): LogLine[] {
  const data = obj(obj(answer).data);
  if (str(data.resultType) !== "streams") throw new ApiError("This query gives numbers, not log lines: ask for it on the Metrics page", 0);
  const lines: LogLine[] = [];
  for (const stream of arr(data.result)) {
    const common = labels(obj(stream).stream);
    for (const value of arr(obj(stream).values)) {
      const [ns, line, more] = arr(value);
      const extra = { ...labels(obj(more).structuredMetadata), ...labels(obj(more).parsed) };
      lines.push({ ns: str(ns), ms: Number(str(ns).slice(0, -6)), line: str(line), fields: { ...common, ...extra } });
    }
  }
  return lines.sort((a, b) => (a.ns.length - b.ns.length || (a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0)) * -1);
}

export async function queryLogs(query: string, fromMs: number, toMs: number, limit: number, signal?: AbortSignal) {
  const path = url("loki/api/v1/query_range", {
    query,
    start: `${Math.floor(fromMs)}000000`,
    end: `${Math.floor(toMs)}000000`,
    limit,
    direction: "backward",
  });
  return readLoki(await fetchJson(path, signal));
}

// --- Mesh --------------------------------------------------------------------------------------------------------

export interface MeshObject {
  kind: string;
  namespace: string;
  name: string;
  createdMs: number | null;
  changedMs: number | null;
  revision: number | null;
  deleted: boolean;
  object: unknown;
}

export interface MeshProxy {
  node: string;
  version: number | null;
  rejected: number | null;
  error: string;
  connectedMs: number | null;
  lastSeenMs: number | null;
}

const numeric = (v: unknown): number | null => (typeof v === "number" && Number.isFinite(v) ? v : null);

function meshObject(v: unknown): MeshObject {
  const o = obj(v);
  return {
    kind: str(o.kind),
    namespace: str(o.namespace),
    name: str(o.name),
    createdMs: numeric(o.createdMs),
    changedMs: numeric(o.changedMs),
    revision: numeric(o.revision),
    deleted: o.deleted === true,
    object: o.object,
  };
}

export interface MeshObjects {
  version: number | null;
  items: MeshObject[];
}

export async function meshObjects(signal?: AbortSignal): Promise<MeshObjects> {
  const answer = obj(await fetchJson("api/mesh/objects", signal));
  return { version: numeric(answer.version), items: arr(answer.items).map(meshObject) };
}

export async function meshHistory(o: MeshObject, signal?: AbortSignal): Promise<MeshObject[]> {
  const path = url("api/mesh/history", { kind: o.kind, namespace: o.namespace || "-", name: o.name, limit: 50 });
  return arr(obj(await fetchJson(path, signal)).items).map(meshObject);
}

export function meshYaml(o: MeshObject, signal?: AbortSignal): Promise<string> {
  const path = ["api/mesh/objects", o.kind, o.namespace || "-", o.name].map((p, i) => (i ? encodeURIComponent(p) : p)).join("/");
  return fetchText(path + "?format=yaml", signal, { headers: { Accept: "application/yaml" } });
}

export async function meshProxies(signal?: AbortSignal): Promise<{ version: number | null; items: MeshProxy[] }> {
  const answer = obj(await fetchJson("api/mesh/proxies", signal));
  const items = arr(answer.items).map((v) => {
    const p = obj(v);
    return {
      node: str(p.node),
      version: numeric(p.version),
      rejected: numeric(p.rejected) || null,
      error: str(p.error),
      connectedMs: numeric(p.connectedMs),
      lastSeenMs: numeric(p.lastSeenMs),
    };
  });
  return { version: numeric(answer.version), items };
}

/** A label set as PromQL writes it: name{a="b"}. */
export function seriesName(l: Labels): string {
  const rest = Object.entries(l).filter(([k]) => k !== "__name__");
  const inner = rest.map(([k, v]) => `${k}=${quote(v)}`).join(", ");
  return (l.__name__ ?? "") + (inner || !l.__name__ ? `{${inner}}` : "");
}
