/** Faults of a config: one line each, with the path and the actual value, secrets masked. */
import { isSecretHeader, isSecretVariable, maskSecret, maskUrls } from './mask.ts';

export type Path = readonly (string | number)[];

export interface ConfigFault {
  /** `models.smart.targets[0].weight`; empty for the config as a whole. */
  readonly path: string;
  /** The whole line: `path: description (got VALUE)`. */
  readonly message: string;
}

/** A hash is not secret, but a key written in its place is. */
const hashForm = /^[\w-]+:[\da-f]*$/i;
/** The longest value that is shown. */
const shownCharsMax = 80;
/** Shorter secrets are masked only as a whole value, since they would match in any text. */
const secretCharsMin = 4;

/** `models["claude-*"][0].target` of `['models', 'claude-*', 0, 'target']`. */
export function formatPath(path: Path): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else if (/^[\w-]+$/.test(part)) text += text === '' ? part : `.${part}`;
    else text += `[${JSON.stringify(clean(part))}]`;
  }
  return text;
}

/** The value at the path, or undefined. Only own properties are followed. */
export function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<string | number, unknown>)[part];
  }
  return value;
}

/** Whether the setting at the path is a credential. */
export function isSecretPath(path: Path): boolean {
  const last = path.at(-1);
  const above = path.at(-2);
  if (above === 'apiKeys' || above === 'headers') return true;
  return typeof last === 'string' && last !== 'keyHash' && (isSecretVariable(last) || isSecretHeader(last));
}

/** Collects the faults of one config. */
export class FaultList {
  readonly faults: ConfigFault[] = [];
  /** Names by index, if clients are written as a map; null: as a list. */
  clientNames: readonly string[] | null = null;
  /** The config that the faults are about. */
  readonly input: unknown;
  readonly #secrets: ReadonlySet<string>;

  /** `secrets` are values that are masked wherever they appear. */
  constructor(input: unknown, secrets: ReadonlySet<string>) {
    this.input = input;
    this.#secrets = secrets;
  }

  /** Adds a fault about an unknown key; its value may be a secret, so it is not shown. */
  addUnknownKey(path: Path, what: string): void {
    this.#push(path, what, '');
  }

  /** Adds a fault, unless its path already has one; `got` defaults to the value in the input. */
  add(path: Path, what: string, ...got: [value?: unknown]): void {
    const value = got.length > 0 ? got[0] : valueAt(this.input, path);
    if (value === undefined) return this.#push(path, what.startsWith('must ') ? `is missing; it ${what}` : what, '');
    const shown = this.#show(path, value);
    this.#push(path, what, shown === null ? '' : ` (got ${shown})`);
  }

  #push(path: Path, what: string, got: string): void {
    const where = maskKeys(formatPath(this.#named(path)));
    if (this.faults.some((fault) => fault.path === where)) return;
    this.faults.push({ path: where, message: `${where === '' ? 'config' : where}: ${what}${got}` });
  }

  /** Replaces the index of a client with its name, if clients are written as a map. */
  #named(path: Path): Path {
    const name = path[0] === 'clients' && typeof path[1] === 'number' ? this.clientNames?.[path[1]] : undefined;
    return name === undefined ? path : ['clients', name, ...path.slice(2)];
  }

  /** Objects and lists may contain secrets, so only their type is shown. Null: the value itself may be a secret. */
  #show(path: Path, value: unknown): string | null {
    if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
    if (typeof value === 'function') return 'a function';
    if (typeof value === 'object' && value !== null) return 'an object';
    if (value === '') return '""';
    if (isSecretPath(path)) return null;
    if (typeof value !== 'string') return String(value);
    if (path.at(-1) === 'keyHash' && !hashForm.test(value)) return null;
    for (const secret of this.#secrets) if (value === secret || (secret.length >= secretCharsMin && value.includes(secret))) return null;
    if (looksLikeKey(value)) return null;
    const text = clean(maskUrls(value));
    return JSON.stringify(text.length > shownCharsMax ? `${text.slice(0, shownCharsMax)}…` : text);
  }
}

const vendorKey = /\b(?:sk|rk|pk|gsk|xai|pplx|csk|fw|r8|hf|nvapi|key|tgp)[-_][\w-]{8,}|\b(?:AIza|AKIA|ASIA)[\w-]{8,}/g;

/** Masks whatever looks like a provider's key, anywhere in the text. */
function maskKeys(text: string): string {
  return text.replace(vendorKey, maskSecret);
}

/** A vendor's key prefix, or a long run of letters and digits that is neither a word nor a number. */
function looksLikeKey(text: string): boolean {
  if (text.search(vendorKey) >= 0) return true;
  return /(?<![\w+/-])(?=[\w+/-]*\d)(?=[\w+/-]*[A-Za-z])[A-Za-z0-9_+-]{24,}(?![\w+/-])/.test(text);
}

/** Control characters would break the line, or drive a terminal. */
function clean(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '\uFFFD');
}

/** The candidate most similar to the word, if it is similar enough for a typo. */
export function nearest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/** Damerau-Levenshtein distance (optimal string alignment). Words are cut to 64 characters. */
function editDistance(a: string, b: string): number {
  const [left, right] = [a.slice(0, 64), b.slice(0, 64)];
  const rows: number[][] = [Array.from({ length: right.length + 1 }, (_, column) => column)];
  const at = (row: number, column: number) => rows[row]?.[column] ?? Infinity;
  for (let row = 1; row <= left.length; row++) {
    const cells = [row];
    rows.push(cells);
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1];
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      cells.push(
        Math.min(
          at(row - 1, column) + 1,
          at(row, column - 1) + 1,
          at(row - 1, column - 1) + (same ? 0 : 1),
          swapped ? at(row - 2, column - 2) + 1 : Infinity,
        ),
      );
    }
  }
  return at(left.length, right.length);
}
