/** What is known of models by their names (data/models.json, made by `npm run models`): prices, sizes, abilities, ends of life. */
import { readFileSync } from 'node:fs';
import { isRecord } from '../wire/json-values.ts';
import { completeRates } from '../core/price.ts';
import type { Price, PriceSteps, Rates } from '../core/price.ts';

/**
 * - `t`: calls tools
 * - `i`: takes images
 * - `s`: structured output by a schema
 * - `r`: reasons
 * - `p`: goes on with a partial answer
 * - `a`: decides itself how much it reasons (Anthropic's adaptive thinking)
 */
export type ModelAbility = 't' | 'i' | 's' | 'r' | 'p' | 'a';

export interface KnownModel {
  /** In US dollars for a million tokens; null: not known. */
  readonly price: Price | null;
  /** Tokens of input that it takes; null: not known. */
  readonly contextTokens: number | null;
  /** Tokens that it writes in one response; null: not known. */
  readonly outputTokens: number | null;
  /** Null: not known. */
  readonly abilities: ReadonlySet<ModelAbility> | null;
  /** It is served by the Responses API alone. */
  readonly isResponsesOnly: boolean;
  /** False: it refuses sampling parameters. */
  readonly samples: boolean;
  /** The day on which it is shut down, as `YYYY-MM-DD`; null: not known. */
  readonly endsOn: string | null;
  /** Its maker's advice for the time after; null: not known. */
  readonly successor: string | null;
}

interface EntryRates {
  readonly in?: number;
  readonly out?: number;
  readonly cached?: number;
  readonly written?: number;
  readonly written1h?: number;
  readonly audioIn?: number;
  readonly audioOut?: number;
  readonly imageIn?: number;
}

interface EntrySteps extends EntryRates {
  /** By prompt size in tokens. */
  readonly above?: Readonly<Record<string, EntryRates>>;
}

interface Entry extends EntrySteps {
  readonly tiers?: Readonly<Record<string, EntrySteps>>;
  readonly context?: number;
  readonly most?: number;
  readonly can?: string;
  readonly ends?: string;
  readonly next?: string;
  readonly responses?: 1;
  readonly unsampled?: 1;
}

interface Table {
  readonly day: string;
  readonly source: string;
  readonly models: Readonly<Record<string, Readonly<Record<string, Entry>>>>;
}

let table: Table | null = null;

/** Read when it is first needed. */
function load(): Table {
  if (table === null) {
    const value: unknown = JSON.parse(readFileSync(new URL('../../data/models.json', import.meta.url), 'utf8'));
    if (!isRecord(value) || !isRecord(value['models'])) throw new Error('data/models.json is damaged');
    table = value as unknown as Table;
  }
  return table;
}

/** Null: the provider is none of the known ones, or its table lacks the model. */
export function knownModel(preset: string | null, model: string): KnownModel | null {
  if (preset === null) return null;
  const { models } = load();
  const entries = Object.hasOwn(models, preset) ? models[preset]! : {};
  const entry = Object.hasOwn(entries, model) ? entries[model]! : null;
  if (entry === null) return null;
  return {
    price: priceOf(entry),
    contextTokens: entry.context ?? null,
    outputTokens: entry.most ?? null,
    abilities: entry.can === undefined ? null : new Set(entry.can as Iterable<ModelAbility>),
    isResponsesOnly: entry.responses === 1,
    samples: entry.unsampled !== 1,
    endsOn: entry.ends ?? null,
    successor: entry.next ?? null,
  };
}

/** The day on which the table was made, and its source and licence. */
export function tableOrigin(): { readonly day: string; readonly source: string } {
  const { day, source } = load();
  return { day, source };
}

function priceOf(entry: Entry): Price | null {
  if (entry.in === undefined) return null;
  const tiers = Object.fromEntries(Object.entries(entry.tiers ?? {}).map(([name, tier]) => [name, stepsOf(tier, entry)]));
  return { ...stepsOf(entry, entry), tiers };
}

function stepsOf(entry: EntrySteps, standard: EntryRates): PriceSteps {
  const above = Object.entries(entry.above ?? {}).map(([tokens, rates]) => ({ tokens: Number(tokens), ...ratesOf(rates, entry) }));
  return { ...ratesOf(entry, standard), above };
}

/** `usual`: of which prices that `rates` lacks are taken. */
function ratesOf(rates: EntryRates, usual: EntryRates): Rates {
  const { in: input = usual.in ?? 0, out = usual.out, cached = usual.cached, written = usual.written } = rates;
  const { written1h = usual.written1h, audioIn = usual.audioIn, audioOut = usual.audioOut, imageIn = usual.imageIn } = rates;
  return completeRates({
    input,
    ...(cached !== undefined && { cachedInput: cached }),
    ...(written !== undefined && { cacheWrite: written }),
    ...(written1h !== undefined && { cacheWrite1h: written1h }),
    ...(audioIn !== undefined && { audioInput: audioIn }),
    ...(imageIn !== undefined && { imageInput: imageIn }),
    ...(out !== undefined && { output: out }),
    ...(audioOut !== undefined && { audioOutput: audioOut }),
  });
}
