import type { RequestFacts } from '../../core/request.ts';
import type { SecretScan } from '../../core/secrets/secret-scan.ts';
import type { ExpectedForm, StreamHold } from '../../transport/expected-form.ts';
import type { ResponseConversion } from '../../wire/conversion.ts';
import type { Dialect, ReadResponse, StreamFold, StreamReader } from '../../wire/dialect.ts';
import { framed } from '../../wire/framing/framed-reader.ts';
import type { JsonOutline } from '../../wire/json-outline.ts';
import { mediaKindOf, readMediaResponse } from '../../wire/media-response.ts';
import type { MediaKind } from '../../wire/media-response.ts';
import { createResponseHold } from './response-hold.ts';
import type { TargetQuality } from '../route/target-quality.ts';

/** Converts responses to the form that the caller asked for. */
export class ResponseForm implements ExpectedForm {
  readonly wants: ExpectedForm['wants'];
  readonly judgesBytes: boolean;
  readonly isConverted: boolean;
  readonly mayBeEmpty: boolean;
  readonly #dialect: Dialect;
  /** The expected media of a passed-through endpoint; null: unknown. */
  readonly #media: MediaKind | null;
  readonly #facts: RequestFacts;
  readonly #maxEventSize: number;
  readonly #quality: TargetQuality | null;
  readonly #conversion: ResponseConversion | null;
  readonly #secrets: SecretScan | null;

  /**
   * `path` is the upstream's; `maxEventSize` in bytes. `quality`: checks that a stream is held back for; null: none. `conversion`: of
   * responses in another dialect; null: they are in the caller's. `secrets`: looked for in the events of a stream; null: none are.
   */
  constructor(
    dialect: Dialect,
    facts: RequestFacts,
    path: string,
    maxEventSize: number,
    quality: TargetQuality | null,
    conversion: ResponseConversion | null,
    secrets: SecretScan | null,
  ) {
    this.#dialect = dialect;
    this.#facts = facts;
    // Anthropic's prompt cache is prewarmed by such requests.
    this.mayBeEmpty = facts.outputBound === 0;
    this.#media = facts.operation === 'bytes' ? mediaKindOf(path) : null;
    this.judgesBytes = this.#media !== null;
    this.#maxEventSize = maxEventSize;
    this.#quality = quality;
    this.#conversion = conversion;
    this.isConverted = conversion !== null;
    this.#secrets = secrets;
    if (facts.operation === 'bytes') this.wants = 'bytes';
    else this.wants = facts.stream && facts.operation !== 'embeddings' ? 'stream' : 'json';
  }

  createReader(contentType: string | undefined): StreamReader | null {
    if (this.#conversion !== null) return this.#conversion.createReader(this.#maxEventSize, contentType);
    const { operation, wantsUsage, choices } = this.#facts;
    const keepUsage = wantsUsage || this.wants === 'json';
    const secrets = this.#secrets;
    const reader = this.#dialect.stream.watch({ operation, choices, keepUsage, maxEventSize: this.#maxEventSize, secrets });
    return reader === null ? null : framed(contentType, reader, this.#maxEventSize);
  }

  createHold(): StreamHold | null {
    return this.#quality === null ? null : createResponseHold(this.#dialect, this.#quality);
  }

  read(response: Uint8Array, outline: JsonOutline | null, isConverted: boolean): ReadResponse {
    if (this.#media !== null) return readMediaResponse(this.#media, response);
    if (this.#conversion !== null && !isConverted) return this.#conversion.read(response, this.#facts.choices);
    return this.#dialect.response.read(this.#facts.operation, response, this.#facts.choices, outline);
  }

  toStream(response: Uint8Array): Uint8Array {
    return this.#dialect.response.toStream(response, this.#facts.wantsUsage);
  }

  fromStream(events: Uint8Array): Uint8Array {
    return this.#dialect.response.fromStream(events);
  }

  createFold(): StreamFold {
    return this.#dialect.response.createFold();
  }
}
