/** How long a stream is held back so that it can be judged before it is committed (design 4.6). */
import type { StreamHold } from '../../transport/expected-form.ts';
import type { QualityRules } from '../../policy/quality/quality.ts';
import type { Dialect, OpeningReader, StreamFold } from '../../wire/dialect.ts';
import type { TargetQuality } from '../route/target-quality.ts';

/** Null: the policy asks for nothing that the beginning of a stream could tell. */
export function createAnswerHold({ response, stream }: Dialect, { buffer, rules }: TargetQuality): StreamHold | null {
  if (buffer) return new WholeHold(response.createFold());
  return rules.looksAtOpenings ? new OpeningHold(rules, stream.createOpeningReader()) : null;
}

/** To its end. It is read as it comes, so that its end is not the work of a whole answer at once. */
class WholeHold implements StreamHold {
  readonly fold: StreamFold;

  constructor(fold: StreamFold) {
    this.fold = fold;
  }

  holds(pieces: readonly Uint8Array[]): boolean {
    for (const piece of pieces) this.fold.push(piece);
    return true;
  }
}

/** Until its opening shows that the answer is neither a refusal nor too short. One that refuses is held to its end. */
class OpeningHold implements StreamHold {
  readonly #rules: QualityRules;
  readonly #reader: OpeningReader;

  constructor(rules: QualityRules, reader: OpeningReader) {
    this.#rules = rules;
    this.#reader = reader;
  }

  holds(pieces: readonly Uint8Array[]): boolean {
    this.#reader.read(pieces);
    if (this.#reader.refuses) return true;
    return !this.#reader.holdsOther && this.#rules.isUndecided(this.#reader.text);
  }
}
