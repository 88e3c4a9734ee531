/**
 * Prices of tokens, and exact costs. A cost is counted in whole picodollars (10⁻¹² US dollars): a price of dollars per million tokens has
 * at most six decimals, so that a token costs a whole number of them and sums have no rounding error.
 */
import type { TokenUsage } from './facts.ts';

/** US dollars per million tokens, by class. */
export interface Rates {
  /** Input that no other class covers. */
  readonly input: number;
  /** Read from a prompt cache. */
  readonly cachedInput: number;
  /** Written to a prompt cache for minutes. */
  readonly cacheWrite: number;
  /** Written to a prompt cache for an hour. */
  readonly cacheWrite1h: number;
  readonly audioInput: number;
  readonly imageInput: number;
  /** Reasoning included. */
  readonly output: number;
  readonly audioOutput: number;
}

export const RATE_NAMES = [
  'input',
  'cachedInput',
  'cacheWrite',
  'cacheWrite1h',
  'audioInput',
  'imageInput',
  'output',
  'audioOutput',
] as const satisfies readonly (keyof Rates)[];

/** Classes of service with prices of their own. */
export const SERVICE_TIERS = ['batch', 'flex', 'priority'] as const;
export type ServiceTier = (typeof SERVICE_TIERS)[number];

/** Prompt sizes, in tokens, above which a price may change for the whole request. Usage is recorded by them, so that other ones can't be priced. */
export const PROMPT_SIZES = [32_000, 64_000, 100_000, 128_000, 200_000, 256_000, 272_000, 512_000] as const;

/** The rates of one class of service. */
export interface PriceSteps extends Rates {
  /** Rates for prompts above a size, by ascending size. */
  readonly above: readonly (Rates & { readonly tokens: number })[];
}

export interface Price extends PriceSteps {
  /** A class that is absent costs the same as standard. */
  readonly tiers: Readonly<Partial<Record<ServiceTier, PriceSteps>>>;
}

/** What a price depends on besides configured prices. Kept with the usage, so that a later change of the provider does not change past costs. */
export interface PriceBasis {
  /** The table of known models: a preset's; `local` for models in this process; null: none. */
  readonly table: string | null;
  /** A batch costs half of a call where no price of it is known. */
  readonly hasBatches: boolean;
}

/** Rates with defaults: cached and special input cost the same as input, audio output the same as output. */
export function completeRates(rates: Partial<Rates> & Pick<Rates, 'input'>): Rates {
  const { input, output = 0, cacheWrite = input } = rates;
  return {
    input,
    cachedInput: rates.cachedInput ?? input,
    cacheWrite,
    cacheWrite1h: rates.cacheWrite1h ?? cacheWrite,
    audioInput: rates.audioInput ?? input,
    imageInput: rates.imageInput ?? input,
    output,
    audioOutput: rates.audioOutput ?? output,
  };
}

/** The largest of `PROMPT_SIZES` that a prompt exceeds; 0: none. */
export function promptSize(inputTokens: number): number {
  let size = 0;
  for (const threshold of PROMPT_SIZES) if (inputTokens > threshold) size = threshold;
  return size;
}

/** `size`: as `promptSize` returns it. */
export function ratesFor(price: Price, tier: ServiceTier | null, size: number): Rates {
  const steps = (tier === null ? undefined : price.tiers[tier]) ?? price;
  let rates: Rates = steps;
  for (const step of steps.above) if (size >= step.tokens) rates = step;
  return rates;
}

/** Tokens by class, each counted once; together all input and output. */
export type TokenClasses = Readonly<Record<keyof Rates, number>>;

export function tokenClasses(usage: TokenUsage): TokenClasses {
  const { inputTokens, cachedInputTokens, outputTokens, cacheWriteTokens: written = 0, audioOutputTokens: audioOutput = 0 } = usage;
  const cacheWrite1h = Math.min(usage.cacheWrite1hTokens ?? 0, written);
  // What is cached may be audio or an image too; a token counts once, as cached.
  let left = Math.max(0, inputTokens - cachedInputTokens - written);
  const audioInput = Math.min(usage.audioInputTokens ?? 0, left);
  left -= audioInput;
  const imageInput = Math.min(usage.imageInputTokens ?? 0, left);
  return {
    input: left - imageInput,
    cachedInput: cachedInputTokens,
    cacheWrite: written - cacheWrite1h,
    cacheWrite1h,
    audioInput,
    imageInput,
    output: Math.max(0, outputTokens - audioOutput),
    audioOutput: Math.min(audioOutput, outputTokens),
  };
}

/** The cost of one call in US dollars. */
export function costOf(price: Price, usage: TokenUsage): number {
  const rates = ratesFor(price, usage.serviceTier ?? null, promptSize(usage.inputTokens));
  const tokens = tokenClasses(usage);
  let pico = 0;
  for (const name of RATE_NAMES) pico += tokens[name] * picoPerToken(rates[name]);
  return pico / PICO;
}

/** The cost of what a call has used beyond `usage`, by estimate, in US dollars. */
export function costBeyond(price: Price, usage: TokenUsage | null, { inputTokens, outputTokens }: TokenUsage): number {
  const rates = ratesFor(price, usage?.serviceTier ?? null, promptSize(usage?.inputTokens ?? inputTokens));
  return (inputTokens * picoPerToken(rates.input) + outputTokens * picoPerToken(rates.output)) / PICO;
}

/** True if no token costs anything. */
export function isFree(price: Price): boolean {
  return RATE_NAMES.every((name) => price[name] === 0);
}

/** The exact cost of many calls at the same rates, in picodollars. */
export function exactCost(rates: Rates, tokens: TokenClasses): bigint {
  let pico = 0n;
  for (const name of RATE_NAMES) if (tokens[name] > 0) pico += BigInt(tokens[name]) * BigInt(picoPerToken(rates[name]));
  return pico;
}

const PICO = 1e12;

function picoPerToken(usdPerMillion: number): number {
  return Math.round(usdPerMillion * 1e6);
}

/** Picodollars as US dollars: the nearest number. */
export function toUsd(pico: bigint): number {
  return Number(usdText(pico));
}

/** Picodollars as US dollars, exactly: `0.0125`. */
export function usdText(pico: bigint): string {
  const sign = pico < 0n ? '-' : '';
  const digits = (pico < 0n ? -pico : pico).toString().padStart(13, '0');
  const fraction = digits.slice(-12).replace(/0+$/, '');
  return `${sign}${digits.slice(0, -12)}${fraction === '' ? '' : `.${fraction}`}`;
}
