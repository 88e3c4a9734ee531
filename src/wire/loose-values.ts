/** Readers for parsed JSON whose shape is not trusted: the value where it has the kind asked for, else what stands for none. */

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
  return listOf(value).filter((item): item is Fields => typeof item === 'object' && item !== null && !Array.isArray(item));
}

export function booleanOf(value: unknown): boolean | null {
  return typeof value === 'boolean' ? value : null;
}
