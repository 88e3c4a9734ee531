/** Checks whether a text is a prefix of a JSON value, and whether another text continues it. */

/** Maximum length of a number or word, in characters. */
const TOKEN_CHARS_MAX = 400;
const WORDS = ['true', 'false', 'null'];
const NUMBER_PREFIX = /^-?(?:0|[1-9]\d*)?(?:(?<=\d)\.\d*)?(?:(?<=\d)[eE][+-]?\d*)?$/;
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** The state within a string, after a backslash. */
const ESCAPE = '"\\';

type Expect = 'value' | 'first value' | 'key' | 'first key' | 'colon' | 'comma' | 'end';

/** Reads character by character; `false` once the text is no prefix of a JSON value. */
export class JsonPrefix {
  readonly #open: ('{' | '[')[] = [];
  #expect: Expect = 'value';
  /** The current number or word; of a string its quote, and a backslash without its character. */
  #token = '';

  /** For objects and arrays only: any text may begin like a string or a number. */
  static of(text: string): JsonPrefix | null {
    const prefix = new JsonPrefix();
    return /^\s*[{[]/.test(text) && prefix.read(text) ? prefix : null;
  }

  get isComplete(): boolean {
    return this.#expect === 'end' && this.#token === '';
  }

  read(text: string): boolean {
    for (const char of text) if (!this.#take(char)) return false;
    return true;
  }

  #take(char: string): boolean {
    if (this.#token.startsWith('"')) return this.#takeInString(char);
    if (this.#token !== '') {
      if (/[\w.+-]/.test(char)) return this.#isScalar((this.#token += char));
      if (!NUMBER.test(this.#token) && !WORDS.includes(this.#token)) return false;
      this.#endValue();
    }
    return /[ \t\r\n]/.test(char) || this.#takeOutside(char);
  }

  #takeInString(char: string): boolean {
    if (this.#token === ESCAPE) {
      this.#token = '"';
      return /["\\/bfnrtu]/.test(char);
    }
    if (char === '\\') return this.#begin(ESCAPE);
    if (char !== '"') return char >= ' ';
    if (this.#expect === 'key' || this.#expect === 'first key') {
      this.#token = '';
      return this.#now('colon');
    }
    this.#endValue();
    return true;
  }

  #takeOutside(char: string): boolean {
    const isValue = this.#expect === 'value' || this.#expect === 'first value';
    const isKey = this.#expect === 'key' || this.#expect === 'first key';
    if (char === '"' && (isValue || isKey)) return this.#begin(char);
    if ((char === '{' || char === '[') && isValue) {
      this.#open.push(char);
      this.#expect = char === '{' ? 'first key' : 'first value';
      return true;
    }
    if (char === ':' && this.#expect === 'colon') return this.#now('value');
    if (char === ',' && this.#expect === 'comma') return this.#now(this.#open.at(-1) === '{' ? 'key' : 'value');
    if (char === '}' || char === ']') return this.#close(char);
    return isValue && /[\w-]/.test(char) && this.#begin(char) && this.#isScalar(char);
  }

  #close(char: string): boolean {
    const fits = this.#open.at(-1) === (char === '}' ? '{' : '[');
    if (!fits || !['comma', 'first key', 'first value'].includes(this.#expect)) return false;
    if (this.#expect === 'first key' && char === ']') return false;
    this.#open.pop();
    this.#endValue();
    return true;
  }

  #begin(token: string): true {
    this.#token = token;
    return true;
  }

  #now(expect: Expect): true {
    this.#expect = expect;
    return true;
  }

  #isScalar(token: string): boolean {
    if (token.length > TOKEN_CHARS_MAX) return false;
    return NUMBER_PREFIX.test(token) || WORDS.some((word) => word.startsWith(token));
  }

  #endValue(): void {
    this.#token = '';
    this.#expect = this.#open.length === 0 ? 'end' : 'comma';
  }
}
