// querybox.tsx: where a query is written: Enter runs it, Shift+Enter makes a new line.

import { useEffect, useRef, useState } from "preact/hooks";
import { Menu } from "../lib/ui";

interface Props {
  language: string;
  value: string;
  examples: readonly (readonly [string, string])[];
  onRun: (query: string) => void;
}

export function QueryBox(props: Props) {
  const [text, setText] = useState(props.value);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => setText(props.value), [props.value]);
  useEffect(() => {
    const a = area.current;
    if (!a) return;
    a.style.height = "auto";
    a.style.height = `${Math.min(200, a.scrollHeight + 2)}px`;
  }, [text]);
  const run = (query: string) => {
    if (query.trim()) props.onRun(query.trim());
  };
  return (
    <form class="query" onSubmit={(e) => { e.preventDefault(); run(text); }}>
      <label>
        <span class="query-language">{props.language}</span>
        <textarea ref={area} rows={1} value={text} spellcheck={false} autocomplete="off" autocapitalize="off"
          aria-label={`${props.language} query`} title="Enter runs the query, Shift+Enter makes a new line"
          onInput={(e) => setText(e.currentTarget.value)}
          onKeyDown={(e) => {
            if (e.key === "Enter" && !e.shiftKey) {
              e.preventDefault();
              run(text);
            }
          }} />
      </label>
      <button type="submit" class="button primary">Run</button>
      <Menu label="Examples" align="right">
        <ul class="plain examples">
          {props.examples.map(([name, query]) => (
            <li key={name}>
              <button type="button" class="example" onClick={() => run(query)}><b>{name}</b><code>{query}</code></button>
            </li>
          ))}
        </ul>
      </Menu>
    </form>
  );
}
