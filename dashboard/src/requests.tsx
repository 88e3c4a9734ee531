import { ownErrorText } from './caller-errors.ts';
import { batch, computed, signal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { clockSecond, count, dollars, duration, durationOrDash } from './format.ts';
import type { RequestSummary } from './frames.ts';
import { matchingRequests, requestFilters, toneOf, type RequestFilter, type RequestSource } from './request-list.ts';
import { model, openRequest } from './store.ts';

const rowsShown = 18;
const filter = signal<RequestFilter>('all');
const text = signal('');
/**
 * The list is frozen while the pointer or the focus is in it, or one of its requests is open, so that a row does not change under the hand. A
 * changed filter applies at once, to what there is then.
 */
const frozen = signal<(RequestSource & { readonly finished: number }) | null>(null);

const shown = computed(() => matchingRequests(frozen.value ?? current(), filter.value, text.value).slice(0, rowsShown));

function current(): RequestSource & { readonly finished: number } {
  const { state, requests, finished } = model.value;
  return { running: state?.running ?? [], requests, finished };
}

export function Requests() {
  const stopped = frozen.value;
  const table = useRef<HTMLTableElement>(null);
  const isOpen = openRequest.value !== null;
  // After the panel has closed and the focus has returned.
  useEffect(() => (isOpen ? undefined : queueMicrotask(() => thaw(table.current))), [isOpen]);
  const missed = stopped === null ? 0 : model.value.finished - stopped.finished;
  return (
    <section class="requests" aria-labelledby="requests-title">
      <h2 id="requests-title">
        Requests{' '}
        <small>
          {stopped === null ? `${count(model.value.finished)} finished since this page was opened` : `paused, ${count(missed)} newer`}
        </small>
        <span class="segments" role="group" aria-label="Show">
          {requestFilters.map((name) => (
            <button type="button" key={name} aria-pressed={name === filter.value} onClick={() => look(() => (filter.value = name))}>
              {name}
            </button>
          ))}
        </span>
        <input
          type="search"
          placeholder="model, client, target, id"
          aria-label="Filter requests"
          value={text.value}
          onInput={(event) => look(() => (text.value = event.currentTarget.value))}
        />
      </h2>
      <table ref={table} onPointerEnter={freeze} onPointerLeave={leave} onFocusIn={freeze} onFocusOut={leave}>
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
            <Row key={slot} request={shown.value[slot] ?? null} />
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
        <button
          type="button"
          class="link-button"
          title={code === 'upstream_error' ? `${code}: ${ownErrorText}` : (code ?? undefined)}
          onKeyDown={moveFocus}
        >
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

/** Changes a filter. */
function look(change: () => void): void {
  batch(() => {
    change();
    if (frozen.value !== null) frozen.value = current();
  });
}

function freeze(): void {
  frozen.value ??= current();
}

function leave({ currentTarget, relatedTarget }: Event & { currentTarget: HTMLElement; relatedTarget?: EventTarget | null }): void {
  if (!(relatedTarget instanceof Node && currentTarget.contains(relatedTarget))) thaw(currentTarget);
}

function thaw(table: HTMLElement | null): void {
  if (openRequest.value !== null || table === null) return;
  if (!table.contains(document.activeElement) && !table.matches(':hover')) frozen.value = null;
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
