/**
 * The requests of the last minute that ended in an error, by code and client, for the dashboard's sentence. Bounded in names and time.
 *
 * A request that was rejected before a target was chosen counts among the errors that callers see (`callerVisible`) if the gateway's state or a
 * change of its configuration is behind it. The others are its caller's own fault, as far as can be known: a scanner, a typing error.
 */
import { isApiPath } from '../core/api-path.ts';
import type { ErrorCode } from '../core/errors.ts';
import type { FinishedEvent, RejectedEvent } from '../core/events.ts';
import { POINT_MS, type ErrorCount } from './feed-frames.ts';
import { ServedModels } from './served-models.ts';

/** Whole intervals of a minute. */
const intervals = 12;
/** Maximum number of pairs of code and client in one interval; further ones are counted by code only, without their clients. */
const pairsMax = 100;
const shownMax = 50;

/** The caller's fault, unless it was served before. */
const callersFaults: ReadonlySet<ErrorCode> = new Set([
  'invalid_request',
  'capability_unsupported',
  'invalid_api_key',
  'model_not_allowed',
  'not_local',
  'model_not_found',
  'not_found',
  'previous_response_not_found',
  'request_too_large',
  'idempotency_conflict',
]);
const modelFaults: ReadonlySet<ErrorCode> = new Set(['model_not_allowed', 'model_not_found']);

interface Count {
  readonly code: ErrorCount['code'];
  readonly client: string | null;
  readonly isRejected: boolean;
  model: string | null;
  requests: number;
  callerVisible: number;
}

export class RecentErrors {
  #slots: { readonly slot: number; readonly counts: Map<string, Count> }[] = [];
  readonly #served = new ServedModels();

  finished({ outcome, code, client, model }: FinishedEvent, epochMs: number): void {
    if (outcome === 'success') return this.#served.add(client, model, epochMs);
    if (code === null || outcome === 'cancelled') return;
    this.#count({ code, client, isRejected: false, model }, true, epochMs);
  }

  /** Returns whether it counts among the errors that callers see. */
  rejected(event: RejectedEvent, epochMs: number): boolean {
    const { code, client, model, keyState } = event;
    if (!isApiPath(event.path)) return false;
    const isVisible = this.#isVisible(event, epochMs);
    // Without a key and without a client that it could be: a scanner.
    if (isVisible || client !== null || keyState !== undefined) this.#count({ code, client, isRejected: true, model }, isVisible, epochMs);
    return isVisible;
  }

  /** The most frequent first. Complete intervals of the last minute; the current one where these have none. */
  read(epochMs: number): ErrorCount[] {
    const current = slotOf(epochMs);
    this.#forget(current);
    const complete = sumOf(this.#slots.filter(({ slot }) => slot < current));
    return (complete.length > 0 ? complete : sumOf(this.#slots)).toSorted((a, b) => b.requests - a.requests).slice(0, shownMax);
  }

  #isVisible({ code, client, model, keyState, hadModel }: RejectedEvent, epochMs: number): boolean {
    if (!callersFaults.has(code) || keyState === 'former' || hadModel === true) return true;
    return client !== null && model !== null && modelFaults.has(code) && this.#served.has(client, model, epochMs);
  }

  #count({ code, client, isRejected, model }: Omit<Count, 'requests' | 'callerVisible'>, isVisible: boolean, epochMs: number): void {
    const counts = this.#at(slotOf(epochMs));
    let key = `${code} ${isRejected} ${client ?? ''}`;
    const isFull = counts.size >= pairsMax && !counts.has(key);
    if (isFull) key = `${code} ${isRejected} `;
    let count = counts.get(key);
    if (count === undefined) {
      count = { code, client: isFull ? null : client, isRejected, model, requests: 0, callerVisible: 0 };
      counts.set(key, count);
    }
    count.requests++;
    // The one that the sentence shows.
    if (isVisible || count.callerVisible === 0) count.model = model;
    if (isVisible) count.callerVisible++;
  }

  #at(slot: number): Map<string, Count> {
    const last = this.#slots.at(-1);
    if (last?.slot === slot) return last.counts;
    this.#forget(slot);
    const counts = new Map<string, Count>();
    this.#slots.push({ slot, counts });
    return counts;
  }

  /** Also those of a later time, after the wall clock was set back. */
  #forget(current: number): void {
    this.#slots = this.#slots.filter(({ slot }) => slot >= current - intervals && slot <= current);
  }
}

function slotOf(epochMs: number): number {
  return Math.floor(epochMs / POINT_MS);
}

function sumOf(slots: readonly { readonly counts: ReadonlyMap<string, Count> }[]): ErrorCount[] {
  const sums = new Map<string, Count>();
  for (const { counts } of slots)
    for (const [key, count] of counts) {
      const sum = sums.get(key);
      if (sum === undefined) sums.set(key, { ...count });
      else {
        if (count.callerVisible > 0 || sum.callerVisible === 0) sum.model = count.model;
        sum.requests += count.requests;
        sum.callerVisible += count.callerVisible;
      }
    }
  return [...sums.values()];
}
