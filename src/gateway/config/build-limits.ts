import type { LimitsConfig } from './config.ts';
import type { ProviderTraits } from './presets.ts';
import type { LimitsInput } from './provider-schema.ts';

/** The burst of a provider that counts in slices of a second: a sixtieth of a minute's worth. */
const perSecondBurst = 1 / 60;

/** Limits with `burst` and `window` filled in from the way the provider enforces them. */
export function buildLimits(input: LimitsInput | undefined, enforce: ProviderTraits['enforce'] = 'bucket'): LimitsConfig {
  const given = Object.fromEntries(Object.entries(input ?? {}).filter(([, value]) => value !== undefined));
  return {
    burst: enforce === 'perSecond' ? perSecondBurst : 1,
    window: enforce === 'sliding' ? 'sliding' : 'bucket',
    ...given,
  };
}
