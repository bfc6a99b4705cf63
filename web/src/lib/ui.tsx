// ui.tsx: the small parts every page uses.

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { age } from "./format";
import { useNow } from "./hooks";
import type { Health } from "./model";
import { HEALTH_WORDS } from "./model";

/** A button that opens a small panel; Esc and a click elsewhere close it and give the focus back. */
export function Menu(props: { label: string; title?: string; children: ComponentChildren; align?: "left" | "right" }) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return;
    const outside = (e: Event) => {
      if (!box.current?.contains(e.target as Node)) setOpen(false);
    };
    const escape = (e: KeyboardEvent) => {
      if (e.key !== "Escape") return;
      e.stopPropagation();
      setOpen(false);
      button.current?.focus();
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    box.current?.addEventListener("keydown", escape);
    const here = box.current;
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
      here?.removeEventListener("keydown", escape);
    };
  }, [open]);
  return (
    <div class="menu" ref={box}>
      <button ref={button} type="button" class="button" title={props.title} aria-expanded={open} aria-controls={id}
        onClick={() => setOpen(!open)}>
        {props.label}
        <span class="caret" aria-hidden="true" />
      </button>
      {open && (
        <div id={id} class={`menu-panel ${props.align === "right" ? "right" : ""}`}>
          {props.children}
        </div>
      )}
    </div>
  );
}

export function Check(props: { label: string; checked: boolean; onChange: (on: boolean) => void; hint?: string }) {
  return (
    <label class="check">
      <input type="checkbox" checked={props.checked} onChange={(e) => props.onChange(e.currentTarget.checked)} />
      <span>
        {props.label}
        {props.hint && <small>{props.hint}</small>}
      </span>
    </label>
  );
}

export function Select<T extends string | number>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (v: T) => void;
  showLabel?: boolean;
}) {
  return (
    <label class="select">
      <span class={props.showLabel ? "" : "sr"}>{props.label}</span>
      <select value={String(props.value)} title={props.label}
        onChange={(e) => {
          const found = props.options.find(([v]) => String(v) === e.currentTarget.value);
          if (found) props.onChange(found[0]);
        }}>
        {props.options.map(([v, text]) => (
          <option key={v} value={String(v)}>{text}</option>
        ))}
      </select>
    </label>
  );
}

const HEALTH_ICONS: Record<Health, string> = {
  Healthy: "M3.5 8.5l3 3 6-7",
  Degraded: "M8 3.5v6M8 12.2v.3",
  Failure: "M4.2 4.2l7.6 7.6M11.8 4.2l-7.6 7.6",
  NA: "M4 8h8",
};

/** Health as a shape and a word, never as a colour alone. */
export function HealthMark(props: { health: Health; word?: boolean }) {
  const word = HEALTH_WORDS[props.health];
  return (
    <span class={`health h-${props.health}`} title={word}>
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
        <path d={HEALTH_ICONS[props.health]} fill="none" stroke="currentColor" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round" />
      </svg>
      <span class={props.word === false ? "sr" : ""}>{word}</span>
    </span>
  );
}

/** An error where it happened: what was wanted, what went wrong, how old the last good data are. Only the error is
 * announced; the age, which changes all the time, is not. */
export function Failed(props: { what: string; error: string; at?: number; onRetry: () => void }) {
  const now = useNow();
  return (
    <div class="failed">
      <div>
        <span role="alert"><strong>{props.what}</strong> {props.error}.</span>
        {props.at ? ` What you see is from ${age(now - props.at)}.` : ""}
      </div>
      <button type="button" class="button small" onClick={props.onRetry}>Retry</button>
    </div>
  );
}

export function Empty(props: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <strong>{props.title}</strong>
      {props.children}
    </div>
  );
}

export function Icon(props: { d: string; size?: number }) {
  const size = props.size ?? 16;
  return (
    <svg viewBox="0 0 16 16" width={size} height={size} aria-hidden="true" fill="none" stroke="currentColor"
      stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round">
      <path d={props.d} />
    </svg>
  );
}

export const ICONS = {
  sun: "M8 5a3 3 0 100 6 3 3 0 000-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M3 13l1-1M12 4l1-1",
  moon: "M13.2 9.6A5.6 5.6 0 016.4 2.8a5.6 5.6 0 106.8 6.8z",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3l7.5 5L5 13z",
  plus: "M8 3v10M3 8h10",
  minus: "M3 8h10",
  fit: "M2.5 6V2.5H6M10 2.5h3.5V6M13.5 10v3.5H10M6 13.5H2.5V10",
  close: "M4 4l8 8M12 4l-8 8",
  help: "M6 6.2A2 2 0 118.6 8.1C8.2 8.3 8 8.6 8 9v.6M8 12v.2M8 1.5a6.5 6.5 0 100 13 6.5 6.5 0 000-13z",
  clock: "M8 4.5V8l2.5 1.5M8 1.5a6.5 6.5 0 100 13 6.5 6.5 0 000-13z",
  search: "M7 2.5a4.5 4.5 0 100 9 4.5 4.5 0 000-9zM10.5 10.5L14 14",
};

/** Columns that sort by a click on their head. */
export function useSort<T>(rows: T[], columns: Record<string, (row: T) => string | number | null>, first: string, down = false) {
  const [by, setBy] = useState({ column: first, down });
  const value = columns[by.column] ?? columns[first]!;
  const sorted = [...rows].sort((a, b) => {
    const x = value(a);
    const y = value(b);
    if (x === y) return 0;
    if (x === null) return 1;
    if (y === null) return -1;
    const order = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y));
    return by.down ? -order : order;
  });
  const head = (column: string, label: string, numeric = false) => {
    const mine = by.column === column;
    return (
      <th scope="col" class={numeric ? "num" : ""} aria-sort={mine ? (by.down ? "descending" : "ascending") : "none"}>
        <button type="button" class="sort" onClick={() => setBy({ column, down: mine ? !by.down : numeric })}>
          {label}
          <span aria-hidden="true">{mine ? (by.down ? " ↓" : " ↑") : ""}</span>
        </button>
      </th>
    );
  };
  return { sorted, head };
}
