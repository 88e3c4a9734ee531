import { createBrotliDecompress, createInflate, createUnzip, createZstdDecompress } from 'node:zlib';
import type { Transform } from 'node:stream';

export interface ContentDecoder {
  push(chunk: Uint8Array): void;
  /** Holds the decoded bytes back: little encoded can be very much decoded. */
  setPaused(paused: boolean): void;
  end(): void;
  destroy(): void;
}

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createUnzip,
  'x-gzip': createUnzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
};

export function isIdentity(encoding: string | undefined): boolean {
  return encoding === undefined || encoding === '' || encoding.toLowerCase() === 'identity';
}

/**
 * Undoes a content encoding as the bytes come; null: an encoding that nobody asked for and we don't know.
 * We ask for none, but some providers encode all the same.
 */
export function createContentDecoder(
  encoding: string,
  listener: { onData(chunk: Uint8Array): void; onEnd(): void; onError(error: Error): void },
): ContentDecoder | null {
  const make = DECODERS[encoding.trim().toLowerCase()];
  if (make === undefined) return null;
  const stream = make();
  stream.on('data', (chunk: Uint8Array) => listener.onData(chunk));
  stream.on('end', () => listener.onEnd());
  stream.on('error', (error) => listener.onError(error));
  return {
    push: (chunk) => void stream.write(chunk),
    setPaused: (paused) => void (paused ? stream.pause() : stream.resume()),
    end: () => void stream.end(),
    destroy: () => void stream.destroy(),
  };
}
