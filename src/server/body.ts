/** Reading a request body within its limits: one request's own, and that of all bodies together (design 4.10). */
import { constants, createBrotliDecompress, createGunzip, createInflate, createInflateRaw, createZstdDecompress } from 'node:zlib';
import type { Instant } from '../core/clock.ts';
import { BreakwaterError } from '../core/errors.ts';
import { formatSize } from '../gateway/config/units.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { PieceList } from '../core/piece-list.ts';
import type { Running } from '../pipeline/running-list.ts';
import { joinSmall } from './body-reader.ts';
import type { DecoderGate } from './decoder-gate.ts';
import { CallerLeft, type BodyGate, type Exchange, type ReceivedBody } from './exchange.ts';
import type { Upload } from './upload-watch.ts';

/** When a caller who found no room may well find it. */
const roomRetryMs = 1000;

/** What one request holds of the room for bodies. `release` gives everything back, once, on every path. */
export class BodyAllowance implements BodyGate, Upload {
  older: Running | null = null;
  newer: Running | null = null;
  readonly endsAt: Instant;
  readonly #exchange: Exchange;
  readonly #gateway: Gateway;
  readonly #limit: number;
  #received = 0;
  /** Held for the form of the body that is being received. */
  #held = 0;
  /** Held for its encoded form, while the decoded one is made. */
  #heldEncoded = 0;

  /** `endsAt`: the deadline of the request. */
  constructor(gateway: Gateway, exchange: Exchange, endsAt: Instant) {
    this.#gateway = gateway;
    this.#exchange = exchange;
    this.endsAt = endsAt;
    this.#limit = gateway.config.server.maxBodySize;
  }

  stop(error: BreakwaterError): void {
    this.#exchange.stopBody(error);
  }

  announce(bytes: number): void {
    this.#hold(bytes);
  }

  accept(bytes: number): void {
    this.#received += bytes;
    if (this.#received > this.#held) this.#hold(this.#received - this.#held);
  }

  /** What came so far was the encoded form; what comes now is the decoded one. */
  beginDecoded(): void {
    this.#heldEncoded = this.#held;
    this.#held = 0;
    this.#received = 0;
  }

  endDecoded(): void {
    if (this.#heldEncoded > 0) this.#gateway.releaseBytes(this.#heldEncoded);
    this.#heldEncoded = 0;
  }

  release(): void {
    this.endDecoded();
    if (this.#held > 0) this.#gateway.releaseBytes(this.#held);
    this.#held = 0;
  }

  #hold(bytes: number): void {
    if (this.#held + bytes > this.#limit) {
      throw new BreakwaterError('request_too_large', `the request body is larger than server.maxBodySize, ${formatSize(this.#limit)}`);
    }
    if (!this.#gateway.tryHoldBytes(bytes)) {
      throw new BreakwaterError('queue_full', 'no room for another request body: too many bytes are waiting', {
        retryAfterMs: roomRetryMs,
      });
    }
    this.#held += bytes;
  }
}

/** The whole body, decoded. Throws `request_too_large`, `queue_full`, `invalid_request`; `CallerLeft`. */
export function readDecodedBody(exchange: Exchange, allowance: BodyAllowance, decoders: DecoderGate): Promise<ReceivedBody> {
  const encoding = exchange.header('content-encoding')?.trim().toLowerCase();
  const isPlain = encoding === undefined || encoding === '' || encoding === 'identity';
  return isPlain ? exchange.readBody(allowance) : readEncodedBody(exchange, encoding, allowance, decoders);
}

async function readEncodedBody(
  exchange: Exchange,
  encoding: string,
  allowance: BodyAllowance,
  decoders: DecoderGate,
): Promise<ReceivedBody> {
  const open = decoderOf(encoding);
  const body = await exchange.readBody(allowance);
  const pieces = body instanceof Uint8Array ? [body] : body;
  if (pieces[0]!.length === 0) return pieces[0]!;
  return decoders.run(() => {
    if (exchange.hasLeft) throw new CallerLeft();
    return decode(pieces, open(pieces[0]!), encoding, allowance);
  });
}

type Decoder = ReturnType<typeof createGunzip> | ReturnType<typeof createBrotliDecompress> | ReturnType<typeof createZstdDecompress>;

function decoderOf(encoding: string): (bytes: Uint8Array) => Decoder {
  switch (encoding) {
    case 'gzip':
    case 'x-gzip':
      return () => createGunzip();
    case 'br':
      return () => createBrotliDecompress();
    case 'zstd':
      return () => createZstdDecompress({ params: { [constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_LOG_MAX } });
    case 'deflate':
      // RFC 9110 8.4.1.2 means the zlib format; some send the bare stream all the same.
      return (bytes) => ((bytes[0]! & 0x0f) === 8 ? createInflate() : createInflateRaw());
    default: {
      const [status, why] = encoding.includes(',') ? [400, 'only one encoding may be applied'] : [415, 'use gzip, br, zstd or deflate'];
      throw new BreakwaterError('invalid_request', `content-encoding ${JSON.stringify(encoding)} is not supported: ${why}`, { status });
    }
  }
}

/** 8 MB, as RFC 9659 has it for HTTP. */
const ZSTD_WINDOW_LOG_MAX = 23;
/** A body that unpacks to more than this has to be worth its packing: gzip reaches 1:1030, a bomb in brotli 1:600000. */
const FREE_BYTES = 4 * 1024 * 1024;
const RATIO_MAX = 2000;

/** Counts while decoding, so that a small body that unpacks to a huge one is caught before it is there. */
async function decode(encoded: readonly Uint8Array[], decoder: Decoder, encoding: string, allowance: BodyAllowance): Promise<ReceivedBody> {
  const decoded = new PieceList();
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
  return new BreakwaterError('request_too_large', `the request body unpacks to more than ${RATIO_MAX} times its size`);
}
