/** Masks secrets in responses: some providers quote the key that they refuse, or echo the request. */
import type { Failure } from '../../core/facts.ts';
import { ByteStreamMask, EventStreamMask, type StreamMask } from '../../core/secrets/mask-stream.ts';
import type { SecretMask } from '../../core/secrets/secret-mask.ts';

/** The failure with secrets masked. `callerKey`: the caller's own key, if forwarded, which must not reach the log; null: none. */
export function maskFailure(failure: Failure, secrets: SecretMask, callerKey: string | null): Failure {
  const message = withoutKey(secrets.text(failure.message), callerKey);
  const body = failure.body === null ? null : secrets.bytes(failure.body);
  const contentType = failure.contentType === null ? null : secrets.text(failure.contentType);
  if (message === failure.message && body === failure.body && contentType === failure.contentType) return failure;
  return { ...failure, message, body, contentType };
}

/** Shorter keys could occur in ordinary text. */
const keyLengthMin = 8;

function withoutKey(message: string, key: string | null): string {
  return key === null || key.length < keyLengthMin ? message : message.replaceAll(key, '*'.repeat(key.length));
}

/** Masks the parts of one response as they arrive. Allocates nothing until a part contains a secret. */
export class ResponseMask {
  readonly #secrets: SecretMask;
  readonly #isEvents: boolean;
  #stream: StreamMask | null = null;

  /** `isEvents`: the parts are whole events; otherwise they are cut anywhere. */
  constructor(secrets: SecretMask, isEvents: boolean) {
    this.#secrets = secrets;
    this.#isEvents = isEvents;
  }

  /**
   * The parts that may be passed on; the same array if nothing was masked or held back. `mayHoldSecret`: false where they were searched
   * before, and neither they nor earlier ones contain a secret or a part of one.
   */
  push(parts: readonly Uint8Array[], mayHoldSecret: boolean): readonly Uint8Array[] {
    if (!mayHoldSecret) return parts;
    const { scan } = this.#secrets;
    if (scan === null || (this.#stream === null && !parts.some((part) => this.#concerns(part)))) return parts;
    const stream = (this.#stream ??= this.#isEvents ? new EventStreamMask(this.#secrets, scan) : new ByteStreamMask(this.#secrets));
    return parts.flatMap((part) => stream.push(part));
  }

  /** What was held back, at the end of the response. */
  flush(): readonly Uint8Array[] {
    return this.#stream?.flush() ?? [];
  }

  #concerns(part: Uint8Array): boolean {
    return this.#secrets.touches(part) || (!this.#isEvents && this.#secrets.scan!.openTail(part) > 0);
  }
}
