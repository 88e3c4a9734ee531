/** A requests file (docs/requests-file.md) as a load, and what it tells of the targets. */
import { readFile } from 'node:fs/promises';
import type { Config } from '../../gateway/config/index.ts';
import type { RequestRecord } from '../../telemetry/requests-file.ts';
import type { ModelBehaviour } from '../../testing/simulated-provider.ts';
import type { SimulatedRequest } from '../../testing/workload.ts';
import { OperatorError } from '../fail.ts';

export interface Recording {
  readonly requests: readonly SimulatedRequest[];
  /** By target, `provider/model`. */
  readonly targets: ReadonlyMap<string, ModelBehaviour>;
  /** What was left out or taken otherwise than it stands there, in words. */
  readonly notes: readonly string[];
}

/** More is too much for one run. */
const REQUESTS_MAX = 200_000;
/** Samples of one target beyond this are left out. */
const SAMPLES_MAX = 20_000;
/** Of a plain answer only the whole time is known; so much of it counts as the wait for the first token. */
const PLAIN_FIRST_SHARE = 0.2;

type Line = Pick<RequestRecord, 'at' | 'model' | 'client' | 'operation' | 'outcome' | 'durationMs'> & Partial<RequestRecord>;

/** Throws an OperatorError where the file can't be read, or holds nothing that can be replayed. */
export async function readRecording(path: string, config: Config): Promise<Recording> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new OperatorError([`${path}: can't be read (got ${error.code ?? error.message})`]);
  });
  const { lines, broken } = readLines(text, path);
  const notes: string[] = [];
  if (broken > 0) notes.push(`${broken} lines that are no request record are left out`);
  const chats = lines.filter(({ operation }) => operation === 'chat' || operation === 'completions');
  if (chats.length < lines.length)
    notes.push(`${lines.length - chats.length} requests that are neither chats nor completions are left out`);
  const known = chats.filter(({ client }) => config.clients.length === 0 || config.clients.some((one) => one.name === client));
  if (known.length < chats.length)
    notes.push(`${chats.length - known.length} requests of clients that the config does not have are left out`);
  if (known.length === 0) throw new OperatorError([`${path}: holds no request that can be replayed`, ...notes]);
  if (known.length > REQUESTS_MAX)
    throw new OperatorError([`${path}: holds ${known.length} requests; at most ${REQUESTS_MAX} can be replayed`]);
  const firstAt = known.reduce((first, { at }) => Math.min(first, at), Infinity);
  const requests = known.map((line, i) => toRequest(line, i, firstAt, config));
  return { requests, targets: behavioursOf(known), notes };
}

function readLines(text: string, path: string): { lines: Line[]; broken: number } {
  const lines: Line[] = [];
  let broken = 0;
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const record = parse(line);
    if (record !== null && typeof record['v'] === 'number' && record['v'] !== 1) {
      throw new OperatorError([`${path}: holds records of version ${record['v']}; this Breakwater knows version 1`]);
    }
    if (record !== null && isLine(record)) lines.push(record);
    else broken++;
  }
  return { lines, broken };
}

function parse(line: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function isLine(record: Record<string, unknown>): record is Record<string, unknown> & Line {
  const texts = ['model', 'client', 'operation', 'outcome'].every((key) => typeof record[key] === 'string');
  return texts && Number.isFinite(record['at']) && Number.isFinite(record['durationMs']);
}

function toRequest(line: Line, index: number, firstAt: number, config: Config): SimulatedRequest {
  const length = line.usage?.outputTokens;
  return {
    id: `r${index + 1}`,
    atMs: line.at - firstAt,
    model: line.model,
    client: config.clients.length === 0 ? null : line.client,
    priority: line.priority ?? null,
    deadlineMs: deadlineOf(line, config),
    stream: line.stream ?? false,
    inputTokens: Math.max(1, Math.round(line.usage?.inputTokens ?? line.inputTokens ?? 500)),
    outputBound: line.outputBound ?? null,
    ...(length === undefined ? {} : { outputTokens: Math.max(1, length) }),
    leavesAfterMs: line.outcome === 'cancelled' ? line.durationMs : null,
  };
}

/** A deadline that is the policy's own was not the caller's wish, and follows the config that is tried out. */
function deadlineOf({ deadlineMs, model }: Line, config: Config): number | null {
  if (deadlineMs === null || deadlineMs === undefined) return null;
  const own = config.models[model]?.policy.deadline;
  return deadlineMs === config.policy.deadline || deadlineMs === own ? null : Math.max(1, Math.round(deadlineMs));
}

interface Seen {
  readonly firstMs: number[];
  readonly plainFirstMs: number[];
  readonly pace: number[];
  readonly plainPace: number[];
  readonly lengths: number[];
  attempts: number;
  failures: number;
}

function behavioursOf(lines: readonly Line[]): ReadonlyMap<string, ModelBehaviour> {
  const seen = new Map<string, Seen>();
  for (const line of lines) {
    for (const attempt of line.attempts ?? []) {
      let of = seen.get(attempt.target);
      if (of === undefined) {
        of = { firstMs: [], plainFirstMs: [], pace: [], plainPace: [], lengths: [], attempts: 0, failures: 0 };
        seen.set(attempt.target, of);
      }
      takeAttempt(of, attempt, line.stream ?? false);
    }
  }
  return new Map([...seen].map(([target, of]) => [target, toBehaviour(of)]));
}

function takeAttempt(of: Seen, attempt: RequestRecord['attempts'][number], isStream: boolean): void {
  // Rate limits are what the simulation is about, and what a caller does is not the target's doing.
  if (attempt.status === 429 || attempt.verdict === 'cancelled' || attempt.verdict === 'reject') return;
  of.attempts++;
  if (attempt.verdict !== 'success') return void of.failures++;
  if (of.lengths.length >= SAMPLES_MAX) return;
  const { durationMs, firstContentMs, usage } = attempt;
  const tokens = usage?.outputTokens ?? 0;
  const firstMs = isStream && firstContentMs !== null ? firstContentMs : durationMs * PLAIN_FIRST_SHARE;
  (isStream ? of.firstMs : of.plainFirstMs).push(firstMs);
  if (tokens <= 0) return;
  of.lengths.push(tokens);
  if (durationMs > firstMs) (isStream ? of.pace : of.plainPace).push((tokens * 1000) / (durationMs - firstMs));
}

function toBehaviour({ firstMs, plainFirstMs, pace, plainPace, lengths, attempts, failures }: Seen): ModelBehaviour {
  const firstTokenMs = firstMs.length > 0 ? firstMs : plainFirstMs;
  const tokensPerSecond = pace.length > 0 ? pace : plainPace;
  return {
    ...(firstTokenMs.length === 0 ? {} : { firstTokenMs: { samples: firstTokenMs } }),
    ...(tokensPerSecond.length === 0 ? {} : { tokensPerSecond: { samples: tokensPerSecond } }),
    ...(lengths.length === 0 ? {} : { outputTokens: { samples: lengths } }),
    faults: failures === 0 ? [] : [{ kind: 'server_error', probability: failures / attempts }],
  };
}
