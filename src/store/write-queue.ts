/**
 * Changes that are not durable yet: pending ones, merged by key, and the one batch that was sent. A batch stays unchanged until it is known
 * to be durable, since a failed connection may or may not have committed it; a repeat with the same number is applied once.
 */
import { isSelected, type Batch, type KeyedChange, type ReadResult, type Selection } from './backend.ts';
import { BoundedEntries } from './bounded-entries.ts';
import { isExpired, rowAfter, type Change, type Row } from './change.ts';
import type { StoreLimits } from './store.ts';

/** Limits of the durable changes that are held for running reads; beyond them such a read is repeated. */
const heldChangesMax = 20_000;
const heldCharactersMax = 8 * 1024 * 1024;
/** Limits of one batch, so that posting it does not block the event loop; the rest follows in the next batch. */
const batchChangesMax = 5_000;
const batchCharactersMax = 4 * 1024 * 1024;

interface Waiting {
  readonly change: Change;
  /** The count of accepted changes at the first of the merged ones. */
  readonly since: number;
}

export class WriteQueue {
  readonly #waiting: BoundedEntries<Waiting>;
  #sent: Batch | undefined;
  #sentSince = Infinity;
  #sequence = 0;
  #durable = 0;
  #reads = 0;
  /** The last batches that became durable while a read ran, in order: its rows may lack them. */
  #held: Batch[] = [];
  #accepted = 0;
  #coalesced = 0;

  constructor(limits: StoreLimits) {
    this.#waiting = new BoundedEntries({ ...limits, sizeOf: (waiting) => sizeOf(waiting.change) });
  }

  get accepted(): number {
    return this.#accepted;
  }
  get coalesced(): number {
    return this.#coalesced;
  }
  get dropped(): number {
    return this.#waiting.dropped;
  }
  /** Number of keys that are not durable. */
  get length(): number {
    return this.#waiting.size + (this.#sent?.changes.length ?? 0);
  }
  /** `overlay` completes reads that include the batch of this sequence. */
  get knownSince(): number {
    return this.#durable - this.#held.length;
  }
  /** Called before a read. */
  beginRead(): void {
    this.#reads++;
  }
  /** Called after its `overlay`. */
  endRead(): void {
    if (--this.#reads === 0) this.#held = [];
  }

  /** Replaces a pending change of the same key. */
  add(collection: string, key: string, change: Change): void {
    const before = this.#waiting.get(collection, key);
    this.#accepted++;
    if (before !== undefined) this.#coalesced++;
    this.#waiting.set(collection, key, { change, since: before?.since ?? this.#accepted });
  }

  /** The batch to send: the previous one if it is not known to be durable, otherwise the oldest pending changes. */
  take(): Batch | undefined {
    if (this.#sent !== undefined || this.#waiting.size === 0) return this.#sent;
    const changes: KeyedChange[] = [];
    let characters = 0;
    while (changes.length < batchChangesMax && characters < batchCharactersMax) {
      const entry = this.#waiting.takeOldest();
      if (entry === undefined) break;
      const { collection, key, value } = entry;
      changes.push({ collection, key, change: value.change });
      characters += sizeOf(value.change);
      this.#sentSince = Math.min(this.#sentSince, value.since);
    }
    this.#sent = { sequence: ++this.#sequence, changes };
    return this.#sent;
  }

  /** Marks the batch that was taken as durable. */
  settle(): void {
    this.#durable = this.#sequence;
    if (this.#reads > 0 && this.#sent !== undefined) this.#hold(this.#sent);
    this.#sent = undefined;
    this.#sentSince = Infinity;
  }

  #hold(batch: Batch): void {
    this.#held.push(batch);
    let [changes, characters] = [0, 0];
    // From the newest on.
    for (let i = this.#held.length - 1; i >= 0; i--) {
      for (const { change } of this.#held[i]!.changes) characters += sizeOf(change);
      changes += this.#held[i]!.changes.length;
      if (changes <= heldChangesMax && characters <= heldCharactersMax) continue;
      this.#held.splice(0, i + 1);
      return;
    }
  }

  /** True if a change of the key is not durable. */
  isPending(collection: string, key: string): boolean {
    if (this.#waiting.get(collection, key) !== undefined) return true;
    return this.#sent?.changes.some((change) => change.collection === collection && change.key === key) ?? false;
  }

  /** The index, among accepted changes, of the oldest that is neither durable nor dropped; Infinity if there is none. */
  oldestUnsaved(): number {
    let oldest = this.#sentSince;
    for (const { value } of this.#waiting.values()) oldest = Math.min(oldest, value.since);
    return oldest;
  }

  /** The unexpired rows of a selection of the collection: the rows read, plus the changes they do not include yet. */
  overlay({ rows: read, applied }: ReadResult, collection: string, selection: Selection, nowMs: number): Map<string, Row> {
    const rows = new Map(read);
    for (const entry of this.#changesAfter(applied, collection, typeof selection === 'string' ? selection : undefined)) {
      const row = rowAfter(entry.change);
      if (row === undefined || !isSelected(selection, entry.key, row)) rows.delete(entry.key);
      else rows.set(entry.key, row);
    }
    for (const [name, row] of rows) if (isExpired(row, nowMs)) rows.delete(name);
    return rows;
  }

  *#changesAfter(applied: number, collection: string, key: string | undefined): Generator<KeyedChange> {
    for (const { sequence, changes } of this.#sent === undefined ? this.#held : [...this.#held, this.#sent]) {
      if (sequence <= applied) continue;
      for (const entry of changes) if (entry.collection === collection && (key === undefined || entry.key === key)) yield entry;
    }
    if (key !== undefined) {
      const waiting = this.#waiting.get(collection, key);
      if (waiting !== undefined) yield { collection, key, change: waiting.change };
      return;
    }
    for (const entry of this.#waiting.values()) {
      if (entry.collection === collection) yield { collection, key: entry.key, change: entry.value.change };
    }
  }
}

function sizeOf(change: Change): number {
  return change.kind === 'put' ? change.text.length : 0;
}
