/** Validates the shape of a config and reports every fault, then continues with the valid part, so that all faults are reported at once. */
import type * as z from 'zod';
import type { FaultList, Path } from './faults.ts';
import { nearest, valueAt } from './faults.ts';
import { configSchema, type ParsedInput } from './schema.ts';

/** Sections of named or numbered entries; an invalid entry is removed as a whole. */
const entrySections = new Set<unknown>(['providers', 'models', 'clients', 'prices']);

type Issue = z.core.$ZodIssue;

/**
 * Parses the values of a config and reports invalid ones. Returns the valid part; null: not a config at all. Modifies `value`: keys
 * without a value (`timeouts:`) and invalid parts are removed.
 */
export function readShape(value: unknown, faults: FaultList): ParsedInput | null {
  const first = parse(value);
  if (first.success) return first.data;
  const empty = first.error.issues.flatMap(flatten).filter((issue) => isEmptyKey(value, issue));
  for (const issue of empty) remove(value, issue.path as Path);

  const second = empty.length > 0 ? parse(value) : first;
  if (second.success) return second.data;
  const issues = second.error.issues.flatMap(flatten);
  for (const issue of issues) report(issue, faults);
  for (const issue of issues) prune(value, issue, false);
  const third = parse(value);
  if (third.success) return third.data;
  for (const issue of third.error.issues) prune(value, issue, true);
  const fourth = parse(value);
  return fourth.success ? fourth.data : null;
}

function parse(value: unknown) {
  return configSchema.safeParse(value, { error: wording });
}

/** Messages for issues without one in the schema. For unknown keys: the most similar known key, one line each. */
function wording(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'unrecognized_keys') {
    const known = Object.keys((issue.inst as z.ZodObject | undefined)?._zod.def.shape ?? {});
    return issue.keys.map((key) => nearest(key, known) ?? '').join('\n');
  }
  if (issue.code === 'invalid_type')
    return `must be ${issue.expected === 'array' ? 'a list' : /^[aeiou]/.test(issue.expected) ? `an ${issue.expected}` : `a ${issue.expected}`}`;
  return undefined;
}

/** Replaces a failed union with the issues of the branch that matches the type; one issue if none does. */
function flatten(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const meant = issue.errors.filter((branch) => !branch.some((inner) => inner.path.length === 0 && isWrongKind(inner)));
  const branch = meant[0];
  if (branch === undefined) return [issue];
  return branch.flatMap((inner) => flatten({ ...inner, path: [...issue.path, ...inner.path] }));
}

function isWrongKind(issue: Issue): boolean {
  return issue.code === 'invalid_type' || issue.code === 'invalid_value' || (issue.code === 'invalid_union' && flatten(issue)[0] === issue);
}

function isEmptyKey(value: unknown, issue: Issue): boolean {
  const path = issue.path as Path;
  return issue.code !== 'unrecognized_keys' && typeof path.at(-1) === 'string' && valueAt(value, path) === null;
}

function report(issue: Issue, faults: FaultList): void {
  const path = issue.path as Path;
  if (issue.code !== 'unrecognized_keys') {
    if (standsForBlock(issue, faults)) return faults.addUnknownKey(path, issue.message);
    return faults.add(path, issue.message);
  }
  const hints = issue.message.split('\n');
  for (const [index, key] of issue.keys.entries()) {
    const hint = hints[index];
    faults.addUnknownKey([...path, key], hint ? `is an unknown key; did you mean ${hint}?` : 'is an unknown key');
  }
}

/** Sections with keys. */
const keyHolders = new Set<unknown>(['providers', 'clients', 'server']);

/** A string in place of a block of settings is often the key that belongs in it. */
function standsForBlock(issue: Issue, { input }: FaultList): boolean {
  return (
    issue.code === 'invalid_type' &&
    keyHolders.has(issue.path[0]) &&
    issue.expected !== 'string' &&
    typeof valueAt(input, issue.path as Path) === 'string'
  );
}

/** Removes the invalid setting, or if it is required, the whole entry. */
function prune(value: unknown, issue: Issue, isWholeEntry: boolean): void {
  const paths = issue.code === 'unrecognized_keys' ? issue.keys.map((key) => [...issue.path, key]) : [issue.path];
  for (const path of paths as Path[]) {
    const entryDepth = entrySections.has(path[0]) && path.length > 1 ? 2 : 0;
    if (entryDepth > 0 && (isWholeEntry || path.length === entryDepth)) removeEntry(value, path.slice(0, entryDepth));
    else {
      const firstNumber = path.findIndex((part, index) => index >= entryDepth && typeof part === 'number');
      remove(value, firstNumber < 0 ? path : path.slice(0, firstNumber));
    }
  }
}

/** Replaces an invalid client with a unique valid one, so that the others keep their index. */
function removeEntry(value: unknown, path: Path): void {
  const parent = valueAt(value, path.slice(0, -1));
  const index = path.at(-1);
  if (!Array.isArray(parent)) remove(value, path);
  else if (typeof index === 'number') parent[index] = { name: `\u0000${index}`, keyHash: `sha256:${String(index).padStart(64, '0')}` };
}

function remove(value: unknown, path: Path): void {
  const parent = valueAt(value, path.slice(0, -1));
  const key = path.at(-1);
  if (typeof parent === 'object' && parent !== null && key !== undefined) Reflect.deleteProperty(parent, key);
}
