/** How long a stream is held back so that its quality can be checked before it is committed. */
import type { StreamHold } from '../../transport/expected-form.ts';
import type { QualityRules } from '../../policy/quality/quality.ts';
import type { Dialect, OpeningReader, StreamFold } from '../../wire/dialect.ts';
import type { TargetQuality } from '../route/target-quality.ts';

/** Null: the policy checks nothing that the beginning of a stream could show. */
export function createResponseHold({ response, stream }: Dialect, { buffer, rules }: TargetQuality): StreamHold | null {
  if (buffer) return new WholeHold(response.createFold());
  return rules.checksOpenings ? new OpeningHold(rules, stream.createOpeningReader()) : null;
}

/** Holds the whole stream. It is parsed incrementally, so that its end does not cost the parsing of a whole response. */
class WholeHold implements StreamHold {
  readonly fold: StreamFold;

  constructor(fold: StreamFold) {
    this.fold = fold;
  }

  holds(chunks: readonly Uint8Array[]): boolean {
    for (const chunk of chunks) this.fold.push(chunk);
    return true;
  }
}

/** Holds a stream until its opening is neither a refusal nor too short. A refusal is held to its end. */
class OpeningHold implements StreamHold {
  readonly #rules: QualityRules;
  readonly #reader: OpeningReader;

  constructor(rules: QualityRules, reader: OpeningReader) {
    this.#rules = rules;
    this.#reader = reader;
  }

  holds(chunks: readonly Uint8Array[]): boolean {
    this.#reader.read(chunks);
    if (this.#reader.refuses) return true;
    return !this.#reader.holdsOther && this.#rules.isUndecided(this.#reader.text);
  }
}
