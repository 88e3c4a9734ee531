/** Statistics of the last five minutes for each target and client. Bounded in names, causes and time. */
import type { AttemptEndEvent, FinishedEvent } from '../core/events.ts';
import { causeText } from './cause-text.ts';
import { POINT_MS, STRIP_LENGTH, WINDOW_MS, type Cause, type ClientActivity, type TargetActivity } from './feed-frames.ts';
import { LogHistogram } from './log-histogram.ts';

/** Maximum number of names. A new name replaces one without activity in the window; otherwise it counts as `other`. */
const namesMax = 200;
const otherName = 'other';
/** Maximum number of distinct causes at one target in one part of the window; others are counted together. */
const causesMax = 12;
const causesShown = 3;
const messageLengthMax = 160;
/** The window slides in parts. */
const partMs = 60_000;
const partCount = WINDOW_MS / partMs;

class TargetPart {
  calls = 0;
  failed = 0;
  cancelled = 0;
  readonly causes = new Map<string, { count: number; message: string | null }>();
  readonly firstContent = new LogHistogram();
}

class ClientPart {
  requests = 0;
  failed = 0;
  refused = 0;
  rejected = 0;
  overBudget = 0;
}

/** The parts of the window, one minute each. */
class Parts<P> {
  readonly #make: () => P;
  #parts: { readonly slot: number; readonly part: P }[] = [];

  constructor(make: () => P) {
    this.#make = make;
  }

  at(now: number): P {
    const slot = Math.floor(now / partMs);
    const last = this.#parts.at(-1);
    if (last !== undefined && slot <= last.slot) return last.part;
    const part = this.#make();
    this.#parts.push({ slot, part });
    this.#forget(slot);
    return part;
  }

  all(now: number): P[] {
    this.#forget(Math.floor(now / partMs));
    return this.#parts.map(({ part }) => part);
  }

  #forget(slot: number): void {
    if (this.#parts.length > 0 && this.#parts[0]!.slot <= slot - partCount)
      this.#parts = this.#parts.filter((one) => one.slot > slot - partCount);
  }
}

/** Calls and failures of each interval of the window, in a ring buffer. */
class Strip {
  readonly #slots = new Float64Array(STRIP_LENGTH).fill(-1);
  readonly #calls = new Uint32Array(STRIP_LENGTH);
  readonly #failed = new Uint32Array(STRIP_LENGTH);

  add(now: number, isFailure: boolean): void {
    const slot = Math.floor(now / POINT_MS);
    const index = slot % STRIP_LENGTH;
    if (this.#slots[index] !== slot) {
      this.#slots[index] = slot;
      this.#calls[index] = 0;
      this.#failed[index] = 0;
    }
    this.#calls[index]!++;
    if (isFailure) this.#failed[index]!++;
  }

  values(now: number): number[] {
    const last = Math.floor(now / POINT_MS);
    const values: number[] = [];
    for (let slot = last - STRIP_LENGTH + 1; slot <= last; slot++) {
      const index = slot % STRIP_LENGTH;
      const isKept = this.#slots[index] === slot;
      values.push(isKept ? this.#calls[index]! : 0, isKept ? this.#failed[index]! : 0);
    }
    return values;
  }
}

interface TargetFigures {
  readonly parts: Parts<TargetPart>;
  readonly strip: Strip;
}

interface ClientFigures {
  readonly parts: Parts<ClientPart>;
  /** In milliseconds since the epoch. */
  overBudgetAt: number | null;
}

/** `now` is the monotonic instant, so that changes of the wall clock do not shift the window. */
export class RecentActivity {
  readonly #targets = new Map<string, TargetFigures>();
  readonly #clients = new Map<string, ClientFigures>();

  attemptEnded(event: AttemptEndEvent, now: number): void {
    const figures = find(this.#targets, event.target, now, makeTargetFigures);
    const part = figures.parts.at(now);
    if (event.verdict === 'cancelled') {
      part.cancelled++;
      return;
    }
    const isFailure = event.verdict !== 'success';
    part.calls++;
    figures.strip.add(now, isFailure);
    if (event.firstContentMs !== null) part.firstContent.add(event.firstContentMs);
    if (isFailure) countCause(part, event);
  }

  finished(event: FinishedEvent, now: number, epochMs: number): void {
    const figures = find(this.#clients, event.client, now, makeClientFigures);
    const part = figures.parts.at(now);
    part.requests++;
    if (event.outcome === 'failed' || event.outcome === 'interrupted') part.failed++;
    if (event.outcome === 'refused') part.refused++;
    if (event.code !== 'budget_exceeded') return;
    part.overBudget++;
    figures.overBudgetAt = epochMs;
  }

  /** Only of known clients, whose names are configured. */
  rejected(client: string, now: number): void {
    const part = find(this.#clients, client, now, makeClientFigures).parts.at(now);
    part.requests++;
    part.rejected++;
  }

  /** Budgets may have changed, so earlier refusals say nothing of them any more. */
  reloaded(now: number): void {
    for (const { parts } of this.#clients.values()) for (const part of parts.all(now)) part.overBudget = 0;
  }

  targets(now: number): TargetActivity[] {
    return Array.from(this.#targets, ([target, figures]) => targetActivity(target, figures, now));
  }

  clients(now: number): ClientActivity[] {
    return Array.from(this.#clients, ([client, { parts, overBudgetAt }]) => {
      const all = parts.all(now);
      const sum = (name: keyof ClientPart): number => all.reduce((total, part) => total + part[name], 0);
      return {
        client,
        requests: sum('requests'),
        failed: sum('failed'),
        refused: sum('refused'),
        rejected: sum('rejected'),
        overBudget: sum('overBudget'),
        overBudgetAt: sum('overBudget') === 0 ? null : overBudgetAt,
      };
    });
  }
}

function makeTargetFigures(): TargetFigures {
  return { parts: new Parts(() => new TargetPart()), strip: new Strip() };
}

function makeClientFigures(): ClientFigures {
  return { parts: new Parts(() => new ClientPart()), overBudgetAt: null };
}

/** Callers can name models, and with them targets: many new names must not displace those in use. */
function find<F extends { readonly parts: Parts<unknown> }>(known: Map<string, F>, name: string, now: number, make: () => F): F {
  const found = known.get(name);
  if (found !== undefined) return found;
  if (known.size >= namesMax) {
    const idle = [...known].find(([, { parts }]) => parts.all(now).length === 0);
    if (idle !== undefined) known.delete(idle[0]);
    else if (name !== otherName) return find(known, otherName, now, make);
  }
  const figures = make();
  known.set(name, figures);
  return figures;
}

function countCause(part: TargetPart, event: AttemptEndEvent): void {
  part.failed++;
  const text = causeText(event);
  const key = part.causes.has(text) || part.causes.size < causesMax ? text : 'other';
  const cause = part.causes.get(key);
  const message = event.message === null ? null : event.message.slice(0, messageLengthMax);
  if (cause === undefined) part.causes.set(key, { count: 1, message });
  else {
    cause.count++;
    cause.message = message ?? cause.message;
  }
}

function targetActivity(target: string, { parts, strip }: TargetFigures, now: number): TargetActivity {
  const firstContent = new LogHistogram();
  const causes = new Map<string, { count: number; message: string | null }>();
  let calls = 0;
  let failed = 0;
  let cancelled = 0;
  for (const part of parts.all(now)) {
    calls += part.calls;
    failed += part.failed;
    cancelled += part.cancelled;
    firstContent.merge(part.firstContent);
    for (const [text, { count, message }] of part.causes) {
      const before = causes.get(text);
      causes.set(text, { count: count + (before?.count ?? 0), message: message ?? before?.message ?? null });
    }
  }
  return {
    target,
    calls,
    failed,
    cancelled,
    causes: mostFrequent(causes),
    firstContentP50: firstContent.quantile(0.5),
    firstContentP95: firstContent.quantile(0.95),
    strip: strip.values(now),
  };
}

function mostFrequent(causes: ReadonlyMap<string, { count: number; message: string | null }>): Cause[] {
  return Array.from(causes, ([text, { count, message }]) => ({ text, count, ...(message !== null && { message }) }))
    .toSorted((a, b) => b.count - a.count)
    .slice(0, causesShown);
}
