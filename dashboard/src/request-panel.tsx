import { signal } from '@preact/signals';
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks';
import { ApiError, askJson } from './api.ts';
import { clockSecond, duration } from './format.ts';
import type { Step, Timeline } from './frames.ts';
import { openRequest } from './store.ts';

type Loaded = { readonly id: string; readonly timeline: Timeline } | { readonly id: string; readonly message: string };
const loaded = signal<Loaded | null>(null);
/** Refresh interval of a running request. */
const refreshMs = 1_000;

/** Explains one request beside its waterfall. It overlays the page, so that nothing moves. */
export function RequestPanel() {
  const id = openRequest.value;
  const title = useRef<HTMLHeadingElement>(null);
  const opener = useRef<Element | null>(null);
  // Before the next key: Escape closes the panel from within.
  useLayoutEffect(() => {
    if (id === null) {
      if (opener.current instanceof HTMLElement) opener.current.focus();
      opener.current = null;
      return;
    }
    opener.current ??= document.activeElement;
    title.current?.focus();
  }, [id]);
  useEffect(() => (id === null ? undefined : follow(id)), [id]);
  if (id === null) return null;
  const current = loaded.value?.id === id ? loaded.value : null;
  return (
    <aside class="panel" aria-labelledby="panel-title" onKeyDown={(event) => event.key === 'Escape' && close()}>
      <header>
        <h2 id="panel-title" tabIndex={-1} ref={title}>
          Request <span class="mono">{id}</span>
        </h2>
        <button type="button" class="quiet" onClick={close}>
          Close
        </button>
      </header>
      {current === null ? (
        <p class="muted">Loading…</p>
      ) : 'message' in current ? (
        <p role="alert">{current.message}</p>
      ) : (
        <StoryOf timeline={current.timeline} />
      )}
    </aside>
  );
}

function StoryOf({ timeline }: { timeline: Timeline }) {
  const { story, durationMs, startedAt, id } = timeline;
  return (
    <>
      <p class="summary">{story.summary}.</p>
      <ol class="waterfall">
        {story.steps.map((step, index) => (
          <Bar key={index} step={step} totalMs={Math.max(1, durationMs)} />
        ))}
      </ol>
      <dl class="facts-list">
        <dt>Started</dt>
        <dd>{clockSecond(Date.parse(startedAt))}</dd>
        <dt>Time</dt>
        <dd>{story.time}</dd>
        <dt>Cost</dt>
        <dd>{story.cost ?? 'unknown'}</dd>
        <dt>In a terminal</dt>
        <dd>
          <code>breakwater why {id}</code>
        </dd>
      </dl>
    </>
  );
}

function Bar({ step, totalMs }: { step: Step; totalMs: number }) {
  const { kind, fromMs, toMs, tone, text, firstContentMs } = step;
  const place = (ms: number): number => Math.min(100, Math.max(0, (ms / totalMs) * 100));
  const left = place(fromMs);
  const width = toMs === null ? 0 : Math.max(0.6, place(toMs) - left);
  return (
    <li>
      <span class="when">
        {duration(fromMs)}
        {toMs !== null && <span class="muted"> +{duration(toMs - fromMs)}</span>}
      </span>
      <span class="lane" aria-hidden="true">
        <span
          class={`span ${kind} ${tone} ${toMs === null ? 'instant' : ''}`}
          style={toMs === null ? { left: `${left}%` } : { left: `${left}%`, width: `${width}%` }}
        />
        {firstContentMs !== undefined && <span class="first" style={{ left: `${place(firstContentMs)}%` }} />}
      </span>
      <span class={`text ${tone}`}>{text}</span>
    </li>
  );
}

function close(): void {
  openRequest.value = null;
}

/** Loads the explanation, repeatedly while the request runs; returns a function that stops. */
function follow(id: string): () => void {
  const aborting = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const load = async (): Promise<void> => {
    try {
      const timeline = await askJson<Timeline>(`/admin/requests/${encodeURIComponent(id)}`, aborting.signal);
      loaded.value = { id, timeline };
      if (timeline.outcome === 'running') timer = setTimeout(() => void load(), refreshMs);
    } catch (error) {
      if (aborting.signal.aborted) return;
      const isForgotten = error instanceof ApiError && error.status === 404;
      loaded.value = {
        id,
        message: isForgotten ? 'The gateway keeps the last thousand requests; this one is no longer among them.' : String(error),
      };
    }
  };
  void load();
  return () => {
    aborting.abort();
    clearTimeout(timer);
  };
}
