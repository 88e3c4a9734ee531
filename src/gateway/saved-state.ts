/** What is known of targets, limits and credentials survives a restart: read once at the start, saved while it runs. */
import type { Clock, Timer } from '../core/clock.ts';
import { SlidingWindow } from '../policy/rate-limiter/sliding-window.ts';
import { TokenBucket } from '../policy/rate-limiter/token-bucket.ts';
import type { TargetState } from '../pipeline/route.ts';
import type { Store } from '../store/store.ts';
import type { LimitRegistry } from './limits.ts';
import type { TargetRegistry } from './targets.ts';

const SAVE_EVERY_MS = 1_000;
/** Levels older than a day say nothing any more. */
const KEPT_MS = 2 * 86_400_000;

const BREAKERS = 'breaker';
const BUCKETS = 'bucket';
const COOLDOWNS = 'cooldown';

type Saved = ReadonlyMap<string, unknown>;

export class SavedState {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #limits: LimitRegistry;
  readonly #targets: TargetRegistry;
  /** What was saved last, so that only changes are written. */
  readonly #saved = new Map<string, string>();
  /** Targets that have taken over what an earlier process knew; at most as many as it had saved. */
  readonly #restored = new Set<string>();
  #timer: Timer | null = null;

  constructor(store: Store, clock: Clock, limits: LimitRegistry, targets: TargetRegistry) {
    this.#store = store;
    this.#clock = clock;
    this.#limits = limits;
    this.#targets = targets;
  }

  /** Takes over what an earlier process knew, as far as it still makes sense. */
  async load(): Promise<void> {
    const [breakers, buckets, cooldowns] = await Promise.all([BREAKERS, BUCKETS, COOLDOWNS].map((name) => this.#store.getAll(name)));
    const now = this.#clock.now();
    const epochMs = this.#clock.epochMs();
    for (const state of this.#targets.all()) this.#restoreTarget(state, breakers!, cooldowns!);
    // Most targets that nobody configured are made when they are first asked for.
    this.#targets.onMade = (state) => this.#restoreTarget(state, breakers!, cooldowns!);
    for (const [id, bench] of this.#targets.benches()) this.#restoreCooldown(bench, cooldowns!.get(id), now, epochMs);
    for (const [id, { resource }] of this.#limits.all()) {
      const level = buckets!.get(id);
      if (resource instanceof TokenBucket && isBucketLevel(level)) resource.restore(now, epochMs, level);
      if (resource instanceof SlidingWindow && isWindowLevel(level)) resource.restore(now, epochMs, level);
    }
  }

  start(): void {
    this.#timer = this.#clock.schedule(SAVE_EVERY_MS, () => {
      this.save();
      this.start();
    });
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.save();
  }

  save(): void {
    const now = this.#clock.now();
    const epochMs = this.#clock.epochMs();
    for (const state of this.#targets.all()) {
      const key = `${state.name}#${state.credential.number}`;
      const record = state.breaker.save(now, epochMs);
      this.#put(BREAKERS, key, record === null ? null : { ...record, openUntilEpochMs: Math.round(record.openUntilEpochMs) });
      this.#saveCooldown(key, state.cooldown, now, epochMs);
    }
    for (const [id, bench] of this.#targets.benches()) this.#saveCooldown(id, bench, now, epochMs);
    for (const [id, { resource }] of this.#limits.all()) {
      if (resource instanceof TokenBucket) this.#put(BUCKETS, id, resource.isFull(now) ? null : resource.save(now, epochMs));
      if (resource instanceof SlidingWindow) this.#put(BUCKETS, id, resource.isEmpty(now) ? null : resource.save(now, epochMs));
    }
  }

  #restoreTarget(state: TargetState, breakers: Saved, cooldowns: Saved): void {
    const now = this.#clock.now();
    const epochMs = this.#clock.epochMs();
    const key = `${state.name}#${state.credential.number}`;
    // What runs in this process knows better from now on than what an earlier one has left.
    if (this.#restored.has(key)) return;
    const breaker = readBreaker(breakers.get(key));
    const cooldown = cooldowns.get(key);
    if (breaker === null && cooldown === undefined) return;
    this.#restored.add(key);
    if (breaker !== null) state.breaker.restore(now, epochMs, breaker);
    this.#restoreCooldown(state.cooldown, cooldown, now, epochMs);
  }

  #saveCooldown(key: string, cooldown: { readonly kind: string; remainingMs(now: number): number }, now: number, epochMs: number): void {
    const leftMs = cooldown.remainingMs(now);
    // Rounded to tenths of a second: the two clocks drift by fractions, and that alone is no change.
    const untilEpochMs = Math.round((epochMs + leftMs) / 100) * 100;
    this.#put(COOLDOWNS, key, leftMs > 0 ? { untilEpochMs, kind: cooldown.kind } : null);
  }

  #restoreCooldown(
    cooldown: { coolUntil(until: number, kind?: 'cooldown' | 'bench'): void },
    saved: unknown,
    now: number,
    epochMs: number,
  ): void {
    if (!isRecord(saved) || typeof saved['untilEpochMs'] !== 'number') return;
    const leftMs = saved['untilEpochMs'] - epochMs;
    if (leftMs > 0) cooldown.coolUntil(now + leftMs, saved['kind'] === 'bench' ? 'bench' : 'cooldown');
  }

  #put(collection: string, key: string, value: object | null): void {
    const at = `${collection} ${key}`;
    const text = value === null ? '' : JSON.stringify(value);
    if ((this.#saved.get(at) ?? '') === text) return;
    if (value === null) {
      this.#saved.delete(at);
      this.#store.delete(collection, key);
    } else {
      this.#saved.set(at, text);
      this.#store.put(collection, key, value, { expiresAtMs: this.#clock.epochMs() + KEPT_MS });
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readBreaker(value: unknown): { state: 'open' | 'isolated'; openUntilEpochMs: number; openings: number } | null {
  if (!isRecord(value)) return null;
  const { state, openUntilEpochMs, openings } = value;
  if ((state !== 'open' && state !== 'isolated') || typeof openUntilEpochMs !== 'number' || typeof openings !== 'number') return null;
  return { state, openUntilEpochMs, openings };
}

function isBucketLevel(value: unknown): value is { level: number; epochMs: number } {
  return isRecord(value) && Number.isFinite(value['level']) && Number.isFinite(value['epochMs']);
}

function isWindowLevel(value: unknown): value is { starts: { epochMs: number; amount: number }[] } {
  if (!isRecord(value) || !Array.isArray(value['starts'])) return false;
  return value['starts'].every((start) => isRecord(start) && Number.isFinite(start['epochMs']) && Number.isFinite(start['amount']));
}
