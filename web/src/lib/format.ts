// format.ts: numbers as people read them. Every figure has its unit, "–" stands for no data, never for zero.

const NONE = "–";

function known(v: number | null | undefined): v is number {
  return v !== null && v !== undefined && Number.isFinite(v);
}

/** Three significant digits, without trailing zeros; big numbers with k, M, G. */
export function number(v: number | null | undefined): string {
  if (!known(v)) return NONE;
  const abs = Math.abs(v);
  if (abs >= 999.5e6) return trim(v / 1e9) + "G";
  if (abs >= 999.5e3) return trim(v / 1e6) + "M";
  if (abs >= 9999.5) return trim(v / 1e3) + "k";
  return trim(v);
}

function trim(v: number): string {
  const abs = Math.abs(v);
  if (v === 0) return "0";
  if (abs < 0.0005) return v < 0 ? ">-0.001" : "<0.001";
  const digits = abs >= 99.95 ? 0 : abs >= 9.995 ? 1 : abs >= 0.9995 ? 2 : 3;
  const fixed = v.toFixed(digits);
  return digits > 0 ? fixed.replace(/\.?0+$/, "") : fixed;
}

/** A whole count with thousands apart: 12 345. */
export function count(v: number | null | undefined): string {
  if (!known(v)) return NONE;
  return Math.round(v).toString().replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

export function rate(v: number | null | undefined): string {
  return known(v) ? number(v) + " rps" : NONE;
}

/** A share 0–1 as percent. A share that is not 0 never reads 0 %, one below 1 never 100 %. */
export function percent(share: number | null | undefined): string {
  if (!known(share)) return NONE;
  const p = share * 100;
  if (p === 0) return "0%";
  if (p < 0.1) return "<0.1%";
  if (p < 100 && p > 99.9) return ">99.9%";
  return (p >= 9.95 ? p.toFixed(p >= 99.95 || Number.isInteger(p) ? 0 : 1) : p.toFixed(1)).replace(/\.0$/, "") + "%";
}

/** A time span given in milliseconds: 0.4 ms, 12 ms, 1.2 s, 2 min 5 s. */
export function duration(ms: number | null | undefined): string {
  if (!known(ms)) return NONE;
  if (ms < 1) return trim(ms) + " ms";
  if (ms < 999.5) return trim(ms) + " ms";
  if (ms < 59_950) return trim(ms / 1000) + " s";
  const s = Math.round(ms / 1000);
  const parts = [Math.floor(s / 86400), Math.floor(s / 3600) % 24, Math.floor(s / 60) % 60, s % 60];
  const units = ["d", "h", "min", "s"];
  const first = parts.findIndex((p) => p > 0);
  return parts
    .map((p, i) => (p > 0 && i <= first + 1 ? `${p} ${units[i]}` : ""))
    .filter(Boolean)
    .join(" ");
}

/** Bytes, 1024-based: 512 B, 1.2 KiB. */
export function bytes(v: number | null | undefined): string {
  if (!known(v)) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (Math.abs(v) >= 1023.5 && unit < units.length - 1) {
    v /= 1024;
    unit++;
  }
  return trim(v) + " " + units[unit];
}

export function throughput(bytesPerSecond: number | null | undefined): string {
  return known(bytesPerSecond) ? bytes(bytesPerSecond) + "/s" : NONE;
}

/** How long ago: "now", "8 s ago", "3 min ago". */
export function age(ms: number): string {
  if (ms < 1500) return "now";
  const s = Math.floor(ms / 1000);
  if (s < 100) return `${s} s ago`;
  if (s < 100 * 60) return `${Math.floor(s / 60)} min ago`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86400)} d ago`;
}

const two = (n: number) => String(n).padStart(2, "0");

/** 14:03:09, local time. */
export function clock(ms: number, fraction = false): string {
  const d = new Date(ms);
  const base = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return fraction ? `${base}.${String(d.getMilliseconds()).padStart(3, "0")}` : base;
}

/** 2026-03-01 14:03:09, local time. */
export function dateTime(ms: number): string {
  const d = new Date(ms);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(ms)}`;
}

/** The value of an <input type="datetime-local"> and back. */
export function toLocalInput(ms: number): string {
  return dateTime(ms).replace(" ", "T");
}

export function fromLocalInput(text: string): number | null {
  const ms = new Date(text).getTime();
  return Number.isFinite(ms) ? ms : null;
}

export function plural(n: number, one: string, many = one + "s"): string {
  return `${count(n)} ${n === 1 ? one : many}`;
}
