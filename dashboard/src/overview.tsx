import type { FeedState } from './frames.ts';
import { count, dollars, durationOrDash, percent, rate } from './format.ts';
import { sumOf, valueOf } from './points.ts';
import { model, sentence } from './store.ts';

/** The sentence and its figures. Its height is fixed, so nothing below moves when the text changes. */
export function Overview() {
  const said = sentence.value;
  const { state, points } = model.value;
  if (said === null || state === null) return null;
  return (
    <section class={`overview ${said.tone}`} aria-label="State">
      <div class="sentence" role="status">
        <p class="headline">
          <i class="dot" /> {said.headline}
        </p>
        <p class="impact">{said.impact}</p>
        <p class="others">{said.others.length === 0 ? '' : `Also: ${said.others.join('; ')}.`}</p>
      </div>
      <Figures state={state} points={points} />
    </section>
  );
}

function Figures({ state, points }: { state: FeedState; points: typeof model.value.points }) {
  const { rates, status } = state;
  const ended = rates.succeeded + rates.failed + rates.refused;
  const recent = points.slice(-12);
  const success = ended === 0 ? null : rates.succeeded / ended;
  const p95 = recent.toReversed().find((point) => valueOf(point, 'firstContentP95') !== null);
  const cost = points.some((point) => valueOf(point, 'costUsd') !== null) ? sumOf(points, 'costUsd') : null;
  return (
    <dl class="figures">
      <Figure label="Requests/s" value={rate(rates.received / rates.seconds)} />
      <Figure
        label="Success"
        value={success === null ? '–' : percent(success)}
        tone={success !== null && success < 0.99 ? 'bad' : undefined}
      />
      <Figure label="First content p95" value={durationOrDash(p95 === undefined ? null : valueOf(p95, 'firstContentP95'))} />
      <Figure label="Calls per request" value={ended === 0 ? '–' : (rates.attempts / Math.max(1, rates.received)).toFixed(2)} />
      <Figure label="Running" value={count(status.queue.inFlight - status.queue.waiting)} />
      <Figure label="Waiting" value={count(status.queue.waiting)} tone={status.queue.oldestMs >= 2_000 ? 'warn' : undefined} />
      <Figure label="Cost, last hour" value={cost === null ? '–' : dollars(cost)} />
    </dl>
  );
}

function Figure({ label, value, tone }: { label: string; value: string; tone?: 'bad' | 'warn' | undefined }) {
  return (
    <div>
      <dt>{label}</dt>
      <dd class={tone === undefined ? undefined : `text-${tone}`}>{value}</dd>
    </div>
  );
}
