import { NAMES } from './names.ts';

const KEYS = Object.fromEntries(Object.entries(NAMES).map(([key, name]) => [key, `{"key":${JSON.stringify(name)},"value":{`])) as Record<
  keyof typeof NAMES,
  string
>;

/** Attributes as OTLP/JSON, separated by commas. */
export class AttributeText {
  text = '';

  /** Adds a word without special characters, a number or a flag; nothing if there is no value. */
  put(key: keyof typeof NAMES, value: string | number | boolean | null | undefined): this {
    if (value === null || value === undefined) return this;
    if (typeof value === 'string') return this.#add(key, `"stringValue":"${value}"`);
    if (typeof value === 'boolean') return this.#add(key, value ? '"boolValue":true' : '"boolValue":false');
    return this.#add(key, numberValue(value));
  }

  /** Adds a text from outside. */
  putText(key: keyof typeof NAMES, value: string | null | undefined): this {
    return value === null || value === undefined ? this : this.#add(key, `"stringValue":${quoted(value)}`);
  }

  #add(key: keyof typeof NAMES, value: string): this {
    this.text += `${this.text === '' ? '' : ','}${KEYS[key]}${value}}}`;
    return this;
  }
}

function numberValue(value: number): string {
  return `${Number.isInteger(value) ? '"intValue":' : '"doubleValue":'}${value}`;
}

/** Needs no escape. */
const PLAIN = /^[\w ./:#;,+()-]*$/;

export function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}
