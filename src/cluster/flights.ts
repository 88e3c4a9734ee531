/**
 * Responses in flight at several instances: for one name (an idempotency key, or a cacheable request) one instance makes the response, and
 * the others follow it.
 *
 * Who makes a response claims its name in the store. One that finds the name claimed asks that instance by a message to record the response:
 * until then nothing of it is written to the store. The parts come through a stream of the store, which the follower reads again and
 * again. No request depends on it: a claim that takes more than 100 ms counts as none, and a stream without a sign of life is given up.
 */
import { hash } from 'node:crypto';
import type { Clock, Instant, Timer } from '../core/clock.ts';
import { SCHEDULING_CLASSES, type SchedulingClass } from '../core/request.ts';
import { withTimeout } from '../store/backend.ts';
import type { FlightStore, PlacedPart } from '../store/flight-store.ts';
import { FlightParts } from './flight-parts.ts';
import { FlightRecorder } from './flight-recorder.ts';

const CLAIM_WAIT_MS = 100;
/** After a claim that took too long none is made for so long, in milliseconds. */
const PAUSE_MS = 1_000;
/** A stream is given up after so long without a part: before the first one, and later; in milliseconds. */
const FIRST_PART_MS = 1_000;
const NEXT_PART_MS = 3_500;
/** Between two reads that find nothing, in milliseconds. */
const READ_AGAIN_MS = 15;
const READ_AGAIN_MAX_MS = 100;
/** Claims are given up together, so that a response that ends is found in the store before it can be claimed anew; in milliseconds. */
const RELEASE_MS = 1_000;
/** Responses that are recorded, and followed, at the same time. */
const RECORDED_MAX = 200;
const FOLLOWED_MAX = 500;
const RELEASED_MAX = 10_000;

export interface Urgency {
  readonly priority: SchedulingClass;
  /** Until its deadline, in milliseconds. */
  readonly remainingMs: number;
}

/** A response that this instance makes. */
export interface FlightLead {
  /** Begins to record it; null: it can't be recorded. The function ends the recording. */
  record(recorder: FlightRecorder, urgency: Urgency): (() => void) | null;
}

export interface Claimed {
  /** Of this instance's own response. */
  readonly id: string;
  /** Null: another instance has none of the names. */
  readonly foreign: { readonly at: number; readonly id: string; readonly isSame: boolean } | null;
}

export interface FlightListener {
  /** `pause`: no more until `resume`; `end`: it was the last one. */
  part(part: PlacedPart): 'more' | 'pause' | 'end';
  /** The other instance is gone, can't record it, or the store can't be read. */
  gone(): void;
}

export interface Following {
  stop(): void;
  resume(): void;
}

interface Leading {
  readonly names: readonly string[];
  readonly owner: string;
  readonly lead: FlightLead;
  /** Ends the recording; null: nothing is recorded. */
  stop: (() => void) | null;
  /** Of the present recording, or the last one; null: there was none. */
  recorder: FlightRecorder | null;
  /** Of the present recording; empty if there is none. */
  readonly followers: Set<string>; // at most FOLLOWED_MAX of each instance
}

export interface FlightsOptions {
  readonly clock: Clock;
  readonly store: FlightStore;
  readonly publish: (text: string) => void;
  /** This instance; null: it is not known, or the store is away. */
  readonly member: () => string | null;
}

export class Flights {
  readonly #options: FlightsOptions;
  readonly #leading = new Map<string, Leading>(); // as many as there are running requests
  #recorded = 0;
  #followed = 0;
  #count = 0;
  #askAgainAt: Instant = -Infinity;
  #releasing: (readonly [name: string, owner: string])[] = []; // at most RELEASED_MAX
  #releaseTimer: Timer | null = null;
  #isClosed = false;

  constructor(options: FlightsOptions) {
    this.#options = options;
  }

  get isAvailable(): boolean {
    return this.#options.member() !== null && this.#options.clock.now() >= this.#askAgainAt;
  }

  /** Claims the names in order, up to the first that another instance has. Null: the store is away or slow. Never rejects. */
  async claim(names: readonly string[], fingerprint: string, lead: FlightLead, instead: string | null): Promise<Claimed | null> {
    const { clock, store, member } = this.#options;
    const me = member();
    if (me === null || clock.now() < this.#askAgainAt) return null;
    const id = `${me}.${++this.#count}`;
    const hashed = names.map(digest);
    const owner = `${id} ${digest(fingerprint)}`;
    // A claim that takes effect late is released as well.
    this.#leading.set(id, { names: hashed, owner, lead, stop: null, recorder: null, followers: new Set() });
    try {
      const found = await withTimeout(clock, CLAIM_WAIT_MS, 'a claim', store.claim({ names: hashed, owner, member: me, instead }));
      if (found === null) return { id, foreign: null };
      const [other = '', theirs] = found.owner.split(' ');
      return { id, foreign: { at: found.at, id: other, isSame: theirs === digest(fingerprint) } };
    } catch {
      this.#askAgainAt = clock.now() + PAUSE_MS;
      this.end(id, true);
      return null;
    }
  }

  /** The owner that a claim may replace: its instance did not answer. */
  ownerOf(foreignId: string, fingerprint: string): string {
    return `${foreignId} ${digest(fingerprint)}`;
  }

  /** The response of this instance is over; `isWhole`: its claim is given up once the store has it, else at once. */
  end(id: string, isWhole: boolean): void {
    const ended = this.#leading.get(id);
    if (ended === undefined) return;
    this.#leading.delete(id);
    if (ended.stop !== null) this.#recorded--;
    const claims = ended.names.map((name) => [name, ended.owner] as const);
    if (isWhole) this.#releaseLater(claims);
    else void this.#release(claims);
  }

  /** Follows a response of another instance from its beginning. */
  follow(id: string, urgency: Urgency, listener: FlightListener): Following {
    let isStopped = false;
    let wake: (() => void) | null = null;
    const following = {
      stop: () => {
        isStopped = true;
        wake?.();
      },
      resume: () => wake?.(),
    };
    const pause = (ms: number | null): Promise<void> =>
      new Promise((resolve) => {
        const timer = ms === null ? null : this.#options.clock.schedule(ms, () => wake?.());
        wake = () => {
          timer?.cancel();
          wake = null;
          resolve();
        };
        if (isStopped) wake();
      });
    void this.#follow(id, urgency, listener, () => isStopped, pause);
    return following;
  }

  /** A message of another instance. */
  take([kind, id = '', ...lines]: readonly string[]): void {
    if (kind === 'follow') this.#record(id, toUrgency(lines[0] ?? ''), lines[1] ?? '');
    else if (kind === 'leave') this.#unfollow(id, lines[0] ?? '');
  }

  /** Ends what only instances follow that are no longer members. */
  keepOnly(members: readonly string[]): void {
    const present = new Set(members);
    for (const [id, { followers }] of this.#leading) {
      for (const follower of followers) {
        const end = follower.lastIndexOf('.');
        if (end >= 0 && !present.has(follower.slice(0, end))) this.#unfollow(id, follower);
      }
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#releaseTimer?.cancel();
    const claims = this.#releasing.splice(0);
    if (claims.length > 0) await withTimeout(this.#options.clock, 300, 'giving up claims', this.#release(claims)).catch(() => {});
    await this.#options.store.close();
  }

  async #follow(
    id: string,
    urgency: Urgency,
    listener: FlightListener,
    isStopped: () => boolean,
    pause: (ms: number | null) => Promise<void>,
  ): Promise<void> {
    const { clock, store, publish, member } = this.#options;
    if (this.#followed >= FOLLOWED_MAX) {
      await Promise.resolve(); // `follow` returns before the listener is called
      return listener.gone();
    }
    this.#followed++;
    const follower = `${member()}.${++this.#count}`;
    publish(`flight\nfollow\n${id}\n${JSON.stringify(urgency)}\n${follower}`);
    const received = new FlightParts();
    let isOver = false;
    try {
      let after = '';
      let lastAt = clock.now();
      for (let delayMs = READ_AGAIN_MS; !isStopped();) {
        const parts = await store.read(id, after);
        if (parts.length === 0 && !isStopped()) {
          if (clock.now() - lastAt > (after === '' ? FIRST_PART_MS : NEXT_PART_MS)) return listener.gone();
          await pause(delayMs);
          delayMs = Math.min(delayMs * 1.5, READ_AGAIN_MAX_MS);
          continue;
        }
        delayMs = READ_AGAIN_MS;
        for (const part of parts) {
          if (isStopped()) break;
          after = part.place;
          if (part.kind === 'beat' || isForOther(part, follower)) continue;
          isOver = part.kind === 'gone';
          if (isOver) return listener.gone();
          const added = received.next(part);
          const next = added === null ? 'more' : listener.part(added);
          isOver = next === 'end';
          if (isOver) return;
          if (next === 'pause') await pause(null);
        }
        lastAt = clock.now();
      }
    } catch {
      listener.gone();
    } finally {
      this.#followed--;
      // A response that is over has no followers.
      if (!isOver) publish(`flight\nleave\n${id}\n${follower}`);
    }
  }

  #record(id: string, urgency: Urgency, follower: string): void {
    const leading = this.#leading.get(id);
    if (leading === undefined) {
      // It has ended meanwhile: the store has it, or it failed.
      if (id.startsWith(`${this.#options.member()}.`)) this.#refuse(id, follower);
      return;
    }
    if (leading.recorder?.hasFailed === true) this.#stopRecording(leading);
    // A running recording has the response from its beginning.
    if (leading.stop === null && !this.#startRecording(id, leading, urgency)) return this.#refuse(id, follower);
    if (leading.stop !== null) leading.followers.add(follower);
  }

  /** False: it can't be recorded. */
  #startRecording(id: string, leading: Leading, urgency: Urgency): boolean {
    if (this.#recorded >= RECORDED_MAX) return false;
    const { clock, store } = this.#options;
    if (leading.recorder === null || leading.recorder.hasFailed) leading.recorder = new FlightRecorder(clock, store, id);
    else leading.recorder.reopen();
    const stop = leading.lead.record(leading.recorder, urgency);
    if (stop === null) return false;
    // The response may have been complete already.
    if (this.#leading.get(id) !== leading) return true;
    leading.stop = stop;
    this.#recorded++;
    return true;
  }

  #refuse(id: string, follower: string): void {
    this.#options.store.append(id, [{ kind: 'gone', meta: JSON.stringify(follower), bytes: new Uint8Array(0) }]).catch(() => {});
  }

  #unfollow(id: string, follower: string): void {
    const leading = this.#leading.get(id);
    if (leading === undefined || !leading.followers.delete(follower) || leading.followers.size > 0) return;
    this.#stopRecording(leading);
  }

  #stopRecording(leading: Leading): void {
    const { stop, recorder, followers } = leading;
    if (stop === null) return;
    leading.stop = null;
    followers.clear();
    this.#recorded--;
    recorder?.clear();
    stop(); // may end the response
  }

  #releaseLater(claims: readonly (readonly [name: string, owner: string])[]): void {
    if (this.#isClosed) return void this.#release(claims);
    // Beyond it claims end by themselves.
    if (this.#releasing.length < RELEASED_MAX) this.#releasing.push(...claims);
    this.#releaseTimer ??= this.#options.clock.schedule(RELEASE_MS, () => {
      this.#releaseTimer = null;
      void this.#release(this.#releasing.splice(0));
    });
  }

  async #release(claims: readonly (readonly [name: string, owner: string])[]): Promise<void> {
    try {
      await this.#options.store.release(claims);
    } catch {
      if (!this.#isClosed) this.#releaseLater(claims);
    }
  }
}

function digest(text: string): string {
  return hash('sha256', text, 'base64url');
}

/** The refusal of another follower. */
function isForOther({ kind, meta }: PlacedPart, follower: string): boolean {
  return kind === 'gone' && meta.startsWith('"') && meta !== JSON.stringify(follower);
}

/** Throws for a text that is none. */
function toUrgency(text: string): Urgency {
  const { priority, remainingMs } = JSON.parse(text) as Urgency;
  if (!SCHEDULING_CLASSES.includes(priority) || !Number.isFinite(remainingMs)) throw new Error(`not an urgency: ${text}`);
  return { priority, remainingMs };
}
