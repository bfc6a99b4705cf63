// logs.tsx: a LogQL box and its lines.

import { useEffect, useState } from "preact/hooks";
import { useApp } from "../lib/hooks";
import { LogLines } from "../lib/loglines";
import { QueryBox } from "./querybox";

const EXAMPLES: readonly (readonly [string, string])[] = [
  ["Requests, as their callers saw them", '{kind="access_log", reporter="source"}'],
  ["Server errors", '{kind="access_log", reporter="source"} | response_code >= 500'],
  ["Slower than 1 s", '{kind="access_log", reporter="source"} | duration_us > 1000000'],
  ["Of the gateway", '{kind="access_log", workload="istio-ingressgateway"}'],
  ["With a text", '{kind="access_log"} |= "guestbook.php"'],
  ["Application logs", '{kind="log"}'],
  ["Spans", '{kind="span"}'],
];

export function LogsPage() {
  const { state, set } = useApp();
  const [limit, setLimit] = useState(200);
  useEffect(() => setLimit(200), [state.logQuery]);
  return (
    <main class="page">
      <h1 class="sr">Logs</h1>
      <QueryBox language="LogQL" value={state.logQuery} examples={EXAMPLES} onRun={(logQuery) => set({ logQuery }, true)} />
      <div class="card">
        <LogLines query={state.logQuery} limit={limit} />
        {limit < 5000 && (
          <p class="more"><button type="button" class="button" onClick={() => setLimit(Math.min(5000, limit * 5))}>Load up to {Math.min(5000, limit * 5)} lines</button></p>
        )}
      </div>
    </main>
  );
}
