/** Persists how long the calls of each target are silent: a record for each target, written when something was measured. */
import type { Clock, Instant } from '../core/clock.ts';
import { isRecord } from '../core/json.ts';
import { isKindSilences, type SilenceRecord } from '../policy/latency/silence.ts';
import type { TargetState } from '../pipeline/route/route.ts';
import type { Store } from '../store/store.ts';

const LATENCIES = 'latency';
/** Records of other versions are ignored. */
const VERSION = 1;
const SAVE_EVERY_MS = 5_000;
/** The caller's rounds are a little late or early. */
const ROUND_MS = 500;
/** A target that was not called for this long has changed. */
const KEPT_MS = 2 * 86_400_000;

interface SavedTarget {
  readonly silence: SilenceRecord;
  readonly changes: number;
}

export class SavedLatencies {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #targets: { all(): readonly TargetState[] };
  /** The record of each target as last seen; bounded by the targets. */
  #seen = new Map<string, SavedTarget>();
  /** Those of an earlier process that no target has taken yet. */
  #loaded: Map<string, unknown> = new Map();
  #savedAt: Instant = -Infinity;
  #writesAll = false;

  constructor(store: Store, clock: Clock, targets: { all(): readonly TargetState[] }) {
    this.#store = store;
    this.#clock = clock;
    this.#targets = targets;
  }

  async load(): Promise<void> {
    this.#loaded = new Map(await this.#store.getAll(LATENCIES));
  }

  /** A target has been created; the first time it gets what an earlier process has saved. */
  restore({ name, silence }: TargetState): void {
    const saved = this.#loaded.get(name);
    if (saved === undefined) return;
    this.#loaded.delete(name);
    this.#seen.set(name, { silence, changes: silence.changes });
    if (!isRecord(saved) || saved['version'] !== VERSION || !Array.isArray(saved['silences'])) return;
    for (const each of saved['silences']) if (isRecord(each) && isKindSilences(each)) silence.restore(each);
  }

  /** Makes the next `save` write everything. */
  writeAll(): void {
    this.#writesAll = true;
    this.#savedAt = -Infinity;
  }

  saveIfDue(): void {
    if (this.#clock.now() - this.#savedAt >= SAVE_EVERY_MS - ROUND_MS) this.save();
  }

  /** Writes the records of targets that were measured here since the last time. What other instances have measured, they write. */
  save(): void {
    this.#savedAt = this.#clock.now();
    const seen = new Map<string, SavedTarget>();
    for (const { name, silence } of this.#targets.all()) {
      if (seen.has(name)) continue;
      const before = this.#seen.get(name);
      const { changes } = silence;
      seen.set(name, { silence, changes });
      const changesBefore = before?.silence === silence ? before.changes : 0;
      if (changes !== changesBefore || (this.#writesAll && silence.count > 0)) this.#write(name, silence);
    }
    this.#writesAll = false;
    for (const name of this.#seen.keys()) if (!seen.has(name)) this.#store.delete(LATENCIES, name);
    this.#seen = seen;
  }

  #write(name: string, silence: SilenceRecord): void {
    const silences = silence.save();
    if (silences.length === 0) return this.#store.delete(LATENCIES, name);
    this.#store.put(LATENCIES, name, { version: VERSION, silences }, { expiresAtMs: this.#clock.epochMs() + KEPT_MS });
  }
}
