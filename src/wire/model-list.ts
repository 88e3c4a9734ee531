import { isRecord, parseOrUndefined } from '../core/json.ts';

/** Names read from one list. */
const MODELS_MAX = 10_000;
/** Members that may hold an entry's name; the first string counts. */
const NAMES = ['id', 'name', 'model'] as const;
/** Members of an object that may hold the list. */
const LISTS = ['data', 'models'] as const;

/**
 * The model names in a response to `GET /models`: OpenAI's `{ data: [{ id }] }`, a bare array (Together), `{ models: [{ name }] }`
 * (Ollama), or a list of strings. Null: not a model list.
 */
export function readModelList(text: string): string[] | null {
  const list = listIn(parseOrUndefined(text.startsWith('\ufeff') ? text.slice(1) : text));
  if (list === null) return null;
  const names = list.map(nameOf).filter((name) => name !== null);
  return names.length === 0 && list.length > 0 ? null : names.slice(0, MODELS_MAX);
}

function listIn(value: unknown): unknown[] | null {
  if (Array.isArray(value)) return value;
  if (!isRecord(value)) return null;
  for (const name of LISTS) if (Array.isArray(value[name])) return value[name];
  return null;
}

function nameOf(entry: unknown): string | null {
  if (typeof entry === 'string') return entry === '' ? null : entry;
  if (!isRecord(entry)) return null;
  for (const name of NAMES) {
    const value = entry[name];
    // Gemini prefixes names with the collection.
    if (typeof value === 'string' && value !== '') return value.replace(/^models\//, '');
  }
  return null;
}
