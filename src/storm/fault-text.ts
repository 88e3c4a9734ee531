/** Parsing and validation of faults in headers, model names, command-line flags and JSON. */
import { ERROR_SHAPES, FAILURE_REASONS } from './failure-reasons.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import { isFaultKind } from './fault-names.ts';
import type { StormFault } from './options.ts';

const NUMBERS = ['retryAfterMs', 'status', 'afterTokens', 'ms', 'bytes', 'probability', 'from', 'until'] as const;
const TEXTS = ['retryAfter', 'param', 'message', 'contentType', 'finish'] as const;
const CHOICES: Readonly<Record<string, readonly string[]>> = { reason: FAILURE_REASONS, shape: ERROR_SHAPES };

const KEYS: readonly string[] = ['kind', 'also', 'of', 'models', 'calls', ...NUMBERS, ...TEXTS, ...Object.keys(CHOICES)];

const isIn = (names: readonly string[], name: string): boolean => names.includes(name);

/** Validates faults from JSON, so that a misspelled name is an error rather than a fault that never applies. Throws. */
export function validateFaults(faults: readonly StormFault[]): StormFault[] {
  return faults.map((fault) => {
    if (fault.kind !== 'mix' && !isFaultKind(fault.kind)) throw new Error(`storm: unknown fault kind: ${String(fault.kind)}`);
    for (const key of Object.keys(fault)) if (!KEYS.includes(key)) throw new Error(`storm: unknown fault setting: ${key}`);
    for (const [key, known] of Object.entries(CHOICES)) {
      const value: unknown = fault[key as 'reason' | 'shape'];
      if (value !== undefined && !known.includes(value as string)) throw new Error(`storm: unknown ${key} in a fault: ${String(value)}`);
    }
    const wrong = findError(fault);
    if (wrong !== undefined) throw new Error(wrong);
    return { ...fault };
  });
}

/** The problem with the kinds that a fault names, if any. */
function findError({ also = [], of }: StormFault): string | undefined {
  for (const text of also) if (parseKind(text) === undefined) return `storm: unknown fault kind: ${text}`;
  if (of === undefined) return undefined;
  let sum = 0;
  for (const [text, weight] of Object.entries(of)) {
    if (text !== 'none' && text !== 'any' && typeof parseNames(text) === 'string') return `storm: unknown fault kind: ${text}`;
    if (!(weight >= 0) || weight === Infinity) return `storm: invalid weight of ${text}: ${String(weight)}`;
    sum += weight;
  }
  return sum > 0 ? undefined : 'storm: a mix needs at least one weight above 0';
}

/**
 * Parses `KIND[-ARG][+KIND[-ARG]…][; key=value]…`, the syntax of `x-storm-fault` and, after `fault-`, of model names.
 * The kind defines what ARG sets. Keys are those of StormFault, with `first` and `every` in place of `calls`; they
 * apply to all kinds. `mix-KIND:WEIGHT,KIND:WEIGHT…` picks one per call. Returns an error message if invalid.
 */
export function parseFault(text: string): StormFault | string {
  const [name = '', ...settings] = text.split(';').map((part) => part.trim());
  const fault = name === 'mix' || name.startsWith('mix-') ? parseMix(name.slice('mix-'.length)) : parseNames(name);
  if (typeof fault === 'string') return fault;
  const values: Record<string, unknown> = {};
  for (const setting of settings) {
    if (setting !== '' && !readSetting(setting, values)) return `storm: invalid fault setting: ${setting}`;
  }
  const whole: StormFault = { ...fault, ...values };
  return findError(whole) ?? whole;
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

/** Parses `KIND:WEIGHT` items separated by commas; the default weight is 1. Invalid weights become NaN, which validation rejects. */
function parseWeights(text: string): Record<string, number> {
  return Object.fromEntries(
    text
      .split(',')
      .map((part) => part.trim().split(':'))
      .map(([name = '', weight]) => [name.trim(), weight === undefined ? 1 : Number(weight)]),
  );
}

/** Parses one kind, or several joined by `+`. Returns an error message that names the unknown kind. */
export function parseNames(text: string): StormFault | string {
  const [first = '', ...others] = text.split('+').map((part) => part.trim());
  const fault = parseKind(first);
  if (fault === undefined) return `storm: unknown fault kind: ${first}`;
  if (others.length === 0) return fault;
  const unknown = others.find((name) => parseKind(name) === undefined);
  return unknown === undefined ? { ...fault, also: others } : `storm: unknown fault kind: ${unknown}`;
}

const ARGS_AS_TEXT: readonly string[] = ['param', 'retryAfter', 'contentType', 'finish'];

/** Parses one kind with its argument. */
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
