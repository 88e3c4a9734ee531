import { findVendorError } from './vendor-error.ts';

/**
 * The error in a body or chunk that came with a success status, or null: a truthy top-level `error` (the sign that the
 * official clients know), a flat error object (older vLLM, Mistral, Cerebras), or a vendor's own field. What comes back is for `readErrorValue`.
 */
export function findError(value: Record<string, unknown>): unknown {
  if (value['error']) return value;
  if (value['object'] === 'error') return value;
  if (isFilledArray(value['choices']) || isFilledArray(value['data'])) return null;
  const vendor = findVendorError(value);
  if (vendor !== null) return vendor;
  if (isSet(value['choices']) || isSet(value['data'])) return null;
  // No chunk and no answer has words at its top level, nor a list of errors.
  return WORDS.some((name) => typeof value[name] === 'string') || isFilledArray(value['errors']) || isFilledArray(value['detail'])
    ? value
    : null;
}

const WORDS = ['message', 'detail', 'msg', 'error_msg'] as const;

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isFilledArray(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}
