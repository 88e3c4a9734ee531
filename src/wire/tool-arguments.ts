import { isRecord } from '../core/json.ts';
import { numberIn, parseExact } from './json-exact.ts';
import type { Fields } from './loose-values.ts';

/** The arguments of a tool call as an object, for dialects that nest them. Anything but an object is returned under `arguments`. */
export function argumentsObject(text: string): Fields {
  if (text.trim() === '') return {};
  try {
    const value = parseExact(text);
    return isRecord(value) && numberIn(value) === null ? value : { arguments: value };
  } catch {
    return { arguments: text };
  }
}
