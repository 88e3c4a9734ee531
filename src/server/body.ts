/** Reading a request body within its limits: one request's own, and that of all bodies together (design 4.10). */
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw, createZstdDecompress } from 'node:zlib';
import type { Instant } from '../core/clock.ts';
import { BreakwaterError } from '../core/errors.ts';
import { formatSize } from '../gateway/config/units.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Running } from '../pipeline/running-list.ts';
import type { BodyGate, Exchange } from './exchange.ts';
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
export function readDecodedBody(exchange: Exchange, allowance: BodyAllowance): Promise<Uint8Array> {
  const encoding = exchange.header('content-encoding')?.trim().toLowerCase();
  const isPlain = encoding === undefined || encoding === '' || encoding === 'identity';
  return isPlain ? exchange.readBody(allowance) : readEncodedBody(exchange, encoding, allowance);
}

async function readEncodedBody(exchange: Exchange, encoding: string, allowance: BodyAllowance): Promise<Uint8Array> {
  const open = decoderOf(encoding);
  const bytes = await exchange.readBody(allowance);
  return bytes.length === 0 ? bytes : decode(bytes, open(bytes), encoding, allowance);
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
      return () => createZstdDecompress();
    case 'deflate':
      // RFC 9110 8.4.1.2 means the zlib format; some send the bare stream all the same.
      return (bytes) => ((bytes[0]! & 0x0f) === 8 ? createInflate() : createInflateRaw());
    default: {
      const [status, why] = encoding.includes(',') ? [400, 'only one encoding may be applied'] : [415, 'use gzip, br, zstd or deflate'];
      throw new BreakwaterError('invalid_request', `content-encoding ${JSON.stringify(encoding)} is not supported: ${why}`, { status });
    }
  }
}

/** Counts while decoding, so that a small body that unpacks to a huge one is caught before it is there. */
async function decode(bytes: Uint8Array, decoder: Decoder, encoding: string, allowance: BodyAllowance): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  allowance.beginDecoded();
  decoder.end(bytes);
  try {
    for await (const piece of decoder as AsyncIterable<Buffer>) {
      allowance.accept(piece.length);
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof BreakwaterError) throw error;
    throw new BreakwaterError('invalid_request', `the request body is not valid ${encoding}`, { cause: error });
  }
  allowance.endDecoded();
  return Buffer.concat(pieces);
}
