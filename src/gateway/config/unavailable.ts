/**
 * The settings in the schema that this version does not support yet. They are refused, never ignored. A rule is deleted when its setting
 * is implemented.
 */
import type { FaultList, Path } from './faults.ts';
import { valueAt } from './faults.ts';

interface Rule {
  /** The path; `*` matches any key. */
  readonly at: string;
  readonly refuses: (value: unknown) => boolean;
}

const isTrue = (value: unknown) => value === true;

const rules: readonly Rule[] = [
  // The cache applies to a model, over all its providers.
  { at: 'providers.*.cache.enabled', refuses: isTrue },
  { at: 'providers.*.policy.cache.enabled', refuses: isTrue },
];

/** The message of every such fault. */
const notAvailable = 'not available in this version';

/** Adds a fault for every setting that enables something unsupported. `config`: with parsed values. */
export function refuseUnavailable(config: object, faults: FaultList): void {
  for (const { at, refuses } of rules) {
    for (const path of pathsOf(config, at.split('.'))) {
      const value = valueAt(config, path);
      if (value !== undefined && refuses(value)) faults.add(path, notAvailable);
    }
  }
}

/** The existing paths that match a pattern. */
function pathsOf(root: unknown, pattern: readonly string[], at: Path = []): Path[] {
  const [next, ...rest] = pattern;
  if (next === undefined) return [at];
  const here = valueAt(root, at);
  if (typeof here !== 'object' || here === null) return [];
  const keys = next !== '*' ? [next] : Array.isArray(here) ? here.map((_, index) => index) : Object.keys(here);
  return keys.filter((key) => Object.hasOwn(here, key)).flatMap((key) => pathsOf(root, rest, [...at, key]));
}
