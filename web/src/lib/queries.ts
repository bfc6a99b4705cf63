// queries.ts: a node or an edge of the graph, said in PromQL and LogQL.
//
// Both languages quote alike, so that one list of (label, value) pairs serves both. A request is reported by both of
// its ends; `reported` takes the source's report where there is one and the destination's otherwise, never the sum.

import type { GraphNode } from "./model";

export type Matcher = [label: string, value: string];

export function quote(value: string): string {
  return '"' + value.replace(/\\/g, "\\\\").replace(/"/g, '\\"').replace(/\n/g, "\\n") + '"';
}

type Side = "source" | "destination";

/** The labels that pick a node out of the traffic on one of its sides. */
export function sideMatchers(n: GraphNode, side: Side): Matcher[] {
  const m: Matcher[] = [];
  const put = (label: string, value: string) => {
    if (value) m.push([`${side}_${label}`, value]);
  };
  switch (n.type) {
    case "workload":
      put("workload", n.workload);
      put("workload_namespace", n.namespace);
      break;
    case "app":
      put("canonical_service", n.app);
      put("canonical_revision", n.version);
      put("workload_namespace", n.namespace);
      break;
    case "service":
      /* Only a destination has a service; where one is the source, it stands for the requests that named it. */
      m.push(["destination_service_name", n.service]);
      if (n.namespace && n.namespace !== "unknown") m.push(["destination_service_namespace", n.namespace]);
      break;
    case "box":
      if (n.box === "app") put("canonical_service", n.app);
      put("workload_namespace", n.namespace);
      break;
    default:
      put("workload", n.workload || "unknown");
  }
  return m;
}

export function edgeMatchers(source: GraphNode, target: GraphNode): Matcher[] {
  const seen = new Set<string>();
  return [...sideMatchers(source, "source"), ...sideMatchers(target, "destination")].filter(([label]) => {
    if (seen.has(label)) return false;
    seen.add(label);
    return true;
  });
}

export function selector(m: Matcher[], extra = ""): string {
  return "{" + [...m.map(([l, v]) => `${l}=${quote(v)}`), ...(extra ? [extra] : [])].join(",") + "}";
}

function reported(f: (reporter: string) => string): string {
  return `${f('reporter="source"')} or ${f('reporter="destination"')}`;
}

/** HTTP: requests, errors, client errors, p95. TCP: sent, received. */
export type ChartQueries =
  | { tcp: false; requests: string; errors: string; clientErrors: string; p95: string }
  | { tcp: true; sent: string; received: string };

/** What counts as an error on the graph, too: no answer and 5xx; 4xx are told apart. */
const ERROR_CODES = 'response_code=~"0|5.."';
const CLIENT_CODES = 'response_code=~"4.."';

export function chartQueries(m: Matcher[], tcp: boolean, range: string): ChartQueries {
  const sum = (metric: string, extra = "") =>
    reported((r) => `sum(rate(${metric}${selector(m, extra ? `${extra},${r}` : r)}[${range}]))`);
  if (tcp) return { tcp, sent: sum("istio_tcp_sent_bytes_total"), received: sum("istio_tcp_received_bytes_total") };
  return {
    tcp,
    requests: sum("istio_requests_total"),
    errors: sum("istio_requests_total", ERROR_CODES),
    clientErrors: sum("istio_requests_total", CLIENT_CODES),
    p95: reported(
      (r) =>
        `histogram_quantile(0.95,sum by (le) (rate(istio_request_duration_milliseconds_bucket${selector(m, r)}[${range}])))`,
    ),
  };
}

/** A step that gives about 120 points, and a range that bridges the times between two reports. */
export function stepFor(windowMs: number): { step: number; range: string } {
  const step = Math.max(1, Math.ceil(windowMs / 1000 / 120));
  return { step, range: `${Math.max(60, 4 * step)}s` };
}

function pipeline(m: Matcher[]): string {
  return m.map(([l, v]) => ` | ${l}=${quote(v)}`).join("");
}

/** The access log of an edge: each request once, told by the source unless that has no proxy. */
export function edgeLogs(source: GraphNode, target: GraphNode): string {
  const reporter = source.type === "unknown" ? "destination" : "source";
  return `{kind="access_log", reporter="${reporter}"}${pipeline(edgeMatchers(source, target))}`;
}

/** What a node's own proxies logged; of a service: what its callers logged. */
export function nodeLogs(n: GraphNode): string {
  const own: Matcher[] = [["kind", "access_log"]];
  if (n.type === "service") {
    own.push(["reporter", "source"]);
    return selector(own) + pipeline(sideMatchers(n, "destination"));
  }
  if (n.type === "unknown") {
    own.push(["reporter", "destination"]);
    return selector(own) + pipeline(sideMatchers(n, "source"));
  }
  if (n.namespace) own.push(["namespace", n.namespace]);
  if (n.type === "workload") own.push(["workload", n.workload]);
  else if (n.app) own.push(["app", n.app]);
  if (n.type === "app" && n.version) own.push(["version", n.version]);
  return selector(own);
}

