/** Requests of callers, written by hand or generated from a seed. */
import type { SchedulingClass } from '../core/request.ts';
import type { Random } from '../core/random.ts';
import type { SimulatedDialectName } from './dialects/names.ts';
import { fill, promptText } from './prompt-text.ts';
import type { SimulatedFault } from './simulated-faults.ts';
import { draw, type Spread } from './spread.ts';

export interface SimulatedRequest {
  /** Identifies the request at the provider too; unique within a simulation. */
  readonly id: string;
  /** Milliseconds from the start of the simulation. */
  readonly atMs: number;
  /** Default `chat`. */
  readonly operation?: 'chat' | 'embeddings';
  /** The caller's dialect, for `chat`. Default `openai-chat`. */
  readonly dialect?: SimulatedDialectName;
  readonly model: string;
  /** Name of a client in the config; null sends no key. */
  readonly client: string | null;
  /** Priority header; null sends none. */
  readonly priority: SchedulingClass | null;
  readonly deadlineMs: number | null;
  readonly stream: boolean;
  /** Prompt tokens without images, counted by gateway and providers as four bytes each, JSON syntax included. At least 8. */
  readonly inputTokens: number;
  /** Images of one megabyte each. Default 0. */
  readonly images?: number;
  readonly outputBound: number | null;
  /** Length of the response in tokens; absent: the provider's default. */
  readonly outputTokens?: number;
  /** Time after which the caller disconnects; null: never. */
  readonly leavesAfterMs: number | null;
  /** Retries of the caller where the response allows it, as the official SDKs do; each is a separate request. Default 0. */
  readonly retries?: number;
  /** Time that the caller takes per chunk of the response. Default 0: it reads everything at once. */
  readonly readMs?: number;
  /** Conversation id, sent in a header; absent: none. */
  readonly session?: string;
  /** How every provider fails this request, to simulate a request that always fails. */
  readonly poison?: Poison;
}

/** A fault that depends on the request. */
export type Poison = Pick<SimulatedFault, 'kind' | 'status' | 'retryAfterMs'>;

/** One kind of request in a load. */
export interface LoadKind {
  /** Relative share of all requests. Default 1. */
  readonly weight?: number;
  /** Prefix of the request ids, by which providers recognise the kind (`SimulatedFault.onlyFor`). */
  readonly mark?: string;
  readonly model: string;
  /** The callers' dialect. Default `openai-chat`. */
  readonly dialect?: SimulatedDialectName;
  readonly client?: string;
  readonly priority?: SchedulingClass;
  /** Default: none sent. */
  readonly deadlineMs?: Spread;
  /** Share of streams. Default 0.5. */
  readonly stream?: number;
  /** Default p50 300, p95 2,000. */
  readonly inputTokens?: Spread;
  readonly images?: number;
  /** Default: no output limit. */
  readonly outputBound?: Spread;
  readonly outputTokens?: Spread;
  /** Share of callers that disconnect early. Default 0. */
  readonly leaves?: number;
  /** Time after which those disconnect. Default p50 3 s, p95 20 s. */
  readonly leavesAfterMs?: Spread;
  /** Share of callers that read slowly. Default 0. */
  readonly slowReaders?: number;
  /** Time that those take per chunk. Default p50 200 ms, p95 2 s. */
  readonly readMs?: Spread;
  /** Start of this kind, in milliseconds. Default 0. */
  readonly fromMs?: number;
  /** Puts all of them into one conversation. */
  readonly session?: string;
  /** Makes all of them fail like this. */
  readonly poison?: Poison;
  /** Retries of callers. Default 0. */
  readonly retries?: number;
}

export interface Load {
  readonly durationMs: number;
  readonly requestsPerMinute: number;
  /** Factors on the rate, each for an equal part of the duration. Default [1]. */
  readonly shape?: readonly number[];
  readonly kinds: readonly LoadKind[];
}

const DEFAULT_INPUT: Spread = { p50: 300, p95: 2_000 };
const DEFAULT_LEAVING: Spread = { p50: 3_000, p95: 20_000 };
const SLOW_READ: Spread = { p50: 200, p95: 2_000 };

/** The requests of a load in order of arrival: a Poisson process whose rate follows the shape. */
export function generateLoad(load: Load, random: Random): SimulatedRequest[] {
  const requests: SimulatedRequest[] = [];
  const shape = load.shape ?? [1];
  const partMs = load.durationMs / shape.length;
  for (const [part, factor] of shape.entries()) {
    const meanGapMs = 60_000 / (load.requestsPerMinute * factor);
    if (!(meanGapMs < Infinity)) continue;
    const endMs = (part + 1) * partMs;
    for (let atMs = part * partMs + gap(meanGapMs, random); atMs < endMs; atMs += gap(meanGapMs, random)) {
      const kind = pick(load.kinds, random);
      const request = makeRequest(`${kind.mark ?? ''}r${requests.length + 1}`, atMs, kind, random);
      if (atMs >= (kind.fromMs ?? 0)) requests.push(request);
    }
  }
  return requests;
}

function gap(meanMs: number, random: Random): number {
  return -Math.log(1 - random.next()) * meanMs;
}

function pick(kinds: readonly LoadKind[], random: Random): LoadKind {
  const sum = kinds.reduce((all, kind) => all + (kind.weight ?? 1), 0);
  let at = random.next() * sum;
  for (const kind of kinds) {
    at -= kind.weight ?? 1;
    if (at < 0) return kind;
  }
  return kinds.at(-1)!;
}

function makeRequest(id: string, atMs: number, kind: LoadKind, random: Random): SimulatedRequest {
  const isHit = (share = 0): boolean => random.next() < share;
  const whole = (spread: Spread): number => Math.max(1, Math.round(draw(spread, random)));
  return {
    id,
    atMs,
    model: kind.model,
    ...(kind.dialect === undefined ? {} : { dialect: kind.dialect }),
    client: kind.client ?? null,
    priority: kind.priority ?? null,
    deadlineMs: kind.deadlineMs === undefined ? null : whole(kind.deadlineMs),
    stream: isHit(kind.stream ?? 0.5),
    inputTokens: whole(kind.inputTokens ?? DEFAULT_INPUT),
    images: kind.images ?? 0,
    outputBound: kind.outputBound === undefined ? null : whole(kind.outputBound),
    ...(kind.outputTokens === undefined ? {} : { outputTokens: whole(kind.outputTokens) }),
    leavesAfterMs: isHit(kind.leaves) ? draw(kind.leavesAfterMs ?? DEFAULT_LEAVING, random) : null,
    retries: kind.retries ?? 0,
    readMs: isHit(kind.slowReaders) ? draw(kind.readMs ?? SLOW_READ, random) : 0,
    ...(kind.session === undefined ? {} : { session: kind.session }),
    ...(kind.poison === undefined ? {} : { poison: kind.poison }),
  };
}

const IMAGE_BYTES = 1_000_000;

/** Bytes of JSON around the text of a prompt: `[{"role":"user","content":"…"}]`. */
export const PROMPT_MARKS = 30;
/** Bytes of JSON around the text of an embeddings request. */
export const TEXT_MARKS = 2;

/** The body of a chat or embeddings request as JSON text; `mark` ends the prompt of a chat. */
export function bodyOf(request: SimulatedRequest, mark = ''): string {
  if (request.operation === 'embeddings') {
    const input = fill(Math.max(0, request.inputTokens * 4 - TEXT_MARKS));
    return `{"model":${JSON.stringify(request.model)},"user":${JSON.stringify(request.id)},"input":"${input}"}`;
  }
  const text = promptText(request.inputTokens, PROMPT_MARKS, mark);
  const images = request.images ?? 0;
  const content = images === 0 ? `"${text}"` : `[{"type":"text","text":"${text}"}${imagePart().repeat(images)}]`;
  const bound = request.outputBound === null ? '' : `,"max_tokens":${request.outputBound}`;
  const stream = request.stream ? ',"stream":true' : '';
  return `{"model":${JSON.stringify(request.model)},"user":${JSON.stringify(request.id)},"messages":[{"role":"user","content":${content}}]${bound}${stream}}`;
}

let image = '';
function imagePart(): string {
  if (image === '') image = `,{"type":"image_url","image_url":{"url":"data:image/png;base64,${'A'.repeat(IMAGE_BYTES)}"}}`;
  return image;
}
