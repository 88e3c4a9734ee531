/** Instances with one store in memory, whose messages arrive at once. */
import type { FlightClaim, FlightPart, FlightStore, PlacedPart } from '../store/flight-store.ts';
import type { ManualClock } from '../testing/manual-clock.ts';
import type { FlightRecorder } from './flight-recorder.ts';
import { Flights, type FlightLead } from './flights.ts';

export interface Fake extends FlightStore {
  isHanging: boolean;
  isFailing: boolean;
  readonly claims: Map<string, string>;
  readonly parts: Map<string, PlacedPart[]>;
}

export function createStore(): Fake {
  const claims = new Map<string, string>();
  const parts = new Map<string, PlacedPart[]>();
  let place = 0;
  const hang = <T>(): Promise<T> => new Promise(() => {});
  const store: Fake = {
    isHanging: false,
    isFailing: false,
    claims,
    parts,
    async claim({ names, owner, member, instead }: FlightClaim) {
      if (store.isHanging) return hang();
      for (const [at, name] of names.entries()) {
        const held = claims.get(name);
        if (held !== undefined && held !== instead && !held.startsWith(`${member}.`)) return { at, owner: held };
        claims.set(name, owner);
      }
      return null;
    },
    async release(given) {
      for (const [name, owner] of given) if (claims.get(name) === owner) claims.delete(name);
    },
    async append(id: string, added: readonly FlightPart[]) {
      const all = parts.get(id) ?? [];
      for (const part of added) all.push({ ...part, place: String(++place) });
      parts.set(id, all);
    },
    async clear(id) {
      parts.set(id, []);
    },
    async last(id) {
      return (await store.read(id, '')).at(-1) ?? null;
    },
    async read(id, after) {
      if (store.isHanging) return hang();
      if (store.isFailing) throw new Error('away');
      return (parts.get(id) ?? []).filter(({ place }) => Number(place) > Number(after));
    },
    async close() {},
  };
  return store;
}

/** Two instances with one store; messages arrive at once. */
export function createPair(clock: ManualClock, store: FlightStore): readonly [Flights, Flights] {
  const make = (name: string, other: () => Flights): Flights =>
    new Flights({
      clock,
      store,
      member: () => name,
      members: () => ['a', 'b'],
      publish: (text) => other().take(text.split('\n').slice(1)),
    });
  const pair: [Flights, Flights] = [make('a', () => pair[1]), make('b', () => pair[0])];
  return pair;
}

export const urgency = { priority: 'normal', remainingMs: 60_000, isKeyed: true } as const;
export const refuses: FlightLead = { record: () => null };

export function listen() {
  const seen: string[] = [];
  return {
    seen,
    part: ({ kind }: PlacedPart) => (seen.push(kind), kind === 'end' ? ('end' as const) : ('more' as const)),
    gone: () => void seen.push('gone'),
  };
}

/** A response with a head; `stops`: how often its recording was ended. */
export function createRecorded() {
  const recorded = {
    stops: 0,
    isRefused: false,
    recorder: null as FlightRecorder | null,
    record(recorder: FlightRecorder) {
      if (recorded.isRefused) return null;
      recorded.recorder = recorder;
      recorder.add('hello');
      recorder.add('head');
      return () => {
        recorded.stops++;
        recorder.add('gone');
        recorder.close();
      };
    },
  };
  return recorded;
}
