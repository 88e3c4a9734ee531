/** Requests as callers send them: by hand, or generated from a seed. */
import type { SchedulingClass } from '../core/request.ts';
import type { Random } from '../core/random.ts';
import type { SimulatedFault } from './simulated-faults.ts';
import { draw, type Spread } from './spread.ts';

export interface SimulatedRequest {
  /** Marks the request at the provider too; unique in its simulation. */
  readonly id: string;
  /** Milliseconds from the start of the simulation. */
  readonly atMs: number;
  /** Default `chat`. */
  readonly operation?: 'chat' | 'embeddings';
  readonly model: string;
  /** A client of the config by its name; null: no key is sent. */
  readonly client: string | null;
  /** By header; null: none is sent. */
  readonly priority: SchedulingClass | null;
  readonly deadlineMs: number | null;
  readonly stream: boolean;
  /** The prompt without its images, in tokens of four bytes, as gateway and providers count them: with its marks of JSON. At least 8. */
  readonly inputTokens: number;
  /** Images of a megabyte each. Default 0. */
  readonly images?: number;
  readonly outputBound: number | null;
  /** How long the answer is, in tokens; absent: as the provider likes. */
  readonly outputTokens?: number;
  /** The caller gives up after so long; null: never. */
  readonly leavesAfterMs: number | null;
  /** How often its caller asks again where it is told to, as the official SDKs do; each time is a request of its own. Default 0. */
  readonly retries?: number;
  /** The caller needs so long for each piece of an answer. Default 0: it takes all at once. */
  readonly readMs?: number;
  /** What its conversation is known by, sent in a header; absent: none is sent. */
  readonly session?: string;
  /** What the provider does with it, whenever and wherever it is sent: a request that always fails. */
  readonly poison?: Poison;
}

/** A fault that lies in the request. */
export type Poison = Pick<SimulatedFault, 'kind' | 'status' | 'retryAfterMs'>;

/** One kind of request in a load. */
export interface LoadKind {
  /** Its part of all requests, relative to the others. Default 1. */
  readonly weight?: number;
  /** Its requests' ids begin with it: what providers tell them by (`SimulatedFault.onlyFor`). */
  readonly mark?: string;
  readonly model: string;
  readonly client?: string;
  readonly priority?: SchedulingClass;
  /** Default: none is sent. */
  readonly deadlineMs?: Spread;
  /** Share of streams. Default 0.5. */
  readonly stream?: number;
  /** Default p50 300, p95 2,000. */
  readonly inputTokens?: Spread;
  readonly images?: number;
  /** Default: no bound. */
  readonly outputBound?: Spread;
  readonly outputTokens?: Spread;
  /** Share of callers who leave early. Default 0. */
  readonly leaves?: number;
  /** When those leave. Default p50 3 s, p95 20 s. */
  readonly leavesAfterMs?: Spread;
  /** Share of callers who read slowly. Default 0. */
  readonly slowReaders?: number;
  /** What those need for each piece. Default p50 200 ms, p95 2 s. */
  readonly readMs?: Spread;
  /** None of them comes before, in milliseconds. Default 0. */
  readonly fromMs?: number;
  /** All of them in one conversation. */
  readonly session?: string;
  /** All of them fail like this. */
  readonly poison?: Poison;
  /** How often callers ask again. Default 0. */
  readonly retries?: number;
}

export interface Load {
  readonly durationMs: number;
  readonly requestsPerMinute: number;
  /** Times the even rate, one factor after the other over equal parts of the duration. Default [1]. */
  readonly shape?: readonly number[];
  readonly kinds: readonly LoadKind[];
}

const DEFAULT_INPUT: Spread = { p50: 300, p95: 2_000 };
const DEFAULT_LEAVING: Spread = { p50: 3_000, p95: 20_000 };
const SLOW_READ: Spread = { p50: 200, p95: 2_000 };

/** The requests of a load in the order of their arrival: a Poisson process whose rate follows the shape. */
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
let filler = 'The ships lay in the harbour and waited for the tide. ';

/** What stands around the text of a prompt: `[{"role":"user","content":"…"}]`. */
export const PROMPT_MARKS = 30;
/** The same around the text of an embeddings request. */
export const TEXT_MARKS = 2;

/** The body of a request as JSON text. */
export function bodyOf(request: SimulatedRequest): string {
  if (request.operation === 'embeddings') {
    const input = fill(Math.max(0, request.inputTokens * 4 - TEXT_MARKS));
    return `{"model":${JSON.stringify(request.model)},"user":${JSON.stringify(request.id)},"input":"${input}"}`;
  }
  const text = fill(Math.max(0, request.inputTokens * 4 - PROMPT_MARKS));
  const images = request.images ?? 0;
  const content = images === 0 ? `"${text}"` : `[{"type":"text","text":"${text}"}${imagePart().repeat(images)}]`;
  const bound = request.outputBound === null ? '' : `,"max_tokens":${request.outputBound}`;
  const stream = request.stream ? ',"stream":true' : '';
  return `{"model":${JSON.stringify(request.model)},"user":${JSON.stringify(request.id)},"messages":[{"role":"user","content":${content}}]${bound}${stream}}`;
}

function fill(length: number): string {
  while (filler.length < length) filler += filler;
  return filler.slice(0, length);
}

let image = '';
function imagePart(): string {
  if (image === '') image = `,{"type":"image_url","image_url":{"url":"data:image/png;base64,${'A'.repeat(IMAGE_BYTES)}"}}`;
  return image;
}
