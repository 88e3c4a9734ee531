import type { Frozen } from './config.ts';
import type { FaultList, Path } from './faults.ts';
import { policySettings, type Policy, type PolicyOverrides } from './policy-schema.ts';
import { overlay } from './resolve-policy.ts';

const policyNames = Object.keys(policySettings.defaults) as (keyof Policy)[];

/** Merges the policy blocks of a provider or model: its own keys and those under `policy`. */
export function gatherPolicy(
  input: PolicyOverrides & { policy?: PolicyOverrides | undefined },
  path: Path,
  faults: FaultList,
): PolicyOverrides {
  const direct: Record<string, unknown> = {};
  // The priority of a request is determined before its model or provider.
  if (input.agents !== undefined) faults.add([...path, 'agents'], 'applies to all models and providers; set it under the top-level policy');
  if (input.policy?.agents !== undefined)
    faults.add([...path, 'policy', 'agents'], 'applies to all models and providers; set it under the top-level policy');
  for (const name of policyNames) {
    if (input[name] === undefined) continue;
    direct[name] = input[name];
    if (input.policy?.[name] !== undefined) faults.add([...path, 'policy', name], `is set twice: ${name} is also set outside policy`);
  }
  return overlay(direct, input.policy) as PolicyOverrides;
}

/** Pairs of settings of which the first may not exceed the second. */
const ordered = [
  [['deadline'], ['maxDeadline']],
  [
    ['retry', 'baseDelay'],
    ['retry', 'maxDelay'],
  ],
  [
    ['breaker', 'openFor'],
    ['breaker', 'maxOpenFor'],
  ],
] as const;

function read(policy: object, path: readonly string[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], policy);
}

/** Reports contradictory settings, if `given` sets one of them. `resolved`: the effective policy. */
export function checkPolicy(given: Frozen<PolicyOverrides>, resolved: Frozen<Policy>, path: Path, faults: FaultList): void {
  for (const [lesser, greater] of ordered) {
    if (Number(read(resolved, lesser)) <= Number(read(resolved, greater))) continue;
    const at = [lesser, greater].find((place) => read(given, place) !== undefined);
    if (at === lesser) faults.add([...path, ...lesser], `must not be more than ${greater.at(-1)}`);
    else if (at === greater) faults.add([...path, ...greater], `must not be less than ${lesser.at(-1)}`);
  }
  const { low, normal } = resolved.queue.minShare;
  if (low + normal >= 1 && given.queue?.minShare !== undefined) {
    faults.add([...path, 'queue', 'minShare'], 'must sum to less than 1, to leave a share for high', low + normal);
  }
}
