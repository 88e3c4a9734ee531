/** Streaming of a function call's arguments: one value, or part of a string, at a time, each with its JSON path. */
import { toTokens } from '../content.ts';

type Part = Readonly<Record<string, unknown>>;

/** The parts of a call, from its name to the empty call that ends it. `call` is the complete call without arguments. */
export function partialCall(call: Part, args: unknown, signature: Part): readonly Part[] {
  const more = (argument: Part): Part => ({ functionCall: { partialArgs: [argument], willContinue: true } });
  return [{ functionCall: { ...call, willContinue: true }, ...signature }, ...partialArguments(args, '$').map(more), { functionCall: {} }];
}

function partialArguments(value: unknown, jsonPath: string): Part[] {
  switch (typeof value) {
    case 'string':
      return [...toTokens(value).map((delta) => ({ jsonPath, stringValue: delta, willContinue: true })), { jsonPath, stringValue: '' }];
    case 'number':
      return [{ jsonPath, numberValue: value }];
    case 'boolean':
      return [{ jsonPath, boolValue: value }];
    default:
      break;
  }
  if (value === null || value === undefined) return [{ jsonPath, nullValue: 'NULL_VALUE' }];
  if (Array.isArray(value)) return value.flatMap((item, index) => partialArguments(item, `${jsonPath}[${index}]`));
  return Object.entries(value).flatMap(([name, item]) => partialArguments(item, `${jsonPath}.${name}`));
}
