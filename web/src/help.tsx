// help.tsx: the keys, in a dialog.

import { useEffect, useRef } from "preact/hooks";

const KEYS: readonly (readonly [string, string])[] = [
  ["/", "find"],
  ["← ↑ → ↓", "walk along the edges (the graph has the focus)"],
  ["n N", "go through all nodes, forwards and back"],
  ["e", "go through the edges of a node"],
  ["Enter", "open the details"],
  ["Esc", "close what is open"],
  ["+ − 0", "zoom in, out, show all"],
  ["t", "switch between graph and table"],
  ["p", "pause or go on"],
  ["?", "this help"],
];

export function Help(props: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} class="help" aria-labelledby="help-title" onClose={props.onClose}
      onClick={(e) => e.target === dialog.current && dialog.current?.close()}>
      <div>
        <h2 id="help-title">Keys</h2>
        <dl>
          {KEYS.map(([key, what]) => [<dt key={key}><kbd>{key}</kbd></dt>, <dd key={key + "d"}>{what}</dd>])}
        </dl>
        <p class="quiet">With the mouse: click a node or an edge, drag to move, wheel to zoom. The address of this page holds all you chose: copy it to share.</p>
        <button type="button" class="button primary" autofocus onClick={() => dialog.current?.close()}>Close</button>
      </div>
    </dialog>
  );
}
