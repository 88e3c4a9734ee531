/** Readers for untrusted parsed JSON: each returns the value if it has the expected type, else null or an empty value. */
import { isRecord } from '../core/json.ts';

export type Fields = Record<string, unknown>;

export function textOrNull(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

export function textIn(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

export function recordsIn(value: unknown): readonly Fields[] {
  return listOf(value).filter(isRecord);
}

/** A single object counts as a list of one. */
export function recordsOrOne(value: unknown): readonly Fields[] {
  return recordsIn(Array.isArray(value) ? value : [value]);
}

/** An own entry of a table: undefined for inherited names such as `constructor`, which may come from outside. */
export function ownOf<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

export function booleanOf(value: unknown): boolean | null {
  return typeof value === 'boolean' ? value : null;
}
