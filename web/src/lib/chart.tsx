// chart.tsx: a time chart on uPlot, with what it shows in one sentence and as a table for who cannot see it.

import { useContext, useEffect, useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clock, dateTime } from "./format";
import { ThemeContext, cssColor } from "./hooks";

export interface Line {
  label: string;
  /** A CSS variable, without its dashes. */
  color: string;
  dash?: number[];
  fill?: boolean;
  values: (number | null)[];
}

export interface ChartProps {
  title: string;
  summary: string;
  /** Seconds since the epoch. */
  times: number[];
  lines: Line[];
  format: (v: number | null) => string;
  height?: number;
  hideTitle?: boolean;
}

const FONT = "11px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif";

function axisTime(spanSeconds: number): (u: uPlot, splits: number[]) => string[] {
  return (_u, splits) => {
    /* Ticks within a minute of each other would read alike without their seconds. */
    const fine = splits.length > 1 && splits[1]! - splits[0]! < 60;
    return splits.map((s) => {
      const text = clock(s * 1000);
      return spanSeconds > 86400 * 1.5 ? dateTime(s * 1000).slice(5, 16) : fine ? text : text.slice(0, 5);
    });
  };
}

const axisWidth = (_u: uPlot, labels: string[] | null) => 14 + 6.3 * Math.max(3, ...(labels ?? []).map((l) => l.length));

/** The legend tells the last values while the cursor is elsewhere. */
function lastInLegend(u: uPlot): void {
  if ((u.cursor.left ?? -1) < 0 && u.data[0].length > 0) u.setLegend({ idx: u.data[0].length - 1 }, false);
}

function options(p: ChartProps, width: number, height: number): uPlot.Options {
  const ink = cssColor("--ink2");
  const grid = { stroke: cssColor("--grid"), width: 1 };
  const span = (p.times.at(-1) ?? 0) - (p.times[0] ?? 0);
  return {
    width,
    height,
    legend: { show: true, live: true },
    cursor: { points: { size: 6 }, drag: { x: false, y: false } },
    padding: [8, 8, 0, 0],
    hooks: { setCursor: [lastInLegend], setData: [lastInLegend], ready: [lastInLegend] },
    scales: { x: { time: true }, y: { range: (_u, _min, max) => [0, max > 0 ? max * 1.12 : 1] } },
    axes: [
      { stroke: ink, grid, ticks: grid, font: FONT, values: axisTime(span), space: 64, size: 26 },
      { stroke: ink, grid, ticks: { show: false }, font: FONT, size: axisWidth, space: 26, values: (_u, v) => v.map(p.format) },
    ],
    series: [
      { label: "Time", value: (_u, t) => (t === null ? "–" : clock(t * 1000)) },
      ...p.lines.map((l): uPlot.Series => {
        const color = cssColor(`--${l.color}`);
        return {
          label: l.label,
          stroke: color,
          width: 1.8,
          dash: l.dash,
          fill: l.fill ? color + "22" : undefined,
          points: { show: p.times.length < 3 },
          value: (_u, v) => p.format(v),
        };
      }),
    ],
  };
}

export function Chart(props: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const theme = useContext(ThemeContext);
  const latest = useRef(props);
  latest.current = props;
  const data = useMemo(() => [props.times, ...props.lines.map((l) => l.values)] as uPlot.AlignedData, [props.times, props.lines]);
  const height = props.height ?? 130;
  const shape = props.lines.map((l) => l.label + l.color).join("|") + theme + height;

  useEffect(() => {
    const box = host.current;
    if (!box) return;
    const size = () => Math.max(120, Math.floor(box.clientWidth));
    const u = new uPlot(options(latest.current, size(), height), data, box);
    plot.current = u;
    const observer = new ResizeObserver(() => {
      if (size() !== u.width) u.setSize({ width: size(), height });
    });
    observer.observe(box);
    return () => {
      observer.disconnect();
      u.destroy();
      plot.current = null;
    };
  }, [shape]);
  useEffect(() => plot.current?.setData(data), [data]);

  return (
    <figure class="chart">
      <figcaption>
        <strong class={props.hideTitle ? "sr" : ""}>{props.title}</strong> <span>{props.summary}</span>
      </figcaption>
      <div ref={host} class="plot" aria-hidden="true" />
      <DataTable {...props} />
    </figure>
  );
}

const MOST_ROWS = 120;

function DataTable(p: ChartProps) {
  const from = Math.max(0, p.times.length - MOST_ROWS);
  return (
    <details class="data">
      <summary>Data as a table</summary>
      <div class="scroll" tabIndex={0} role="region" aria-label={`${p.title}: data`}>
        <table>
          <thead>
            <tr>
              <th scope="col">Time</th>
              {p.lines.map((l) => <th key={l.label} scope="col" class="num">{l.label}</th>)}
            </tr>
          </thead>
          <tbody>
            {p.times.slice(from).map((t, i) => (
              <tr key={t}>
                <td>{clock(t * 1000)}</td>
                {p.lines.map((l) => <td key={l.label} class="num">{p.format(l.values[from + i] ?? null)}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </details>
  );
}
