import type { TargetCapabilities } from './conversion-loss.ts';

/** A current model of any vendor. */
export const CURRENT_MODEL: TargetCapabilities = {
  outputBoundField: 'max_completion_tokens',
  reasons: true,
  thinking: 'adaptive',
  samples: true,
  supportsImages: true,
  prefills: false,
  formats: true,
  outputMax: 64_000,
};
