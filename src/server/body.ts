/** Reads request bodies within the limits of one body and of all bodies together. */
import { constants, createBrotliDecompress, createGunzip, createInflate, createInflateRaw, createZstdDecompress } from 'node:zlib';
import type { Instant } from '../core/clock.ts';
import { BreakwaterError } from '../core/errors.ts';
import { formatSize } from '../gateway/config/units.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { ChunkList } from '../core/chunk-list.ts';
import type { Running } from '../pipeline/request/running-list.ts';
import { joinSmall } from './body-reader.ts';
import type { DecoderGate } from './decoder-gate.ts';
import { CallerLeft, type BodyGate, type Exchange, type ReceivedBody } from './exchange.ts';
import type { StallWatch, Stallable } from './stall-watch.ts';

/** The Retry-After if the memory for bodies is full, in milliseconds. */
const roomRetryMs = 1000;

/** The minimum upload rate: `STEP_BYTES`, or the rest of the body, per `STEP_MS` milliseconds. */
const STEP_BYTES = 64 * 1024;
const STEP_MS = 60_000;

/** The account that a body is counted in. */
export interface BodyClaim {
  /** The client, or the address of a caller without a key. */
  readonly holder: string;
  /** The share of the memory that is kept free for higher priorities. */
  readonly reserve: number;
  /** The end of the upload; Infinity: the caller has no deadline. */
  readonly endsAt: Instant;
}

/** Counts the bytes of one body as they arrive. `release` is called once on every path. */
export class BodyAllowance implements BodyGate, Stallable {
  older: Running | null = null;
  newer: Running | null = null;
  readonly givesWayAfterMs = 2_000;
  movedAt: Instant;
  readonly #claim: BodyClaim;
  readonly #stalls: StallWatch;
  #isWatched = false;
  #stepBytes = 0;
  readonly #exchange: Exchange;
  readonly #gateway: Gateway;
  readonly #limit: number;
  #received = 0;
  /** Bytes of the form of the body that is being received. */
  #held = 0;
  /** Bytes of its encoded form, during decoding. */
  #heldEncoded = 0;

  constructor(gateway: Gateway, exchange: Exchange, claim: BodyClaim, stalls: StallWatch, now: Instant) {
    this.#gateway = gateway;
    this.#exchange = exchange;
    this.#claim = claim;
    this.#stalls = stalls;
    this.#limit = gateway.config.server.maxBodySize;
    this.movedAt = now;
  }

  get holder(): string {
    return this.#claim.holder;
  }

  get heldBytes(): number {
    return this.#held + this.#heldEncoded;
  }

  /** Starts supervision of the upload. */
  watch(): void {
    this.#isWatched = true;
    this.#stalls.add(this);
  }

  /** Ends supervision: the body is complete or refused, and later waits are not caused by its sender. */
  unwatch(): void {
    if (this.#isWatched) this.#stalls.remove(this);
    this.#isWatched = false;
  }

  stop(error: BreakwaterError): void {
    this.release();
    this.#exchange.stopBody(error);
  }

  look(now: Instant): void {
    if (this.#claim.endsAt <= now)
      this.stop(new BreakwaterError('deadline_exceeded', 'the deadline passed during the upload of the request body'));
    else if (now - this.movedAt >= STEP_MS)
      this.stop(
        new BreakwaterError('invalid_request', 'the request body was sent too slowly: less than 64 KB in a minute', { status: 408 }),
      );
  }

  announce(bytes: number): void {
    if (bytes > this.#limit) throw this.#tooLarge();
  }

  accept(bytes: number): void {
    this.#received += bytes;
    this.#hold(bytes);
    this.#stepBytes += bytes;
    if (this.#stepBytes < STEP_BYTES) return;
    this.#stepBytes = 0;
    this.movedAt = this.#gateway.clock.now();
  }

  /** The bytes so far were the encoded form; the decoded form follows. */
  beginDecoded(): void {
    this.#heldEncoded = this.#held;
    this.#held = 0;
    this.#received = 0;
  }

  endDecoded(): void {
    if (this.#heldEncoded > 0) this.#gateway.releaseBytes(this.#heldEncoded, this.#claim.holder);
    this.#heldEncoded = 0;
  }

  release(): void {
    this.endDecoded();
    if (this.#held > 0) this.#gateway.releaseBytes(this.#held, this.#claim.holder);
    this.#held = 0;
  }

  #hold(bytes: number): void {
    if (this.#received > this.#limit) throw this.#tooLarge();
    const { holder, reserve } = this.#claim;
    while (!this.#gateway.tryHoldBytes(bytes, holder, reserve, this.heldBytes)) {
      // Stalled requests of other holders are ended only if the total limit is reached, not this holder's share.
      if (this.#stalls.makeRoom(this.#gateway.isOverByteShare(holder) ? holder : null)) continue;
      throw new BreakwaterError('queue_full', 'too many bytes are buffered to accept another request body', {
        retryAfterMs: roomRetryMs,
      });
    }
    this.#held += bytes;
  }

  #tooLarge(): BreakwaterError {
    return new BreakwaterError('request_too_large', `the request body is larger than server.maxBodySize, ${formatSize(this.#limit)}`);
  }
}

/** The whole decoded body. Throws `request_too_large`, `queue_full`, `invalid_request`; `CallerLeft`. */
export function readDecodedBody(exchange: Exchange, allowance: BodyAllowance, decoders: DecoderGate): Promise<ReceivedBody> {
  const encoding = exchange.header('content-encoding')?.trim().toLowerCase();
  const isIdentity = encoding === undefined || encoding === '' || encoding === 'identity';
  return isIdentity ? exchange.readBody(allowance) : readEncodedBody(exchange, encoding, allowance, decoders);
}

async function readEncodedBody(
  exchange: Exchange,
  encoding: string,
  allowance: BodyAllowance,
  decoders: DecoderGate,
): Promise<ReceivedBody> {
  const open = decoderOf(encoding);
  const body = await exchange.readBody(allowance);
  allowance.unwatch();
  const pieces = body instanceof Uint8Array ? [body] : body;
  if (pieces[0]!.length === 0) return pieces[0]!;
  return decoders.run(() => {
    if (exchange.hasLeft) throw new CallerLeft();
    return decode(pieces, open(pieces[0]!), encoding, allowance);
  });
}

type Decoder = ReturnType<typeof createGunzip> | ReturnType<typeof createBrotliDecompress> | ReturnType<typeof createZstdDecompress>;

/** Throws `invalid_request` for an unsupported encoding. */
export function decoderOf(encoding: string): (bytes: Uint8Array) => Decoder {
  switch (encoding) {
    case 'gzip':
    case 'x-gzip':
      return () => createGunzip();
    case 'br':
      return () => createBrotliDecompress();
    case 'zstd':
      return () => createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX } });
    case 'deflate':
      // RFC 9110 8.4.1.2 defines the zlib format; some clients send a raw deflate stream.
      return (bytes) => ((bytes[0]! & 0x0f) === 8 ? createInflate() : createInflateRaw());
    default: {
      const [status, why] = encoding.includes(',') ? [400, 'only one encoding may be applied'] : [415, 'use gzip, br, zstd or deflate'];
      throw new BreakwaterError('invalid_request', `content-encoding ${JSON.stringify(encoding)} is not supported: ${why}`, { status });
    }
  }
}

/** 8 MB, the limit of RFC 9659 for HTTP. */
const ZSTD_WINDOW_LOG_MAX = 23;
/** Beyond this size the compression ratio is limited: gzip reaches 1:1030, a brotli bomb 1:600000. */
const FREE_BYTES = 4 * 1024 * 1024;
const RATIO_MAX = 2000;

/** Counts bytes during decoding, so that a decompression bomb is stopped early. */
async function decode(encoded: readonly Uint8Array[], decoder: Decoder, encoding: string, allowance: BodyAllowance): Promise<ReceivedBody> {
  const decoded = new ChunkList();
  const encodedBytes = encoded.reduce((length, piece) => length + piece.length, 0);
  allowance.beginDecoded();
  for (const piece of encoded) decoder.write(piece);
  decoder.end();
  try {
    for await (const piece of decoder as AsyncIterable<Buffer>) {
      allowance.accept(piece.length);
      decoded.add(piece);
      if (decoded.bytes > FREE_BYTES && decoded.bytes > RATIO_MAX * encodedBytes) throw bomb();
    }
  } catch (error) {
    if (error instanceof BreakwaterError) throw error;
    throw new BreakwaterError('invalid_request', `the request body is not valid ${encoding}`, { cause: error });
  }
  allowance.endDecoded();
  const { bytes } = decoded;
  return joinSmall(decoded.take(), bytes);
}

function bomb(): BreakwaterError {
  return new BreakwaterError('request_too_large', `the request body decompresses to more than ${RATIO_MAX} times its size`);
}
