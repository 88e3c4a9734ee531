import type { RequestFacts } from '../core/request.ts';
import type { AnswerForm, StreamHold } from '../transport/answer-form.ts';
import type { JsonOutline } from '../wire/json-outline.ts';
import { mediaKindOf, readMediaAnswer } from '../wire/openai-chat/media-answer.ts';
import type { MediaKind } from '../wire/openai-chat/media-answer.ts';
import { answerAsStream } from '../wire/openai-chat/answer-as-stream.ts';
import { readAnswer } from '../wire/openai-chat/read-answer.ts';
import type { ReadAnswer } from '../wire/openai-chat/read-answer.ts';
import { StreamFold, streamAsAnswer } from '../wire/openai-chat/stream-as-answer.ts';
import { createChatStreamReader } from '../wire/openai-chat/stream-reader.ts';
import type { StreamReader } from '../wire/dialect.ts';
import { createAnswerHold } from './answer-hold.ts';
import type { TargetQuality } from './target-quality.ts';

/** Answers of the OpenAI protocol in the form that the caller asked for. */
export class ChatAnswerForm implements AnswerForm {
  readonly wants: AnswerForm['wants'];
  readonly judgesBytes: boolean;
  /** What an endpoint that is passed through as bytes must answer; null: nothing that is known. */
  readonly #media: MediaKind | null;
  readonly #facts: RequestFacts;
  readonly #maxEventSize: number;
  readonly #quality: TargetQuality | null;

  /** `path` is the upstream's; `maxEventSize` in bytes. `quality`: what a stream is held back for; null: nothing. */
  constructor(facts: RequestFacts, path: string, maxEventSize: number, quality: TargetQuality | null) {
    this.#facts = facts;
    this.#media = facts.operation === 'bytes' ? mediaKindOf(path) : null;
    this.judgesBytes = this.#media !== null;
    this.#maxEventSize = maxEventSize;
    this.#quality = quality;
    if (facts.operation === 'bytes') this.wants = 'bytes';
    else this.wants = facts.stream && facts.operation !== 'embeddings' ? 'stream' : 'plain';
  }

  createReader(): StreamReader | null {
    const { operation, wantsUsage, choices } = this.#facts;
    if (operation !== 'chat' && operation !== 'completions') return null;
    return createChatStreamReader({
      operation,
      choices,
      keepUsage: wantsUsage || this.wants === 'plain',
      maxEventSize: this.#maxEventSize,
    });
  }

  createHold(): StreamHold | null {
    return this.#quality === null ? null : createAnswerHold(this.#quality);
  }

  read(answer: Uint8Array, outline: JsonOutline | null): ReadAnswer {
    if (this.#media !== null) return readMediaAnswer(this.#media, answer);
    return readAnswer(this.#facts.operation, answer, this.#facts.choices, outline);
  }

  toStream(answer: Uint8Array): Uint8Array {
    return answerAsStream(answer, this.#facts.wantsUsage);
  }

  toPlain(events: Uint8Array): Uint8Array {
    return streamAsAnswer(events);
  }

  createFold(): StreamFold {
    return new StreamFold();
  }
}
