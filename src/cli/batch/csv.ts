/** Incremental CSV parser (RFC 4180): quoted fields can contain commas, quotes and line breaks. */
export class CsvReader {
  readonly #delimiter: string;
  #row: string[] = [];
  #field = '';
  #isQuoted = false;
  /** Whether the last character was a quote within a quoted field: its end, or the first of two. */
  #afterQuote = false;
  #isCut = false;
  /** Line breaks so far, those within quoted fields included. */
  #breaks = 0;
  #rowBreaks: number | null = null;
  #rowLine = 1;
  #rowLength = 0;

  constructor(delimiter = ',') {
    this.#delimiter = delimiter;
  }

  /** After `end`: the text ended within a quoted field. */
  get isCut(): boolean {
    return this.#isCut;
  }

  /** The line, counted from 1, on which the last row starts. */
  get line(): number {
    return this.#rowLine;
  }

  /** The line on which the unfinished row starts. */
  get openLine(): number {
    return (this.#rowBreaks ?? this.#breaks) + 1;
  }

  /** Characters of the unfinished row. */
  get openLength(): number {
    return this.#rowLength;
  }

  *read(text: string): Generator<string[]> {
    for (const character of text) {
      this.#rowBreaks ??= this.#breaks;
      this.#rowLength++;
      if (character === '\n') this.#breaks++;
      if (this.#isQuoted) this.#readQuoted(character);
      if (this.#isQuoted) continue;
      if (this.#afterQuote) this.#afterQuote = false;
      if (character === '"' && this.#field === '') this.#isQuoted = true;
      else if (character === this.#delimiter) this.#endField();
      else if (character === '\n') yield* this.#endRow();
      else if (character !== '\r') this.#field += character;
    }
  }

  *end(): Generator<string[]> {
    this.#isCut = this.#isQuoted && !this.#afterQuote;
    this.#isQuoted = false;
    if (this.#field !== '' || this.#row.length > 0) yield* this.#endRow();
  }

  /** Handles the character after a quote in a quoted field. */
  #readQuoted(character: string): void {
    if (!this.#afterQuote) {
      if (character === '"') this.#afterQuote = true;
      else this.#field += character;
    } else if (character === '"') {
      this.#field += '"';
      this.#afterQuote = false;
    } else this.#isQuoted = false;
  }

  #endField(): void {
    this.#row.push(this.#field);
    this.#field = '';
  }

  *#endRow(): Generator<string[]> {
    this.#endField();
    const row = this.#row;
    this.#row = [];
    this.#rowLine = this.openLine;
    this.#rowBreaks = null;
    this.#rowLength = 0;
    if (row.length > 1 || row[0] !== '') yield row;
  }
}
