/** Writes the user's file as a batch file, before anything is sent. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import { OperatorError } from '../fail.ts';
import { writeFault } from '../file-fault.ts';
import type { Display } from './display.ts';
import type { RunFlags } from './flags.ts';
import { readInput } from './input.ts';
import type { Place } from './line-writer.ts';
import type { Stop } from './stop.ts';

const LINES_MAX = 50_000;
/** Names that are shown of a long list. */
const SHOWN_MAX = 20;

export interface Requests {
  /** The hash of their content. */
  readonly source: string;
  readonly endpoint: string;
  /** In the order of the file. */
  readonly places: readonly RequestPlace[];
}

export interface RequestPlace extends Place {
  readonly customId: string | null;
}

/** Null if the user stops it. */
export async function writeRequests(
  file: string,
  path: string,
  flags: RunFlags,
  model: string | null,
  show: Display,
  stop: Stop,
): Promise<Requests | null> {
  const { template = null, system = null, delimiter = null } = flags;
  const onSkipped = (names: readonly string[]): void =>
    show.note(
      { type: 'skipped', names },
      `${file}: not read: ${names.slice(0, SHOWN_MAX).join(', ')}${names.length > SHOWN_MAX ? ', …' : ''}`,
    );
  const options = { model, template, system, delimiter, maxTokens: maxTokensOf(flags), onSkipped };
  const hash = createHash('sha256');
  const places: RequestPlace[] = [];
  const seen = new Map<string, Place>();
  let endpoint: string | null = null;
  const lines = async function* (): AsyncGenerator<string> {
    for await (const { text, endpoint: own, customId, from, line } of readInput(file, options)) {
      if (stop.isAsked) return;
      endpoint ??= own;
      if (own !== endpoint)
        throw new OperatorError([`${file}: ${from} is for ${own}, earlier requests are for ${endpoint}: a batch has one endpoint`]);
      places.push({ from, line, customId });
      if (places.length > LINES_MAX) throw new OperatorError([`${file} contains more than ${LINES_MAX} requests: split it`]);
      if (customId !== null) noteId(file, seen, customId, { from, line });
      hash.update(`${text}\n`);
      yield `${text}\n`;
    }
  };
  await pipeline(lines(), createWriteStream(path)).catch((error: unknown) => {
    throw isWriteFault(error)
      ? new OperatorError([`${path}: cannot be written (${writeFault(error)}); TMPDIR selects another folder`])
      : error;
  });
  if (stop.isAsked) return null;
  if (endpoint === null) throw new OperatorError([`${file} contains no requests`]);
  return { source: hash.digest('hex'), endpoint, places };
}

function isWriteFault(error: unknown): boolean {
  const { syscall } = error as NodeJS.ErrnoException;
  return syscall === 'write' || syscall === 'open';
}

/** Results are matched by the id. */
function noteId(file: string, seen: Map<string, Place>, customId: string, place: Place): void {
  const before = seen.get(customId);
  if (before !== undefined)
    throw new OperatorError([`${file}: ${placeText(place)}: the id ${JSON.stringify(customId)} is also on ${placeText(before)}`]);
  seen.set(customId, place);
}

/** As an editor counts: a row of a table may have several lines. */
export function placeText({ from, line }: Place): string {
  return line === null ? from : `line ${line}`;
}

export function maxTokensOf({ maxTokens }: RunFlags): number | null {
  if (maxTokens === undefined) return null;
  const count = Number(maxTokens);
  if (!(Number.isInteger(count) && count > 0)) throw new OperatorError(['--max-tokens: must be a whole number above 0']);
  return count;
}
