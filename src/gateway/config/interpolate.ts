/** Replaces `${NAME}` and `${NAME:-default}` in the text values of a config, after parsing, so that a value can't add structure. */
import type { Path } from './faults.ts';
import { isSecretVariable } from './mask.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Interpolated {
  readonly value: unknown;
  readonly faults: readonly { readonly path: Path; readonly what: string }[];
  /** Values of variables that are secret by name. */
  readonly secrets: ReadonlySet<string>;
  /** Every inserted value. */
  readonly inserted: readonly Inserted[];
}

/** The value of a variable, and its place in the config. */
export interface Inserted {
  readonly variable: string;
  readonly value: string;
  readonly path: Path;
}

/** The deepest nesting of a config. */
const depthMax = 64;

const template = /\$\$\{|\$\{([^}]*)\}?/g;

/**
 * Replaces variables in every text value, not in keys. `$${` is a literal `${`. As in shells, `:-` also applies to an empty variable.
 * Without an environment the input is only copied.
 */
export function interpolate(input: unknown, env: Environment | null): Interpolated {
  const faults: { path: Path; what: string }[] = [];
  const secrets = new Set<string>();
  const inserted: Inserted[] = [];

  function fill(given: string, path: Path): string {
    if (env === null) return given;
    return given.replace(template, (whole: string, body: string | undefined) => {
      if (body === undefined) return '${';
      const [, name, fallback] = /^([A-Za-z_]\w*)(?::-([\s\S]*))?$/.exec(body) ?? [];
      if (name === undefined || !whole.endsWith('}')) {
        faults.push({ path, what: 'has a ${…} that is neither ${NAME} nor ${NAME:-default}; use $${ for a literal ${' });
        return '';
      }
      const value = Object.hasOwn(env, name) ? env[name] : undefined;
      if (value !== undefined && value !== '' && isSecretVariable(name)) secrets.add(value);
      if (value !== undefined && value !== '') inserted.push({ variable: name, value, path });
      if (value !== undefined && (value !== '' || fallback === undefined)) return value;
      if (fallback !== undefined) return fallback;
      faults.push({ path, what: `needs the environment variable ${name}, which is not set` });
      return '';
    });
  }

  function visit(value: unknown, path: Path): unknown {
    if (typeof value === 'string') return fill(value, path);
    if (typeof value !== 'object' || value === null) return value;
    if (path.length >= depthMax) {
      faults.push({ path, what: `is nested deeper than ${depthMax} levels` });
      return null;
    }
    if (Array.isArray(value)) return value.map((item, index) => visit(item, [...path, index]));
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, visit(item, [...path, key])]));
  }

  return { value: visit(input, []), faults, secrets, inserted };
}
