/** Which fault strikes which call: by request header, by the model's name, or by the list of faults set. */
import { createSeededRandom, hashNumbers } from './chance.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import { isFaultKind } from './fault-names.ts';
import type { StormFault } from './options.ts';

/** What the choice depends on. `header` is the value of `x-storm-fault`; `sinceMs` counts from the start or last reset. */
export interface Stroke {
  call: number;
  model: string;
  header: string | undefined;
  sinceMs: number;
}

export interface FaultPlan {
  /** The fault that strikes, none, or a text that says what is wrong with the wish for one. */
  pick(stroke: Stroke): StormFault | string | undefined;
  set(faults: readonly StormFault[]): void;
  reset(): void;
}

/** Texts remembered for `first` and `every` in headers and model names. */
const WISHES_MAX = 1000;

/** Makes the plan. Throws on a fault of an unknown kind. */
export function createFaultPlan(initial: readonly StormFault[], seed: number): FaultPlan {
  let faults = checked(initial);
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

  return {
    pick(stroke) {
      const wish = stroke.header ?? (stroke.model.startsWith('fault-') ? stroke.model.slice('fault-'.length) : undefined);
      if (wish !== undefined) {
        const fault = parseFault(wish);
        if (typeof fault === 'string') return fault;
        return strikes(fault, wish, -1, stroke) ? fault : undefined;
      }
      return faults.find((fault, index) => strikes(fault, fault, index, stroke));
    },
    set(wanted) {
      faults = checked(wanted);
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

const NUMBERS = ['retryAfterMs', 'status', 'afterTokens', 'ms', 'probability', 'from', 'until'] as const;
const TEXTS = ['retryAfter', 'param', 'message'] as const;

const KEYS: readonly string[] = ['kind', 'models', 'calls', ...NUMBERS, ...TEXTS];

/** Faults may come as JSON from a file or a request: a mistyped name must not pass for a fault that never strikes. */
function checked(faults: readonly StormFault[]): StormFault[] {
  return faults.map((fault) => {
    if (!isFaultKind(fault.kind)) throw new Error(`storm: unknown fault kind: ${String(fault.kind)}`);
    for (const key of Object.keys(fault)) if (!KEYS.includes(key)) throw new Error(`storm: unknown key of a fault: ${key}`);
    return { ...fault };
  });
}

/**
 * Reads `KIND[-ARG][; key=value]…`, as it stands in `x-storm-fault` and, after `fault-`, in a model's name. What ARG
 * means is the kind's own. Keys are those of StormFault, with `first` and `every` for `calls`. A text says what is wrong.
 */
export function parseFault(text: string): StormFault | string {
  const [name = '', ...settings] = text.split(';').map((part) => part.trim());
  const fault = parseKind(name);
  if (fault === undefined) return `storm: unknown fault kind: ${name}`;
  const values: Record<string, unknown> = {};
  for (const setting of settings) {
    if (setting === '') continue;
    const [key = '', ...rest] = setting.split('=');
    const value = rest.join('=').trim();
    if ((TEXTS as readonly string[]).includes(key)) values[key] = value;
    else if ((NUMBERS as readonly string[]).includes(key) && Number.isFinite(Number(value))) values[key] = Number(value);
    else if ((key === 'first' || key === 'every') && Number(value) > 0)
      values['calls'] = { ...(values['calls'] as object), [key]: Number(value) };
    else return `storm: bad fault setting: ${setting}`;
  }
  return { ...fault, ...values };
}

function parseKind(name: string): StormFault | undefined {
  if (isFaultKind(name)) return { kind: name };
  const cut = [...name.matchAll(/-/g)].map((match) => match.index).toReversed();
  for (const at of cut) {
    const kind = name.slice(0, at);
    if (!isFaultKind(kind)) continue;
    const { arg } = FAULT_KINDS[kind];
    const value = name.slice(at + 1);
    const asText = arg === 'param' || arg === 'retryAfter';
    if (arg === undefined || value === '' || (!asText && !Number.isFinite(Number(value)))) return undefined;
    return { kind, [arg]: asText ? value : Number(value) };
  }
  return undefined;
}
