// legend.tsx: what the shapes, colours and lines mean.

import type { ComponentChildren } from "preact";
import { HealthMark, ICONS, Icon } from "../lib/ui";
import { MANY_EDGES } from "./detail";

function Shape(props: { icon: string; label: string; children: ComponentChildren }) {
  return (
    <li>
      <span class="shape" aria-hidden="true">
        <svg viewBox="0 0 28 28" width="28" height="28">{props.children}</svg>
        <img src={`icons/${props.icon}.svg`} width="13" height="13" alt="" />
      </span>
      {props.label}
    </li>
  );
}

function EdgeSample(props: { kind: string; label: string; dash?: string; double?: boolean; head: string }) {
  return (
    <li>
      <svg class={`sample ${props.kind}`} viewBox="0 0 46 14" width="46" height="14" aria-hidden="true">
        {props.double ? (
          <path d="M1 5h36M1 9h36" stroke-width="1.4" />
        ) : (
          <path d="M1 7h36" stroke-width="2.4" stroke-dasharray={props.dash} />
        )}
        <path d={props.head} stroke-width="1.6" fill="currentColor" />
      </svg>
      {props.label}
    </li>
  );
}

const HEAD = "M36 3l8 4-8 4z";

export function Legend(props: { onClose: () => void }) {
  return (
    <section class="legend" aria-label="Legend">
      <button type="button" class="icon-button close" title="Close the legend" onClick={props.onClose}>
        <Icon d={ICONS.close} />
        <span class="sr">Close the legend</span>
      </button>
      <h3>Nodes</h3>
      <ul>
        <Shape icon="workload" label="workload"><circle cx="14" cy="14" r="12" /></Shape>
        <Shape icon="app" label="app"><rect x="2.5" y="2.5" width="23" height="23" rx="4" /></Shape>
        <Shape icon="service" label="service"><path d="M14 3l11.5 21h-23z" /></Shape>
        <Shape icon="gateway" label="gateway"><path d="M8 3h12l6 11-6 11H8L2 14z" /></Shape>
        <Shape icon="unknown" label="unknown source"><path d="M14 2l12 12-12 12L2 14z" /></Shape>
      </ul>
      <h3>Health</h3>
      <ul>
        <li><HealthMark health="Healthy" /></li>
        <li><HealthMark health="Degraded" /> <span class="quiet">5xx at all, 4xx from 10%</span></li>
        <li><HealthMark health="Failure" /> <span class="quiet">5xx from 10%, 4xx from 20%</span></li>
        <li><HealthMark health="NA" /> <span class="quiet">TCP alone has no responses to judge</span></li>
      </ul>
      <h3>Edges</h3>
      <ul>
        <EdgeSample kind="ok" label="healthy; wider is busier" head={HEAD} />
        <EdgeSample kind="warn" label="degraded: ringed head" head="M29 7a3.5 3.5 0 107 0a3.5 3.5 0 10-7 0zM37 3l8 4-8 4z" />
        <EdgeSample kind="bad" label="failing: crossed head" head="M31 2v10M36 3l8 4-8 4z" />
        <EdgeSample kind="tcp" label="TCP" head={HEAD} />
        <EdgeSample kind="idle" label="idle: dashed" dash="4 4" head={HEAD} />
        <EdgeSample kind="ok" label="mTLS: double" double head={HEAD} />
      </ul>
      <p class="quiet">Of more than {MANY_EDGES} edges those you are not close to are plain lines, failing ones dashed. Zoom in for heads and numbers.</p>
    </section>
  );
}
