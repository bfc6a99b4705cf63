// align.ts: series with their own times, brought onto one row of times as charts want them.

import type { Series } from "./api";

export function timeline(fromMs: number, toMs: number, step: number): number[] {
  const times: number[] = [];
  const last = Math.floor(toMs / 1000 / step) * step;
  for (let t = Math.ceil(fromMs / 1000 / step) * step; t <= last; t += step) times.push(t);
  return times;
}

/** Values of `series` at `times`; where there is none: `missing`. */
export function valuesAt(times: number[], series: Series | undefined, missing: number | null): (number | null)[] {
  const byTime = new Map(series?.points.map(([t, v]) => [Math.round(t * 1000), v]));
  return times.map((t) => {
    const v = byTime.get(Math.round(t * 1000));
    return v === undefined || !Number.isFinite(v) ? missing : v;
  });
}

export function peak(times: number[], values: (number | null)[]): { at: number; value: number } | null {
  let found: { at: number; value: number } | null = null;
  values.forEach((v, i) => {
    if (v !== null && (!found || v > found.value)) found = { at: times[i]!, value: v };
  });
  return found;
}

export function mean(values: (number | null)[]): number | null {
  const known = values.filter((v): v is number => v !== null);
  return known.length ? known.reduce((a, b) => a + b, 0) / known.length : null;
}
