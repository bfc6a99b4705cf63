// loglines.tsx: log lines as a table: access logs in columns, others as text; a click opens all fields.

import { useEffect, useMemo, useState } from "preact/hooks";
import { accessEntry, type AccessEntry } from "./accesslog";
import { queryLogs, type LogLine } from "./api";
import * as fmt from "./format";
import { useApp, usePoll } from "./hooks";
import { spanText } from "./state";
import { Check, Empty, Failed } from "./ui";

const FOLLOW_MS = 1000;

interface Props {
  query: string;
  limit: number;
  /** In a narrow panel: without source and destination. */
  compact?: boolean;
  /** A link to the Logs page. */
  onOpen?: () => void;
}

export function LogLines(props: Props) {
  const { state } = useApp();
  const [follow, setFollow] = useState(true);
  const [failuresOnly, setFailuresOnly] = useState(false);
  const [open, setOpen] = useState<string | null>(null);
  useEffect(() => setOpen(null), [props.query]);
  const live = state.at === null && state.refreshMs > 0;
  /* While a line is open the others stand still under the reader's eyes. */
  const every = live && follow && open === null ? FOLLOW_MS : 0;
  const poll = usePoll(
    JSON.stringify([props.query, props.limit, state.windowMs, state.at]),
    (signal) => {
      const to = state.at ?? Date.now() + 1000;
      return queryLogs(props.query, to - state.windowMs, to, props.limit, signal);
    },
    every,
  );
  const rows = useMemo(() => (poll.data ?? []).map((line) => ({ line, entry: accessEntry(line) })), [poll.data]);
  useEffect(() => {
    if (open !== null && !rows.some((r) => rowKey(r.line) === open)) setOpen(null);
  }, [rows, open]);
  const shown = failuresOnly ? rows.filter((r) => r.entry?.failed) : rows;
  const full = rows.length >= props.limit;
  return (
    <div class="logs">
      <div class="logs-bar">
        {live && <Check label={follow && open !== null ? "Follow (held while a line is open)" : "Follow"} checked={follow} onChange={setFollow} />}
        <Check label="Failed only" checked={failuresOnly} onChange={setFailuresOnly} />
        <span class="quiet grow" aria-live="off">
          {poll.data && `${full ? "newest " : ""}${fmt.plural(shown.length, "line")}${failuresOnly ? ` of ${fmt.count(rows.length)}` : ""}`}
        </span>
        {props.onOpen && <button type="button" class="link" onClick={props.onOpen}>Open in Logs</button>}
      </div>
      {poll.error && <Failed what="The log lines could not be loaded." error={poll.error} at={poll.data ? poll.at : 0} onRetry={poll.retry} />}
      {!poll.data && poll.loading && !poll.error && <div class="loading">Loading…</div>}
      {poll.data && shown.length === 0 && <NoLines failuresOnly={failuresOnly && rows.length > 0} />}
      {shown.length > 0 && <Lines rows={shown} compact={props.compact === true} open={open} onOpen={setOpen} />}
    </div>
  );
}

function NoLines(props: { failuresOnly: boolean }) {
  if (props.failuresOnly) return <Empty title="No failed requests among these lines." />;
  return <WidenWindow />;
}

const HOUR_MS = 3_600_000;

function WidenWindow() {
  const { state, set } = useApp();
  return (
    <Empty title={`No log lines in this window (${spanText(state.windowMs)}).`}>
      <p>Send a request and watch it arrive here{state.windowMs < HOUR_MS ? ", or look further back." : "."}</p>
      {state.windowMs < HOUR_MS && <button type="button" class="button" onClick={() => set({ windowMs: HOUR_MS })}>Look at the last hour</button>}
    </Empty>
  );
}

interface Row {
  line: LogLine;
  entry: AccessEntry | null;
}

const rowKey = (l: LogLine) => `${l.ns} ${l.fields.request_id ?? ""} ${l.fields.pod ?? ""} ${l.line}`;

function Lines(props: { rows: Row[]; compact: boolean; open: string | null; onOpen: (key: string | null) => void }) {
  const { open, onOpen } = props;
  const columns = props.compact ? 5 : 7;
  return (
    <table class={`log-table ${props.compact ? "compact" : ""}`}>
      <thead>
        <tr>
          <th scope="col" class="c-time">Time</th>
          {!props.compact && <th scope="col" class="c-end">Source</th>}
          {!props.compact && <th scope="col" class="c-end">Destination</th>}
          <th scope="col">Request</th>
          <th scope="col" class="c-status">Status</th>
          <th scope="col" class="c-flags">Flags</th>
          <th scope="col" class="c-dur num">Duration</th>
        </tr>
      </thead>
      <tbody>
        {props.rows.map((r) => {
          const key = rowKey(r.line);
          const isOpen = open === key;
          return [
            <tr key={key} class={`${r.entry?.failed ? (statusClass(r.entry) === "warn" ? "warned-row" : "failed-row") : ""} ${isOpen ? "open" : ""}`} onClick={() => onOpen(isOpen ? null : key)}>
              <Cells row={r} compact={props.compact} open={isOpen} />
            </tr>,
            isOpen && (
              <tr key={key + " fields"} class="fields-row">
                <td colSpan={columns}><Fields line={r.line} /></td>
              </tr>
            ),
          ];
        })}
      </tbody>
    </table>
  );
}

function Cells(props: { row: Row; compact: boolean; open: boolean }) {
  const { line, entry: e } = props.row;
  /* The whole row takes a click; the button is for the keyboard and screen readers. */
  const time = (
    <td class="c-time">
      <button type="button" class="row-open" aria-expanded={props.open} title={fmt.dateTime(line.ms)}>
        {fmt.clock(line.ms, !props.compact)}
      </button>
    </td>
  );
  if (!e) {
    return (
      <>
        {time}
        <td colSpan={props.compact ? 4 : 6} class="c-text">{line.line}</td>
      </>
    );
  }
  return (
    <>
      {time}
      {!props.compact && <td class="c-end" title={e.source}>{e.source || "–"}</td>}
      {!props.compact && <td class="c-end" title={e.destination}>{e.destination || "–"}</td>}
      <td class="c-text" title={`${e.method} ${e.path}`}>
        {e.tcp ? <span class="quiet">TCP connection</span> : <><b>{e.method}</b> {e.path}</>}
      </td>
      <td class={`c-status s-${statusClass(e)}`}>{e.tcp ? "–" : e.status === "0" ? "none" : e.status}</td>
      <td class="c-flags">{e.flags || ""}</td>
      <td class="c-dur num">{fmt.duration(e.duration)}</td>
    </>
  );
}

function statusClass(e: AccessEntry): string {
  if (e.tcp) return "none";
  if (e.status === "0" || e.status.startsWith("5")) return "bad";
  return e.status.startsWith("4") ? "warn" : "ok";
}

function Fields(props: { line: LogLine }) {
  const entries = Object.entries(props.line.fields).sort(([a], [b]) => a.localeCompare(b));
  return (
    <div class="fields">
      <pre class="whole">{props.line.line}</pre>
      <dl>
        <dt>time</dt>
        <dd>{fmt.dateTime(props.line.ms)} ({props.line.ns} ns)</dd>
        {entries.map(([k, v]) => [<dt key={k}>{k}</dt>, <dd key={k + "="}>{v}</dd>])}
      </dl>
    </div>
  );
}
