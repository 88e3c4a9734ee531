/** Ends a text before the first of some stop texts, holding back no more than what could still become one. */
export class StopTexts {
  readonly #stops: readonly string[];
  #held = '';
  /** A stop text was seen: nothing more is wanted. */
  isMet = false;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** What may go out now. */
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

  /** What was held back in vain. */
  end(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** The longest end of the text with which a stop text begins. */
  #beginningLength(text: string): number {
    const longest = Math.min(text.length, Math.max(...this.#stops.map((stop) => stop.length)) - 1);
    for (let length = longest; length > 0; length--) {
      const end = text.slice(text.length - length);
      if (this.#stops.some((stop) => stop.startsWith(end))) return length;
    }
    return 0;
  }
}
