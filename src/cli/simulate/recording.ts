/** Reads a request log (docs/requests-file.md) as a load, and derives the behaviour of its targets. */
import type { Operation } from '../../core/request.ts';
import type { Config } from '../../gateway/config/index.ts';
import type { SimulatedDialectName } from '../../testing/dialects/names.ts';
import type { ModelBehaviour } from '../../testing/simulated-provider.ts';
import type { SimulatedRequest } from '../../testing/workload.ts';
import { OperatorError } from '../fail.ts';
import { linesOf, readLine, type RecordLine } from './record-line.ts';
import { RecordedTargets } from './recorded-targets.ts';

export interface Recording {
  readonly requests: readonly SimulatedRequest[];
  /** By target, `provider/model`. */
  readonly targets: ReadonlyMap<string, ModelBehaviour>;
  /** Lines that were skipped or changed, with the reason. */
  readonly notes: readonly string[];
  /** Epoch of the first request, in milliseconds; null for a generated load. */
  readonly firstAt: number | null;
}

/** Upper bound for one run: an hour at about 50 requests per second. */
const REQUESTS_MAX = 200_000;
const FAULTS_SHOWN_MAX = 5;
/** The dialect of a caller by its protocol. The log does not distinguish OpenAI's two: chat is assumed. */
const DIALECTS: Readonly<Record<string, SimulatedDialectName>> = {
  openai: 'openai-chat',
  anthropic: 'anthropic-messages',
  gemini: 'gemini',
};
const REPLAYED: ReadonlySet<string> = new Set<Operation>(['chat', 'completions', 'embeddings']);

/**
 * Reads the log line by line and keeps a few numbers per request and a bounded number of samples per target. Throws an
 * OperatorError if the file cannot be read or contains no replayable request.
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

interface ReplayRequest {
  readonly at: number;
  readonly request: Omit<SimulatedRequest, 'atMs'>;
}

class RecordingReader {
  readonly #path: string;
  readonly #config: Config;
  readonly #clients: ReadonlySet<string>;
  readonly #kept: ReplayRequest[] = [];
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
    if (this.#faults.length < FAULTS_SHOWN_MAX) this.#faults.push(`line ${this.#line}: ${read}`);
  }

  recording(): Recording {
    const notes = this.#notes();
    if (this.#kept.length === 0) throw new OperatorError([`${this.#path}: contains no request that can be replayed`, ...notes]);
    const firstAt = this.#kept.reduce((first, { at }) => Math.min(first, at), Infinity);
    const requests = this.#kept.map(({ at, request }) => ({ ...request, atMs: at - firstAt }));
    return { requests, targets: this.#targets.behaviours, notes, firstAt };
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
    const skipped = (count: number, what: string): void => {
      if (count > 0) notes.push(`${count} ${what} are skipped`);
    };
    skipped(this.#broken, 'lines that are not request records');
    notes.push(...this.#faults.map((fault) => `  ${fault}`));
    skipped(this.#otherOperations, 'requests other than chat, completions and embeddings');
    skipped(this.#unknownClients, 'requests of clients missing from the config');
    skipped(this.#beyond, `requests beyond the first ${REQUESTS_MAX}`);
    return notes;
  }
}

function toRequest(line: RecordLine, index: number, config: Config): ReplayRequest['request'] {
  const usage = finalUsageOf(line);
  const length = usage?.outputTokens;
  return {
    id: `r${index + 1}`,
    model: line.model,
    dialect: DIALECTS[line.protocol ?? 'openai'] ?? 'openai-chat',
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

/** Usage of the final response; the record's own usage also includes other attempts. */
function finalUsageOf({ attempts = [], target, usage }: RecordLine): RecordLine['usage'] {
  const final =
    attempts.find(({ verdict }) => verdict === 'success') ??
    attempts.findLast((attempt) => attempt.target === target && attempt.usage != null);
  if (final !== undefined) return final.usage;
  return attempts.length > 0 && target === null ? null : usage;
}

/** A deadline equal to the policy's default was not set by the caller, so the tested config's default applies. */
function deadlineOf({ deadlineMs, model }: RecordLine, config: Config): number | null {
  if (deadlineMs === null || deadlineMs === undefined) return null;
  const own = config.models[model]?.policy.deadline;
  return deadlineMs === config.policy.deadline || deadlineMs === own ? null : Math.max(1, Math.round(deadlineMs));
}
