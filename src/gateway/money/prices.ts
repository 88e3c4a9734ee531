/** The price of each target, and warnings about models that end soon. */
import { completeRates, RATE_NAMES } from '../../core/price.ts';
import type { Price, PriceBasis, Rates } from '../../core/price.ts';
import type { Config, ProviderConfig } from '../config/index.ts';
import { knownModel } from '../known-models.ts';

/** The table of models in this process. */
const LOCAL = 'local';
/** They cost nothing per token. */
const FREE: Price = { ...completeRates({ input: 0 }), above: [], tiers: {} };

const DAY_MS = 86_400_000;
const WARNED_DAYS = 30;

/** The price of a batch, where none is configured or known for it: a share of that of a call. */
const BATCH_SHARE = 0.5;
const batchPrices = new WeakMap<Price, Price>();

function withBatchPrice(price: Price): Price {
  if (price.tiers.batch !== undefined) return price;
  const known = batchPrices.get(price);
  if (known !== undefined) return known;
  const { above, tiers, ...rates } = price;
  const batch = { ...cheaper(rates), above: above.map(({ tokens, ...step }) => ({ ...cheaper(step), tokens })) };
  const made = { ...price, tiers: { ...tiers, batch } };
  batchPrices.set(price, made);
  return made;
}

function cheaper(rates: Rates): Rates {
  return Object.fromEntries(RATE_NAMES.map((name) => [name, rates[name] * BATCH_SHARE])) as unknown as Rates;
}

const UNKNOWN: PriceBasis = { table: null, hasBatches: false };
const bases = new WeakMap<ProviderConfig, PriceBasis>();

/** The same object for the same provider. */
export function priceBasisOf(provider: ProviderConfig): PriceBasis {
  const known = bases.get(provider);
  if (known !== undefined) return known;
  const { engine, preset, nativeBatches } = provider;
  const basis: PriceBasis = { table: engine !== null ? LOCAL : preset, hasBatches: nativeBatches };
  bases.set(provider, basis);
  return basis;
}

/** Null: not known. */
export function priceOf(config: Pick<Config, 'prices'>, provider: ProviderConfig, model: string): Price | null {
  return priceBy(config, provider.name, model, priceBasisOf(provider));
}

/** Of a target named `provider/model`; null: not known. `basis`: as of the call; without it, that of the provider as configured now. */
export function priceOfTarget(config: Pick<Config, 'prices' | 'providers'>, target: string, basis?: PriceBasis): Price | null {
  const slash = target.indexOf('/');
  const name = target.slice(0, slash);
  const provider = Object.hasOwn(config.providers, name) ? config.providers[name]! : null;
  return priceBy(config, name, target.slice(slash + 1), basis ?? (provider === null ? UNKNOWN : priceBasisOf(provider)));
}

function priceBy({ prices }: Pick<Config, 'prices'>, provider: string, model: string, { table, hasBatches }: PriceBasis): Price | null {
  const known = table === LOCAL ? FREE : (knownModel(table, model)?.price ?? null);
  const price = prices[`${provider}/${model}`] ?? prices[model] ?? known;
  return price !== null && hasBatches ? withBatchPrice(price) : price;
}

/** When a model is shut down, and what replaces it. */
export interface EndOfLife {
  /** `YYYY-MM-DD`. */
  readonly endsOn: string;
  /** Null: not known. */
  readonly successor: string | null;
}

export function endOfLife(provider: ProviderConfig, model: string): EndOfLife | null {
  const known = knownModel(provider.preset, model);
  return known === null || known.endsOn === null ? null : { endsOn: known.endsOn, successor: known.successor };
}

/** Targets that the models of a config name, without patterns. */
function namedTargets({ models }: Pick<Config, 'models'>): string[] {
  const specs = Object.values(models).flatMap(({ tiers }) => tiers.flat());
  return [...new Set(specs.flatMap(({ provider, model }) => (model.includes('*') ? [] : [`${provider}/${model}`])))];
}

/** A warning where clients have budgets and a target has no price: its calls are not charged. */
export function unpricedBudgets(config: Config): string[] {
  if (!config.clients.some(({ budget, sessionLimits }) => budget !== null || (sessionLimits !== null && sessionLimits.usd < Infinity)))
    return [];
  const unpriced = namedTargets(config).filter((target) => priceOfTarget(config, target) === null);
  if (unpriced.length === 0) return [];
  const listed = unpriced.length <= 5 ? unpriced.join(', ') : `${unpriced.slice(0, 5).join(', ')} and ${unpriced.length - 5} more`;
  return [`no price is known for ${listed}: budgets are not charged for calls to ${unpriced.length === 1 ? 'it' : 'them'}; set prices`];
}

/** One sentence for each configured target whose model ends within 30 days, or has ended. */
export function endOfLifeWarnings(config: Pick<Config, 'models' | 'providers'>, epochMs: number): string[] {
  return namedTargets(config).flatMap((target) => {
    const slash = target.indexOf('/');
    const provider = config.providers[target.slice(0, slash)];
    const end = provider === undefined ? null : endOfLife(provider, target.slice(slash + 1));
    const daysLeft = end === null ? Infinity : Math.ceil((Date.parse(end.endsOn) - epochMs) / DAY_MS);
    if (end === null || daysLeft > WARNED_DAYS) return [];
    const when = daysLeft > 0 ? `ends on ${end.endsOn}, in ${daysLeft} ${daysLeft === 1 ? 'day' : 'days'}` : `ended on ${end.endsOn}`;
    return [`the model of ${target} ${when}${end.successor === null ? '' : `; its successor is ${end.successor}`}`];
  });
}
