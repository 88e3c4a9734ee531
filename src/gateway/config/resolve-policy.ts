import { isRecord } from '../../core/json.ts';
import type { Frozen } from './config.ts';
import type { Policy, PolicyOverrides } from './policy-schema.ts';

type Layer = object | null | undefined;

/** Merges layers, later ones first, key by key through nested objects; lists are replaced as a whole. */
export function overlay<T extends object>(base: T, ...layers: readonly Layer[]): T {
  const result = { ...base } as Record<string, unknown>;
  for (const layer of layers) {
    for (const [key, value] of Object.entries(layer ?? {})) {
      if (value === undefined) continue;
      const below = result[key];
      result[key] = isRecord(value) && isRecord(below) ? overlay(below, value) : value;
    }
  }
  return result as T;
}

/** The policy of one target: per key the model's value, else the provider's, else the global one. */
export function resolvePolicy(
  global: Frozen<Policy>,
  provider?: Frozen<PolicyOverrides> | null,
  model?: Frozen<PolicyOverrides> | null,
): Frozen<Policy> {
  return overlay(global, provider, model);
}
