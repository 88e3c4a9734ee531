/** Selects the faults of a call: from the request header, the model name, or the configured list. */
import type { Random } from '../core/random.ts';
import { createSeededRandom, hashNumbers } from './random.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import { FAULT_NAMES } from './fault-names.ts';
import type { StormFaultKind } from './fault-names.ts';
import { validateFaults, parseFault, parseKind, parseNames } from './fault-text.ts';
import type { StormFault } from './options.ts';

/** The inputs of the selection. `header` is the value of `x-storm-fault`; `sinceMs` is the time since the start or last reset. */
export interface FaultQuery {
  call: number;
  model: string;
  header: string | undefined;
  sinceMs: number;
}

/** A fault of a single kind. */
export type SingleFault = StormFault & { kind: StormFaultKind };

export interface FaultPlan {
  /**
   * The faults of a call in the order in which they apply; empty if there are none. Returns an error message if the
   * requested fault is invalid.
   */
  pick(query: FaultQuery): readonly SingleFault[] | string;
  set(faults: readonly StormFault[]): void;
  reset(): void;
}

/** Fault texts (headers and model names) counted for `first` and `every`. */
const COUNTERS_MAX = 1000;

/** Separates the random sequence of a mix from that of a probability. */
const MIX = 0x6d6978;

/** Creates the plan. Throws on unknown fault kinds. */
export function createFaultPlan(initial: readonly StormFault[], seed: number): FaultPlan {
  let faults = validateFaults(initial);
  let counts = new Map<StormFault | string, number>();

  function applies(fault: StormFault, key: StormFault | string, index: number, { call, model, sinceMs }: FaultQuery): boolean {
    if (fault.models !== undefined && !fault.models.includes(model)) return false;
    if (sinceMs < (fault.from ?? 0) || sinceMs >= (fault.until ?? Infinity)) return false;
    if (fault.calls !== undefined) {
      const count = (counts.get(key) ?? 0) + 1;
      if (counts.size < COUNTERS_MAX || counts.has(key)) counts.set(key, count);
      if (!isChosen(fault.calls, count)) return false;
    }
    if (fault.probability === undefined) return true;
    return createSeededRandom(hashNumbers(seed, call, index)).next() < fault.probability;
  }

  const mixRandom = ({ call }: FaultQuery, index: number) => createSeededRandom(hashNumbers(seed, call, index, MIX));

  return {
    pick(query) {
      const requested = query.header ?? (query.model.startsWith('fault-') ? query.model.slice('fault-'.length) : undefined);
      if (requested !== undefined) {
        const fault = parseFault(requested);
        if (typeof fault === 'string') return fault;
        return applies(fault, requested, -1, query) ? resolveFault(fault, mixRandom(query, -1)) : [];
      }
      const index = faults.findIndex((fault, at) => applies(fault, fault, at, query));
      return index === -1 ? [] : resolveFault(faults[index]!, mixRandom(query, index));
    },
    set(replacement) {
      faults = validateFaults(replacement);
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

/** Default of `mix`: every kind that ends by itself, equally weighted. */
const ENDING_KINDS: Readonly<Record<string, number>> = Object.fromEntries(
  FAULT_NAMES.filter((kind) => FAULT_KINDS[kind].endless !== true).map((kind) => [kind, 1]),
);

/** Expands a fault into its kinds, each with the shared settings. Empty if a mix picked `none`. */
function resolveFault(fault: StormFault, random: Random): SingleFault[] {
  const { kind, also = [], of = ENDING_KINDS, ...shared } = fault;
  const drawn = kind === 'mix' ? parseNames(draw(of, random)) : ({ kind } as StormFault);
  if (typeof drawn === 'string' || drawn.kind === 'mix') return [];
  const { also: alsoDrawn = [], ...own } = drawn;
  const first: SingleFault = { ...shared, ...own, kind: drawn.kind };
  const others = [...also, ...alsoDrawn].map((text) => ({ ...shared, ...parseKind(text) }) as SingleFault);
  return [first, ...others];
}

/** Picks a name by weight; `any` stands for all kinds that end by themselves. */
function draw(weights: Readonly<Record<string, number>>, random: Random): string {
  const entries = Object.entries(weights);
  let left = random.next() * entries.reduce((sum, [, weight]) => sum + weight, 0);
  for (const [name, weight] of entries) {
    left -= weight;
    if (left < 0) return name === 'any' ? draw(ENDING_KINDS, random) : name;
  }
  return 'none';
}
