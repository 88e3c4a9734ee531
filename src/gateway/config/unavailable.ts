/**
 * The one list of what the schema knows and this version can't do yet. Such a setting is refused, never ignored.
 * Whoever builds the thing deletes its line here.
 */
import type { FaultList, Path } from './faults.ts';
import { valueAt } from './faults.ts';

interface Rule {
  /** Where: keys with `*` for any one. */
  readonly at: string;
  readonly refuses: (value: unknown) => boolean;
}

const isTrue = (value: unknown) => value === true;

const rules: readonly Rule[] = [
  // Answers are kept for a model, whoever gave them.
  { at: 'providers.*.cache.enabled', refuses: isTrue },
  { at: 'providers.*.policy.cache.enabled', refuses: isTrue },
  { at: 'telemetry.logs.prompts', refuses: isTrue },
  { at: 'telemetry.requests.bodies', refuses: isTrue },
];

/** The phrase of every such refusal. */
const notAvailable = 'not available in this version';

/** Adds a fault for every setting that would switch on something that is not built. `config` has its values read. */
export function refuseUnavailable(config: object, faults: FaultList): void {
  for (const { at, refuses } of rules) {
    for (const path of pathsOf(config, at.split('.'))) {
      const value = valueAt(config, path);
      if (value !== undefined && refuses(value)) faults.add(path, notAvailable);
    }
  }
}

/** The existing paths that fit a pattern. */
function pathsOf(root: unknown, pattern: readonly string[], at: Path = []): Path[] {
  const [next, ...rest] = pattern;
  if (next === undefined) return [at];
  const here = valueAt(root, at);
  if (typeof here !== 'object' || here === null) return [];
  const keys = next !== '*' ? [next] : Array.isArray(here) ? here.map((_, index) => index) : Object.keys(here);
  return keys.filter((key) => Object.hasOwn(here, key)).flatMap((key) => pathsOf(root, rest, [...at, key]));
}
