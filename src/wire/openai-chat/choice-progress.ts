/** Tracks the choices of a stream: which were seen, which have finished, and whether a tool call is open in one. */
export class ChoiceProgress {
  /** Above any `n` that providers accept; a stream with more distinct choices is malformed. */
  static readonly choicesMax = 1_024;
  readonly #open = new Map<number, { finished: boolean; calling: boolean }>();
  readonly #asked: number;
  #finished = 0;
  #callsOpen = 0;

  /** `asked`: the number of choices requested. */
  constructor(asked: number) {
    this.#asked = asked;
  }

  /** False if there are too many. */
  see(index: number): boolean {
    if (this.#open.has(index)) return true;
    if (this.#open.size >= ChoiceProgress.choicesMax) return false;
    this.#open.set(index, { finished: false, calling: false });
    return true;
  }

  /** A tool call was begun or continued. */
  call(index: number): void {
    const choice = this.#open.get(index);
    if (choice === undefined || choice.calling || choice.finished) return;
    choice.calling = true;
    this.#callsOpen++;
  }

  finish(index: number): void {
    const choice = this.#open.get(index);
    if (choice === undefined || choice.finished) return;
    choice.finished = true;
    this.#finished++;
    if (choice.calling) this.#callsOpen--;
  }

  get toolCallOpen(): boolean {
    return this.#callsOpen > 0;
  }

  /** At least as many choices as requested have arrived, and all of them have finished. */
  get complete(): boolean {
    return this.#finished >= this.#asked && this.#finished === this.#open.size;
  }
}
