import { computed, signal } from '@preact/signals';
import { clockSecond, count, dollars, duration, durationOrDash } from './format.ts';
import type { RequestSummary } from './frames.ts';
import { model, openRequest } from './store.ts';

const rowsShown = 18;
const filters = ['all', 'trouble', 'running'] as const;
type Filter = (typeof filters)[number];
const filter = signal<Filter>('all');
const text = signal('');
/** The list is frozen while the pointer or focus is in it, so that the chosen row does not change. */
const frozen = signal<{ readonly shown: readonly RequestSummary[]; readonly finished: number } | null>(null);

const matching = computed(() => {
  const { state, requests } = model.value;
  const running = state?.running ?? [];
  const all =
    filter.value === 'running' ? running : filter.value === 'trouble' ? requests.filter(hadTrouble) : [...running.slice(0, 3), ...requests];
  const wanted = text.value.trim().toLowerCase();
  return wanted === ''
    ? all
    : all.filter((one) =>
        [one.id, one.model, one.client, one.target ?? '', one.code ?? ''].some((value) => value.toLowerCase().includes(wanted)),
      );
});

export function Requests() {
  const stopped = frozen.value;
  const shown = (stopped?.shown ?? matching.value).slice(0, rowsShown);
  const missed = stopped === null ? 0 : model.value.finished - stopped.finished;
  return (
    <section class="requests" aria-labelledby="requests-title">
      <h2 id="requests-title">
        Requests{' '}
        <small>
          {stopped === null ? `${count(model.value.finished)} finished since this page was opened` : `paused, ${count(missed)} newer`}
        </small>
        <span class="segments" role="group" aria-label="Show">
          {filters.map((name) => (
            <button type="button" key={name} aria-pressed={name === filter.value} onClick={() => choose(name)}>
              {name}
            </button>
          ))}
        </span>
        <input
          type="search"
          placeholder="model, client, target, id"
          aria-label="Filter requests"
          value={text.value}
          onInput={(event) => (text.value = event.currentTarget.value)}
        />
      </h2>
      <table onPointerEnter={freeze} onPointerLeave={thaw} onFocusIn={freeze} onFocusOut={thaw}>
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">Result</th>
            <th scope="col">Model</th>
            <th scope="col" class="wide-only">
              Client
            </th>
            <th scope="col">Served by</th>
            <th scope="col" class="number">
              Calls
            </th>
            <th scope="col" class="number wide-only">
              Queue
            </th>
            <th scope="col" class="number">
              Total
            </th>
            <th scope="col" class="number wide-only">
              Cost
            </th>
          </tr>
        </thead>
        <tbody>
          {Array.from({ length: rowsShown }, (_, slot) => (
            <Row key={slot} request={shown[slot] ?? null} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

/** Rows keep their position and change their content, so nothing moves as requests arrive. */
function Row({ request }: { request: RequestSummary | null }) {
  if (request === null)
    return (
      <tr class="vacant">
        <td>&nbsp;</td>
        <td />
        <td />
        <td class="wide-only" />
        <td />
        <td />
        <td class="wide-only" />
        <td />
        <td class="wide-only" />
      </tr>
    );
  const { outcome, code, status } = request;
  const reason = request.fallback === null ? '' : ` (${request.fallback.replaceAll('_', ' ')})`;
  return (
    <tr class={openRequest.value === request.id ? 'chosen' : undefined} onClick={() => (openRequest.value = request.id)}>
      <td class="mono">{clockSecond(Date.parse(request.startedAt))}</td>
      <td class={`state ${toneOf(request)}`}>
        <button type="button" class="link-button" title={code ?? undefined} onKeyDown={moveFocus}>
          <i class="dot" />{' '}
          {outcome === 'success'
            ? request.fallback === null
              ? 'ok'
              : 'fallback'
            : outcome === 'running'
              ? 'running'
              : `${status} ${code ?? outcome}`}
          <span class="hidden">, request {request.id}</span>
        </button>
      </td>
      <td class="cut" title={request.model}>
        {request.model}
      </td>
      <td class="cut wide-only" title={request.client}>
        {request.client}
      </td>
      <td class="cut" title={request.target === null ? undefined : request.target + reason}>
        {request.target ?? '–'}
        <span class="muted">{reason}</span>
      </td>
      <td class="number">{request.attempts}</td>
      <td class="number wide-only">{duration(request.queueMs)}</td>
      <td class="number">{durationOrDash(request.durationMs)}</td>
      <td class="number wide-only">{request.costUsd === null ? '–' : dollars(request.costUsd)}</td>
    </tr>
  );
}

function toneOf(request: RequestSummary): string {
  const { outcome, fallback } = request;
  if (isCallerError(request)) return 'info';
  if (outcome === 'success') return fallback === null ? 'good' : 'warn';
  if (outcome === 'running') return 'info';
  return outcome === 'cancelled' ? 'info' : 'bad';
}

/** A wrong key or an unknown path is not alarming. */
function isCallerError({ outcome, status }: RequestSummary): boolean {
  return outcome === 'refused' && status !== null && status < 429;
}

function hadTrouble(request: RequestSummary): boolean {
  const { outcome, attempts, fallback } = request;
  if (isCallerError(request)) return false;
  return (outcome !== 'success' && outcome !== 'cancelled') || attempts > 1 || fallback !== null;
}

function choose(next: Filter): void {
  filter.value = next;
  frozen.value = null;
}

function freeze(): void {
  frozen.value ??= { shown: matching.value, finished: model.value.finished };
}

function thaw({ currentTarget, relatedTarget }: Event & { currentTarget: HTMLElement; relatedTarget?: EventTarget | null }): void {
  if (relatedTarget instanceof Node && currentTarget.contains(relatedTarget)) return;
  if (!currentTarget.contains(document.activeElement) && !currentTarget.matches(':hover')) frozen.value = null;
}

/** Arrow keys move between rows. */
function moveFocus(event: KeyboardEvent & { currentTarget: HTMLElement }): void {
  const row = event.currentTarget.closest('tr');
  const next = event.key === 'ArrowDown' ? row?.nextElementSibling : event.key === 'ArrowUp' ? row?.previousElementSibling : null;
  const button = next?.querySelector('button');
  if (button === null || button === undefined) return;
  event.preventDefault();
  button.focus();
}
