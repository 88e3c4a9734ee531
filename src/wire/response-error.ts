import { findVendorError } from './vendor-error.ts';

/**
 * The error in a body or chunk that came with a success status, or null: a truthy top-level `error` (what the official clients check), a
 * flat error object (older vLLM, Mistral, Cerebras), or a vendor's own field. `readErrorValue` reads the result.
 */
export function findError(value: Record<string, unknown>): unknown {
  if (value['error']) return value;
  if (value['object'] === 'error') return value;
  if (isFilledArray(value['choices']) || isFilledArray(value['data'])) return null;
  const vendor = findVendorError(value);
  if (vendor !== null) return vendor;
  if (isSet(value['choices']) || isSet(value['data'])) return null;
  // A valid response or chunk has no top-level message and no list of errors.
  return MESSAGE_NAMES.some((name) => typeof value[name] === 'string') || isFilledArray(value['errors']) || isFilledArray(value['detail'])
    ? value
    : null;
}

const MESSAGE_NAMES = ['message', 'detail', 'msg', 'error_msg'] as const;

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

function isFilledArray(value: unknown): boolean {
  return Array.isArray(value) && value.length > 0;
}
