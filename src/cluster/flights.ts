/**
 * Responses in flight at several instances: for one name (an idempotency key, or a cacheable request) one instance makes the response, and
 * the others follow it.
 *
 * An instance claims the name in the store before it makes a response. An instance that finds the name claimed sends a message, after which
 * the response is recorded: until then nothing of it is written to the store. The parts form a stream in the store, which the follower polls.
 * No request depends on it: a claim that takes more than 100 ms counts as none. Nothing is passed on before the recording has a new part or
 * heartbeat, and following ends when it has neither any more.
 *
 * A complete response reaches the store some time after its end. Until its claim is released, a follower gets it from the memory of its instance.
 */
import { hash } from 'node:crypto';
import type { Clock, Instant } from '../core/clock.ts';
import { SCHEDULING_CLASSES, type SchedulingClass } from '../core/request.ts';
import { withTimeout } from '../store/backend.ts';
import type { FlightStore, PlacedPart } from '../store/flight-store.ts';
import { ClaimReleases, type HeldClaim } from './claim-releases.ts';
import { DepartedMembers } from './departed-members.ts';
import { FlightLife, isBeatFor, isForOther, SILENT_MS } from './flight-life.ts';
import { FlightParts } from './flight-parts.ts';
import { FlightRecorder } from './flight-recorder.ts';

const CLAIM_WAIT_MS = 100;
/** After a claim that took too long, no claim is made for this long, in milliseconds. */
const PAUSE_MS = 1_000;
/** Between two reads that find nothing, in milliseconds. */
const READ_AGAIN_MS = 15;
const READ_AGAIN_MAX_MS = 100;
/** Every instance that claims is in a list of members of this age, in milliseconds. */
const MEMBERS_AGE_MS = 1_200;
/** Where more responses are followed than this, each is read less often, to bound the load of the store, but at least once a second. */
const FOLLOWED_AT_FULL_PACE = 500;
const READ_SLOWLY_MS = 1_000;
/** Responses that are recorded at the same time. */
const RECORDED_MAX = 200;

export interface Urgency {
  readonly priority: SchedulingClass;
  /** Until its deadline, in milliseconds. */
  readonly remainingMs: number;
  /** The follower has the idempotency key of the response. */
  readonly isKeyed: boolean;
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
  readonly foreign: ForeignClaim | null;
}

export interface ForeignClaim {
  /** Index of the name. */
  readonly at: number;
  readonly id: string;
  /** As stored. */
  readonly owner: string;
  /** Its request has the same fingerprint. */
  readonly isSame: boolean;
}

/** Another claim for a response: after one that another instance had. */
export interface Reclaim {
  /** Of the first claim. */
  readonly id: string;
  /** The owner that is replaced, since its instance does not answer. */
  readonly instead: string;
}

export interface FlightListener {
  /** `pause`: no more until `resume`; `end`: it was the last one. */
  part(part: PlacedPart): 'more' | 'pause' | 'end';
  /** It has neither parts nor heartbeats, after parts. */
  silent?(): void;
  /** The instance that makes it has answered a `check`. */
  alive?(): void;
  /** The other instance has stopped, can't record it, or the store can't be read. */
  gone(): void;
}

export interface Following {
  stop(): void;
  resume(): void;
  /** Asks the instance whether it still makes the response. */
  check(): void;
}

interface Leading extends HeldClaim {
  lead: FlightLead;
  /** The response is complete. */
  isComplete: boolean;
  /** It is complete, and so is its recording. */
  isRecorded: boolean;
  /** Ends the recording; null: nothing is recorded. */
  stop: (() => void) | null;
  /** Of the present recording, or the last one; null: there was none. */
  recorder: FlightRecorder | null;
  /** Of the present recording; empty if there is none. */
  readonly followers: Set<string>; // at most as many as the requests that run at the other instances
}

export interface FlightsOptions {
  readonly clock: Clock;
  readonly store: FlightStore;
  readonly publish: (text: string) => void;
  /** This instance; null: it is not known, or the store is away. */
  readonly member: () => string | null;
  readonly members: () => readonly string[];
}

/** One that can't be recorded. */
const UNRECORDED: FlightLead = { record: () => null };

export class Flights {
  readonly #options: FlightsOptions;
  /** Running responses, and complete ones whose claim is not released yet. */
  readonly #leading = new Map<string, Leading>(); // as many as running requests, and those whose release waits
  #recorded = 0;
  #followed = 0; // at most as many as running requests
  #count = 0;
  #askAgainAt: Instant = -Infinity;
  readonly #releases: ClaimReleases;
  readonly #departed = new DepartedMembers();

  constructor(options: FlightsOptions) {
    this.#options = options;
    this.#releases = new ClaimReleases(options.clock, options.store, (id) => this.#leading.delete(id));
  }

  get isAvailable(): boolean {
    return this.#options.member() !== null && this.#options.clock.now() >= this.#askAgainAt;
  }

  /**
   * Claims the names in order, up to the first that another instance has. Claims of instances that have left the fleet are replaced. Null:
   * the store is away or slow. Never rejects.
   */
  async claim(names: readonly string[], fingerprint: string, lead: FlightLead, again: Reclaim | null): Promise<Claimed | null> {
    const { clock, store, member } = this.#options;
    const me = member();
    if (me === null || clock.now() < this.#askAgainAt) return null;
    const leading = this.#lead(again?.id ?? `${me}.${++this.#count}`, names, fingerprint, lead);
    const { id, owner } = leading;
    const claim = { names: leading.names, owner, member: me };
    try {
      let instead = again?.instead ?? null;
      let found = await withTimeout(clock, CLAIM_WAIT_MS, 'a claim', store.claim({ ...claim, instead }));
      if (found !== null && this.#departed.has(memberOf(found.owner))) {
        instead = found.owner;
        found = await withTimeout(clock, CLAIM_WAIT_MS, 'a claim', store.claim({ ...claim, instead }));
      }
      if (this.#leading.get(id) !== leading) this.#releases.now([leading]); // it ended meanwhile
      if (found === null) return { id, foreign: null };
      const [other = '', theirs] = found.owner.split(' ');
      return { id, foreign: { at: found.at, id: other, owner: found.owner, isSame: theirs === digest(fingerprint) } };
    } catch {
      this.#askAgainAt = clock.now() + PAUSE_MS;
      // A claim that takes effect late is released as well.
      if (this.#leading.get(id) !== leading) this.#releases.later(leading);
      else if (again === null) this.end(id, UNRECORDED);
      return null;
    }
  }

  /** A further claim keeps the entry of the first, with its recording. */
  #lead(id: string, names: readonly string[], fingerprint: string, lead: FlightLead): Leading {
    const known = this.#leading.get(id);
    if (known !== undefined) return known;
    const leading: Leading = {
      id,
      names: names.map(digest),
      owner: `${id} ${digest(fingerprint)}`,
      lead,
      isComplete: false,
      isRecorded: false,
      stop: null,
      recorder: null,
      followers: new Set(),
    };
    this.#leading.set(id, leading);
    return leading;
  }

  /** True if the instance of this claim is not a member; it may be newer than the list of members, which is then awaited. */
  async isGone({ id }: ForeignClaim): Promise<boolean> {
    const { clock, members } = this.#options;
    const member = memberOf(id);
    if (this.#departed.has(member)) return true;
    if (members().includes(member)) return false;
    await new Promise<void>((resolve) => clock.schedule(MEMBERS_AGE_MS, resolve));
    return !members().includes(member);
  }

  /**
   * The response of this instance is over. `complete` records it for followers until the store has it and the claim is released; null: it
   * is not complete, and its claim is released at once.
   */
  end(id: string, complete: FlightLead | null): void {
    const ended = this.#leading.get(id);
    if (ended === undefined || ended.isComplete) return;
    if (ended.stop !== null) this.#recorded--;
    // A running recording gets the end of the response, and later followers read all of it.
    ended.lead = ended.stop === null && complete !== null ? complete : UNRECORDED;
    ended.isRecorded = ended.stop !== null;
    ended.stop = null;
    ended.followers.clear();
    ended.isComplete = complete !== null;
    if (ended.isComplete) this.#releases.later(ended);
    else this.#releases.now([ended]);
  }

  /** Follows a response of another instance from its beginning. */
  follow(id: string, urgency: Urgency, listener: FlightListener): Following {
    let isStopped = false;
    let wake: (() => void) | null = null;
    const follower = `${this.#options.member()}.${++this.#count}`;
    const ask = (): void => this.#options.publish(`flight\nfollow\n${id}\n${JSON.stringify(urgency)}\n${follower}`);
    let isAsked = false;
    const following = {
      stop: () => {
        isStopped = true;
        wake?.();
      },
      resume: () => wake?.(),
      check: () => {
        isAsked = true;
        ask();
      },
    };
    const alive = (): void => {
      if (isAsked) listener.alive?.();
      isAsked = false;
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
    ask();
    void this.#follow(id, follower, { ...listener, alive }, () => isStopped, pause);
    return following;
  }

  /** A message of another instance. */
  take([kind, id = '', ...lines]: readonly string[]): void {
    if (kind === 'follow') this.#record(id, toUrgency(lines[0] ?? ''), lines[1] ?? '');
    else if (kind === 'leave') this.#unfollow(id, lines[0] ?? '');
  }

  /** Ends recordings whose followers have all left the fleet. */
  keepOnly(members: readonly string[]): void {
    const present = new Set(members);
    this.#departed.update(members);
    for (const [id, { followers }] of this.#leading) {
      for (const follower of followers) {
        if (!present.has(memberOf(follower))) this.#unfollow(id, follower);
      }
    }
  }

  async close(): Promise<void> {
    await this.#releases.close();
    await this.#options.store.close();
  }

  async #follow(
    id: string,
    follower: string,
    listener: FlightListener,
    isStopped: () => boolean,
    pause: (ms: number | null) => Promise<void>,
  ): Promise<void> {
    const { clock, store, publish } = this.#options;
    this.#followed++;
    const received = new FlightParts();
    const life = new FlightLife(follower);
    let isOver = false;
    try {
      let after = '';
      let lastAt = clock.now();
      for (let delayMs = READ_AGAIN_MS; !isStopped();) {
        const parts = life.isShown || life.look(await store.last(id)) ? await store.read(id, after) : [];
        if (parts.length === 0 && !isStopped()) {
          if (clock.now() - lastAt > life.silenceMaxMs) return listener.gone();
          if (clock.now() - lastAt > SILENT_MS) listener.silent?.();
          await pause(this.#paced(delayMs));
          delayMs = Math.min(delayMs * 1.5, READ_AGAIN_MAX_MS);
          continue;
        }
        delayMs = READ_AGAIN_MS;
        for (const part of parts) {
          if (isStopped()) break;
          after = part.place;
          if (isBeatFor(part, follower)) listener.alive?.();
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

  #paced(delayMs: number): number {
    return Math.max(delayMs, Math.min(READ_SLOWLY_MS, (delayMs * this.#followed) / FOLLOWED_AT_FULL_PACE));
  }

  #record(id: string, urgency: Urgency, follower: string): void {
    const leading = this.#leading.get(id);
    if (leading === undefined) {
      // It has failed, or its claim is released.
      if (id.startsWith(`${this.#options.member()}.`)) this.#refuse(id, follower);
      return;
    }
    if (leading.recorder?.hasFailed === true) {
      this.#stopRecording(leading);
      if (leading.isRecorded) return this.#refuse(id, follower);
    }
    if (leading.isRecorded) return; // the follower reads it
    // A running recording has the response from its beginning.
    if (leading.stop === null && !this.#startRecording(id, leading, urgency)) return this.#refuse(id, follower);
    if (leading.stop === null) return;
    leading.followers.add(follower);
    leading.recorder?.add('beat', follower); // what the recording has already may be read
  }

  /** False: it can't be recorded. */
  #startRecording(id: string, leading: Leading, urgency: Urgency): boolean {
    if (this.#recorded >= RECORDED_MAX) return false;
    const { clock, store } = this.#options;
    if (leading.recorder === null || leading.recorder.hasFailed) leading.recorder = new FlightRecorder(clock, store, id);
    else leading.recorder.reopen();
    const stop = leading.lead.record(leading.recorder, urgency);
    if (stop === null) return false;
    if (this.#leading.get(id) !== leading) return true;
    leading.isRecorded = leading.isComplete;
    if (leading.isRecorded) return true;
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
}

/** The instance of an owner, a response or a follower: `MEMBER.NUMBER`. */
function memberOf(id: string): string {
  return id.slice(0, Math.max(0, id.lastIndexOf('.')));
}

function digest(text: string): string {
  return hash('sha256', text, 'base64url');
}

/** Throws for a text that is not an urgency. */
function toUrgency(text: string): Urgency {
  const { priority, remainingMs, isKeyed } = JSON.parse(text) as Urgency;
  if (!SCHEDULING_CLASSES.includes(priority) || !Number.isFinite(remainingMs)) throw new Error(`not an urgency: ${text}`);
  return { priority, remainingMs, isKeyed: isKeyed === true };
}
