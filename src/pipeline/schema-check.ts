/**
 * Whether a JSON text is what a request asks for. The schema comes from the caller and the text from a model, and both are held to limits,
 * because neither may hold up everybody else: beyond them nothing is said against the answer. Nothing is ever fetched: a `$ref` that the
 * schema itself does not answer makes it unreadable.
 */
import { createHash } from 'node:crypto';
import type { AnswerFormat } from '../wire/openai-chat/answer-format.ts';
import { tryWithin } from './bounded-work.ts';

/** Larger schemas are not read, in characters of JSON. */
const SCHEMA_CHARS_MAX = 64 * 1024;
/** Longer texts are not held against their schema, in characters. */
const TEXT_CHARS_MAX = 1024 * 1024;
/** How long reading a schema, and holding a text against it, may hold up the process, in milliseconds. */
const WORK_MS_MAX = 25;
/** Schemas that are kept ready; the one that was longest unused makes room. */
const SCHEMAS_MAX = 200;

/** `unknown`: a limit, or a schema that can't be read. */
export type Fit = 'fits' | 'differs' | 'unknown';

type Validate = (value: unknown) => boolean;

export class SchemaCheck {
  /** By the hash of how they are written; null: can't be read, or takes too long. */
  readonly #known = new Map<string, Validate | null>();
  #load: Promise<void> | null = null;
  #makeValidate: ((schema: object) => Validate) | null = null;

  /** Loads the library, once, with the first request that needs it. */
  async load(): Promise<void> {
    this.#load ??= (async () => {
      const { Ajv2020 } = await import('ajv/dist/2020.js');
      // Other people's schemas hold what ajv would warn of, and what only drafts before this know.
      const options = {
        strict: false,
        validateSchema: false,
        meta: false,
        logger: false,
        validateFormats: false,
        inlineRefs: false,
      } as const;
      // One of its own for each: an `$id` of one caller's schema is nobody else's.
      this.#makeValidate = (schema) => new Ajv2020(options).compile(schema) as Validate;
    })();
    await this.#load;
  }

  get isLoaded(): boolean {
    return this.#makeValidate !== null;
  }

  /** Call `load` before. */
  fit({ schema, written }: AnswerFormat, text: string): Fit {
    if (text.length > TEXT_CHARS_MAX) return 'unknown';
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return 'differs';
    }
    if (schema === null) return typeof value === 'object' && value !== null && !Array.isArray(value) ? 'fits' : 'differs';
    if (written.length > SCHEMA_CHARS_MAX) return 'unknown';
    const key = createHash('sha256').update(written).digest('base64');
    const validate = this.#validateFor(key, schema);
    if (validate === null) return 'unknown';
    const fits = attempt(() => validate(value));
    if (fits === undefined) this.#known.set(key, null);
    return fits === undefined ? 'unknown' : fits ? 'fits' : 'differs';
  }

  #validateFor(key: string, schema: Readonly<Record<string, unknown>>): Validate | null {
    let validate = this.#known.get(key);
    if (validate === undefined) {
      const { $schema: _a, $async: _b, ...rest } = schema;
      validate = attempt(() => this.#makeValidate!(rest)) ?? null;
    } else this.#known.delete(key); // and in again, as the last used
    if (this.#known.size >= SCHEMAS_MAX) this.#known.delete(this.#known.keys().next().value!);
    this.#known.set(key, validate);
    return validate;
  }
}

/** Undefined: it can't be done, or not in time. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return tryWithin(WORK_MS_MAX, work);
  } catch {
    return undefined;
  }
}
