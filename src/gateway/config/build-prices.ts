/** Prices as written → prices with every class of tokens filled in. */
import { completeRates, SERVICE_TIERS } from '../../core/price.ts';
import type { Price, PriceSteps, Rates } from '../../core/price.ts';
import type { PriceInput } from './schema.ts';

type RatesInput = Omit<PriceInput, 'above' | 'batch' | 'flex' | 'priority'>;
type StepsInput = Pick<PriceInput, 'above'> & RatesInput;

export function buildPrice(input: PriceInput): Price {
  const tiers = SERVICE_TIERS.flatMap((tier) => {
    const written = input[tier];
    return written === undefined ? [] : [[tier, buildSteps(written)] as const];
  });
  return { ...buildSteps(input), tiers: Object.fromEntries(tiers) };
}

function buildSteps({ above = [], ...rates }: StepsInput): PriceSteps {
  const steps = above.map(({ tokens, ...own }) => ({ tokens, ...buildRates(own) })).sort((a, b) => a.tokens - b.tokens);
  return { ...buildRates(rates), above: steps };
}

/** Without classes that are undefined, which would replace defaults. */
function buildRates(rates: RatesInput): Rates {
  return completeRates(Object.fromEntries(Object.entries(rates).filter(([, value]) => value !== undefined)) as unknown as Rates);
}

/** As it would be written. */
export function showPrice({ tiers, above, ...rates }: Price): Record<string, unknown> {
  return { ...rates, ...(above.length > 0 && { above }), ...mapTiers(tiers) };
}

function mapTiers(tiers: Price['tiers']): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(tiers).map(([tier, { above, ...rates }]) => [tier, { ...rates, ...(above.length > 0 && { above }) }]),
  );
}
