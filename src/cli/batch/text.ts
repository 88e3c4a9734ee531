/** Reads text files. Anything that is not UTF-8 is refused: binary data would become requests, and cost money. */
import { createReadStream, type BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { LineReader } from '../../jobs/openai/line-reader.ts';
import { messageOf } from '../../core/errors.ts';
import { OperatorError } from '../fail.ts';

/** The longest line of a file, in bytes: that of a batch. */
export const LINE_BYTES_MAX = 64 * 1024 * 1024;

const LINE_FEED = 0x0a;
const RETURN = 0x0d;

export interface TextLine {
  /** Counted from 1. */
  readonly number: number;
  readonly text: string;
}

/** The lines that are not blank. */
export async function* textLines(path: string): AsyncGenerator<TextLine> {
  const reader = new LineReader(LINE_BYTES_MAX);
  const decode = decoderOf(path);
  const toText = ({ number, bytes }: { readonly number: number; readonly bytes: Uint8Array | null }): TextLine => {
    if (bytes === null) throw new OperatorError([`${path}: line ${number} is longer than ${LINE_BYTES_MAX / 1024 / 1024} MB`]);
    return { number, text: decode(bytes, false) };
  };
  for await (const bytes of withLineFeeds(path)) for (const line of reader.read(bytes)) yield toText(line);
  for (const line of reader.end()) yield toText(line);
}

/** The text in chunks, without a byte order mark. */
export async function* textChunks(path: string): AsyncGenerator<string> {
  const decode = decoderOf(path);
  for await (const bytes of withLineFeeds(path)) yield decode(bytes, true);
  yield decode(new Uint8Array(0), false);
}

export async function wholeText(path: string): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const bytes of bytesOf(path)) {
    size += bytes.byteLength;
    if (size > LINE_BYTES_MAX) throw new OperatorError([`${path}: longer than ${LINE_BYTES_MAX / 1024 / 1024} MB`]);
    chunks.push(bytes);
  }
  return decoderOf(path)(Buffer.concat(chunks), false);
}

/** Fails after the last chunk if all line breaks are carriage returns: the file would be a single line. */
async function* withLineFeeds(path: string): AsyncGenerator<Uint8Array> {
  let [hasFeed, hasReturn] = [false, false];
  for await (const bytes of bytesOf(path)) {
    hasFeed ||= bytes.includes(LINE_FEED);
    hasReturn ||= bytes.includes(RETURN);
    yield bytes;
  }
  if (hasReturn && !hasFeed)
    throw new OperatorError([`${path}: its lines end with a carriage return only; convert them, for example with tr '\\r' '\\n'`]);
}

/** Fails after the last chunk if the file was changed meanwhile: its start and its end may not belong together. */
async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  try {
    const before = await stat(path, { bigint: true });
    for await (const chunk of createReadStream(path)) yield chunk as Uint8Array;
    if (!before.isFile()) return;
    const after = await stat(path, { bigint: true }).catch(() => null);
    if (after === null || !isSame(before, after)) throw changed(path, after === null ? 'deleted' : 'changed');
  } catch (error) {
    throw error instanceof OperatorError ? error : cannotRead(path, error);
  }
}

function isSame(before: BigIntStats, after: BigIntStats): boolean {
  return before.dev === after.dev && before.ino === after.ino && before.size === after.size && before.mtimeNs === after.mtimeNs;
}

export function changed(path: string, how: 'changed' | 'deleted'): OperatorError {
  return new OperatorError([`${path} was ${how} while it was read, so nothing was run`]);
}

export function cannotRead(path: string, error: unknown): OperatorError {
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'ENOENT') return new OperatorError([`${path}: no such file`]);
  return new OperatorError([`${path}: cannot be read (${code === 'EACCES' ? 'permission denied' : messageOf(error)})`]);
}

function decoderOf(path: string): (bytes: Uint8Array, isMore: boolean) => string {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  return (bytes, isMore) => {
    let text: string;
    try {
      text = decoder.decode(bytes, { stream: isMore });
    } catch {
      throw new OperatorError([`${path}: not UTF-8 text; convert a text in another encoding, for example with iconv`]);
    }
    if (text.includes('\0')) throw new OperatorError([`${path}: not a text file`]);
    return text;
  };
}
