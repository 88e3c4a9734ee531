/**
 * The kinds of config values, as zod schemas.
 *
 * Each kind has one message that states the whole rule, so that a fault is one line. Numbers and flags are also accepted as text,
 * since `port: "${PORT}"` is text after interpolation.
 */
import * as z from 'zod';
import { parseDuration, parseNumber, parseSize } from './units.ts';

/** Matches `${NAME}`, which the JSON Schema must also accept. */
export const templatePattern = String.raw`\$\{.+\}`;

interface Range {
  readonly min: number;
  readonly max: number;
}

/** A number with an optional unit. */
function quantity(
  message: string,
  range: Range,
  parse: (text: string) => number | null,
  written: { readonly pattern: string; readonly whole?: boolean },
) {
  const error = message;
  const number = z.number({ error }).min(range.min, { error }).max(range.max, { error });
  const pattern = `^(${written.pattern}|.*${templatePattern}.*)$`;
  return z
    .union([written.whole === true ? number.int({ error }) : number, z.string().meta({ pattern })], { error })
    .transform((given, context): number => {
      const value = typeof given === 'number' ? given : parse(given);
      const isInRange = value !== null && value >= range.min && value <= range.max;
      if (isInRange && (written.whole !== true || Number.isInteger(value))) return value;
      context.addIssue({ code: 'custom', message, input: given });
      return z.NEVER;
    });
}

const durationPattern = String.raw`\d+(\.\d+)?(ms|s|m|h|d)`;

/** A duration, or a word. A bare number is a fault, as it is ambiguous: seconds or milliseconds. */
function timed<W extends string = never>(message: string, min: string, max: string, words: string, isWord?: (text: string) => text is W) {
  const range = { min: parseDuration(min) ?? 0, max: parseDuration(max) ?? 0 };
  const withoutUnit = `has no unit; it ${message}`;
  const error = ({ input }: { readonly input?: unknown }): string => (typeof input === 'number' ? withoutUnit : message);
  const pattern = `^(${words}${durationPattern}|.*${templatePattern}.*)$`;
  return z
    .string({ error })
    .meta({ pattern, range: `${min} to ${max}` })
    .transform((given, context): number | W => {
      if (isWord?.(given) === true) return given;
      const value = parseDuration(given);
      if (value !== null && value >= range.min && value <= range.max) return value;
      context.addIssue({ code: 'custom', message: parseNumber(given) === null ? message : withoutUnit, input: given });
      return z.NEVER;
    });
}

/** A duration: `250ms`, `30s`, `5m`, `1h`, `1d`. Parsed to milliseconds. */
export function duration(min: string = '0ms', max: string = '7d') {
  return timed(`must be a duration from ${min} to ${max}, such as 250ms, 30s or 5m`, min, max, '');
}

/** A duration, or one word (`auto`, `none`), which is kept. */
export function durationOr<const W extends string>(word: W, min: string = '1ms', max: string = '7d') {
  const isWord = (given: string): given is W => given === word;
  return timed<W>(`must be ${word}, or a duration from ${min} to ${max}, such as 250ms, 30s or 5m`, min, max, `${word}|`, isWord);
}

/** `p50` to `p99`. */
export type Quantile = `p${number}`;

/** A duration, or a quantile, which is kept. */
export function durationOrQuantile(min: string, max: string) {
  const isWord = (given: string): given is Quantile => /^p[5-9]\d$/.test(given);
  return timed<Quantile>('must be a duration such as 500ms, or a quantile from p50 to p99', min, max, String.raw`p[5-9]\d|`, isWord);
}

/** A size: `512b`, `16kb`, `64mb`, `1gb`; a bare number means bytes. Parsed to bytes. */
export function size(min: string, max: string) {
  const range = { min: parseSize(min) ?? 0, max: parseSize(max) ?? 0 };
  const message = `must be a size from ${min} to ${max}, such as 64kb or 16mb`;
  const pattern = String.raw`\d+(\.\d+)?([kKmMgG]?[bB])?`;
  return quantity(message, range, (given) => parseSize(given) ?? parseNumber(given), { pattern, whole: true });
}

/** A whole number in a range. */
export function count(min: number, max: number) {
  const message = `must be a whole number from ${min} to ${max}`;
  return quantity(message, { min, max }, parseNumber, { pattern: String.raw`\d+`, whole: true });
}

/** A share from 0 to 1; `message` replaces the default message. */
export function ratio(min: number = 0, max: number = 1, message: string = `must be a share from ${min} to ${max}`) {
  return amount(min, max, message);
}

/** Any number in a range. */
export function amount(min: number, max: number, message: string = `must be a number from ${min} to ${max}`) {
  return quantity(message, { min, max }, parseNumber, { pattern: String.raw`\d+(\.\d+)?` });
}

/** true, false, or one of the given words, which are kept. */
export function flag<const W extends string = never>(...words: readonly W[]) {
  const message = `must be ${listOf(['true', 'false', ...words])}`;
  const pattern = `^(true|false|${[...words, templatePattern].join('|')})$`;
  return z.union([z.boolean(), z.string().meta({ pattern })], { error: message }).transform((given, context): boolean | W => {
    if (typeof given === 'boolean') return given;
    if (given === 'true' || given === 'false') return given === 'true';
    const word = words.find((candidate) => candidate === given);
    if (word !== undefined) return word;
    context.addIssue({ code: 'custom', message, input: given });
    return z.NEVER;
  });
}

/** One word of a set. */
export function word<const W extends readonly [string, ...string[]]>(...words: W) {
  return z.enum(words, { error: `must be ${listOf(words)}` });
}

/** A non-empty string. */
export function text() {
  return z.string({ error: 'must be a string' }).min(1, { error: 'must not be empty' });
}

/** Header values by name. */
export function headerRecord() {
  return z.record(z.string(), z.string({ error: 'must be a string' }), { error: 'must be an object of header names and values' });
}

/** `a`, `a or b`, `a, b or c`. */
export function listOf(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? '') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

/** A setting: its schema and its default. A block of settings is also a setting. */
export interface Setting<Full, S extends z.ZodType> {
  readonly schema: S;
  readonly defaults: Full;
}

/** A single setting with its default, in the form of a config file. `examples` are for the JSON Schema and docs/configuration.md. */
export function setting<S extends z.ZodType>(
  schema: S,
  fallback: z.input<S>,
  text: string,
  ...examples: z.input<S>[]
): Setting<z.output<S>, S> {
  const shown = typeof fallback === 'string' && fallback !== '' ? fallback : JSON.stringify(fallback);
  return {
    schema: schema.meta({ description: `${text} Default: ${shown}.`, default: fallback, ...(examples.length > 0 && { examples }) }),
    defaults: schema.parse(fallback),
  };
}

type Settings = Readonly<Record<string, Setting<unknown, z.ZodType>>>;
type FullOf<T> = T extends Setting<infer Full, z.ZodType> ? Full : never;
type SchemaOf<T> = T extends Setting<unknown, infer S> ? S : never;

/** A block of optional settings; `id` is its name in the JSON Schema. */
export function block<const T extends Settings>(id: string, description: string, settings: T) {
  const shape: Record<string, z.ZodType> = {};
  const defaults: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(settings)) {
    shape[key] = value.schema.optional();
    defaults[key] = value.defaults;
  }
  type Shape = { [K in keyof T]: z.ZodOptional<SchemaOf<T[K]>> };
  type Full = { readonly [K in keyof T]: FullOf<T[K]> };
  const schema = z.strictObject(shape as Shape).meta({ id, description });
  return { schema, defaults: defaults as Full };
}
