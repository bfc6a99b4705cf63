// masthead.tsx: what holds on every page: where you are, which namespaces, which time, how fresh.

import { useEffect, useRef } from "preact/hooks";
import { labelValues } from "./lib/api";
import * as fmt from "./lib/format";
import { useApp, useNow, usePoll, type Poll, type Theme } from "./lib/hooks";
import type { Graph } from "./lib/model";
import { PAGES, REFRESHES, WINDOWS, formatState, spanText, type Page } from "./lib/state";
import { Check, Failed, ICONS, Icon, Menu, Select } from "./lib/ui";

const PAGE_NAMES: Record<Page, string> = { graph: "Graph", logs: "Logs", metrics: "Metrics", mesh: "Mesh" };

function Logo() {
  return (
    <span class="brand">
      <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
        <path d="M16 30V19M9 13h14l-2 6H11zM12.5 13V9.5M19.5 13V9.5M11 9.5h10L16 4z" fill="none" stroke="currentColor" stroke-width="2.2" stroke-linejoin="round" stroke-linecap="round" />
        <circle class="lamp" cx="16" cy="16" r="1.8" />
      </svg>
      Vigla
    </span>
  );
}

interface Props {
  poll: Poll<Graph>;
  theme: Theme;
  onTheme: (t: Theme) => void;
  onHelp: () => void;
}

export function Masthead(props: Props) {
  const { state, set } = useApp();
  const dark = props.theme === "dark";
  return (
    <header class="masthead">
      <Logo />
      <nav aria-label="Pages">
        {PAGES.map((page) => (
          <a key={page} href={formatState({ ...state, page })} aria-current={state.page === page ? "page" : undefined}>{PAGE_NAMES[page]}</a>
        ))}
      </nav>
      <div class="masthead-controls">
        {(state.page === "graph" || state.page === "mesh") && <Namespaces />}
        {state.page !== "mesh" && (
          <>
            <Select label="Time window" value={state.windowMs}
              options={withCurrent(WINDOWS, state.windowMs).map((w) => [w, (state.at === null ? "Last " : "") + spanText(w)] as const)}
              onChange={(windowMs) => set({ windowMs })} />
            <At />
          </>
        )}
        <Refresh />
        <Live poll={props.poll} />
        <button type="button" class="icon-button" title={dark ? "Light theme" : "Dark theme"} onClick={() => props.onTheme(dark ? "light" : "dark")}>
          <Icon d={dark ? ICONS.sun : ICONS.moon} />
          <span class="sr">{dark ? "Switch to the light theme" : "Switch to the dark theme"}</span>
        </button>
        <button type="button" class="icon-button" title="Help (?)" onClick={props.onHelp}>
          <Icon d={ICONS.help} />
          <span class="sr">Help</span>
        </button>
      </div>
    </header>
  );
}

function withCurrent(all: readonly number[], current: number): number[] {
  return [...new Set([...all, current])].sort((a, b) => a - b);
}

/** Namespaces seen in telemetry during the last day, whatever the window: the choice should not shrink with it. */
async function namespacesSeen(at: number | null, signal: AbortSignal): Promise<string[]> {
  const to = at ?? Date.now();
  const names = ["source_workload_namespace", "destination_workload_namespace", "destination_service_namespace"];
  const lists = await Promise.all(names.map((n) => labelValues(n, to - 86_400_000, to, signal)));
  return [...new Set(lists.flat())].filter((n) => n && n !== "unknown").sort();
}

function Namespaces() {
  const { state } = useApp();
  const chosen = state.namespaces;
  const label = chosen.length === 0 ? "All namespaces" : chosen.length === 1 ? chosen[0]! : `${chosen.length} namespaces`;
  return (
    <Menu label={label} title="Namespaces"><NamespaceList /></Menu>
  );
}

function NamespaceList() {
  const { state, set } = useApp();
  const poll = usePoll(`namespaces ${state.at}`, (signal) => namespacesSeen(state.at, signal), 0);
  const all = [...new Set([...(poll.data ?? []), ...state.namespaces])].sort();
  return (
    <fieldset>
      <legend>Namespaces</legend>
      <Check label="All" checked={state.namespaces.length === 0} onChange={() => set({ namespaces: [] })} />
      {all.map((ns) => (
        <Check key={ns} label={ns} checked={state.namespaces.includes(ns)}
          onChange={(on) => set({ namespaces: on ? [...state.namespaces, ns].sort() : state.namespaces.filter((n) => n !== ns) })} />
      ))}
      {poll.error && <Failed what="The namespaces could not be loaded." error={poll.error} onRetry={poll.retry} />}
      {poll.data && all.length === 0 && <p class="quiet">None has been seen yet.</p>}
    </fieldset>
  );
}

/** A point in time: the window then ends there, not now. */
function At() {
  const { state, set } = useApp();
  const label = state.at === null ? "Now" : fmt.dateTime(state.at);
  const input = useRef<HTMLInputElement>(null);
  const go = () => {
    const ms = fmt.fromLocalInput(input.current?.value ?? "");
    if (ms !== null) set({ at: Math.min(ms, Date.now()) }, true);
  };
  const shift = (ms: number) => set({ at: Math.min(Date.now(), (state.at ?? Date.now()) + ms) });
  return (
    <Menu label={label} title="The end of the window">
      <fieldset class="at">
        <legend>The window ends</legend>
        <button type="button" class="button" aria-pressed={state.at === null} onClick={() => set({ at: null })}>Now (live)</button>
        <label>
          <span>At</span>
          <input ref={input} type="datetime-local" step="1" key={state.at ?? 0} defaultValue={fmt.toLocalInput(state.at ?? Date.now())} onChange={go} />
        </label>
        <div class="row">
          <button type="button" class="button small" onClick={() => shift(-state.windowMs)}>− {spanText(state.windowMs)}</button>
          <button type="button" class="button small" onClick={() => shift(-60_000)}>− 1m</button>
          <button type="button" class="button small" disabled={state.at === null} onClick={() => shift(60_000)}>+ 1m</button>
          <button type="button" class="button small" disabled={state.at === null} onClick={() => shift(state.windowMs)}>+ {spanText(state.windowMs)}</button>
        </div>
      </fieldset>
    </Menu>
  );
}

function Refresh() {
  const { state, set } = useApp();
  const last = useRef(state.refreshMs || 5000);
  useEffect(() => {
    if (state.refreshMs) last.current = state.refreshMs;
  }, [state.refreshMs]);
  if (state.at !== null) return null;
  const paused = state.refreshMs === 0;
  return (
    <span class="refresh">
      <Select label="Refresh" value={state.refreshMs}
        options={withCurrent(REFRESHES, state.refreshMs).map((r) => [r, r ? `Every ${spanText(r)}` : "Paused"] as const)}
        onChange={(refreshMs) => set({ refreshMs })} />
      <button type="button" class="icon-button" title={paused ? "Go on refreshing" : "Pause"} onClick={() => set({ refreshMs: paused ? last.current : 0 })}>
        <Icon d={paused ? ICONS.play : ICONS.pause} />
        <span class="sr">{paused ? "Go on refreshing" : "Pause refreshing"}</span>
      </button>
    </span>
  );
}

function Live(props: { poll: Poll<Graph> }) {
  const { state } = useApp();
  const now = useNow();
  const { poll } = props;
  const [kind, text] = state.page === "graph" ? liveness(state.at, state.refreshMs, poll, now) : pace(state.at, state.refreshMs);
  return (
    <span class={`live ${kind}`} title={poll.error ?? "The age of what you see"}>
      <span class="dot" aria-hidden="true" />
      {text}
    </span>
  );
}

/** Pages other than the graph say themselves how old their data are when something is wrong. */
function pace(at: number | null, refreshMs: number): [string, string] {
  return at !== null ? ["replay", "Replay"] : refreshMs === 0 ? ["paused", "Paused"] : ["on", "Live"];
}

function liveness(at: number | null, refreshMs: number, poll: Poll<Graph>, now: number): [string, string] {
  const old = poll.at ? fmt.age(now - poll.at) : "";
  if (poll.error) return ["broken", old ? `Stale, ${old}` : "No data"];
  if (at !== null) return ["replay", "Replay"];
  if (!poll.at) return ["waiting", "Loading"];
  if (refreshMs === 0) return ["paused", `Paused, ${old}`];
  return now - poll.at > refreshMs * 3 + 3000 ? ["broken", `Stale, ${old}`] : ["on", `Live, ${old}`];
}
