import { BreakwaterError } from '../core/errors.ts';
import type { Call } from './call.ts';

const LENGTH_MAX = 100;

/**
 * The parameters of the query. Throws `invalid_request` for one that is not `known`, which would be ignored, or that is given twice. `cures`: what
 * to do instead of giving a parameter twice, by its name.
 */
export function adminQuery({ place }: Call, known: readonly string[], cures: Readonly<Record<string, string>> = {}): URLSearchParams {
  const query = new URLSearchParams(place.query);
  const names = [...query.keys()];
  for (const [index, name] of names.entries()) {
    if (!known.includes(name)) {
      const has = known.length === 0 ? 'has none' : `has ${known.join(', ')}`;
      throw new BreakwaterError(
        'invalid_request',
        `unknown query parameter ${JSON.stringify(name.slice(0, LENGTH_MAX))}: this path ${has}`,
        { param: name.slice(0, LENGTH_MAX) },
      );
    }
    if (names.indexOf(name) === index) continue;
    const message = `the query parameter ${name} is given twice: ${cures[name] ?? 'give it once'}`;
    throw new BreakwaterError('invalid_request', message, { param: name });
  }
  return query;
}

/** A route without query parameters. */
export function withoutQuery<R>(run: (call: Call) => R): (call: Call) => R {
  return (call) => {
    adminQuery(call, []);
    return run(call);
  };
}
