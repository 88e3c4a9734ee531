/**
 * A provider of the OpenAI protocol (chat and embeddings) that exists on a clock only: real limits, latencies that vary, a knee under too many
 * calls at once, and faults, all from one seed. It counts what it saw, so that a test can assert on its side of the story.
 */
import type { Clock, Instant } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { UpstreamCall, UpstreamListener, UpstreamRequest } from '../transport/transport.ts';
import { LimitAccount, type CallCount, type Held, type LimitRefusal, type ProviderLimits } from './provider-limits.ts';
import { readAsk, type ProviderAsk } from './provider-ask.ts';
import { embeddingBody, errorSteps, limitHeaders, listSteps, plainBody, streamEvents, wordsOf, type AnswerParts } from './provider-wire.ts';
import { strike, type SimulatedFault } from './simulated-faults.ts';
import { playAnswer, type SimulatedStep } from './simulated-upstream.ts';
import { draw, type Spread } from './spread.ts';
import type { Poison } from './workload.ts';

export interface ProviderBehaviour {
  /** Per credential, shared by its models. Default none. */
  readonly limits?: ProviderLimits;
  /** On top, by model. */
  readonly modelLimits?: Readonly<Record<string, ProviderLimits>>;
  /** `x-ratelimit-*` headers on every answer. Default true. */
  readonly advertise?: boolean;
  /** What a 429 says about waiting: `header` (default), `text` in its message, or `none`. */
  readonly hints?: 'header' | 'text' | 'none';
  /** One way, for whatever is sent in either direction, in milliseconds. Default 10. */
  readonly networkMs?: number;
  /** What comes on top on the way there. Default 0. */
  readonly jitterMs?: Spread;
  /** From arrival to the first token. Default p50 400, p95 1,200. */
  readonly firstTokenMs?: Spread;
  /** On top, for every thousand tokens of input. Default 0. */
  readonly msPerThousandInput?: number;
  /** Prompts are processed one after the other, each for so long, before the first token. Default: all at once, in no time. */
  readonly prefillMs?: number;
  /** Pace of one answer. Default p50 60, p95 90. */
  readonly tokensPerSecond?: Spread;
  /** Length of an answer that nobody bounds, in tokens. Default p50 150, p95 600. */
  readonly outputTokens?: Spread;
  /** What is different for non-streaming calls. Default nothing. */
  readonly plain?: Pick<ProviderBehaviour, 'firstTokenMs' | 'tokensPerSecond'>;
  /** Above so many calls at once all get slower in proportion, and above `refuseAbove` new ones get a 503. Default none. */
  readonly knee?: { readonly concurrency: number; readonly refuseAbove?: number };
  readonly faults?: readonly SimulatedFault[];
  /** Keys that it refuses with 401, by their place in the config, from 1. Default none. */
  readonly deadKeys?: readonly number[];
  /** What is different for one of its models. */
  readonly models?: Readonly<Record<string, ModelBehaviour>>;
  /** Prompts above so many tokens are found in the cache for this share: told in the usage, and not counted by limits unless `counts`. Default none. */
  readonly cached?: { readonly aboveTokens: number; readonly share: number; readonly counts?: boolean };
  /** Events with content in one stream, at most. Default 5. */
  readonly eventsMax?: number;
}

/** Latencies and faults of one model; a model's faults are drawn instead of the provider's, not beside them. */
export type ModelBehaviour = Pick<ProviderBehaviour, 'firstTokenMs' | 'tokensPerSecond' | 'plain' | 'outputTokens' | 'faults'>;

/** One call as the provider sees it. */
export interface ProviderCall {
  /** Counted from 1 at this provider. */
  readonly number: number;
  readonly at: Instant;
  readonly ask: ProviderAsk;
  /** Limit that it broke, fault that struck it, `overloaded`, or null: it is answered. */
  readonly fate: string | null;
}

export interface ProviderCount {
  /** Calls that arrived. */
  calls: number;
  /** Calls that were let in: neither over a limit nor struck by a fault before the work began. */
  started: number;
  /** Calls over a limit: the provider's own count of violations. */
  violations: number;
  violationsBy: Record<string, number>;
  overloaded: number;
  faults: number;
  /** Whole answers sent. */
  completed: number;
  /** Given up by the caller. */
  aborted: number;
  running: number;
  maxRunning: number;
  /** Of answers that were begun: counted as the limits count them in the end. */
  inputTokens: number;
  outputTokens: number;
}

export interface ProviderParts {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Hears of every call once its fate is known. */
  readonly onCall?: (call: ProviderCall) => void;
  /** The length of the answer to a request, in tokens, by its id; undefined: by chance. */
  readonly lengthOf?: (id: string) => number | undefined;
  /** The fault that lies in a request itself, by its id; undefined: none. */
  readonly poisonOf?: (id: string) => Poison | undefined;
}

const DEFAULT_FIRST_TOKEN: Spread = { p50: 400, p95: 1_200 };
const DEFAULT_PACE: Spread = { p50: 60, p95: 90 };
const DEFAULT_OUTPUT: Spread = { p50: 150, p95: 600 };

/** One call that was let in. */
interface Work {
  readonly ask: ProviderAsk;
  readonly number: number;
  /** How long the answer is if nobody bounds it, in tokens. */
  readonly natural: number;
  /** Counted at admission: the bound where there is one, else what will come. Cached input does not count. */
  readonly taken: CallCount;
  readonly cachedTokens: number;
}

interface Running {
  readonly accounts: readonly LimitAccount[];
  readonly held: readonly Held[];
  readonly taken: CallCount;
  outputTokens: number;
}

export class SimulatedProvider {
  readonly name: string;
  readonly count: ProviderCount = {
    calls: 0,
    started: 0,
    violations: 0,
    violationsBy: {},
    overloaded: 0,
    faults: 0,
    completed: 0,
    aborted: 0,
    running: 0,
    maxRunning: 0,
    inputTokens: 0,
    outputTokens: 0,
  };
  behaviour: ProviderBehaviour;
  readonly #parts: ProviderParts;
  readonly #accounts = new Map<string, LimitAccount>();
  /** When the prompts that have arrived are processed. */
  #prefilledAt: Instant = -Infinity;

  constructor(behaviour: ProviderBehaviour, parts: ProviderParts) {
    this.name = parts.name;
    this.behaviour = behaviour;
    this.#parts = parts;
  }

  send(request: UpstreamRequest, listener: UpstreamListener): UpstreamCall {
    const { clock, random } = this.#parts;
    const { networkMs = 10, jitterMs = 0 } = this.behaviour;
    if (request.method !== 'POST') return playAnswer(clock, { connectMs: networkMs, steps: listSteps(networkMs) }, listener, () => {});
    const ask = readAsk(request);
    const faults = this.#behaviourOf(ask.model).faults ?? [];
    const visit = new Visit();
    const fault = strike(faults, clock.now(), random, ask.id) ?? this.#parts.poisonOf?.(ask.id) ?? null;
    const connectMs = networkMs + draw(jitterMs, random);
    const answer = { connectMs, steps: this.#serve(request, ask, fault, visit) };
    if (fault?.kind === 'refused') {
      this.count.faults++;
      this.#parts.onCall?.({ number: ++this.count.calls, at: clock.now(), ask, fate: 'refused' });
      return playAnswer(clock, { ...answer, refuse: 'ECONNREFUSED' }, listener, () => {});
    }
    return playAnswer(clock, answer, listener, () => this.#hungUp(visit));
  }

  /** Runs from the call's arrival on, as far as time has come. */
  *#serve(request: UpstreamRequest, ask: ProviderAsk, fault: SimulatedFault | null, visit: Visit): Generator<SimulatedStep> {
    const { clock } = this.#parts;
    const { networkMs = 10 } = this.behaviour;
    const accounts = this.#accountsOf(request, ask.model);
    const number = ++this.count.calls;
    const tell = (fate: string | null): void => this.#parts.onCall?.({ number, at: clock.now(), ask, fate });
    if (this.behaviour.deadKeys?.includes(keyNumberOf(request)) === true) {
      this.count.faults++;
      tell('dead_key');
      return yield* errorSteps(networkMs, 401, 'Incorrect API key provided.', null, this.behaviour, {});
    }
    const natural = ask.isEmbedding ? 0 : this.#lengthOf(ask);
    const cachedTokens = this.#cachedOf(ask);
    const uncountedTokens = this.behaviour.cached?.counts === true ? 0 : cachedTokens;
    const taken = { inputTokens: ask.inputTokens - uncountedTokens, outputTokens: ask.outputBound ?? natural };
    const work: Work = { ask, number, natural, taken, cachedTokens };
    const refusal = this.#refusalOf(accounts, work.taken);
    if (refusal !== null) {
      this.count.violations++;
      this.count.violationsBy[refusal.by] = (this.count.violationsBy[refusal.by] ?? 0) + 1;
      tell(refusal.by);
      return yield* errorSteps(networkMs, 429, this.#limitMessage(refusal), refusal.waitMs, this.behaviour, this.#headers(accounts));
    }
    const { knee } = this.behaviour;
    if (knee?.refuseAbove !== undefined && this.count.running >= knee.refuseAbove) {
      this.count.overloaded++;
      tell('overloaded');
      return yield* errorSteps(networkMs, 503, 'The server is overloaded.', null, this.behaviour, {});
    }
    tell(fault?.kind ?? null);
    if (fault !== null && isFront(fault)) {
      this.count.faults++;
      // It was let in, and counts as a request; no token of it was worked on.
      for (const account of accounts) account.release(clock.now(), account.take(clock.now(), NOTHING), null);
      return yield* this.#failAtFront(fault, networkMs);
    }
    yield* this.#answer(work, accounts, fault, visit);
  }

  #lengthOf({ id, model }: ProviderAsk): number {
    const { lengthOf, random } = this.#parts;
    return Math.max(1, Math.round(lengthOf?.(id) ?? draw(this.#behaviourOf(model).outputTokens ?? DEFAULT_OUTPUT, random)));
  }

  *#failAtFront(fault: SimulatedFault, networkMs: number): Generator<SimulatedStep> {
    if (fault.kind === 'reset') {
      yield { do: 'wait', ms: networkMs };
      return yield { do: 'break', code: 'ECONNRESET' };
    }
    const status = fault.status ?? STATUS[fault.kind] ?? 500;
    const waitMs = fault.retryAfterMs ?? null;
    yield* errorSteps(
      networkMs,
      status,
      fault.message ?? `simulated ${fault.kind}`,
      waitMs,
      { hints: waitMs === null ? 'none' : 'header' },
      {},
    );
  }

  *#answer(work: Work, accounts: readonly LimitAccount[], fault: SimulatedFault | null, visit: Visit): Generator<SimulatedStep> {
    const { ask, number } = work;
    const { clock, random, name } = this.#parts;
    const { networkMs = 10, knee, msPerThousandInput = 0, eventsMax = 5 } = this.behaviour;
    const outputTokens = fault?.kind === 'empty' ? 0 : Math.min(ask.outputBound ?? Infinity, work.natural);
    const headers = this.#begin(work, outputTokens, accounts, visit);
    const slowdown = knee === undefined ? 1 : Math.max(1, this.count.running / knee.concurrency);
    const behaviour = this.#behaviourOf(ask.model);
    const { firstTokenMs, tokensPerSecond } = ask.stream ? behaviour : { ...behaviour, ...behaviour.plain };
    const own = draw(firstTokenMs ?? DEFAULT_FIRST_TOKEN, random);
    const firstMs = this.#prefill() + (own + (msPerThousandInput * ask.inputTokens) / 1000) * slowdown;
    const paceMs = (1000 / Math.max(0.1, draw(tokensPerSecond ?? DEFAULT_PACE, random))) * slowdown;
    const workMs = firstMs + paceMs * outputTokens;
    const isBroken = fault !== null && fault.kind !== 'empty';
    if (fault !== null) this.count.faults++;
    const parts: AnswerParts = {
      words: outputTokens === 0 ? [] : wordsOf(name, number, Math.min(eventsMax, outputTokens)),
      model: ask.model,
      usage: { prompt: ask.inputTokens, cached: work.cachedTokens, completion: outputTokens },
      finish: ask.outputBound !== null && outputTokens >= ask.outputBound ? 'length' : 'stop',
      includeUsage: ask.includeUsage,
      headers,
    };
    if (!isBroken) visit.timer = clock.schedule(workMs, () => this.#complete(visit));
    yield { do: 'wait', ms: networkMs };
    if (fault?.kind === 'silence') return yield { do: 'wait', ms: Infinity };
    if (ask.isEmbedding) yield* embeddingBody(parts, workMs, fault);
    else if (ask.stream) yield* streamEvents(parts, firstMs, paceMs, isBroken ? fault : null);
    else yield* plainBody(parts, workMs, isBroken ? fault : null);
  }

  /** How long a prompt that comes now takes, with those before it. */
  #prefill(): number {
    const { prefillMs = 0 } = this.behaviour;
    const now = this.#parts.clock.now();
    this.#prefilledAt = Math.max(now, this.#prefilledAt) + prefillMs;
    return this.#prefilledAt - now;
  }

  /** Takes from the limits; gives the headers that tell what is left. */
  #begin({ taken }: Work, outputTokens: number, accounts: readonly LimitAccount[], visit: Visit): Record<string, string> {
    const now = this.#parts.clock.now();
    visit.running = { accounts, held: accounts.map((account) => account.take(now, taken)), taken, outputTokens };
    this.count.started++;
    this.count.running++;
    this.count.maxRunning = Math.max(this.count.maxRunning, this.count.running);
    this.count.inputTokens += taken.inputTokens;
    return this.#headers(accounts);
  }

  #complete(visit: Visit): void {
    visit.timer = null;
    this.count.completed++;
    this.#release(visit);
  }

  /** The exchange is over on the caller's side: what still runs here ends when the news has come. */
  #hungUp(visit: Visit): void {
    if (visit.running === null) return;
    const { clock } = this.#parts;
    clock.schedule(this.behaviour.networkMs ?? 10, () => {
      if (visit.running === null) return;
      visit.timer?.cancel();
      this.count.aborted++;
      this.#release(visit);
    });
  }

  #release(visit: Visit): void {
    const { accounts, held, taken, outputTokens } = visit.running!;
    const now = this.#parts.clock.now();
    visit.running = null;
    this.count.running--;
    this.count.outputTokens += outputTokens;
    accounts.forEach((account, i) => account.release(now, held[i]!, { inputTokens: taken.inputTokens, outputTokens }));
  }

  #refusalOf(accounts: readonly LimitAccount[], count: CallCount): LimitRefusal | null {
    const now = this.#parts.clock.now();
    for (const account of accounts) {
      const refusal = account.refusal(now, count);
      if (refusal !== null) return refusal;
    }
    return null;
  }

  #cachedOf({ inputTokens }: ProviderAsk): number {
    const { cached } = this.behaviour;
    return cached === undefined || inputTokens <= cached.aboveTokens ? 0 : Math.floor(inputTokens * cached.share);
  }

  #behaviourOf(model: string): ModelBehaviour {
    const { models } = this.behaviour;
    const own = models === undefined || !Object.hasOwn(models, model) ? undefined : models[model];
    return own === undefined ? this.behaviour : { ...this.behaviour, ...own };
  }

  #accountsOf(request: UpstreamRequest, model: string): readonly LimitAccount[] {
    const { limits, modelLimits } = this.behaviour;
    const own = modelLimits?.[model];
    if (limits === undefined && own === undefined) return [];
    const key = credentialOf(request);
    const accounts: LimitAccount[] = [];
    if (limits !== undefined) accounts.push(this.#account(key, limits));
    if (own !== undefined) accounts.push(this.#account(`${key} ${model}`, own));
    return accounts;
  }

  #account(key: string, limits: ProviderLimits): LimitAccount {
    let account = this.#accounts.get(key);
    if (account === undefined) this.#accounts.set(key, (account = new LimitAccount(limits)));
    return account;
  }

  #headers(accounts: readonly LimitAccount[]): Record<string, string> {
    const [first] = accounts;
    if (first === undefined || this.behaviour.advertise === false) return {};
    const now = this.#parts.clock.now();
    return limitHeaders(first.level(now, 'requestsPerMinute'), first.level(now, 'tokensPerMinute'));
  }

  #limitMessage({ by, waitMs }: LimitRefusal): string {
    const wait = this.behaviour.hints === 'text' && waitMs !== null ? ` Please try again in ${Math.ceil(waitMs)}ms.` : '';
    return `Rate limit reached on ${by}.${wait}`;
  }
}

/** What one call holds at the provider. */
class Visit {
  running: Running | null = null;
  timer: { cancel(): void } | null = null;
}

const STATUS: Readonly<Partial<Record<SimulatedFault['kind'], number>>> = {
  rate_limit: 429,
  server_error: 500,
  overloaded: 503,
  refusal: 403,
};

const NOTHING: CallCount = { inputTokens: 0, outputTokens: 0 };

/** Struck before any work was done. */
function isFront(fault: SimulatedFault): boolean {
  return fault.kind === 'reset' || fault.kind in STATUS;
}

/** A simulation makes keys that end in their place, from 0. */
function keyNumberOf(request: UpstreamRequest): number {
  return Number(/\d+$/.exec(credentialOf(request))?.[0] ?? NaN) + 1;
}

function credentialOf({ headers }: UpstreamRequest): string {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i]!;
    if (name === 'authorization' || name === 'api-key' || name === 'x-api-key' || name === 'x-goog-api-key') return headers[i + 1]!;
  }
  return '';
}
