import type { LimitsConfig } from './config.ts';
import type { ProviderTraits } from './presets.ts';
import type { LimitsInput } from './provider-schema.ts';

/** The burst of a provider that enforces limits per second: a sixtieth of the limit per minute. */
const perSecondBurst = 1 / 60;

/** Limits with defaults for `burst` and `window` by how the provider enforces them. */
export function buildLimits(input: LimitsInput | undefined, enforce: ProviderTraits['enforce'] = 'bucket'): LimitsConfig {
  const given = Object.fromEntries(Object.entries(input ?? {}).filter(([, value]) => value !== undefined));
  return {
    burst: enforce === 'perSecond' ? perSecondBurst : 1,
    window: enforce === 'sliding' ? 'sliding' : 'bucket',
    ...given,
  };
}
