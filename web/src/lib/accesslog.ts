// accesslog.ts: one access-log line in columns.
//
// The server sends every field beside the line (structured metadata); a line that came from elsewhere (pushed, read
// from a file) has only its text, and then Istio's default format is taken apart here.

import type { LogLine } from "./api";

export interface AccessEntry {
  method: string;
  path: string;
  /** "200", "0" for none, "" when the line is no access log. */
  status: string;
  flags: string;
  /** Milliseconds. */
  duration: number | null;
  source: string;
  destination: string;
  tcp: boolean;
  failed: boolean;
}

/** Names of the words of Istio's default text format, in order; the first is the time. */
const WORDS = [
  "start_time", "request", "response_code", "response_flags", "response_code_details",
  "connection_termination_details", "upstream_transport_failure_reason", "bytes_received", "bytes_sent", "duration",
  "upstream_service_time", "x_forwarded_for", "user_agent", "request_id", "authority", "upstream_host",
  "upstream_cluster", "upstream_local_address", "downstream_local_address", "downstream_remote_address",
  "requested_server_name", "route_name",
] as const;

const WORD = /\[([^\]]*)\]|"((?:[^"\\]|\\.)*)"|(\S+)/g;

export function parseIstioLine(line: string): Record<string, string> | null {
  if (!line.startsWith("[")) return null;
  const words = Array.from(line.matchAll(WORD), (m) => m[1] ?? m[2] ?? m[3] ?? "");
  if (words.length < 12) return null;
  const fields: Record<string, string> = {};
  WORDS.forEach((name, i) => {
    const value = words[i];
    if (value !== undefined && value !== "-" && value !== "") fields[name] = value;
  });
  return fields;
}

const digits = (v: string | undefined): number | null => (v !== undefined && /^\d+(\.\d+)?$/.test(v) ? Number(v) : null);

export function accessEntry(l: LogLine): AccessEntry | null {
  const f = l.fields;
  const parsed = f.response_code === undefined || f.duration_us === undefined ? parseIstioLine(l.line) : null;
  if (!parsed && f.kind !== "access_log" && f.response_code === undefined) return null;
  const request = (parsed?.request ?? "").split(" ");
  const us = digits(f.duration_us);
  const protocol = f.request_protocol ?? "";
  const method = f.method ?? (request.length === 3 && request[0] !== "-" ? request[0]! : "");
  const tcp = protocol === "tcp" || (protocol === "" && method === "");
  const status = f.response_code ?? parsed?.response_code ?? "";
  const flags = f.response_flags ?? parsed?.response_flags ?? "";
  const code = Number(status);
  return {
    method,
    path: f.path ?? (request.length === 3 ? request[1]! : ""),
    status: tcp ? "" : status,
    flags: flags === "-" ? "" : flags,
    duration: us !== null ? us / 1000 : digits(parsed?.duration),
    source: f.source_workload ?? f.source_canonical_service ?? parsed?.downstream_remote_address ?? "",
    destination: f.destination_workload ?? f.destination_service_name ?? parsed?.upstream_cluster ?? "",
    tcp,
    failed: tcp ? /UF|UH|URX|NR|UC|DC|UO/.test(flags) : code === 0 || code >= 400,
  };
}
