// panel.tsx: all that is known of the chosen node or edge: numbers, codes, charts, log lines.

import { useEffect, useRef } from "preact/hooks";
import * as fmt from "../lib/format";
import { useApp } from "../lib/hooks";
import { LogLines } from "../lib/loglines";
import { HEALTH_WORDS, isTcp, typeName, type Graph, type GraphEdge, type GraphNode, type Health, type Numbers } from "../lib/model";
import { edgeLogs, edgeMatchers, nodeLogs, sideMatchers } from "../lib/queries";
import { TrafficCharts } from "../lib/trafficcharts";
import { HealthMark, ICONS, Icon } from "../lib/ui";
import { edgeName, healthReason, nodeReason } from "./labels";

interface Props {
  graph: Graph;
  selected: string;
  onChoose: (id: string | null) => void;
  /** Counts up when the keyboard asks for the panel. */
  focus: number;
}

export function Panel(props: Props) {
  const box = useRef<HTMLElement>(null);
  useEffect(() => {
    if (props.focus > 0) box.current?.querySelector<HTMLElement>("h2")?.focus();
  }, [props.focus]);
  useEffect(() => box.current?.scrollTo(0, 0), [props.selected]);
  const nodes = new Map(props.graph.nodes.map((n) => [n.id, n]));
  const node = nodes.get(props.selected);
  const edge = props.graph.edges.find((e) => e.id === props.selected);
  return (
    <aside class="panel" ref={box} aria-label="Details">
      <button type="button" class="icon-button close" title="Close (Esc)" onClick={() => props.onChoose(null)}>
        <Icon d={ICONS.close} />
        <span class="sr">Close details</span>
      </button>
      {node && <NodePanel {...props} node={node} nodes={nodes} />}
      {edge && <EdgePanel {...props} edge={edge} nodes={nodes} />}
      {!node && !edge && (
        <header>
          <h2 tabIndex={-1}>Not on this graph</h2>
          <p class="quiet">What was chosen had no traffic in this window, or is hidden by the chosen namespaces or type. It comes back here when it does.</p>
        </header>
      )}
    </aside>
  );
}

function Figure(props: { label: string; value: string; small?: string; state?: "bad" | "warn" | "" }) {
  return (
    <div class={`figure ${props.state ?? ""}`}>
      <dt>{props.label}</dt>
      <dd>{props.value}</dd>
      {props.small && <dd class="small">{props.small}</dd>}
    </div>
  );
}

function Reason(props: { health: Health; text: string | null }) {
  return props.text === null ? null : <p class={`reason h-${props.health}`}>{props.text}</p>;
}

function HttpFigures(props: { n: Numbers; suffix?: string }) {
  const { n } = props;
  return (
    <dl class="figures">
      <Figure label={`Requests${props.suffix ?? ""}`} value={fmt.rate(n.rps)} small={n.requests === null ? "" : fmt.plural(n.requests, "request")} />
      <Figure label="Errors" value={fmt.percent(n.errorShare)} small="5xx, no answer" state={(n.errorShare ?? 0) > 0 ? "bad" : ""} />
      <Figure label="4xx" value={fmt.percent(n.clientShare)} small="client errors" state={(n.clientShare ?? 0) > 0 ? "warn" : ""} />
      <Figure label="p50" value={fmt.duration(n.p50)} />
      <Figure label="p95" value={fmt.duration(n.p95)} />
      <Figure label="p99" value={fmt.duration(n.p99)} />
    </dl>
  );
}

function TcpFigures(props: { n: Numbers; bps: number | null }) {
  return (
    <dl class="figures">
      <Figure label="Throughput" value={fmt.throughput(props.bps)} />
      <Figure label="Connections" value={fmt.count(props.n.connections)} />
      <Figure label="Sent" value={fmt.bytes(props.n.sentBytes)} />
      <Figure label="Received" value={fmt.bytes(props.n.receivedBytes)} />
    </dl>
  );
}

function Codes(props: { edge: GraphEdge }) {
  const rows = props.edge.responses.filter((r) => r.code !== "-" || r.flags !== "-" || !isTcp(props.edge));
  if (!rows.length) return null;
  return (
    <section>
      <h3>Responses</h3>
      <table class="codes">
        <thead>
          <tr><th scope="col">Code</th><th scope="col">Flags</th><th scope="col">Share</th><th scope="col" class="num">Requests</th></tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r.code + r.flags}>
              <td class={`s-${codeClass(r.code)}`}>{r.code === "-" ? "no answer" : r.code}</td>
              <td>{r.flags === "-" ? "" : r.flags}</td>
              <td class="bar-cell"><meter class={`m-${codeClass(r.code)}`} min={0} max={1} value={r.share} /> {fmt.percent(r.share)}</td>
              <td class="num">{props.edge.requests === null ? "–" : fmt.count(r.share * props.edge.requests)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function codeClass(code: string): string {
  if (code === "-" || code === "0" || code.startsWith("5")) return "bad";
  return code.startsWith("4") ? "warn" : "ok";
}

function EdgePanel(props: Props & { edge: GraphEdge; nodes: Map<string, GraphNode> }) {
  const { set } = useApp();
  const { edge, nodes } = props;
  const source = nodes.get(edge.source)!;
  const target = nodes.get(edge.target)!;
  const logs = edgeLogs(source, target);
  return (
    <>
      <header>
        <p class="kind">{isTcp(edge) ? "TCP" : (edge.protocol || "HTTP").toUpperCase()} edge</p>
        <h2 tabIndex={-1}>
          <button type="button" class="link" onClick={() => props.onChoose(source.id)}>{source.name}</button>
          <span class="arrow"> → </span>
          <button type="button" class="link" onClick={() => props.onChoose(target.id)}>{target.name}</button>
        </h2>
        <p class="meta">
          <HealthMark health={edge.health} />
          {edge.mtls ? <span>mTLS {edge.mtls.toFixed(0)}%</span> : <span>plain text</span>}
          {source.namespace !== target.namespace && <span>{source.namespace} → {target.namespace}</span>}
        </p>
        <Reason health={edge.health} text={healthReason(edge.health, edge)} />
      </header>
      {isTcp(edge) ? <TcpFigures n={edge} bps={edge.bps} /> : <HttpFigures n={edge} />}
      <Codes edge={edge} />
      <section>
        <TrafficCharts id={edge.id} matchers={edgeMatchers(source, target)} tcp={isTcp(edge)} />
      </section>
      <section>
        <h3>Log</h3>
        <LogLines query={logs} limit={100} compact onOpen={() => set({ page: "logs", logQuery: logs }, true)} />
      </section>
    </>
  );
}

function NodePanel(props: Props & { node: GraphNode; nodes: Map<string, GraphNode> }) {
  const { set } = useApp();
  const { node, graph } = props;
  const into = graph.edges.filter((e) => e.target === node.id);
  const out = graph.edges.filter((e) => e.source === node.id);
  if (node.type === "box") return <BoxPanel {...props} />;
  const logs = nodeLogs(node);
  const tcpOnly = into.length > 0 && into.every(isTcp);
  /* Who is called shows what comes in; who only calls, what goes out. */
  const side = into.length ? "destination" : "source";
  const tcp = into.length ? tcpOnly : out.length > 0 && out.every(isTcp);
  return (
    <>
      <header>
        <p class="kind">{typeName(node)}</p>
        <h2 tabIndex={-1}>{node.name}</h2>
        <p class="meta">
          <HealthMark health={node.health} />
          {node.namespace && node.type !== "unknown" && <span>namespace {node.namespace}</span>}
          {node.app && node.type !== "app" && <span>app {node.app}</span>}
          {node.version && <span>version {node.version}</span>}
          {node.type === "app" && node.workload && <span>workload {node.workload}</span>}
          {node.hosts.length > 0 && <span>for {node.hosts.join(", ")}</span>}
        </p>
        <Reason health={node.health} text={nodeReason(node, graph, props.nodes)} />
      </header>
      {tcpOnly ? <TcpFigures n={node} bps={into.reduce((sum, e) => sum + (e.bps ?? 0), 0)} /> : into.length > 0 && <HttpFigures n={node} suffix=" in" />}
      <EdgeList title="Called by" edges={into} other={(e) => e.source} {...props} />
      <EdgeList title="Calls" edges={out} other={(e) => e.target} {...props} />
      <section>
        <TrafficCharts id={node.id} matchers={sideMatchers(node, side)} tcp={tcp} />
      </section>
      <section>
        <h3>Log</h3>
        <LogLines query={logs} limit={100} compact onOpen={() => set({ page: "logs", logQuery: logs }, true)} />
      </section>
    </>
  );
}

function EdgeList(props: Props & { title: string; edges: GraphEdge[]; other: (e: GraphEdge) => string; nodes: Map<string, GraphNode> }) {
  if (!props.edges.length) return null;
  return (
    <section>
      <h3>{props.title}</h3>
      <table class="edges">
        <thead>
          <tr>
            <th scope="col">Who</th><th scope="col" class="num">Rate</th><th scope="col" class="num">Errors</th><th scope="col" class="num">4xx</th><th scope="col" class="num">p95</th>
          </tr>
        </thead>
        <tbody>
          {props.edges.map((e) => (
            <tr key={e.id}>
              <td>
                <HealthMark health={e.health} word={false} />
                <button type="button" class="link" title={edgeName(e, props.nodes)} onClick={() => props.onChoose(e.id)}>
                  {props.nodes.get(props.other(e))?.name}
                </button>
              </td>
              <td class="num">{isTcp(e) ? fmt.throughput(e.bps) : fmt.rate(e.rps)}</td>
              <td class="num">{isTcp(e) ? "–" : fmt.percent(e.errorShare)}</td>
              <td class="num">{isTcp(e) ? "–" : fmt.percent(e.clientShare)}</td>
              <td class="num">{isTcp(e) ? "–" : fmt.duration(e.p95)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function BoxPanel(props: Props & { node: GraphNode }) {
  const inside = props.graph.nodes.filter((n) => n.parent === props.node.id);
  return (
    <>
      <header>
        <p class="kind">{typeName(props.node)}</p>
        <h2 tabIndex={-1}>{props.node.name}</h2>
      </header>
      <section>
        <h3>Holds</h3>
        <ul class="plain">
          {inside.map((n) => (
            <li key={n.id}>
              <HealthMark health={n.health} word={false} />{" "}
              <button type="button" class="link" onClick={() => props.onChoose(n.id)}>{n.name}</button>{" "}
              <span class="quiet">{HEALTH_WORDS[n.health]}</span>
            </li>
          ))}
        </ul>
      </section>
    </>
  );
}
