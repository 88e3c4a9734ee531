/** How long a stream is held back so that it can be judged before it is committed (design 4.6). */
import type { StreamHold } from '../transport/answer-form.ts';
import type { QualityRules } from '../policy/quality/quality.ts';
import { OpeningReader } from '../wire/openai-chat/opening-reader.ts';
import { StreamFold } from '../wire/openai-chat/stream-as-answer.ts';
import type { TargetQuality } from './target-quality.ts';

/** Null: the policy asks for nothing that the beginning of a stream could tell. */
export function createAnswerHold({ buffer, rules }: TargetQuality): StreamHold | null {
  if (buffer) return new WholeHold();
  return rules.looksAtOpenings ? new OpeningHold(rules) : null;
}

/** To its end. It is read as it comes, so that its end is not the work of a whole answer at once. */
class WholeHold implements StreamHold {
  readonly fold = new StreamFold();

  holds(pieces: readonly Uint8Array[]): boolean {
    for (const piece of pieces) this.fold.push(piece);
    return true;
  }
}

/** Until its opening shows that the answer is neither a refusal nor too short. One that refuses is held to its end. */
class OpeningHold implements StreamHold {
  readonly #rules: QualityRules;
  readonly #reader = new OpeningReader();

  constructor(rules: QualityRules) {
    this.#rules = rules;
  }

  holds(pieces: readonly Uint8Array[]): boolean {
    this.#reader.read(pieces);
    if (this.#reader.refuses) return true;
    return !this.#reader.holdsOther && this.#rules.isUndecided(this.#reader.text);
  }
}
