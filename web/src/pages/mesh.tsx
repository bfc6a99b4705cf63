// mesh.tsx: the objects that make the mesh, their YAML and history, and which version each proxy runs.

import { useMemo } from "preact/hooks";
import { meshHistory, meshObjects, meshProxies, meshYaml, type MeshObject, type MeshProxy } from "../lib/api";
import * as fmt from "../lib/format";
import { useApp, useNow, usePoll } from "../lib/hooks";
import { Empty, Failed, HealthMark, useSort } from "../lib/ui";

export function MeshPage() {
  const { state } = useApp();
  const every = state.refreshMs;
  const objects = usePoll("objects", meshObjects, every);
  const proxies = usePoll("proxies", meshProxies, every);
  return (
    <main class="page mesh">
      <h1 class="sr">Mesh</h1>
      <section class="card">
        <h2>Proxies</h2>
        {proxies.error && <Failed what="The proxies could not be loaded." error={proxies.error} at={proxies.data ? proxies.at : 0} onRetry={proxies.retry} />}
        {proxies.data && <Proxies {...proxies.data} />}
        {!proxies.data && !proxies.error && <div class="loading">Loading…</div>}
      </section>
      <section class="card">
        <h2>Objects {objects.data?.version !== null && objects.data && <span class="quiet">version {objects.data.version}</span>}</h2>
        {objects.error && <Failed what="The objects could not be loaded." error={objects.error} at={objects.data ? objects.at : 0} onRetry={objects.retry} />}
        {objects.data && <Objects items={objects.data.items} />}
        {!objects.data && !objects.error && <div class="loading">Loading…</div>}
      </section>
    </main>
  );
}

/** A proxy asks again at least every 25 s (its wait); one silent for longer than two of those is not connected. */
const SILENT_MS = 60_000;

function proxyState(p: MeshProxy, version: number | null, now: number): { health: "Healthy" | "Degraded" | "Failure"; text: string } {
  if (p.lastSeenMs !== null && now - p.lastSeenMs > SILENT_MS) return { health: "Failure", text: `not seen since ${fmt.dateTime(p.lastSeenMs)}` };
  if (p.rejected !== null) return { health: "Failure", text: `rejected version ${p.rejected}` };
  if (version !== null && p.version !== version) return { health: "Degraded", text: `at version ${p.version ?? "–"} of ${version}` };
  return { health: "Healthy", text: "up to date" };
}

function Proxies(props: { version: number | null; items: MeshProxy[] }) {
  const now = useNow(5000);
  const { sorted, head } = useSort(
    props.items,
    { node: (p) => p.node, version: (p) => p.version, connected: (p) => p.connectedMs, seen: (p) => p.lastSeenMs },
    "node",
  );
  if (!props.items.length) {
    return <Empty title="No proxy has connected."><p>Start the workloads with <code>vigla mesh up -f DIR</code>, or a proxy with <code>vigla-proxy --control URL</code>.</p></Empty>;
  }
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Proxies">
      <table class="wide">
        <thead>
          <tr>{head("node", "Proxy")}<th scope="col">State</th>{head("version", "Version", true)}{head("connected", "Connected")}{head("seen", "Last seen")}</tr>
        </thead>
        <tbody>
          {sorted.map((p) => {
            const s = proxyState(p, props.version, now);
            return (
              <tr key={p.node}>
                <td>{p.node}</td>
                <td>
                  <HealthMark health={s.health} word={false} /> {s.text}
                  {p.error && <pre class="proxy-error">{p.error}</pre>}
                </td>
                <td class="num">{p.version ?? "–"}</td>
                <td class="when">{p.connectedMs === null ? "–" : fmt.dateTime(p.connectedMs)}</td>
                <td class="when">{p.lastSeenMs === null ? "–" : fmt.age(now - p.lastSeenMs)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

const objectKey = (o: MeshObject) => [o.kind, o.namespace, o.name].join("/");

function Objects(props: { items: MeshObject[] }) {
  const { state, set } = useApp();
  const kinds = useMemo(() => {
    const n = new Map<string, number>();
    for (const o of props.items) n.set(o.kind, (n.get(o.kind) ?? 0) + 1);
    return [...n].sort(([a], [b]) => a.localeCompare(b));
  }, [props.items]);
  if (!props.items.length) {
    return <Empty title="No objects yet."><p>Apply some: <code>vigla apply -f FILE|DIR</code></p></Empty>;
  }
  const namespaces = new Set(state.namespaces);
  const rows = props.items.filter(
    (o) => (!state.kind || o.kind === state.kind) && (!namespaces.size || !o.namespace || namespaces.has(o.namespace)),
  );
  const open = props.items.find((o) => objectKey(o) === state.object);
  return (
    <div class={`objects ${open ? "split" : ""}`}>
      <nav class="kinds" aria-label="Kinds">
        <button type="button" aria-pressed={!state.kind} onClick={() => set({ kind: "", object: "" })}>All <span>{props.items.length}</span></button>
        {kinds.map(([kind, n]) => (
          <button key={kind} type="button" aria-pressed={state.kind === kind} onClick={() => set({ kind, object: "" })}>{kind} <span>{n}</span></button>
        ))}
      </nav>
      <ObjectTable rows={rows} />
      {open && <ObjectView key={objectKey(open)} object={open} />}
    </div>
  );
}

function ObjectTable(props: { rows: MeshObject[] }) {
  const { state, set } = useApp();
  const { sorted, head } = useSort(
    props.rows,
    { name: (o) => o.name, kind: (o) => o.kind, namespace: (o) => o.namespace, revision: (o) => o.revision, changed: (o) => o.changedMs },
    "kind",
  );
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Objects">
      <table class="wide">
        <thead>
          <tr>{head("name", "Name")}{head("kind", "Kind")}{head("namespace", "Namespace")}{head("revision", "Revision", true)}{head("changed", "Changed")}</tr>
        </thead>
        <tbody>
          {sorted.map((o) => {
            const key = objectKey(o);
            const isOpen = key === state.object;
            return (
              <tr key={key} class={isOpen ? "open" : ""} onClick={() => set({ object: isOpen ? "" : key })}>
                <td><button type="button" class="link" aria-expanded={isOpen}>{o.name}</button></td>
                <td>{o.kind}</td>
                <td>{o.namespace || "–"}</td>
                <td class="num">{o.revision ?? "–"}</td>
                <td class="when">{o.changedMs === null ? "–" : fmt.dateTime(o.changedMs)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function ObjectView(props: { object: MeshObject }) {
  const { set } = useApp();
  const o = props.object;
  const id = `${objectKey(o)}@${o.revision}`;
  const yaml = usePoll(`yaml ${id}`, (signal) => meshYaml(o, signal), 0);
  const history = usePoll(`history ${id}`, (signal) => meshHistory(o, signal), 0);
  return (
    <section class="object" aria-label={`${o.kind} ${o.name}`}>
      <header>
        <h3>{o.kind} {o.namespace && `${o.namespace}/`}{o.name}</h3>
        <button type="button" class="button small" onClick={() => set({ object: "" })}>Close</button>
      </header>
      {yaml.error && <Failed what="The YAML could not be loaded." error={yaml.error} onRetry={yaml.retry} />}
      {yaml.data !== null && <pre class="yaml" tabIndex={0}>{yaml.data}</pre>}
      <h4>History</h4>
      {history.error && <Failed what="The history could not be loaded." error={history.error} onRetry={history.retry} />}
      {history.data && <History items={history.data} />}
    </section>
  );
}

function History(props: { items: MeshObject[] }) {
  if (!props.items.length) return <p class="quiet">No earlier versions.</p>;
  return (
    <ul class="plain history">
      {props.items.map((h) => (
        <li key={h.revision}>
          <details>
            <summary>
              Revision {h.revision ?? "–"}
              <span class="quiet"> {h.changedMs === null ? "" : fmt.dateTime(h.changedMs)}{h.deleted ? ", deleted" : ""}</span>
            </summary>
            <pre class="yaml" tabIndex={0}>{JSON.stringify(h.object, null, 2)}</pre>
          </details>
        </li>
      ))}
    </ul>
  );
}
