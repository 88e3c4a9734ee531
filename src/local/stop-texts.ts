/** Truncates a streamed text before its first stop text. Only a possible prefix of a stop text is held back. */
export class StopTexts {
  readonly #stops: readonly string[];
  #held = '';
  /** A stop text was found; the rest is discarded. */
  isMet = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** Returns the text that can be emitted now. */
  push(text: string): string {
    if (this.isMet) return '';
    if (this.#stops.length === 0) return text;
    const all = this.#held + text;
    const at = this.#stops.map((stop) => all.indexOf(stop)).filter((index) => index >= 0);
    if (at.length > 0) {
      this.isMet = true;
      this.#held = '';
      return all.slice(0, Math.min(...at));
    }
    const kept = this.#beginningLength(all);
    this.#held = all.slice(all.length - kept);
    return all.slice(0, all.length - kept);
  }

  /** Returns the held text, which did not become a stop text. */
  end(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** The length of the longest suffix of the text that is a prefix of a stop text. */
  #beginningLength(text: string): number {
    const longest = Math.min(text.length, Math.max(...this.#stops.map((stop) => stop.length)) - 1);
    for (let length = longest; length > 0; length--) {
      const end = text.slice(text.length - length);
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
