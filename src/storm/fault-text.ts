/** Faults as they are written in a header, in a model's name, on the command line and in lists. */
import { ERROR_SHAPES, FAILURE_REASONS } from './failure-words.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import { isFaultKind } from './fault-names.ts';
import type { StormFault } from './options.ts';

const NUMBERS = ['retryAfterMs', 'status', 'afterTokens', 'ms', 'bytes', 'probability', 'from', 'until'] as const;
const TEXTS = ['retryAfter', 'param', 'message', 'contentType', 'finish'] as const;
const CHOICES: Readonly<Record<string, readonly string[]>> = { reason: FAILURE_REASONS, shape: ERROR_SHAPES };

const KEYS: readonly string[] = ['kind', 'also', 'of', 'models', 'calls', ...NUMBERS, ...TEXTS, ...Object.keys(CHOICES)];

const isIn = (names: readonly string[], name: string): boolean => names.includes(name);

/** Faults may come as JSON from a file or a request: a mistyped name must not pass for a fault that never strikes. Throws. */
export function checkedFaults(faults: readonly StormFault[]): StormFault[] {
  return faults.map((fault) => {
    if (fault.kind !== 'mix' && !isFaultKind(fault.kind)) throw new Error(`storm: unknown fault kind: ${String(fault.kind)}`);
    for (const key of Object.keys(fault)) if (!KEYS.includes(key)) throw new Error(`storm: unknown key of a fault: ${key}`);
    for (const [key, known] of Object.entries(CHOICES)) {
      const value: unknown = fault[key as 'reason' | 'shape'];
      if (value !== undefined && !known.includes(value as string)) throw new Error(`storm: unknown ${key} of a fault: ${String(value)}`);
    }
    const wrong = wrongIn(fault);
    if (wrong !== undefined) throw new Error(wrong);
    return { ...fault };
  });
}

/** What is wrong with the faults that a fault names. */
function wrongIn({ also = [], of }: StormFault): string | undefined {
  for (const text of also) if (parseKind(text) === undefined) return `storm: unknown fault kind: ${text}`;
  if (of === undefined) return undefined;
  let sum = 0;
  for (const [text, weight] of Object.entries(of)) {
    if (text !== 'none' && text !== 'any' && typeof parseNames(text) === 'string') return `storm: unknown fault kind: ${text}`;
    if (!(weight >= 0) || weight === Infinity) return `storm: bad weight of ${text}: ${String(weight)}`;
    sum += weight;
  }
  return sum > 0 ? undefined : 'storm: a mix needs a weight above 0';
}

/**
 * Reads `KIND[-ARG][+KIND[-ARG]…][; key=value]…`, as it stands in `x-storm-fault` and, after `fault-`, in a model's name.
 * What ARG means is the kind's own. Keys are those of StormFault, with `first` and `every` for `calls`; they are shared by
 * all kinds. `mix-KIND:WEIGHT,KIND:WEIGHT…` draws one of them for each call. A text says what is wrong.
 */
export function parseFault(text: string): StormFault | string {
  const [name = '', ...settings] = text.split(';').map((part) => part.trim());
  const fault = name === 'mix' || name.startsWith('mix-') ? parseMix(name.slice('mix-'.length)) : parseNames(name);
  if (typeof fault === 'string') return fault;
  const values: Record<string, unknown> = {};
  for (const setting of settings) {
    if (setting !== '' && !readSetting(setting, values)) return `storm: bad fault setting: ${setting}`;
  }
  const whole: StormFault = { ...fault, ...values };
  return wrongIn(whole) ?? whole;
}

function readSetting(setting: string, values: Record<string, unknown>): boolean {
  const [key = '', ...rest] = setting.split('=');
  const value = rest.join('=').trim();
  if (isIn(TEXTS, key) || CHOICES[key]?.includes(value) === true) values[key] = value;
  else if (isIn(NUMBERS, key) && value !== '' && Number.isFinite(Number(value))) values[key] = Number(value);
  else if (key === 'of') values[key] = parseWeights(value);
  else if ((key === 'first' || key === 'every') && Number(value) > 0)
    values['calls'] = { ...(values['calls'] as object), [key]: Number(value) };
  else return false;
  return true;
}

function parseMix(weights: string): StormFault {
  return weights === '' ? { kind: 'mix' } : { kind: 'mix', of: parseWeights(weights) };
}

/** `KIND:WEIGHT` with commas between them; without a weight it is 1. A weight that is none becomes NaN, which is refused. */
function parseWeights(text: string): Record<string, number> {
  return Object.fromEntries(
    text
      .split(',')
      .map((part) => part.trim().split(':'))
      .map(([name = '', weight]) => [name.trim(), weight === undefined ? 1 : Number(weight)]),
  );
}

/** One kind, or several with `+` between them. A text says which is unknown. */
export function parseNames(text: string): StormFault | string {
  const [first = '', ...others] = text.split('+').map((part) => part.trim());
  const fault = parseKind(first);
  if (fault === undefined) return `storm: unknown fault kind: ${first}`;
  if (others.length === 0) return fault;
  const unknown = others.find((name) => parseKind(name) === undefined);
  return unknown === undefined ? { ...fault, also: others } : `storm: unknown fault kind: ${unknown}`;
}

const ARGS_AS_TEXT: readonly string[] = ['param', 'retryAfter', 'contentType', 'finish'];

/** One kind with its argument. */
export function parseKind(name: string): StormFault | undefined {
  if (isFaultKind(name)) return { kind: name };
  const cut = [...name.matchAll(/-/g)].map((match) => match.index).toReversed();
  for (const at of cut) {
    const kind = name.slice(0, at);
    if (!isFaultKind(kind)) continue;
    const { arg } = FAULT_KINDS[kind];
    const value = name.slice(at + 1);
    if (arg === undefined || value === '') return undefined;
    if (ARGS_AS_TEXT.includes(arg)) return { kind, [arg]: value };
    return Number.isFinite(Number(value)) ? { kind, [arg]: Number(value) } : undefined;
  }
  return undefined;
}
