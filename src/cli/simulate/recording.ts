/** A requests file (docs/requests-file.md) as a load, and what it tells of the targets. */
import type { Operation } from '../../core/request.ts';
import type { Config } from '../../gateway/config/index.ts';
import type { ModelBehaviour } from '../../testing/simulated-provider.ts';
import type { SimulatedRequest } from '../../testing/workload.ts';
import { OperatorError } from '../fail.ts';
import { linesOf, readLine, type RecordLine } from './record-line.ts';
import { RecordedTargets } from './recorded-targets.ts';

export interface Recording {
  readonly requests: readonly SimulatedRequest[];
  /** By target, `provider/model`. */
  readonly targets: ReadonlyMap<string, ModelBehaviour>;
  /** What was left out or taken otherwise than it stands there, in words. */
  readonly notes: readonly string[];
}

/** More is too much for one run; a simulated hour of 50 a second. */
const REQUESTS_MAX = 200_000;
const FAULTS_TOLD_MAX = 5;
const REPLAYED: ReadonlySet<string> = new Set<Operation>(['chat', 'completions', 'embeddings']);

/**
 * Reads it line by line: what is kept of a request is a few numbers, and of a target a bounded number of samples. Throws an
 * OperatorError where the file can't be read, or holds nothing that can be replayed.
 */
export async function readRecording(path: string, config: Config): Promise<Recording> {
  const reader = new RecordingReader(path, config);
  try {
    for await (const line of linesOf(path)) reader.take(line);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new OperatorError([`${path}: can't be read (got ${code ?? message})`]);
  }
  return reader.recording();
}

interface Kept {
  readonly at: number;
  readonly request: Omit<SimulatedRequest, 'atMs'>;
}

class RecordingReader {
  readonly #path: string;
  readonly #config: Config;
  readonly #clients: ReadonlySet<string>;
  readonly #kept: Kept[] = [];
  readonly #targets = new RecordedTargets();
  readonly #faults: string[] = [];
  #line = 0;
  #broken = 0;
  #otherOperations = 0;
  #unknownClients = 0;
  #beyond = 0;

  constructor(path: string, config: Config) {
    this.#path = path;
    this.#config = config;
    this.#clients = new Set(config.clients.map(({ name }) => name));
  }

  take(text: string): void {
    this.#line++;
    if (text.trim() === '') return;
    const read = readLine(text);
    if (typeof read !== 'string') return this.#keep(read);
    this.#broken++;
    if (this.#faults.length < FAULTS_TOLD_MAX) this.#faults.push(`line ${this.#line}: ${read}`);
  }

  recording(): Recording {
    const notes = this.#notes();
    if (this.#kept.length === 0) throw new OperatorError([`${this.#path}: holds no request that can be replayed`, ...notes]);
    const firstAt = this.#kept.reduce((first, { at }) => Math.min(first, at), Infinity);
    const requests = this.#kept.map(({ at, request }) => ({ ...request, atMs: at - firstAt }));
    return { requests, targets: this.#targets.behaviours, notes };
  }

  #keep(line: RecordLine): void {
    if (!REPLAYED.has(line.operation)) return void this.#otherOperations++;
    if (this.#clients.size > 0 && !this.#clients.has(line.client)) return void this.#unknownClients++;
    if (this.#kept.length === REQUESTS_MAX) return void this.#beyond++;
    this.#kept.push({ at: line.at, request: toRequest(line, this.#kept.length, this.#config) });
    this.#targets.take(line);
  }

  #notes(): string[] {
    const notes: string[] = [];
    const leftOut = (count: number, what: string): void => {
      if (count > 0) notes.push(`${count} ${what} are left out`);
    };
    leftOut(this.#broken, 'lines that are no request record');
    notes.push(...this.#faults.map((fault) => `  ${fault}`));
    leftOut(this.#otherOperations, 'requests that are neither chats, completions nor embeddings');
    leftOut(this.#unknownClients, 'requests of clients that the config does not have');
    leftOut(this.#beyond, `requests beyond the first ${REQUESTS_MAX}`);
    return notes;
  }
}

function toRequest(line: RecordLine, index: number, config: Config): Kept['request'] {
  const usage = answerUsageOf(line);
  const length = usage?.outputTokens;
  return {
    id: `r${index + 1}`,
    model: line.model,
    client: config.clients.length === 0 ? null : line.client,
    priority: line.priority ?? null,
    deadlineMs: deadlineOf(line, config),
    ...(line.operation === 'embeddings' ? { operation: 'embeddings' } : {}),
    stream: line.stream ?? false,
    inputTokens: Math.max(1, Math.round(usage?.inputTokens ?? line.inputTokens ?? 500)),
    outputBound: line.outputBound ?? null,
    ...(length === undefined ? {} : { outputTokens: Math.max(1, length) }),
    leavesAfterMs: line.outcome === 'cancelled' ? line.durationMs : null,
  };
}

/** Of the one answer: a record's own usage counts the calls beside it too. */
function answerUsageOf({ attempts = [], target, usage }: RecordLine): RecordLine['usage'] {
  const answered =
    attempts.find(({ verdict }) => verdict === 'success') ??
    attempts.findLast((attempt) => attempt.target === target && attempt.usage != null);
  if (answered !== undefined) return answered.usage;
  return attempts.length > 0 && target === null ? null : usage;
}

/** A deadline that is the policy's own was not the caller's wish, and follows the config that is tried out. */
function deadlineOf({ deadlineMs, model }: RecordLine, config: Config): number | null {
  if (deadlineMs === null || deadlineMs === undefined) return null;
  const own = config.models[model]?.policy.deadline;
  return deadlineMs === config.policy.deadline || deadlineMs === own ? null : Math.max(1, Math.round(deadlineMs));
}
