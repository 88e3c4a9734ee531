import { signal } from '@preact/signals';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { ModelEnd } from './frames.ts';
import { count, dollars, durationOrDash, percent } from './format.ts';
import { model, rows } from './store.ts';
import { changeLabels, Confirm, problem, pendingChange, type PendingChange } from './target-change.tsx';
import { Limit, Strip } from './target-cells.tsx';
import { isFailing, type TargetRow } from './target-rows.ts';

/** With more targets, the idle ones are folded. */
const unfoldedMax = 12;
const showsIdle = signal(false);
/** Targets that were busy while the page is open, in that order: they stay where they are, and further ones follow them. */
const wereBusy = new Set<string>();

export function Targets() {
  const known = rows.value;
  for (const { name, state } of known) if (state !== 'idle') wereBusy.add(name);
  const busy = [...wereBusy].flatMap((name) => known.find((row) => row.name === name) ?? []);
  const idle = known.length - busy.length;
  const isFolded = known.length > unfoldedMax && idle > 0;
  const all = isFolded && !showsIdle.value ? busy : known;
  const unshown = model.value.state?.status.unshownTargets ?? 0;
  const hasCost = all.some(({ costUsd }) => costUsd !== null);
  return (
    <section aria-labelledby="targets-title">
      <h2 id="targets-title">
        Targets <small>calls of the last 5 minutes{unshown > 0 ? `; ${unshown} more not shown` : ''}</small>
        {problem.value !== null && (
          <small class="text-bad" role="alert">
            {problem.value}
          </small>
        )}
      </h2>
      <div class="scroll-x">
        <table class="targets">
          <thead>
            <tr>
              <th scope="col">Target</th>
              <th scope="col">State</th>
              <th scope="col">5 minutes</th>
              <th scope="col" class="number">
                Calls
              </th>
              <th scope="col" class="number">
                Failed
              </th>
              <th scope="col">Failures</th>
              <th scope="col" class="number">
                First content p50 / p95
              </th>
              <th scope="col" class="number">
                In flight
              </th>
              <th scope="col">Limits, used</th>
              {hasCost && (
                <th scope="col" class="number">
                  Cost today
                </th>
              )}
              <th scope="col">
                <span class="hidden">Actions</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {all.map((row) => (
              <Row key={row.name} row={row} hasCost={hasCost} />
            ))}
          </tbody>
        </table>
      </div>
      {isFolded && (
        <button type="button" class="quiet" aria-expanded={showsIdle.value} onClick={() => (showsIdle.value = !showsIdle.value)}>
          {showsIdle.value ? 'Hide' : 'Show'} {idle === 1 ? '1 idle target' : `${count(idle)} idle targets`}
        </button>
      )}
      {known.length === 0 && <p class="empty">No targets yet: a target appears with the first request for its model.</p>}
      <Confirm />
    </section>
  );
}

function Row({ row, hasCost }: { row: TargetRow; hasCost: boolean }) {
  const failing = isFailing(row);
  return (
    <tr class={`state-${row.tone}`}>
      <th scope="row" aria-label={labelOf(row)}>
        <span class="name" title={row.name}>
          <span class="muted">{row.provider}/</span>
          <span>{row.model}</span>
        </span>
        {row.keys > 1 && <span class="sub">{row.keys} keys</span>}
        {row.end !== null && (
          <span class={row.end.daysLeft <= 30 ? 'sub text-warn' : 'sub'} title={endText(row.end)}>
            {endText(row.end)}
          </span>
        )}
      </th>
      <td class={`state ${row.tone}`}>
        <i class="dot" /> {row.state}
        <span class="sub">{row.detail ?? ''}</span>
      </td>
      <td class="strip-cell">
        <Strip values={row.strip} name={row.name} />
      </td>
      <td class="number" data-label="calls">
        {count(row.calls)}
        <span class="sub">{row.calls === 0 ? '' : percent(row.share)}</span>
      </td>
      <td class={`number ${failing ? 'text-bad strong' : ''}`} data-label="failed">
        {row.calls === 0 ? '–' : percent(row.failed / row.calls)}
        <span class="sub">{row.failed === 0 ? '' : count(row.failed)}</span>
      </td>
      <td class="causes">
        <span class={failing ? 'text-bad' : ''}>{row.causes.map(({ text, count: times }) => `${text} ×${count(times)}`).join(' · ')}</span>
        <span class="sub" title={row.causes[0]?.message}>
          {row.causes[0]?.message === undefined ? '' : `“${row.causes[0].message}”`}
        </span>
      </td>
      <td class="number" data-label="first content">
        {durationOrDash(row.firstContentP50)} <span class="muted">/ {durationOrDash(row.firstContentP95)}</span>
      </td>
      <td class="number" data-label="in flight">
        {count(row.inFlight)}
      </td>
      <td class="limits" data-label={row.limits.length === 0 ? 'limits' : undefined}>
        {row.limits.slice(0, 2).map((limit) => (
          <Limit key={limit.label} limit={limit} />
        ))}
        {row.limits.length === 0 && <span class="muted">none known</span>}
      </td>
      {hasCost && (
        <td class="number" data-label="cost today">
          {row.costUsd === null ? '–' : dollars(row.costUsd)}
        </td>
      )}
      <td class="actions">
        {!row.isIsolated && <ChangeButton target={row.name} change="isolate" />}
        <ChangeButton target={row.name} change="reset" />
      </td>
    </tr>
  );
}

/** The provider and the model are boxes of their own; read aloud they are one name. */
function labelOf({ name, keys, end }: TargetRow): string {
  return `${name}${keys > 1 ? `, ${keys} keys` : ''}${end === null ? '' : `, ${endText(end)}`}`;
}

function endText({ endsOn, daysLeft, successor }: ModelEnd): string {
  return `${daysLeft > 0 ? 'ends' : 'ended'} ${endsOn}${successor === null ? '' : ` → ${successor}`}`;
}

function ChangeButton(pending: PendingChange) {
  const label = changeLabels[pending.change];
  const button = useRef<HTMLButtonElement>(null);
  // The button that disappears after its change passes the focus on to the one beside it.
  useLayoutEffect(() => () => passFocus(button.current), []);
  return (
    <button
      type="button"
      class="quiet"
      ref={button}
      aria-label={`${label} ${pending.target}`}
      onClick={() => (pendingChange.value = pending)}
    >
      {label}
    </button>
  );
}

function passFocus(button: HTMLElement | null): void {
  const next = button?.nextElementSibling;
  if (button !== null && button === document.activeElement && next instanceof HTMLElement) next.focus();
}
