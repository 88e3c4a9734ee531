/** Schemas ready to judge by, in the worker. Callers write them, and models the texts: both are held to limits, and nothing is ever fetched. */
import { createHash } from 'node:crypto';
import { Ajv } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Options } from 'ajv';
import { tryWithin } from '../bounded-work.ts';
import type { Fit, Unjudged } from './messages.ts';

/** How long a schema may take to be read, and a text to be held against it, in milliseconds. */
const READING_MS_MAX = 500;
const JUDGING_MS_MAX = 100;
/** Schemas that are kept ready, and how long they may be altogether, in characters; the one that was longest unused makes room. */
const SCHEMAS_MAX = 200;
const SCHEMAS_CHARS_MAX = 1024 * 1024;
/** How far a quotient may be from a whole number that it is meant to be. */
const QUOTIENT_ERROR = 1e-9;
/** A schema that took too long so often is not asked again. */
const SLOW_MAX = 3;

interface KnownSchema {
  /** Null: can't be read, or takes too long. */
  validate: ((value: unknown) => boolean) | null;
  readonly chars: number;
  /** How often it took too long. */
  slow: number;
  why: Unjudged;
}

export class KnownSchemas {
  readonly #known = new Map<string, KnownSchema>();
  #chars = 0;

  /** What `text` is by `schema`, both as JSON. */
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
    } else this.#known.delete(key); // and in again, as the last used
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
  // Other people's schemas hold what ajv would warn of, and what only drafts before this know.
  const options = { strict: false, validateSchema: false, meta: false, logger: false, validateFormats: false, inlineRefs: false } as const;
  // One of its own for each: an `$id` of one schema is nobody else's.
  const validate = attempt(READING_MS_MAX, () => createAjv(dialect, options).compile(schema) as (value: unknown) => boolean);
  if (typeof validate === 'function') return { chars: schemaText.length, validate, slow: 0, why: 'it took too long' };
  return { chars: schemaText.length, validate: null, slow: validate === 'it took too long' ? 1 : 0, why: validate };
}

/** By the draft that the schema names; 2020-12 where it names none that is known. */
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
  // Before 2019-09 nothing beside a `$ref` counts.
  return draft === 'draft/2019-09' ? new Ajv2019(options) : new Ajv({ ...options, ignoreKeywordsWithRef: true });
}

/** 19.99 is a multiple of 0.01, though no binary fraction is either of them. */
function isMultiple(value: number, divisor: number): boolean {
  if (Number.isInteger(value) && Number.isInteger(divisor)) return value % divisor === 0;
  const quotient = value / divisor;
  return Math.abs(quotient - Math.round(quotient)) <= Math.max(QUOTIENT_ERROR, Math.abs(quotient) * 4 * Number.EPSILON);
}

/** The machine may have been busy, that time. */
function readAgain(known: KnownSchema, schemaText: string): void {
  const { validate, why, slow } = read(schemaText);
  known.validate = validate;
  known.why = why;
  known.slow += slow;
}

function attempt<T>(limitMs: number, work: () => T): T | Unjudged {
  try {
    return tryWithin(limitMs, work) ?? 'it took too long';
  } catch {
    return 'its schema can not be read';
  }
}
