// page.tsx: the graph page: toolbar, picture or table, details beside it.

import { useContext, useEffect, useMemo, useRef, useState } from "preact/hooks";
import * as fmt from "../lib/format";
import { ThemeContext, reducedMotion, useApp, type Poll } from "../lib/hooks";
import { publish } from "../lib/debug";
import { url } from "../lib/api";
import { matches, nodeText, totals, withoutIdle, type Graph } from "../lib/model";
import { spanText, type EdgeLabel, type GraphType, type State } from "../lib/state";
import { Check, Empty, Failed, ICONS, Icon, Menu, Select } from "../lib/ui";
import { GraphCanvas } from "./canvas";
import { describeEdge, describeNode } from "./labels";
import { Legend } from "./legend";
import { Panel } from "./panel";
import { GraphTable } from "./table";
import { entry, nextEdge, nextNode, walk, type Direction } from "./walk";

const TYPE_NAMES: readonly (readonly [GraphType, string])[] = [
  ["workload", "Workloads"],
  ["app", "Apps"],
  ["versionedApp", "Versioned apps"],
  ["service", "Services"],
];

const LABEL_NAMES: readonly (readonly [EdgeLabel, string])[] = [
  ["rate", "Request rate"],
  ["errors", "Error share"],
  ["p95", "p95 latency"],
  ["throughput", "Throughput"],
];

/** What /api/graph and /api/topology are asked: both take the same. */
export function graphParams(s: State): Record<string, string | null> {
  return {
    graphType: s.type,
    namespaces: s.namespaces.join(","),
    boxBy: s.boxes.join(","),
    includeIdleEdges: s.showIdle ? "true" : null,
    window: spanText(s.windowMs),
    to: s.at === null ? null : String(s.at / 1000),
  };
}

export function GraphPage(props: { poll: Poll<Graph> }) {
  const { state, set } = useApp();
  const { poll } = props;
  const [legend, setLegend] = useState(false);
  const [panelFocus, setPanelFocus] = useState(0);
  const graph = useMemo(() => (poll.data && !state.showIdle ? withoutIdle(poll.data) : poll.data), [poll.data, state.showIdle]);
  const choose = (id: string | null) => set({ selected: id }, id !== null && state.selected === null);
  useEffect(() => {
    const escape = (e: KeyboardEvent) => {
      if (e.key !== "Escape" || e.defaultPrevented || document.querySelector("dialog[open]")) return;
      if (document.activeElement instanceof HTMLInputElement && document.activeElement.type === "search") return;
      set({ selected: null });
      document.querySelector<HTMLElement>(".canvas")?.focus();
    };
    addEventListener("keydown", escape);
    return () => removeEventListener("keydown", escape);
  }, [set]);
  const empty = graph !== null && graph.nodes.length === 0;
  return (
    <main class="graph-page">
      <Toolbar graph={graph} legend={legend} onLegend={() => setLegend(!legend)} />
      {poll.error && <Failed what="The graph could not be loaded." error={poll.error} at={poll.data ? poll.at : 0} onRetry={poll.retry} />}
      <div class="stage">
        <div class="picture">
          {state.view === "graph" ? (
            <Picture graph={graph} onChoose={choose} onPanel={() => setPanelFocus((n) => n + 1)} />
          ) : (
            graph && <GraphTable graph={graph} find={state.find} selected={state.selected} onChoose={choose} />
          )}
          {!graph && !poll.error && <div class="overlay"><div class="loading">Loading the graph…</div></div>}
          {empty && <NoTraffic />}
          {legend && <Legend onClose={() => setLegend(false)} />}
          {graph && graph.nodes.length > 0 && <Totals graph={graph} />}
        </div>
        {state.selected !== null && graph && <Panel graph={graph} selected={state.selected} onChoose={choose} focus={panelFocus} />}
      </div>
    </main>
  );
}

function Totals(props: { graph: Graph }) {
  const g = props.graph;
  const t = totals(g);
  const sick = g.nodes.filter((n) => n.type !== "box" && (n.health === "Failure" || n.health === "Degraded")).length;
  const parts = [
    fmt.plural(g.nodes.filter((n) => n.type !== "box").length, "node"),
    fmt.plural(g.edges.length, "edge"),
    `${fmt.rate(t.rps)} entering`,
    t.errorShare === null ? "" : `${fmt.percent(t.errorShare)} errors`,
    t.clientShare ? `${fmt.percent(t.clientShare)} 4xx` : "",
    t.bps > 0 ? `TCP ${fmt.throughput(t.bps)}` : "",
    sick > 0 ? `${sick} not healthy` : "",
  ];
  return <p class="totals">{parts.filter(Boolean).join(" · ")}</p>;
}

function NoTraffic() {
  const { state, set } = useApp();
  return (
    <div class="overlay">
      <Empty title={`No traffic in this window (${spanText(state.windowMs)}).`}>
        {state.at === null ? (
          <>
            <p>Send a request through the mesh, it shows here within a second. With the guestbook of <code>make up</code>:</p>
            <pre>curl -H "Host: guestbook.lvh.me" http://127.0.0.1:8080/</pre>
          </>
        ) : (
          <p>It ends at {fmt.dateTime(state.at)}.</p>
        )}
        <p>
          {state.namespaces.length > 0 && <button type="button" class="button" onClick={() => set({ namespaces: [] })}>Show all namespaces</button>}{" "}
          {state.windowMs < 3_600_000 && <button type="button" class="button" onClick={() => set({ windowMs: 3_600_000 })}>Look at the last hour</button>}{" "}
          {!state.showIdle && <button type="button" class="button" onClick={() => set({ showIdle: true })}>Show what is idle</button>}{" "}
          {state.at !== null && <button type="button" class="button" onClick={() => set({ at: null })}>Back to now</button>}
        </p>
      </Empty>
    </div>
  );
}

function Toolbar(props: { graph: Graph | null; legend: boolean; onLegend: () => void }) {
  const { state, set } = useApp();
  const flip = (l: EdgeLabel, on: boolean) =>
    set({ labels: LABEL_NAMES.map(([v]) => v).filter((v) => (v === l ? on : state.labels.includes(v))) });
  return (
    <div class="toolbar" role="toolbar" aria-label="Graph">
      <Select label="Graph type" value={state.type} options={TYPE_NAMES} onChange={(type) => set({ type, selected: null })} />
      <Menu label="Labels" title="What edges say">
        <fieldset>
          <legend>On edges</legend>
          {LABEL_NAMES.map(([v, name]) => (
            <Check key={v} label={name} checked={state.labels.includes(v)} onChange={(on) => flip(v, on)} />
          ))}
        </fieldset>
      </Menu>
      <Menu label="Display">
        <fieldset>
          <legend>Boxes</legend>
          <Check label="By namespace" checked={state.boxes.includes("namespace")}
            onChange={(on) => set({ boxes: [...(on ? ["namespace" as const] : []), ...state.boxes.filter((b) => b !== "namespace")] })} />
          <Check label="By app" checked={state.boxes.includes("app")}
            onChange={(on) => set({ boxes: [...state.boxes.filter((b) => b !== "app"), ...(on ? ["app" as const] : [])] })} />
        </fieldset>
        <fieldset>
          <legend>Show</legend>
          <Check label="Idle nodes and edges" checked={state.showIdle} onChange={(on) => set({ showIdle: on })} />
          <Check label="Traffic animation" checked={state.animate} onChange={(on) => set({ animate: on })}
            hint={reducedMotion() ? "off: your system asks for less motion" : undefined} />
        </fieldset>
      </Menu>
      <Find graph={props.graph} />
      <span class="grow" />
      <div class="switch" role="group" aria-label="View">
        <button type="button" aria-pressed={state.view === "graph"} onClick={() => set({ view: "graph" })}>Graph</button>
        <button type="button" aria-pressed={state.view === "table"} onClick={() => set({ view: "table" })}>Table</button>
      </div>
      <Menu label="Download" align="right">
        <ul class="plain downloads">
          {(["svg", "png", "dot", "json", "csv", "graphml", "mermaid"] as const).map((format) => (
            <li key={format}>
              <a class="link" href={url("api/topology", { ...graphParams(state), format })} download={`vigla-graph.${format === "mermaid" ? "mmd" : format}`}>
                {format.toUpperCase()}
              </a>
            </li>
          ))}
        </ul>
      </Menu>
      <button type="button" class="button" aria-pressed={props.legend} onClick={props.onLegend}>Legend</button>
    </div>
  );
}

function Find(props: { graph: Graph | null }) {
  const { state, set } = useApp();
  const [hits, setHits] = useState<string[]>([]);
  useEffect(() => setHits(foundIds(props.graph, state.find)), [props.graph, state.find]);
  const next = (back: boolean) => {
    if (!hits.length) return;
    const at = hits.indexOf(state.selected ?? "");
    const to = at < 0 ? 0 : (at + (back ? -1 : 1) + hits.length) % hits.length;
    set({ selected: hits[to]! });
  };
  return (
    <div class="find">
      <Icon d={ICONS.search} size={14} />
      <input id="find" type="search" placeholder="Find" aria-label="Find nodes by name, namespace, app, version or health"
        title="Find (press /)" value={state.find} autocomplete="off" spellcheck={false}
        onInput={(e) => set({ find: e.currentTarget.value })}
        onKeyDown={(e) => {
          if (e.key === "Enter") next(e.shiftKey);
          if (e.key === "Escape") {
            e.preventDefault();
            set({ find: "" });
            document.querySelector<HTMLElement>(".canvas")?.focus();
          }
        }} />
      <span class="find-count" role="status">{state.find.trim() ? `${hits.length} found` : ""}</span>
    </div>
  );
}

function foundIds(g: Graph | null, find: string): string[] {
  if (!g || !find.trim()) return [];
  return g.nodes.filter((n) => n.type !== "box" && matches(find, nodeText(n))).map((n) => n.id);
}

const ARROWS: Record<string, Direction> = { ArrowLeft: "left", ArrowRight: "right", ArrowUp: "up", ArrowDown: "down" };

function Picture(props: { graph: Graph | null; onChoose: (id: string | null) => void; onPanel: () => void }) {
  const { state, set } = useApp();
  const theme = useContext(ThemeContext);
  const host = useRef<HTMLDivElement>(null);
  const canvas = useRef<GraphCanvas | null>(null);
  const { graph } = props;
  const latest = useRef(props);
  latest.current = props;

  useEffect(() => {
    if (!host.current) return;
    const view = new GraphCanvas(host.current, (id) => latest.current.onChoose(id));
    canvas.current = view;
    publish(view);
    return () => {
      publish(null);
      view.destroy();
      canvas.current = null;
    };
  }, []);
  useEffect(() => canvas.current?.restyle(), [theme]);
  useEffect(() => canvas.current?.setLabels(state.labels), [state.labels]);
  useEffect(() => {
    if (graph) canvas.current?.setGraph(graph);
  }, [graph]);
  useEffect(() => canvas.current?.choose(state.selected), [state.selected, graph]);
  useEffect(() => canvas.current?.find(state.find), [state.find, graph]);
  useEffect(() => canvas.current?.animateTraffic(state.animate), [state.animate]);

  /* Said once per choice, not at each refresh. */
  const ready = graph !== null;
  const announced = useMemo(() => (graph ? spoken(graph, state.selected) : ""), [state.selected, ready]);

  const keys = (e: KeyboardEvent) => {
    if (!graph || e.ctrlKey || e.metaKey || e.altKey) return;
    const direction = ARROWS[e.key];
    if (direction) {
      const to = state.selected === null ? entry(graph) : walk(graph, state.selected, direction);
      if (to !== null) set({ selected: to });
    } else if (e.key === "e") {
      const to = nextEdge(graph, state.selected ?? entry(graph));
      if (to !== null) set({ selected: to });
    } else if (e.key === "n" || e.key === "N") {
      const to = nextNode(graph, state.selected, e.key === "N");
      if (to !== null) set({ selected: to });
    } else if (e.key === "Enter") {
      if (state.selected === null) set({ selected: entry(graph) });
      props.onPanel();
    } else if (e.key === "+" || e.key === "=") canvas.current?.zoomBy(1.25);
    else if (e.key === "-") canvas.current?.zoomBy(0.8);
    else if (e.key === "0") canvas.current?.fit();
    else return;
    e.preventDefault();
  };
  return (
    <>
      <div class="canvas" ref={host} tabIndex={0} role="application" onKeyDown={keys}
        aria-label="Service graph. Arrow keys walk along the edges, n and N go through all nodes, e through a node's edges, Enter opens the details. The Table view has the same data." />
      <p class="sr" role="status">{announced}</p>
      <div class="zoom" role="group" aria-label="Zoom">
        <button type="button" class="icon-button" title="Zoom in (+)" onClick={() => canvas.current?.zoomBy(1.25)}><Icon d={ICONS.plus} /><span class="sr">Zoom in</span></button>
        <button type="button" class="icon-button" title="Zoom out (-)" onClick={() => canvas.current?.zoomBy(0.8)}><Icon d={ICONS.minus} /><span class="sr">Zoom out</span></button>
        <button type="button" class="icon-button" title="Show all (0)" onClick={() => canvas.current?.fit()}><Icon d={ICONS.fit} /><span class="sr">Show all</span></button>
      </div>
    </>
  );
}

function spoken(g: Graph, selected: string | null): string {
  if (selected === null) return "";
  const nodes = new Map(g.nodes.map((n) => [n.id, n]));
  const node = nodes.get(selected);
  if (node) return describeNode(node, g.edges);
  const edge = g.edges.find((e) => e.id === selected);
  return edge ? describeEdge(edge, nodes) : "";
}
