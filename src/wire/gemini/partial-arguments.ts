/** Call arguments that arrive in fragments, each with the JSON path of its value: `$.location`, `$.stops[0].name`. */
import { isRecord } from '../../core/json.ts';
import type { Fields } from '../loose-values.ts';

const STEP = /\.([^.[\]]+)|\[(\d+)\]|\['((?:[^'\\]|\\.)*)'\]/g;
/** Fragments with a longer path or a larger index are ignored as invalid. */
const STEPS_MAX = 32;
const INDEX_MAX = 10_000;

type Container = Fields | unknown[];

export class PartialArguments {
  value: Fields = {};

  replace(value: Fields): void {
    this.value = value;
  }

  add(partial: Fields): void {
    const steps = stepsOf(partial['jsonPath']);
    if (steps === null) return;
    const last = steps.at(-1)!;
    let at: Container = this.value;
    for (const [i, step] of steps.slice(0, -1).entries()) at = child(at, step, steps[i + 1]!);
    const before = get(at, last);
    const value = valueOf(partial);
    set(at, last, typeof before === 'string' && typeof value === 'string' ? before + value : value);
  }
}

function valueOf(partial: Fields): unknown {
  if ('stringValue' in partial) return partial['stringValue'];
  if ('numberValue' in partial) return partial['numberValue'];
  return 'boolValue' in partial ? partial['boolValue'] : null;
}

function stepsOf(path: unknown): (string | number)[] | null {
  if (typeof path !== 'string' || !path.startsWith('$')) return null;
  const steps = [...path.matchAll(STEP)].map(([, name, index, quoted]) => (index === undefined ? (name ?? quoted ?? '') : Number(index)));
  const isSane = steps.every((step) => step !== '__proto__' && (typeof step === 'string' || step <= INDEX_MAX));
  return steps.length > 0 && steps.length <= STEPS_MAX && isSane ? steps : null;
}

function get(container: Container, step: string | number): unknown {
  return (container as Record<string | number, unknown>)[step];
}

function set(container: Container, step: string | number, value: unknown): void {
  (container as Record<string | number, unknown>)[step] = value;
}

function child(container: Container, step: string | number, next: string | number): Container {
  const known = get(container, step);
  if (isRecord(known) || Array.isArray(known)) return known;
  const made: Container = typeof next === 'number' ? [] : {};
  set(container, step, made);
  return made;
}
