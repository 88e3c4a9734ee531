/** Persists the state of targets, limits and credentials: restored once at the start, saved periodically. */
import type { Clock, Instant, Timer } from '../core/clock.ts';
import { isRecord } from '../core/json.ts';
import { ConcurrencyLimiter } from '../policy/concurrency-limiter/concurrency-limiter.ts';
import type { BreakerRecord } from '../policy/circuit-breaker/circuit-breaker.ts';
import type { QuarantineCause, QuarantineRecord } from '../policy/cooldown/quarantine.ts';
import type { Cooldown } from '../policy/cooldown/cooldown.ts';
import { SlidingWindow } from '../policy/rate-limiter/sliding-window.ts';
import { TokenBucket } from '../policy/rate-limiter/token-bucket.ts';
import type { LimitLearner } from '../pipeline/route/limit-learner.ts';
import type { TargetState } from '../pipeline/route/route.ts';
import type { Store } from '../store/store.ts';
import type { ProviderCredential } from './credentials.ts';
import { isLeased, isUntouched } from './limits.ts';
import type { LimitRegistry, LimitResource } from './limits.ts';
import { SavedLatencies } from './saved-latencies.ts';
import { restoreRates, restoreTarget, saveRates, saveTarget } from './saved-learning.ts';
import type { TargetRegistry } from './targets.ts';

const SAVE_EVERY_MS = 1_000;
/** With a shared store, changes reach other instances by message and saved state is for restarts only, so it is written less often. */
const SAVE_EVERY_SHARED_MS = 5_000;
const CHECK_EVERY_MS = 1_000;
/** Retention of saved records; levels older than a day are useless. */
const KEPT_MS = 2 * 86_400_000;

const BREAKERS = 'breaker';
const BUCKETS = 'bucket';
const COOLDOWNS = 'cooldown';
const QUARANTINES = 'quarantine';
const RATES = 'learned-rate';
const LEARNINGS = 'learned-target';

type Saved = ReadonlyMap<string, unknown>;

/** The records of an earlier process, by collection. */
interface SavedCollections {
  readonly breakers: Saved;
  readonly buckets: Saved;
  readonly cooldowns: Saved;
  readonly quarantines: Saved;
  readonly rates: Saved;
  readonly learnings: Saved;
}

/** The value last written for one key. */
interface SavedRecord {
  readonly collection: string;
  readonly key: string;
  readonly text: string;
  /** The last round that wrote or confirmed it. */
  round: number;
}

export class SavedState {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #limits: LimitRegistry;
  readonly #targets: TargetRegistry;
  /** The last saved values, so that only changes are written. */
  readonly #saved = new Map<string, SavedRecord>();
  /** Counts rounds of saving. A record that the current round did not visit is obsolete. */
  #round = 0;
  /** Keys that were restored already; at most as many as the earlier process had saved. */
  readonly #restored = new Set<string>();
  #timer: Timer | null = null;
  readonly #everyMs: number;
  readonly #latencies: SavedLatencies;
  #saveAt: Instant = -Infinity;

  constructor(store: Store, clock: Clock, limits: LimitRegistry, targets: TargetRegistry) {
    this.#store = store;
    this.#everyMs = store.shared === undefined ? SAVE_EVERY_MS : SAVE_EVERY_SHARED_MS;
    this.#clock = clock;
    this.#limits = limits;
    this.#targets = targets;
    this.#latencies = new SavedLatencies(store, clock, targets);
  }

  /** Restores the state of an earlier process, as far as it is still valid. */
  async load(): Promise<void> {
    const latencies = this.#latencies.load();
    const names = [BREAKERS, BUCKETS, COOLDOWNS, QUARANTINES, RATES, LEARNINGS];
    const [breakers, buckets, cooldowns, quarantines, rates, learnings] = await Promise.all(names.map((name) => this.#store.getAll(name)));
    const saved: SavedCollections = {
      breakers: breakers!,
      buckets: buckets!,
      cooldowns: cooldowns!,
      quarantines: quarantines!,
      rates: rates!,
      learnings: learnings!,
    };
    await latencies;
    const { credentials, learners } = this.#targets;
    for (const credential of credentials.all()) this.#restoreCredential(credential, saved);
    for (const state of this.#targets.all()) this.#restoreTarget(state, saved);
    for (const [scope, learner] of learners.all()) this.#restoreRates(scope, learner, saved);
    for (const [id, { resource }] of this.#limits.all()) this.#restoreLimit(id, resource, saved);
    // Targets that are not configured, and their limits, are created when first requested.
    credentials.onCreated = (credential) => this.#restoreCredential(credential, saved);
    this.#targets.onCreated = (state) => this.#restoreTarget(state, saved);
    learners.onCreated = (scope, learner) => this.#restoreRates(scope, learner, saved);
    this.#limits.onCreated = (id, resource) => this.#restoreLimit(id, resource, saved);
  }

  start(): void {
    this.#timer = this.#clock.schedule(Math.min(this.#everyMs, CHECK_EVERY_MS), () => {
      if (this.#clock.now() >= this.#saveAt) this.save();
      this.#store.check?.();
      this.start();
    });
  }

  /** Makes the next round write everything: after an outage the store may be a new one. */
  writeAll(): void {
    this.#saved.clear();
    this.#latencies.writeAll();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.save();
    this.#latencies.save();
  }

  save(): void {
    this.#round++;
    const now = this.#clock.now();
    this.#saveAt = now + this.#everyMs - CHECK_EVERY_MS / 2;
    const epochMs = this.#clock.epochMs();
    for (const { quarantine, cooldown, id } of this.#targets.credentials.all()) {
      const record = quarantine.save(now, epochMs);
      this.#put(QUARANTINES, id, record === null ? null : roundedQuarantine(record), quarantine.remainingMs(now));
      this.#saveCooldown(cooldown, now, epochMs);
    }
    for (const state of this.#targets.all()) {
      const { name, breaker, cooldown, overload } = state;
      const record = breaker.save(now, epochMs);
      this.#put(BREAKERS, name, record === null ? null : roundedBreaker(record));
      this.#saveCooldown(cooldown, now, epochMs);
      this.#saveCooldown(overload, now, epochMs);
      this.#put(LEARNINGS, name, saveTarget(state, epochMs));
    }
    for (const [scope, learner] of this.#targets.learners.all()) this.#put(RATES, scope, saveRates(learner, now, epochMs));
    for (const [id, { resource }] of this.#limits.all()) {
      if (resource instanceof ConcurrencyLimiter || isLeased(resource)) continue; // leased limits are in the fleet's ledgers
      this.#put(BUCKETS, id, isUntouched(resource, now) ? null : resource.save(now, epochMs));
    }
    this.#prune();
    this.#latencies.saveIfDue();
  }

  /** Deletes the records of removed targets and keys. */
  #prune(): void {
    for (const [at, { collection, key, round }] of this.#saved) {
      if (round === this.#round) continue;
      this.#saved.delete(at);
      this.#store.delete(collection, key);
    }
  }

  /** True the first time: afterwards the state of this process is more recent than the saved one. */
  #isFirst(collection: string, key: string, saved: Saved): boolean {
    const at = `${collection} ${key}`;
    if (!saved.has(key) || this.#restored.has(at)) return false;
    this.#restored.add(at);
    return true;
  }

  #restoreCredential(credential: ProviderCredential, { quarantines, cooldowns }: SavedCollections): void {
    this.#restoreCooldown(credential.cooldown, cooldowns);
    const record = readQuarantine(quarantines.get(credential.id));
    if (record === null || !this.#isFirst(QUARANTINES, credential.id, quarantines)) return;
    credential.quarantine.restore(this.#clock.now(), this.#clock.epochMs(), record);
  }

  #restoreTarget(state: TargetState, { breakers, cooldowns, learnings }: SavedCollections): void {
    this.#restoreCooldown(state.cooldown, cooldowns);
    this.#restoreCooldown(state.overload, cooldowns);
    this.#latencies.restore(state);
    if (this.#isFirst(LEARNINGS, state.name, learnings)) {
      restoreTarget(state, this.#clock.now(), this.#clock.epochMs(), learnings.get(state.name));
    }
    const breaker = readBreaker(breakers.get(state.name));
    if (breaker === null || !this.#isFirst(BREAKERS, state.name, breakers)) return;
    state.breaker.restore(this.#clock.now(), this.#clock.epochMs(), breaker);
  }

  #restoreRates(scope: string, learner: LimitLearner, { rates }: SavedCollections): void {
    if (!this.#isFirst(RATES, scope, rates)) return;
    restoreRates(learner, this.#clock.now(), this.#clock.epochMs(), rates.get(scope));
  }

  #restoreLimit(id: string, resource: LimitResource, { buckets }: SavedCollections): void {
    if (isLeased(resource) || !this.#isFirst(BUCKETS, id, buckets)) return;
    const level = buckets.get(id);
    const now = this.#clock.now();
    const epochMs = this.#clock.epochMs();
    if (resource instanceof TokenBucket && isBucketLevel(level)) resource.restore(now, epochMs, level);
    if (resource instanceof SlidingWindow && isWindowLevel(level)) resource.restore(now, epochMs, level);
  }

  #saveCooldown(cooldown: Cooldown, now: number, epochMs: number): void {
    const leftMs = cooldown.remainingMs(now);
    const value = leftMs > 0 ? { untilEpochMs: tenths(epochMs + leftMs), kind: cooldown.kind } : null;
    this.#put(COOLDOWNS, cooldown.id, value, leftMs);
  }

  #restoreCooldown(cooldown: Cooldown, cooldowns: Saved): void {
    const saved = cooldowns.get(cooldown.id);
    if (!isRecord(saved) || typeof saved['untilEpochMs'] !== 'number' || !this.#isFirst(COOLDOWNS, cooldown.id, cooldowns)) return;
    const leftMs = saved['untilEpochMs'] - this.#clock.epochMs();
    if (leftMs > 0) cooldown.coolUntil(this.#clock.now() + leftMs, saved['kind'] === 'pause' ? 'pause' : 'cooldown');
  }

  /** `lastsMs`: how long the value is valid; the usual retention is added. */
  #put(collection: string, key: string, value: object | null, lastsMs = 0): void {
    const at = `${collection} ${key}`;
    const text = value === null ? '' : JSON.stringify(value);
    const known = this.#saved.get(at);
    if (known !== undefined) known.round = this.#round;
    if ((known?.text ?? '') === text) return;
    if (value === null) {
      this.#saved.delete(at);
      this.#store.delete(collection, key);
    } else {
      this.#saved.set(at, { collection, key, text, round: this.#round });
      this.#store.put(collection, key, value, { expiresAtMs: this.#clock.epochMs() + lastsMs + KEPT_MS });
    }
  }
}

/** Rounds to tenths of a second, so that the drift between the two clocks does not count as a change. */
function tenths(epochMs: number): number {
  return Math.round(epochMs / 100) * 100;
}

function roundedBreaker(record: BreakerRecord): BreakerRecord {
  return { ...record, openUntilEpochMs: tenths(record.openUntilEpochMs), missedUntilEpochMs: tenths(record.missedUntilEpochMs) };
}

function readBreaker(value: unknown): BreakerRecord | null {
  if (!isRecord(value)) return null;
  const { state, openUntilEpochMs, missedUntilEpochMs, openings } = value;
  if ((state !== 'open' && state !== 'isolated') || typeof openUntilEpochMs !== 'number' || typeof openings !== 'number') return null;
  return {
    state,
    openUntilEpochMs,
    missedUntilEpochMs: typeof missedUntilEpochMs === 'number' ? missedUntilEpochMs : openUntilEpochMs,
    openings,
  };
}

function roundedQuarantine(record: QuarantineRecord): QuarantineRecord {
  const { untilEpochMs, namedUntilEpochMs } = record;
  return {
    ...record,
    untilEpochMs: tenths(untilEpochMs),
    ...(namedUntilEpochMs !== undefined && { namedUntilEpochMs: tenths(namedUntilEpochMs) }),
  };
}

/** Records of earlier versions have no cause. */
function readQuarantine(value: unknown): QuarantineRecord | null {
  if (!isRecord(value)) return null;
  const { untilEpochMs, strikes, namedUntilEpochMs, cause } = value;
  if (!Number.isFinite(untilEpochMs) || !Number.isInteger(strikes) || (strikes as number) < 1) return null;
  return {
    untilEpochMs: untilEpochMs as number,
    strikes: strikes as number,
    ...(Number.isFinite(namedUntilEpochMs) && { namedUntilEpochMs: namedUntilEpochMs as number }),
    ...(isQuarantineCause(cause) && { cause }),
  };
}

function isQuarantineCause(value: unknown): value is QuarantineCause {
  if (!isRecord(value) || (value['reason'] !== 'auth' && value['reason'] !== 'quota') || typeof value['message'] !== 'string') return false;
  const { status, code } = value;
  return (status === null || typeof status === 'number') && (code === null || typeof code === 'string');
}

function isBucketLevel(value: unknown): value is { level: number; epochMs: number } {
  return isRecord(value) && Number.isFinite(value['level']) && Number.isFinite(value['epochMs']);
}

function isWindowLevel(value: unknown): value is { starts: { epochMs: number; amount: number }[] } {
  if (!isRecord(value) || !Array.isArray(value['starts'])) return false;
  return value['starts'].every((start) => isRecord(start) && Number.isFinite(start['epochMs']) && Number.isFinite(start['amount']));
}
