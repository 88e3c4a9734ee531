/** Reads text files. Anything that is not UTF-8 is refused: binary data would become requests, and cost money. */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { LineReader } from '../../jobs/openai/line-reader.ts';
import { messageOf } from '../../core/errors.ts';
import { OperatorError } from '../fail.ts';

/** The longest line of a file, in bytes: that of a batch. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;

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
  for await (const bytes of bytesOf(path)) for (const line of reader.read(bytes)) yield toText(line);
  for (const line of reader.end()) yield toText(line);
}

/** The text in chunks, without a byte order mark. */
export async function* textChunks(path: string): AsyncGenerator<string> {
  const decode = decoderOf(path);
  for await (const bytes of bytesOf(path)) yield decode(bytes, true);
  yield decode(new Uint8Array(0), false);
}

export async function wholeText(path: string): Promise<string> {
  const bytes = await readFile(path).catch((error: unknown) => {
    throw cannotRead(path, error);
  });
  return decoderOf(path)(bytes, false);
}

async function* bytesOf(path: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of createReadStream(path)) yield chunk as Uint8Array;
  } catch (error) {
    throw error instanceof OperatorError ? error : cannotRead(path, error);
  }
}

function cannotRead(path: string, error: unknown): OperatorError {
  return new OperatorError([`${path}: cannot be read (${messageOf(error)})`]);
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
