// main.tsx: the console's frame: state, theme, keys for every page, and the graph's data, which the masthead's "live"
// sign and the graph page share; they are asked for only while the graph is looked at.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import "uplot/dist/uPlot.min.css";
import "./app.css";
import { GraphPage, graphParams } from "./graph/page";
import { Help } from "./help";
import { fetchJson, url } from "./lib/api";
import { AppContext, ThemeContext, usePoll, useTheme, useUrlState } from "./lib/hooks";
import { readGraph } from "./lib/model";
import type { State } from "./lib/state";
import { Masthead } from "./masthead";
import { LogsPage } from "./pages/logs";
import { MeshPage } from "./pages/mesh";
import { MetricsPage } from "./pages/metrics";

const TITLES = { graph: "Graph", logs: "Logs", metrics: "Metrics", mesh: "Mesh" } as const;

const typing = (e: KeyboardEvent) =>
  e.target instanceof HTMLElement && e.target.matches("input:not([type=checkbox]), textarea, select");

function useKeys(state: State, set: (patch: Partial<State>) => void, onHelp: () => void): void {
  useEffect(() => {
    const keys = (e: KeyboardEvent) => {
      if (typing(e) || e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || document.querySelector("dialog[open]")) return;
      if (e.key === "?") onHelp();
      else if (e.key === "/" && state.page === "graph") document.getElementById("find")?.focus();
      else if (e.key === "/") document.querySelector<HTMLElement>(".query textarea")?.focus();
      else if (e.key === "t" && state.page === "graph") set({ view: state.view === "graph" ? "table" : "graph" });
      else if (e.key === "p" && state.at === null) set({ refreshMs: state.refreshMs ? 0 : 5000 });
      else return;
      e.preventDefault();
    };
    addEventListener("keydown", keys);
    return () => removeEventListener("keydown", keys);
  }, [state, set, onHelp]);
}

function Console() {
  const app = useUrlState();
  const { state } = app;
  const [theme, setTheme] = useTheme();
  const [help, setHelp] = useState(false);
  const path = url("api/graph", graphParams(state));
  const poll = usePoll(state.page === "graph" ? path : null, async (signal) => readGraph(await fetchJson(path, signal)), state.at === null ? state.refreshMs : 0, true);
  useKeys(state, app.set, () => setHelp(true));
  useEffect(() => {
    document.title = `${TITLES[state.page]} · Vigla`;
  }, [state.page]);
  return (
    <AppContext.Provider value={app}>
      <ThemeContext.Provider value={theme}>
        <Masthead poll={poll} theme={theme} onTheme={setTheme} onHelp={() => setHelp(true)} />
        {state.page === "graph" && <GraphPage poll={poll} />}
        {state.page === "logs" && <LogsPage />}
        {state.page === "metrics" && <MetricsPage />}
        {state.page === "mesh" && <MeshPage />}
        {help && <Help onClose={() => setHelp(false)} />}
      </ThemeContext.Provider>
    </AppContext.Provider>
  );
}

render(<Console />, document.getElementById("root")!);
