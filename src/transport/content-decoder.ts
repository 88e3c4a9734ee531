import { createBrotliDecompress, createInflate, createUnzip, createZstdDecompress } from 'node:zlib';
import type { Transform } from 'node:stream';

export interface ContentDecoder {
  push(chunk: Uint8Array): void;
  /** Pauses the decoded bytes: a small encoded body may decode to a very large one. */
  setPaused(paused: boolean): void;
  end(): void;
  destroy(): void;
}

export interface DecoderListener {
  onDecoded(chunk: Uint8Array): void;
  onDecodedEnd(): void;
  /** `cutOff`: the encoded bytes ended prematurely. */
  onUndecodable(cutOff: boolean): void;
  /** True: too many encoded bytes are queued; pause until false. */
  onDecoderFull(full: boolean): void;
}

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createUnzip,
  'x-gzip': createUnzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

/** Encodings that mean none; many servers send `none` to prevent a proxy from compressing their stream. */
const NOT_ENCODED = new Set(['', 'identity', 'none', 'utf-8']);

export function isIdentity(encoding: string | undefined): boolean {
  return encoding === undefined || NOT_ENCODED.has(encoding.trim().toLowerCase());
}

/**
 * Decodes a content encoding incrementally; null: an unknown encoding. Requests ask for none, but some providers encode their responses
 * nevertheless.
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
