import type { FeedState } from './frames.ts';
import { count, dollars, durationOrDash, percent, plural, rate } from './format.ts';
import { valueOf } from './points.ts';
import { othersText } from './sentence.ts';
import { model, sentence } from './store.ts';

/** The sentence and its figures. Its height is fixed, so nothing below moves when the text changes. */
export function Overview() {
  const shown = sentence.value;
  const { state, points } = model.value;
  if (shown === null || state === null) return null;
  return (
    <section class={`overview ${shown.tone}`} aria-label="State">
      <div class="sentence" role="status">
        <p class="headline" title={shown.headline}>
          <i class="dot" /> {shown.headline}
        </p>
        <p class="impact">{shown.impact}</p>
        <p class="others" title={shown.others.join('\n')}>
          {othersText(shown.others)}
        </p>
      </div>
      <Figures state={state} points={points} />
    </section>
  );
}

function Figures({ state, points }: { state: FeedState; points: typeof model.value.points }) {
  const { rates, status } = state;
  const ended = rates.succeeded + rates.failed + rates.refused + rates.rejected;
  const recent = points.slice(-12);
  const success = ended === 0 ? null : rates.succeeded / ended;
  const p95 = recent.toReversed().find((point) => valueOf(point, 'firstContentP95') !== null);
  const { usd, unpricedCalls } = status.costToday;
  const hasCost = usd > 0 || status.costToday.byTarget.some((target) => target.unpricedCalls === 0);
  return (
    <dl class="figures">
      <Figure
        label="Requests/s"
        value={rate((rates.received + rates.rejected) / rates.seconds)}
        title={rates.rejected === 0 ? undefined : `${rate(rates.rejected / rates.seconds)} of them rejected, such as for their key`}
      />
      <Figure
        label="Success"
        value={success === null ? '–' : percent(success)}
        tone={success !== null && success < 0.99 ? 'bad' : undefined}
      />
      <Figure label="First content p95" value={durationOrDash(p95 === undefined ? null : valueOf(p95, 'firstContentP95'))} />
      <Figure label="Calls per request" value={ended === 0 ? '–' : (rates.attempts / Math.max(1, rates.received)).toFixed(2)} />
      <Figure label="Running" value={count(status.queue.inFlight - status.queue.waiting)} />
      <Figure label="Waiting" value={count(status.queue.waiting)} tone={status.queue.oldestMs >= 2_000 ? 'warn' : undefined} />
      <Figure
        label="Cost today"
        value={hasCost ? dollars(usd) : '–'}
        title={unpricedCalls === 0 ? undefined : `without ${plural(unpricedCalls, 'call')} of unknown price`}
      />
    </dl>
  );
}

interface FigureProps {
  label: string;
  value: string;
  tone?: 'bad' | 'warn' | undefined;
  title?: string | undefined;
}

function Figure({ label, value, tone, title }: FigureProps) {
  return (
    <div title={title}>
      <dt>{label}</dt>
      <dd class={tone === undefined ? undefined : `text-${tone}`}>{value}</dd>
    </div>
  );
}
