// table.tsx: the graph as two tables, with the same data and the same choices as the picture.

import * as fmt from "../lib/format";
import { isTcp, matches, nodeText, typeName, type Graph, type GraphEdge, type GraphNode } from "../lib/model";
import { HealthMark, useSort } from "../lib/ui";

interface Props {
  graph: Graph;
  find: string;
  selected: string | null;
  onChoose: (id: string) => void;
}

const WORST_FIRST = { Failure: 0, Degraded: 1, Healthy: 2, NA: 3 } as const;

export function GraphTable(props: Props) {
  const nodes = new Map(props.graph.nodes.map((n) => [n.id, n]));
  const fits = (n: GraphNode | undefined) => n !== undefined && matches(props.find, nodeText(n));
  const edges = props.graph.edges.filter((e) => fits(nodes.get(e.source)) || fits(nodes.get(e.target)));
  const shown = props.graph.nodes.filter((n) => n.type !== "box" && fits(n));
  return (
    <div class="tables">
      <EdgeTable {...props} edges={edges} nodes={nodes} />
      <NodeTable {...props} rows={shown} />
    </div>
  );
}

function EdgeTable(props: Props & { edges: GraphEdge[]; nodes: Map<string, GraphNode> }) {
  const name = (id: string) => props.nodes.get(id)?.name ?? "";
  const { sorted, head } = useSort(
    props.edges,
    {
      health: (e) => WORST_FIRST[e.health],
      source: (e) => name(e.source),
      target: (e) => name(e.target),
      protocol: (e) => e.protocol,
      rps: (e) => e.rps,
      errors: (e) => e.errorShare,
      client: (e) => e.clientShare,
      p50: (e) => e.p50,
      p95: (e) => e.p95,
      p99: (e) => e.p99,
      bps: (e) => e.bps,
    },
    "source",
  );
  return (
    <section>
      <h2>Edges <span class="quiet">{props.edges.length}</span></h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Edges">
        <table class="wide" id="edges">
          <thead>
            <tr>
              {head("source", "From")}{head("target", "To")}{head("health", "Health")}{head("protocol", "Protocol")}
              {head("rps", "Requests", true)}{head("errors", "Errors", true)}{head("client", "4xx", true)}{head("p50", "p50", true)}
              {head("p95", "p95", true)}{head("p99", "p99", true)}{head("bps", "Throughput", true)}
            </tr>
          </thead>
          <tbody>
            {sorted.map((e) => (
              <tr key={e.id} class={e.id === props.selected ? "open" : ""} data-edge={`${name(e.source)}>${name(e.target)}`}
                onClick={() => props.onChoose(e.id)}>
                <td><button type="button" class="link" aria-pressed={e.id === props.selected}>{name(e.source)}<span class="sr"> to {name(e.target)}</span></button></td>
                <td>{name(e.target)}</td>
                <td><HealthMark health={e.health} /></td>
                <td>{e.protocol || "–"}{e.mtls ? " mTLS" : ""}</td>
                <td class="num">{isTcp(e) ? "–" : e.idle ? "idle" : fmt.rate(e.rps)}</td>
                <td class="num">{isTcp(e) ? "–" : fmt.percent(e.errorShare)}</td>
                <td class="num">{isTcp(e) ? "–" : fmt.percent(e.clientShare)}</td>
                <td class="num">{fmt.duration(e.p50)}</td>
                <td class="num">{fmt.duration(e.p95)}</td>
                <td class="num">{fmt.duration(e.p99)}</td>
                <td class="num">{fmt.throughput(e.bps)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function NodeTable(props: Props & { rows: GraphNode[] }) {
  const { sorted, head } = useSort(
    props.rows,
    {
      name: (n) => n.name,
      type: (n) => typeName(n),
      namespace: (n) => n.namespace,
      health: (n) => WORST_FIRST[n.health],
      rps: (n) => n.rps,
      errors: (n) => n.errorShare,
      client: (n) => n.clientShare,
      p95: (n) => n.p95,
    },
    "name",
  );
  return (
    <section>
      <h2>Nodes <span class="quiet">{props.rows.length}</span></h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Nodes">
        <table class="wide" id="nodes">
          <thead>
            <tr>
              {head("name", "Name")}{head("type", "Type")}{head("namespace", "Namespace")}{head("health", "Health")}
              {head("rps", "Requests in", true)}{head("errors", "Errors", true)}{head("client", "4xx", true)}{head("p95", "p95", true)}
            </tr>
          </thead>
          <tbody>
            {sorted.map((n) => (
              <tr key={n.id} class={n.id === props.selected ? "open" : ""} data-node={n.name} onClick={() => props.onChoose(n.id)}>
                <td>
                  <button type="button" class="link" aria-pressed={n.id === props.selected}>{n.name}</button>
                  {n.type === "app" && n.version ? ` ${n.version}` : ""}
                  {n.type === "app" && n.workload && <span class="quiet"> {n.workload}</span>}
                </td>
                <td>{typeName(n)}</td>
                <td>{n.namespace || "–"}</td>
                <td><HealthMark health={n.health} /></td>
                <td class="num">{fmt.rate(n.rps)}</td>
                <td class="num">{fmt.percent(n.errorShare)}</td>
                <td class="num">{fmt.percent(n.clientShare)}</td>
                <td class="num">{fmt.duration(n.p95)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
