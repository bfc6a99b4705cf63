// hooks.ts: the page state from the URL, polling, time passing, the theme.

import { createContext } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";
import { formatState, parseState, type State } from "./state";

// --- state in the URL ---------------------------------------------------------------------------------------------

export interface App {
  state: State;
  /** `step`: worth a step of the browser's "back". */
  set: (patch: Partial<State>, step?: boolean) => void;
}

export const AppContext = createContext<App>({ state: parseState(""), set: () => {} });
export const useApp = () => useContext(AppContext);

export function useUrlState(): App {
  const [state, setState] = useState(() => parseState(location.hash));
  const current = useRef(state);
  current.current = state;
  useEffect(() => {
    const read = () => setState(parseState(location.hash));
    addEventListener("popstate", read);
    addEventListener("hashchange", read);
    return () => {
      removeEventListener("popstate", read);
      removeEventListener("hashchange", read);
    };
  }, []);
  const set = useCallback((patch: Partial<State>, step = false) => {
    const next = { ...current.current, ...patch };
    current.current = next;
    const target = formatState(next);
    if (target !== location.hash) history[step ? "pushState" : "replaceState"](null, "", target);
    setState(next);
  }, []);
  return { state, set };
}

// --- time ---------------------------------------------------------------------------------------------------------

/** The present, once a second. */
export function useNow(everyMs = 1000): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

// --- polling ------------------------------------------------------------------------------------------------------

export interface Poll<T> {
  data: T | null;
  /** When `data` came. */
  at: number;
  error: string | null;
  loading: boolean;
  retry: () => void;
}

interface Slot<T> {
  key: string;
  data: T | null;
  at: number;
  error: string | null;
  loading: boolean;
}

/** A server in trouble is not asked every second. */
const AFTER_ERROR_MS = 3000;

/** Loads now and then every `everyMs` (0: once), never twice at a time, not while the tab is hidden. A failure keeps
 * the last data. Another `key` is another question: its predecessor's data go at once unless `keep`. A null key asks
 * nothing. */
export function usePoll<T>(
  key: string | null,
  load: (signal: AbortSignal) => Promise<T>,
  everyMs: number,
  keep = false,
): Poll<T> {
  const [slot, setSlot] = useState<Slot<T>>({ key: "", data: null, at: 0, error: null, loading: true });
  const [tries, setTries] = useState(0);
  const loader = useRef(load);
  loader.current = load;
  const answered = useRef(false);
  const asked = useRef({ key: "", tries: -1, at: 0 });
  useEffect(() => {
    if (key === null) return;
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const run = async () => {
      if (document.hidden) {
        timer = setTimeout(run, 1000);
        return;
      }
      setSlot((s) => ({ ...s, ...(s.key === key || keep ? {} : { data: null, error: null }), key, loading: true }));
      let wait = everyMs;
      asked.current = { key, tries, at: Date.now() };
      answered.current = false;
      try {
        const data = await loader.current(stop.signal);
        answered.current = !stop.signal.aborted;
        if (!stop.signal.aborted) setSlot({ key, data, at: Date.now(), error: null, loading: false });
      } catch (e) {
        if (stop.signal.aborted) return;
        setSlot((s) => ({ ...s, key, error: e instanceof Error ? e.message : String(e), loading: false }));
        wait = Math.max(everyMs, AFTER_ERROR_MS);
      }
      if (everyMs > 0 && !stop.signal.aborted) timer = setTimeout(run, wait);
    };
    /* A new pace alone is no reason to ask again at once. */
    const last = asked.current;
    const same = last.key === key && last.tries === tries && answered.current;
    if (!same) void run();
    else if (everyMs > 0) timer = setTimeout(run, Math.max(0, last.at + everyMs - Date.now()));
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [key, everyMs, tries, keep]);
  const retry = useCallback(() => setTries((n) => n + 1), []);
  if (key === null) return { data: null, at: 0, error: null, loading: false, retry };
  const fresh = slot.key === key || keep;
  return fresh ? { ...slot, retry } : { data: null, at: 0, error: null, loading: true, retry };
}

// --- theme and motion ---------------------------------------------------------------------------------------------

export type Theme = "light" | "dark";

const dark = matchMedia("(prefers-color-scheme: dark)");
const THEME_KEY = "vigla.theme";

function storedTheme(): Theme | null {
  try {
    const t = localStorage.getItem(THEME_KEY);
    return t === "light" || t === "dark" ? t : null;
  } catch {
    return null; /* storage may be forbidden */
  }
}

export function useTheme(): [Theme, (t: Theme) => void] {
  const [theme, setTheme] = useState<Theme>(storedTheme() ?? (dark.matches ? "dark" : "light"));
  useEffect(() => {
    const follow = () => {
      if (!storedTheme()) setTheme(dark.matches ? "dark" : "light");
    };
    dark.addEventListener("change", follow);
    return () => dark.removeEventListener("change", follow);
  }, []);
  document.documentElement.dataset.theme = theme;
  const choose = useCallback((t: Theme) => {
    try {
      localStorage.setItem(THEME_KEY, t);
    } catch {
      /* then it holds until the page is closed */
    }
    setTheme(t);
  }, []);
  return [theme, choose];
}

const still = matchMedia("(prefers-reduced-motion: reduce)");
export const reducedMotion = () => still.matches;

export const ThemeContext = createContext<Theme>("light");

/** A colour of the theme in force, for canvases. */
export function cssColor(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
