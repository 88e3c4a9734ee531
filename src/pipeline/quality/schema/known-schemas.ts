/** Compiled schemas, in the worker. Schemas come from callers and texts from models: both have limits, and nothing is ever fetched. */
import { createHash } from 'node:crypto';
import { Ajv } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Options } from 'ajv';
import { tryWithin } from '../bounded-work.ts';
import type { Fit, Unjudged } from './messages.ts';

/** Time limits for compiling a schema and for validating a text, in milliseconds. */
const READING_MS_MAX = 500;
const JUDGING_MS_MAX = 100;
/** Schemas cached, and their total length in characters; the least recently used is evicted. */
const SCHEMAS_MAX = 200;
const SCHEMAS_CHARS_MAX = 1024 * 1024;
/** Tolerance for a quotient that should be an integer. */
const QUOTIENT_ERROR = 1e-9;
/** A schema that has timed out this often is not used again. */
const SLOW_MAX = 3;

interface KnownSchema {
  /** Null: invalid, or too slow. */
  validate: ((value: unknown) => boolean) | null;
  readonly chars: number;
  /** Number of timeouts. */
  slow: number;
  why: Unjudged;
}

export class KnownSchemas {
  readonly #known = new Map<string, KnownSchema>();
  #chars = 0;

  /** Validates `text` against `schema`, both as JSON. */
  fit(owner: string, schemaText: string, text: string): Fit {
    const known = this.#find(owner, schemaText);
    if (known.validate === null && known.slow > 0 && known.slow < SLOW_MAX) readAgain(known, schemaText);
    const { validate } = known;
    if (validate === null) return known.why;
    const value: unknown = JSON.parse(text);
    const fits = attempt(JUDGING_MS_MAX, () => validate(value));
    if (typeof fits === 'boolean') return fits ? 'fits' : 'differs';
    if (++known.slow >= SLOW_MAX) [known.validate, known.why] = [null, fits];
    return fits;
  }

  get size(): number {
    return this.#known.size;
  }

  #find(owner: string, schemaText: string): KnownSchema {
    const key = createHash('sha256').update(owner).update('\0').update(schemaText).digest('base64');
    let known = this.#known.get(key);
    if (known === undefined) {
      known = read(schemaText);
      this.#chars += known.chars;
    } else this.#known.delete(key); // reinserted below as the most recently used
    this.#known.set(key, known);
    for (const [oldest, { chars }] of this.#known) {
      if ((this.#known.size <= SCHEMAS_MAX && this.#chars <= SCHEMAS_CHARS_MAX) || oldest === key) break;
      this.#known.delete(oldest);
      this.#chars -= chars;
    }
    return known;
  }
}

function read(schemaText: string): KnownSchema {
  const { $schema: dialect, $async: _, ...schema } = JSON.parse(schemaText) as Record<string, unknown>;
  // Callers' schemas may contain what ajv would warn of, and keywords of older drafts.
  const options = { strict: false, validateSchema: false, meta: false, logger: false, validateFormats: false, inlineRefs: false } as const;
  // A separate instance for each, so that an `$id` does not apply to other schemas.
  const validate = attempt(READING_MS_MAX, () => createAjv(dialect, options).compile(schema) as (value: unknown) => boolean);
  if (typeof validate === 'function') return { chars: schemaText.length, validate, slow: 0, why: 'it timed out' };
  return { chars: schemaText.length, validate: null, slow: validate === 'it timed out' ? 1 : 0, why: validate };
}

/** By the draft that the schema names; 2020-12 if it names no known one. */
function createAjv(dialect: unknown, options: Options): Ajv {
  const ajv = ajvFor(dialect, options);
  ajv.removeKeyword('multipleOf');
  ajv.addKeyword({
    keyword: 'multipleOf',
    type: 'number',
    schemaType: 'number',
    compile: (divisor: number) => (value: number) => isMultiple(value, divisor),
  });
  return ajv;
}

function ajvFor(dialect: unknown, options: Options): Ajv {
  const draft = typeof dialect === 'string' ? /json-schema\.org\/(draft-0[4-7]|draft\/2019-09)\//.exec(`${dialect}/`)?.[1] : undefined;
  if (draft === undefined) return new Ajv2020(options);
  // Before 2019-09, keywords beside a `$ref` are ignored.
  return draft === 'draft/2019-09' ? new Ajv2019(options) : new Ajv({ ...options, ignoreKeywordsWithRef: true });
}

/** 19.99 is a multiple of 0.01, although neither has an exact binary representation. */
function isMultiple(value: number, divisor: number): boolean {
  if (Number.isInteger(value) && Number.isInteger(divisor)) return value % divisor === 0;
  const quotient = value / divisor;
  return Math.abs(quotient - Math.round(quotient)) <= Math.max(QUOTIENT_ERROR, Math.abs(quotient) * 4 * Number.EPSILON);
}

/** Compiles a schema again: the machine may have been busy the first time. */
function readAgain(known: KnownSchema, schemaText: string): void {
  const { validate, why, slow } = read(schemaText);
  known.validate = validate;
  known.why = why;
  known.slow += slow;
}

function attempt<T>(limitMs: number, work: () => T): T | Unjudged {
  try {
    return tryWithin(limitMs, work) ?? 'it timed out';
  } catch {
    return 'its schema is invalid';
  }
}
