// trafficcharts.tsx: requests and errors, and the 95th percentile, of a node or an edge over the window.

import { mean, peak, timeline, valuesAt } from "./align";
import { queryRange } from "./api";
import { Chart } from "./chart";
import * as fmt from "./format";
import { useApp, usePoll } from "./hooks";
import { chartQueries, stepFor, type Matcher } from "./queries";
import { SHORTEST_CHART, spanText } from "./state";
import { Empty, Failed } from "./ui";

type Values = (number | null)[];

interface Data {
  times: number[];
  /** HTTP: requests, errors, client errors, p95. TCP: sent, received. */
  rows: Values[];
  /** "last 10m" */
  span: string;
}

interface Subject {
  id: string;
  matchers: Matcher[];
  tcp: boolean;
}

async function load(s: Subject, windowMs: number, at: number | null, signal: AbortSignal): Promise<Data> {
  const { step, range } = stepFor(windowMs);
  const q = chartQueries(s.matchers, s.tcp, range);
  /* Whole steps, so that a point keeps its place from one refresh to the next. */
  const to = Math.floor((at ?? Date.now()) / 1000 / step) * step * 1000;
  const times = timeline(to - windowMs, to, step);
  const ask = async (text: string) => (await queryRange(text, times[0]! * 1000, to, step, signal)).series[0];
  const texts = q.tcp ? [q.sent, q.received] : [q.requests, q.errors, q.clientErrors, q.p95];
  const series = await Promise.all(texts.map(ask));
  const span = `${at === null ? "last " : ""}${spanText(windowMs)}`;
  /* Before the first sample nothing is known; after it a step without one is a step without traffic. */
  const begin = (series[0]?.points[0]?.[0] ?? Infinity) - step / 2;
  const filled = (values: Values) => values.map((v, i) => v ?? (times[i]! >= begin ? 0 : null));
  const rows = series.map((one) => valuesAt(times, one, null));
  return { times, span, rows: rows.map((values, i) => (!q.tcp && i === 3 ? values : filled(values))) };
}

export function TrafficCharts(props: Subject) {
  const { windowMs: chosen, at, refreshMs } = useApp().state;
  const windowMs = Math.max(chosen, SHORTEST_CHART);
  const poll = usePoll(
    JSON.stringify([props.id, props.matchers, props.tcp, windowMs, at]),
    (signal) => load(props, windowMs, at, signal),
    at === null && refreshMs ? Math.max(refreshMs, 5000) : 0,
  );
  const d = poll.data;
  const failed = poll.error && <Failed what="The charts could not be loaded." error={poll.error} at={d ? poll.at : 0} onRetry={poll.retry} />;
  if (!d) return failed || <div class="loading">Loading…</div>;
  const none = d.rows[0]!.every((v) => v === null);
  return (
    <>
      {failed}
      {none ? <Empty title="No series for this in the window.">Metrics arrive a few seconds after the first request.</Empty>
        : props.tcp ? <TcpChart {...d} /> : <HttpCharts {...d} />}
    </>
  );
}

function HttpCharts({ times, rows, span }: Data) {
  const [requests, errors, clientErrors, p95] = rows as [Values, Values, Values, Values];
  const slowest = peak(times, p95);
  const lines = [
    { label: "Requests/s", color: "accent", fill: true, values: requests },
    { label: "Errors/s", color: "bad", dash: [5, 3], fill: true, values: errors },
  ];
  if (clientErrors.some((v) => v)) lines.push({ label: "4xx/s", color: "warn", dash: [2, 3], fill: false, values: clientErrors });
  return (
    <>
      <Chart title={`Requests, ${span}:`} summary={httpSummary(times, requests, errors)} times={times} format={fmt.number} lines={lines} />
      <Chart title={`Latency, ${span}:`} times={times} format={fmt.duration} lines={[{ label: "p95", color: "p95", values: p95 }]}
        summary={slowest ? `p95 at most ${fmt.duration(slowest.value)} at ${fmt.clock(slowest.at * 1000)}.` : "No requests were timed."} />
    </>
  );
}

function httpSummary(times: number[], requests: Values, errors: Values): string {
  const average = mean(requests);
  const top = peak(times, requests);
  if (average === null || !top) return "";
  const failed = mean(errors);
  const share = average > 0 && failed ? `${fmt.percent(failed / average)} errors` : "no errors";
  return `${fmt.rate(average)} on average, at most ${fmt.rate(top.value)} at ${fmt.clock(top.at * 1000)}; ${share}.`;
}

function TcpChart({ times, rows, span }: Data) {
  const [sent, received] = rows as [Values, Values];
  const summary = `${fmt.throughput(mean(sent))} sent and ${fmt.throughput(mean(received))} received on average.`;
  return (
    <Chart title={`Throughput, ${span}:`} summary={summary} times={times} format={fmt.throughput}
      lines={[
        { label: "Sent", color: "tcp", fill: true, values: sent },
        { label: "Received", color: "ink2", dash: [5, 3], values: received },
      ]} />
  );
}
