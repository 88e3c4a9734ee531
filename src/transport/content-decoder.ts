import { createBrotliDecompress, createInflate, createUnzip, createZstdDecompress } from 'node:zlib';
import type { Transform } from 'node:stream';

export interface ContentDecoder {
  push(chunk: Uint8Array): void;
  /** Holds the decoded bytes back: little encoded can be very much decoded. */
  setPaused(paused: boolean): void;
  end(): void;
  destroy(): void;
}

export interface DecoderListener {
  onDecoded(chunk: Uint8Array): void;
  onDecodedEnd(): void;
  /** `cutOff`: the encoded bytes ended before their end. */
  onUndecodable(cutOff: boolean): void;
  /** True: more encoded bytes wait than should; hold back until false. */
  onDecoderFull(full: boolean): void;
}

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createUnzip,
  'x-gzip': createUnzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** What servers write where nothing is encoded: `none` is what many write to keep a proxy from compressing their stream. */
const NOT_ENCODED = new Set(['', 'identity', 'none', 'utf-8']);

export function isIdentity(encoding: string | undefined): boolean {
  return encoding === undefined || NOT_ENCODED.has(encoding.trim().toLowerCase());
}

/**
 * Undoes a content encoding as the bytes come; null: an encoding that nobody asked for and we don't know.
 * We ask for none, but some providers encode all the same.
 */
export function createContentDecoder(encoding: string, listener: DecoderListener): ContentDecoder | null {
  const make = DECODERS[encoding.trim().toLowerCase()];
  if (make === undefined) return null;
  const stream = make();
  stream.on('data', (chunk: Uint8Array) => listener.onDecoded(chunk));
  stream.on('end', () => listener.onDecodedEnd());
  stream.on('error', (error: NodeJS.ErrnoException) => listener.onUndecodable(error.code === 'Z_BUF_ERROR'));
  stream.on('drain', () => listener.onDecoderFull(false));
  return {
    push(chunk) {
      if (!stream.write(chunk)) listener.onDecoderFull(true);
    },
    setPaused: (paused) => void (paused ? stream.pause() : stream.resume()),
    end: () => void stream.end(),
    destroy: () => void stream.destroy(),
  };
}
