/** Reads values that may refer to environment variables, or be secret. */
import { numberOf, recordOf, textOf, type Draft, type Fields } from './draft.ts';
import type { Settings } from './settings.ts';

const VARIABLE = /^os\.environ\/([A-Za-z_]\w*)$/;
const SECRET_NAME = /auth|key|token|secret|cookie|password|credential/i;

/** The name of the variable that a value refers to; null: it is not a reference. */
export function variableIn(value: unknown): string | null {
  const text = textOf(value);
  return text === null ? null : (VARIABLE.exec(text)?.[1] ?? null);
}

/** A secret: a reference, or a variable that takes the place of the plain text. Null: there is none. */
export function readKey(draft: Draft, value: unknown, preferred: string, holds: string): string | null {
  const text = textOf(value);
  if (text === null) return null;
  const variable = variableIn(text);
  return variable === null ? draft.secret(text, preferred, holds) : draft.variable(variable, holds);
}

/** A value that is not secret, unless it is a URL with a password. */
export function readText(draft: Draft, value: unknown, holds: string): string | null {
  const text = textOf(value) ?? (typeof value === 'number' ? String(value) : null);
  if (text === null) return null;
  const variable = variableIn(text);
  if (variable !== null) return draft.variable(variable, holds);
  if (URL.canParse(text)) {
    const { password, search } = new URL(text);
    if (password !== '' || SECRET_NAME.test(search)) return draft.secret(text, 'PROVIDER_BASE_URL', holds);
  }
  return literal(text);
}

/** A number. Null: there is none; a note names a value that is not a number, such as a reference to a variable. */
export function readNumber(settings: Settings, name: string, noteOn: (reason: string) => void): number | null {
  const value = settings.get(name);
  const number = numberOf(value);
  const variable = variableIn(value);
  if (number === null && value != null && value !== '')
    noteOn(variable === null ? 'it is not a number' : `set it to the value of the variable ${variable}`);
  return number;
}

/** Headers of a deployment: values of secret names become variables. */
export function headersFrom(draft: Draft, params: Fields, provider: string): Readonly<Record<string, string>> {
  const given = { ...recordOf(params['headers']), ...recordOf(params['extra_headers']) };
  const organization = textOf(params['organization']);
  const all = organization === null ? given : { ...given, 'OpenAI-Organization': organization };
  const entries = Object.entries(all).map(([name, value]) => [name, headerValue(draft, name, value, provider)] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => entry[1] !== null));
}

function headerValue(draft: Draft, name: string, value: unknown, provider: string): string | null {
  const holds = `the header ${name} of ${provider}`;
  const preferred = `${provider}_${name}`.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_');
  return SECRET_NAME.test(name) ? readKey(draft, value, preferred, holds) : readText(draft, value, holds);
}

/** Fields of the request body; texts of secret names become variables at any depth. */
export function bodyFields(draft: Draft, fields: Fields, where: string): Fields {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, bodyValue(draft, name, value, where)]));
}

function bodyValue(draft: Draft, name: string, value: unknown, where: string): unknown {
  if (Array.isArray(value)) return value.map((item) => bodyValue(draft, name, item, where));
  if (typeof value === 'object' && value !== null) return bodyFields(draft, recordOf(value), where);
  if (typeof value !== 'string') return value;
  const preferred = name.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_');
  return SECRET_NAME.test(name) ? readKey(draft, value, preferred, `the field ${name} of ${where}`) : literal(value);
}

/** A `${` of the source is not a variable here. */
export function literal(text: string): string {
  return text.replaceAll('${', () => '$${');
}
