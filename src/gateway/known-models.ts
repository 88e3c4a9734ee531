/** What is known of models by their names (data/models.json, made by `npm run models`): prices, sizes, abilities, ends of life. */
import { readFileSync } from 'node:fs';
import { isRecord } from '../wire/json-values.ts';
import type { PriceConfig } from './config/config.ts';

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
  readonly price: PriceConfig | null;
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

interface Entry {
  readonly in?: number;
  readonly out?: number;
  readonly cached?: number;
  readonly written?: number;
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

function priceOf({ in: input, out: output, cached, written }: Entry): PriceConfig | null {
  if (input === undefined) return null;
  return { input, output: output ?? 0, cachedInput: cached ?? input, cacheWrite: written ?? input };
}
