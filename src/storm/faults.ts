/** Which fault strikes which call: by request header, by the model's name, or by the list of faults set. */
import type { Random } from '../core/random.ts';
import { createSeededRandom, hashNumbers } from './chance.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import { FAULT_NAMES } from './fault-names.ts';
import type { StormFaultKind } from './fault-names.ts';
import { checkedFaults, parseFault, parseKind, parseNames } from './fault-text.ts';
import type { StormFault } from './options.ts';

/** What the choice depends on. `header` is the value of `x-storm-fault`; `sinceMs` counts from the start or last reset. */
export interface Stroke {
  call: number;
  model: string;
  header: string | undefined;
  sinceMs: number;
}

/** A fault of one kind. */
export type Strike = StormFault & { kind: StormFaultKind };

export interface FaultPlan {
  /** The faults that strike, in the order in which they act; often none. A text says what is wrong with the wish for one. */
  pick(stroke: Stroke): readonly Strike[] | string;
  set(faults: readonly StormFault[]): void;
  reset(): void;
}

/** Texts remembered for `first` and `every` in headers and model names. */
const WISHES_MAX = 1000;

/** Keeps the draw of a mix apart from that of a probability. */
const MIX = 0x6d6978;

/** Makes the plan. Throws on a fault of an unknown kind. */
export function createFaultPlan(initial: readonly StormFault[], seed: number): FaultPlan {
  let faults = checkedFaults(initial);
  let counts = new Map<StormFault | string, number>();

  function strikes(fault: StormFault, key: StormFault | string, index: number, { call, model, sinceMs }: Stroke): boolean {
    if (fault.models !== undefined && !fault.models.includes(model)) return false;
    if (sinceMs < (fault.from ?? 0) || sinceMs >= (fault.until ?? Infinity)) return false;
    if (fault.calls !== undefined) {
      const count = (counts.get(key) ?? 0) + 1;
      if (counts.size < WISHES_MAX || counts.has(key)) counts.set(key, count);
      if (!isChosen(fault.calls, count)) return false;
    }
    if (fault.probability === undefined) return true;
    return createSeededRandom(hashNumbers(seed, call, index)).next() < fault.probability;
  }

  const mixRandom = ({ call }: Stroke, index: number) => createSeededRandom(hashNumbers(seed, call, index, MIX));

  return {
    pick(stroke) {
      const wish = stroke.header ?? (stroke.model.startsWith('fault-') ? stroke.model.slice('fault-'.length) : undefined);
      if (wish !== undefined) {
        const fault = parseFault(wish);
        if (typeof fault === 'string') return fault;
        return strikes(fault, wish, -1, stroke) ? resolved(fault, mixRandom(stroke, -1)) : [];
      }
      const index = faults.findIndex((fault, at) => strikes(fault, fault, at, stroke));
      return index === -1 ? [] : resolved(faults[index]!, mixRandom(stroke, index));
    },
    set(wanted) {
      faults = checkedFaults(wanted);
      counts = new Map();
    },
    reset() {
      counts = new Map();
    },
  };
}

function isChosen(calls: NonNullable<StormFault['calls']>, count: number): boolean {
  if (Array.isArray(calls)) return calls.includes(count);
  if (calls.first !== undefined && count > calls.first) return false;
  return calls.every === undefined || count % calls.every === 0;
}

/** What `mix` draws from where nothing is said: every kind that ends by itself, each alike. */
const ALL_THAT_END: Readonly<Record<string, number>> = Object.fromEntries(
  FAULT_NAMES.filter((kind) => FAULT_KINDS[kind].endless !== true).map((kind) => [kind, 1]),
);

/** The kinds that a fault stands for, one by one, each with the settings that all share. None where a mix drew `none`. */
function resolved(fault: StormFault, random: Random): Strike[] {
  const { kind, also = [], of = ALL_THAT_END, ...shared } = fault;
  const drawn = kind === 'mix' ? parseNames(draw(of, random)) : ({ kind } as StormFault);
  if (typeof drawn === 'string' || drawn.kind === 'mix') return [];
  const { also: alsoDrawn = [], ...own } = drawn;
  const first: Strike = { ...shared, ...own, kind: drawn.kind };
  const others = [...also, ...alsoDrawn].map((text) => ({ ...shared, ...parseKind(text) }) as Strike);
  return [first, ...others];
}

/** A name by its weight; `any` stands for all that end, each alike. */
function draw(weights: Readonly<Record<string, number>>, random: Random): string {
  const entries = Object.entries(weights);
  let left = random.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [name, weight] of entries) {
    left -= weight;
    if (left < 0) return name === 'any' ? draw(ALL_THAT_END, random) : name;
  }
  return 'none';
}
