/**
 * An incident: how each target behaved over time, derived from the attempts of a request log.
 *
 * Time is divided into slices. Within a slice, each kind of failure is a fault with its share of the attempts, and the latencies are
 * those of the slice. A slice without attempts, for example while a breaker was open, repeats the one before it: nothing is known about it.
 */
import type { AttemptRecord } from '../../telemetry/request-log.ts';
import type { ModelBehaviour } from '../../testing/simulated-provider.ts';
import type { SimulatedFault, SimulatedFaultKind } from '../../testing/simulated-faults.ts';
import type { RecordLine } from '../simulate/record-line.ts';
import { RecordedTargets } from '../simulate/recorded-targets.ts';

export const INCIDENT_VERSION = 1;

export interface Incident {
  readonly v: typeof INCIDENT_VERSION;
  /** Epoch in milliseconds; the times of the targets count from `from`. */
  readonly from: number;
  readonly to: number;
  readonly sliceMs: number;
  readonly requests: number;
  /** By target, `provider/model`. */
  readonly targets: Readonly<Record<string, IncidentTarget>>;
}

export interface IncidentTarget {
  readonly attempts: number;
  readonly failures: number;
  readonly faults: readonly SimulatedFault[];
  readonly phases: NonNullable<ModelBehaviour['phases']>;
}

const SLICES_MAX = 120;
const SLICE_MS_MIN = 5_000;
const TARGETS_MAX = 1_000;
/** A slice with fewer successes keeps the latencies of the one before it. */
const SAMPLES_MIN = 3;
const SAMPLES_MAX = 200;

interface Slice {
  attempts: number;
  readonly faults: Map<string, { readonly fault: Pick<SimulatedFault, 'kind' | 'status'>; count: number }>;
  readonly latencies: RecordedTargets;
  successes: number;
}

export class IncidentBuilder {
  readonly #from: number;
  readonly #to: number;
  readonly #sliceMs: number;
  readonly #targets = new Map<string, Map<number, Slice>>();
  #requests = 0;

  /** Epochs in milliseconds. */
  constructor(from: number, to: number) {
    this.#from = from;
    this.#to = to;
    this.#sliceMs = Math.max(SLICE_MS_MIN, Math.ceil((to - from) / SLICES_MAX / 1_000) * 1_000);
  }

  take(line: RecordLine): void {
    this.#requests++;
    for (const attempt of line.attempts ?? []) {
      const slice = this.#sliceOf(attempt, line.at + attempt.atMs);
      if (slice === null) continue;
      slice.attempts++;
      const fault = faultOf(attempt);
      if (fault === null) {
        slice.successes++;
        slice.latencies.take({ ...line, attempts: [attempt] });
        continue;
      }
      const key = `${fault.kind} ${fault.status ?? ''}`;
      const counted = slice.faults.get(key) ?? { fault, count: 0 };
      counted.count++;
      slice.faults.set(key, counted);
    }
  }

  build(): Incident {
    const targets = Object.fromEntries([...this.#targets].map(([name, slices]) => [name, this.#targetOf(name, slices)]));
    return { v: INCIDENT_VERSION, from: this.#from, to: this.#to, sliceMs: this.#sliceMs, requests: this.#requests, targets };
  }

  /** Null: cancelled or rejected attempts show nothing about their target. */
  #sliceOf(attempt: AttemptRecord, at: number): Slice | null {
    if (attempt.verdict === 'cancelled' || attempt.verdict === 'reject') return null;
    let slices = this.#targets.get(attempt.target);
    if (slices === undefined) {
      if (this.#targets.size === TARGETS_MAX) return null;
      this.#targets.set(attempt.target, (slices = new Map()));
    }
    const number = Math.max(0, Math.floor((at - this.#from) / this.#sliceMs));
    if (number > SLICES_MAX * 2) return null;
    let slice = slices.get(number);
    if (slice === undefined) {
      slice = { attempts: 0, faults: new Map(), latencies: new RecordedTargets(), successes: 0 };
      slices.set(number, slice);
    }
    return slice;
  }

  #targetOf(name: string, slices: ReadonlyMap<number, Slice>): IncidentTarget {
    const faults: SimulatedFault[] = [];
    const phases: NonNullable<ModelBehaviour['phases']>[number][] = [];
    let [attempts, failures] = [0, 0];
    const numbers = [...slices.keys()].toSorted((a, b) => a - b);
    for (const [i, number] of numbers.entries()) {
      const slice = slices.get(number)!;
      const next = numbers[i + 1];
      // The first slice extends to the beginning, and each one to the next with attempts.
      const fromMs = i === 0 ? 0 : number * this.#sliceMs;
      const untilMs = next === undefined ? null : next * this.#sliceMs;
      const window = { fromMs, ...(untilMs === null ? {} : { untilMs }) };
      attempts += slice.attempts;
      failures += slice.attempts - slice.successes;
      faults.push(...sliceFaults(slice, window));
      if (slice.successes >= SAMPLES_MIN) {
        const { firstTokenMs, tokensPerSecond, plain } = thinned(slice.latencies.behaviours.get(name) ?? {});
        phases.push({
          ...window,
          ...(firstTokenMs && { firstTokenMs }),
          ...(tokensPerSecond && { tokensPerSecond }),
          ...(plain && { plain }),
        });
      }
    }
    return { attempts, failures, faults: merged(faults), phases };
  }
}

/** Each fault is drawn by itself, and the first one applies: a later one needs a larger share of the rest. */
function sliceFaults({ faults, attempts }: Slice, window: Pick<SimulatedFault, 'fromMs' | 'untilMs'>): SimulatedFault[] {
  let rest = attempts;
  return [...faults.values()].map(({ fault, count }) => {
    const probability = Number((count / rest).toFixed(4));
    rest -= count;
    return { ...fault, probability, ...window };
  });
}

/** Successive windows with the same faults become one. */
function merged(faults: readonly SimulatedFault[]): SimulatedFault[] {
  const result: SimulatedFault[] = [];
  for (const fault of faults) {
    const at = result.findIndex(
      (one) =>
        one.kind === fault.kind && one.status === fault.status && one.probability === fault.probability && one.untilMs === fault.fromMs,
    );
    if (at < 0) result.push(fault);
    else result[at] = { ...fault, ...(result[at]!.fromMs === undefined ? {} : { fromMs: result[at]!.fromMs }) };
  }
  return result;
}

/** The failure of an attempt as a fault of its provider; null: it succeeded. */
function faultOf({ verdict, status, reason }: AttemptRecord): Pick<SimulatedFault, 'kind' | 'status'> | null {
  if (verdict === 'success') return null;
  if (status !== null && status >= 400) return { kind: kindOfStatus(status), status };
  switch (reason) {
    case 'connection':
      return { kind: 'refused' };
    case 'timeout':
    case 'slow':
      return { kind: 'silence' };
    case 'stalled':
      return { kind: 'stall' };
    case 'empty':
    case 'quality':
      return { kind: 'empty' };
    case 'malformed':
      return { kind: 'error_event' };
    case 'interrupted':
      return { kind: 'cut' };
    default:
      return { kind: status === null ? 'reset' : 'error_event' };
  }
}

function kindOfStatus(status: number): SimulatedFaultKind {
  if (status === 429) return 'rate_limit';
  if (status === 503 || status === 529) return 'overloaded';
  return status >= 500 ? 'server_error' : 'refusal';
}

/** Keeps the file small. */
function thinned(behaviour: ModelBehaviour): ModelBehaviour {
  const { firstTokenMs, tokensPerSecond, plain } = behaviour;
  return {
    ...(firstTokenMs === undefined ? {} : { firstTokenMs: fewer(firstTokenMs) }),
    ...(tokensPerSecond === undefined ? {} : { tokensPerSecond: fewer(tokensPerSecond) }),
    ...(plain === undefined ? {} : { plain: thinned(plain) }),
  };
}

function fewer<T>(spread: T): T | { samples: number[] } {
  if (typeof spread !== 'object' || spread === null || !('samples' in spread)) return spread;
  const samples = (spread.samples as readonly number[]).toSorted((a, b) => a - b);
  const step = Math.max(1, samples.length / SAMPLES_MAX);
  const kept = Array.from({ length: Math.min(samples.length, SAMPLES_MAX) }, (_, i) => samples[Math.floor(i * step)]!);
  return { samples: kept.map((value) => Number(value.toPrecision(4))) };
}
