import { isRecord } from './json-values.ts';
import { numberIn, parseExact } from './json-exact.ts';
import type { Fields } from './loose-values.ts';

/** The arguments that a model wrote for a tool, as the object some dialects want. What is no object stays readable under `arguments`. */
export function argumentsObject(text: string): Fields {
  if (text.trim() === '') return {};
  try {
    const value = parseExact(text);
    return isRecord(value) && numberIn(value) === null ? value : { arguments: value };
  } catch {
    return { arguments: text };
  }
}
