// trafficcharts.tsx: requests and errors, and the 95th percentile, of a node or an edge over the window.

import { mean, peak, timeline, valuesAt } from "./align";
import { queryRange } from "./api";
import { Chart } from "./chart";
import * as fmt from "./format";
import { useApp, usePoll } from "./hooks";
import { chartQueries, stepFor, type Matcher } from "./queries";
import { Empty, Failed } from "./ui";

interface Data {
  times: number[];
  requests: (number | null)[];
  errors: (number | null)[];
  p95: (number | null)[];
}

async function load(matchers: Matcher[], tcp: boolean, windowMs: number, at: number | null, signal: AbortSignal): Promise<Data> {
  const { step, range } = stepFor(windowMs);
  const q = chartQueries(matchers, tcp, range);
  /* Whole steps, so that a point keeps its place from one refresh to the next. */
  const to = Math.floor((at ?? Date.now()) / 1000 / step) * step * 1000;
  const times = timeline(to - windowMs, to, step);
  const ask = (text: string) => queryRange(text, times[0]! * 1000, to, step, signal);
  const [requests, errors, p95] = await Promise.all([ask(q.requests), ask(q.errors), q.p95 ? ask(q.p95) : null]);
  const first = requests.series[0];
  return {
    times,
    requests: valuesAt(times, first, first ? 0 : null),
    errors: valuesAt(times, errors.series[0], first ? 0 : null),
    p95: valuesAt(times, p95?.series[0], null),
  };
}

function sentence(d: Data, unit: (v: number | null) => string): string {
  const average = mean(d.requests);
  const top = peak(d.times, d.requests);
  if (average === null || !top) return "";
  const errors = mean(d.errors);
  const share = average > 0 && errors ? `; ${fmt.percent(errors / average)} errors` : "; no errors";
  return `${unit(average)} on average, at most ${unit(top.value)} at ${fmt.clock(top.at * 1000)}${share}.`;
}

export function TrafficCharts(props: { id: string; matchers: Matcher[]; tcp: boolean }) {
  const { state } = useApp();
  const { windowMs, at, refreshMs } = state;
  const poll = usePoll(
    JSON.stringify([props.id, props.matchers, props.tcp, windowMs, at]),
    (signal) => load(props.matchers, props.tcp, windowMs, at, signal),
    at === null && refreshMs ? Math.max(refreshMs, 5000) : 0,
  );
  const d = poll.data;
  const failed = poll.error && <Failed what="The charts could not be loaded." error={poll.error} at={d ? poll.at : 0} onRetry={poll.retry} />;
  if (!d) return failed || <div class="loading">Loading…</div>;
  if (d.requests.every((v) => v === null)) {
    return failed || <Empty title="No series for this in the window.">Metrics arrive a few seconds after the first request.</Empty>;
  }
  if (props.tcp) {
    return (
      <>
        {failed}
        <Chart title="Throughput" summary={tcpSentence(d)} times={d.times} format={fmt.throughput}
          lines={[
            { label: "Sent", color: "tcp", fill: true, values: d.requests },
            { label: "Received", color: "ink2", dash: [5, 3], values: d.errors },
          ]} />
      </>
    );
  }
  const top = peak(d.times, d.p95);
  return (
    <>
      {failed}
      <Chart title="Requests" summary={sentence(d, fmt.rate)} times={d.times} format={(v) => fmt.number(v)}
        lines={[
          { label: "Requests/s", color: "accent", fill: true, values: d.requests },
          { label: "Errors/s", color: "bad", dash: [5, 3], fill: true, values: d.errors },
        ]} />
      <Chart title="Latency" times={d.times} format={fmt.duration}
        summary={top ? `p95 at most ${fmt.duration(top.value)} at ${fmt.clock(top.at * 1000)}.` : "No requests were timed."}
        lines={[{ label: "p95", color: "p95", values: d.p95 }]} />
    </>
  );
}

function tcpSentence(d: Data): string {
  const sent = mean(d.requests);
  const received = mean(d.errors);
  return `${fmt.throughput(sent)} sent and ${fmt.throughput(received)} received on average.`;
}
