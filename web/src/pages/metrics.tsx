// metrics.tsx: a PromQL box, its chart over the window, and its values at the end of it.

import { mean, peak, timeline, valuesAt } from "../lib/align";
import { queryRange, seriesName, type QueryResult, type Series } from "../lib/api";
import { Chart } from "../lib/chart";
import * as fmt from "../lib/format";
import { useApp, usePoll } from "../lib/hooks";
import { SHORTEST_CHART, spanText } from "../lib/state";
import { Empty, Failed, useSort } from "../lib/ui";
import { QueryBox } from "./querybox";

const EXAMPLES: readonly (readonly [string, string])[] = [
  ["Requests by workload", "sum by (destination_workload) (rate(istio_requests_total[1m]))"],
  ["Error share by edge", 'sum by (source_workload, destination_workload) (rate(istio_requests_total{response_code=~"5.."}[5m])) / sum by (source_workload, destination_workload) (rate(istio_requests_total[5m]))'],
  ["p95 by workload (ms)", "histogram_quantile(0.95, sum by (le, destination_workload) (rate(istio_request_duration_milliseconds_bucket[5m])))"],
  ["TCP bytes sent", "sum by (source_workload, destination_workload) (rate(istio_tcp_sent_bytes_total[1m]))"],
  ["Requests by code", "sum by (response_code) (rate(istio_requests_total[1m]))"],
];

/** More lines than this are a blur; the table has them all. */
const MOST_LINES = 12;
const COLORS = 6;

interface Data {
  result: QueryResult;
  times: number[];
  span: string;
}

export function MetricsPage() {
  const { state, set } = useApp();
  const { promQuery, at, refreshMs } = state;
  const windowMs = Math.max(state.windowMs, SHORTEST_CHART);
  const poll = usePoll<Data>(
    JSON.stringify([promQuery, windowMs, at]),
    async (signal) => {
      const step = Math.max(1, Math.ceil(windowMs / 1000 / 240));
      const to = Math.floor((at ?? Date.now()) / 1000 / step) * step * 1000;
      const result = await queryRange(promQuery, to - windowMs, to, step, signal);
      return { result, times: timeline(to - windowMs, to, step), span: `${at === null ? "last " : ""}${spanText(windowMs)}` };
    },
    at === null ? refreshMs : 0,
  );
  const d = poll.data;
  return (
    <main class="page">
      <h1 class="sr">Metrics</h1>
      <QueryBox language="PromQL" value={promQuery} examples={EXAMPLES} onRun={(q) => set({ promQuery: q }, true)} />
      <div class="card">
        {poll.error && <Failed what="The query failed." error={poll.error} at={d ? poll.at : 0} onRetry={poll.retry} />}
        {!d && !poll.error && <div class="loading">Loading…</div>}
        {d?.result.warnings.map((w) => <p key={w} class="quiet">{w}</p>)}
        {d && d.result.series.length === 0 && <Empty title="The query has no result in this window.">Check the metric's name and labels, or widen the window.</Empty>}
        {d && d.result.series.length > 0 && <Result {...d} />}
      </div>
    </main>
  );
}

function Result({ result, times, span }: Data) {
  const shown = result.series.slice(0, MOST_LINES);
  const lines = shown.map((s, i) => ({
    label: seriesName(s.labels),
    color: `s${(i % COLORS) + 1}`,
    dash: i < COLORS ? undefined : [6, 3],
    values: valuesAt(times, s, null),
  }));
  const more = result.series.length - shown.length;
  const summary = `${fmt.plural(result.series.length, "series", "series")}${more > 0 ? `, the first ${MOST_LINES} drawn` : ""}, ${span}.`;
  return (
    <>
      <Chart title="Result" hideTitle summary={summary} times={times} lines={lines} format={fmt.number} height={300} />
      <SeriesTable series={result.series} times={times} />
    </>
  );
}

function SeriesTable(props: { series: Series[]; times: number[] }) {
  const rows = props.series.map((s) => {
    const values = valuesAt(props.times, s, null);
    return {
      name: seriesName(s.labels),
      last: s.points.at(-1)?.[1] ?? null,
      average: mean(values),
      most: peak(props.times, values)?.value ?? null,
    };
  });
  const { sorted, head } = useSort(
    rows,
    { name: (r) => r.name, last: (r) => r.last, average: (r) => r.average, most: (r) => r.most },
    "last",
    true,
  );
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Series">
      <table class="wide">
        <thead>
          <tr>{head("name", "Series")}{head("last", "Last", true)}{head("average", "Average", true)}{head("most", "Maximum", true)}</tr>
        </thead>
        <tbody>
          {sorted.map((r) => (
            <tr key={r.name}>
              <td><code>{r.name}</code></td>
              <td class="num">{fmt.number(r.last)}</td>
              <td class="num">{fmt.number(r.average)}</td>
              <td class="num">{fmt.number(r.most)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
