/**
 * A provider on virtual time: real limits, varying latencies, a knee under high concurrency, and faults, all from one seed. It responds in
 * the dialect of each call (`dialects.ts`), and counts calls from the provider's side, for tests.
 */
import type { Clock, Instant } from '../core/clock.ts';
import type { Random } from '../core/random.ts';
import type { UpstreamCall, UpstreamListener, UpstreamRequest } from '../transport/transport.ts';
import { LimitAccount, type CallCount, type Held, type LimitRefusal, type ProviderLimits } from './provider-limits.ts';
import type { OutputCount, ResponseParts } from './dialects/dialect.ts';
import { parseProviderRequest, type ProviderRequest } from './provider-request.ts';
import { embeddingBody, errorSteps, limitHeaders, listSteps, completeBody, streamEvents, wordsOf } from './provider-wire.ts';
import { credentialOf, errorOf, failAtFront, isFront, keyNumberOf } from './provider-refusal.ts';
import { drawFault, type SimulatedFault } from './simulated-faults.ts';
import { playResponse, type SimulatedStep } from './simulated-upstream.ts';
import { draw, type Spread } from './spread.ts';
import type { Poison } from './workload.ts';

export interface ProviderBehaviour {
  /** Per credential, shared by its models. Default: none. */
  readonly limits?: ProviderLimits;
  /** Additional limits by model. */
  readonly modelLimits?: Readonly<Record<string, ProviderLimits>>;
  /** How token limits count output. Default: `bound` in OpenAI's dialects, `generated` in Anthropic's, `never` in Gemini's. */
  readonly countsOutput?: OutputCount;
  /** Send `x-ratelimit-*` headers. Default true. */
  readonly advertise?: boolean;
  /** Retry hint of a 429: in a `header` (default), as `text` in its message, or `none`. */
  readonly hints?: 'header' | 'text' | 'none';
  /** One-way network delay, in milliseconds. Default 10. */
  readonly networkMs?: number;
  /** Additional delay towards the provider. Default 0. */
  readonly jitterMs?: Spread;
  /** Time from arrival to the first token. Default p50 400, p95 1,200. */
  readonly firstTokenMs?: Spread;
  /** Additional time per thousand tokens of input. Default 0. */
  readonly msPerThousandInput?: number;
  /** Prompts are processed one at a time, each for this long, before the first token. Default: no processing time. */
  readonly prefillMs?: number;
  /** Pace of one response. Default p50 60, p95 90. */
  readonly tokensPerSecond?: Spread;
  /** Length of a response without an output limit, in tokens. Default p50 150, p95 600. */
  readonly outputTokens?: Spread;
  /** Overrides for non-streaming calls. Default: none. */
  readonly plain?: Pick<ProviderBehaviour, 'firstTokenMs' | 'tokensPerSecond'>;
  /** Above this concurrency all calls slow down in proportion, and above `refuseAbove` new ones get a 503. Default: none. */
  readonly knee?: { readonly concurrency: number; readonly refuseAbove?: number };
  readonly faults?: readonly SimulatedFault[];
  /** Keys rejected with 401, by position in the config, from 1. Default: none. */
  readonly deadKeys?: readonly number[];
  /** Overrides for single models. */
  readonly models?: Readonly<Record<string, ModelBehaviour>>;
  /**
   * For prompts above this size, the share of tokens read from the cache: reported in `usage`, and exempt from limits
   * unless `counts`. Default: none.
   */
  readonly cached?: { readonly aboveTokens: number; readonly share: number; readonly counts?: boolean };
  /** Maximum content events in one stream. Default 5. */
  readonly eventsMax?: number;
}

/** Latencies and faults of one model. A model's faults replace those of the provider. */
export type ModelBehaviour = Pick<ProviderBehaviour, 'firstTokenMs' | 'tokensPerSecond' | 'plain' | 'outputTokens' | 'faults'> & {
  /** Latencies that apply from one instant until another, in clock time, instead of the others. The last that applies counts. */
  readonly phases?: readonly LatencyPhase[];
};

export interface LatencyPhase extends Pick<ProviderBehaviour, 'firstTokenMs' | 'tokensPerSecond' | 'plain'> {
  readonly fromMs?: number;
  readonly untilMs?: number;
}

/** One call as seen by the provider. */
export interface ProviderCall {
  /** Sequence number at this provider, from 1. */
  readonly number: number;
  readonly at: Instant;
  readonly request: ProviderRequest;
  /** The exceeded limit, the fault that applied, `overloaded`, or null if the call gets a response. */
  readonly fate: string | null;
}

export interface ProviderCount {
  /** Calls that arrived. */
  calls: number;
  /** Admitted calls: neither over a limit nor failed before work began. */
  started: number;
  /** Calls over a limit, by the provider's own count. */
  violations: number;
  violationsBy: Record<string, number>;
  overloaded: number;
  faults: number;
  /** Complete responses sent. */
  completed: number;
  /** Calls aborted by the caller. */
  aborted: number;
  running: number;
  maxRunning: number;
  /** Input tokens of started responses, as finally counted towards the limits. */
  inputTokens: number;
  outputTokens: number;
}

export interface ProviderParts {
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Called for every call once its fate is decided. */
  readonly onCall?: (call: ProviderCall) => void;
  /** Length of the response to a request, in tokens, by its id; undefined: random. */
  readonly lengthOf?: (id: string) => number | undefined;
  /** The fault of a poisoned request, by its id; undefined: none. */
  readonly poisonOf?: (id: string) => Poison | undefined;
}

const DEFAULT_FIRST_TOKEN: Spread = { p50: 400, p95: 1_200 };
const DEFAULT_PACE: Spread = { p50: 60, p95: 90 };
const DEFAULT_OUTPUT: Spread = { p50: 150, p95: 600 };

/** An admitted call. */
interface Work {
  readonly parsed: ProviderRequest;
  readonly number: number;
  /** Length of the response without an output limit, in tokens. */
  readonly fullLength: number;
  /** Counted at admission: the output limit if there is one, else the actual length. Cached input does not count. */
  readonly taken: CallCount;
  readonly cachedTokens: number;
}

interface Running {
  readonly accounts: readonly LimitAccount[];
  readonly held: readonly Held[];
  readonly taken: CallCount;
  readonly outputTokens: number;
  /** The part of the output that limits count. */
  readonly countedOutput: number;
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
  /** Instant at which all prompts received so far are processed. */
  #prefilledAt: Instant = -Infinity;

  constructor(behaviour: ProviderBehaviour, parts: ProviderParts) {
    this.name = parts.name;
    this.behaviour = behaviour;
    this.#parts = parts;
  }

  send(request: UpstreamRequest, listener: UpstreamListener): UpstreamCall {
    const { clock, random } = this.#parts;
    const { networkMs = 10, jitterMs = 0 } = this.behaviour;
    if (request.method !== 'POST') return playResponse(clock, { connectMs: networkMs, steps: listSteps(networkMs) }, listener, () => {});
    const parsed = parseProviderRequest(request);
    const faults = this.#behaviourOf(parsed.model).faults ?? [];
    const visit = new Visit();
    const fault = drawFault(faults, clock.now(), random, parsed.id) ?? this.#parts.poisonOf?.(parsed.id) ?? null;
    const connectMs = networkMs + draw(jitterMs, random);
    const response = { connectMs, steps: this.#serve(request, parsed, fault, visit) };
    if (fault?.kind === 'refused') {
      this.count.faults++;
      this.#parts.onCall?.({ number: ++this.count.calls, at: clock.now(), request: parsed, fate: 'refused' });
      return playResponse(clock, { ...response, refuse: 'ECONNREFUSED' }, listener, () => {});
    }
    return playResponse(clock, response, listener, () => this.#hungUp(visit));
  }

  /** Runs from the call's arrival, as time is advanced. */
  *#serve(request: UpstreamRequest, parsed: ProviderRequest, fault: SimulatedFault | null, visit: Visit): Generator<SimulatedStep> {
    const { clock } = this.#parts;
    const { networkMs = 10 } = this.behaviour;
    const accounts = this.#accountsOf(request, parsed.model);
    const number = ++this.count.calls;
    const report = (fate: string | null): void => this.#parts.onCall?.({ number, at: clock.now(), request: parsed, fate });
    if (this.behaviour.deadKeys?.includes(keyNumberOf(request)) === true) {
      this.count.faults++;
      report('dead_key');
      return yield* errorSteps(networkMs, errorOf(parsed, 401, 'Incorrect API key provided.'), this.behaviour);
    }
    const fullLength = parsed.isEmbedding ? 0 : this.#lengthOf(parsed);
    const cachedTokens = this.#cachedOf(parsed);
    const uncountedTokens = this.behaviour.cached?.counts === true ? 0 : cachedTokens;
    const taken = {
      inputTokens: parsed.inputTokens - uncountedTokens,
      outputTokens: this.#outputCount(parsed) === 'bound' ? (parsed.outputBound ?? fullLength) : 0,
    };
    const work: Work = { parsed, number, fullLength, taken, cachedTokens };
    const refusal = this.#refusalOf(accounts, work.taken);
    if (refusal !== null) {
      this.count.violations++;
      this.count.violationsBy[refusal.by] = (this.count.violationsBy[refusal.by] ?? 0) + 1;
      report(refusal.by);
      const error = errorOf(parsed, 429, this.#limitMessage(refusal), refusal.waitMs, this.#headers(accounts));
      return yield* errorSteps(networkMs, error, this.behaviour);
    }
    const { knee } = this.behaviour;
    if (knee?.refuseAbove !== undefined && this.count.running >= knee.refuseAbove) {
      this.count.overloaded++;
      report('overloaded');
      return yield* errorSteps(networkMs, errorOf(parsed, 503, 'The server is overloaded.'), this.behaviour);
    }
    report(fault?.kind ?? null);
    if (fault !== null && isFront(fault)) {
      this.count.faults++;
      // The call is admitted and counts as a request, but none of its tokens were processed.
      for (const account of accounts) account.release(clock.now(), account.take(clock.now(), NOTHING), null);
      return yield* failAtFront(fault, parsed, networkMs);
    }
    yield* this.#response(work, accounts, fault, visit);
  }

  #outputCount({ countsOutput }: ProviderRequest): OutputCount {
    return this.behaviour.countsOutput ?? countsOutput;
  }

  #lengthOf({ id, model }: ProviderRequest): number {
    const { lengthOf, random } = this.#parts;
    return Math.max(1, Math.round(lengthOf?.(id) ?? draw(this.#behaviourOf(model).outputTokens ?? DEFAULT_OUTPUT, random)));
  }

  *#response(work: Work, accounts: readonly LimitAccount[], fault: SimulatedFault | null, visit: Visit): Generator<SimulatedStep> {
    const { parsed, number } = work;
    const { clock, random, name } = this.#parts;
    const { networkMs = 10, knee, msPerThousandInput = 0, eventsMax = 5 } = this.behaviour;
    const outputTokens = fault?.kind === 'empty' ? 0 : Math.min(parsed.outputBound ?? Infinity, work.fullLength);
    const headers = this.#begin(work, outputTokens, accounts, visit);
    const slowdown = knee === undefined ? 1 : Math.max(1, this.count.running / knee.concurrency);
    const behaviour = this.#behaviourOf(parsed.model);
    const { firstTokenMs, tokensPerSecond } = parsed.stream ? behaviour : { ...behaviour, ...behaviour.plain };
    const own = draw(firstTokenMs ?? DEFAULT_FIRST_TOKEN, random);
    const firstMs = this.#prefill() + (own + (msPerThousandInput * parsed.inputTokens) / 1000) * slowdown;
    const paceMs = (1000 / Math.max(0.1, draw(tokensPerSecond ?? DEFAULT_PACE, random))) * slowdown;
    const workMs = firstMs + paceMs * outputTokens;
    const isBroken = fault !== null && fault.kind !== 'empty';
    if (fault !== null) this.count.faults++;
    const parts: ResponseParts = {
      dialect: parsed.dialect,
      words: outputTokens === 0 ? [] : wordsOf(name, number, Math.min(eventsMax, outputTokens)),
      model: parsed.model,
      usage: { prompt: parsed.inputTokens, cached: work.cachedTokens, completion: outputTokens },
      finish: parsed.outputBound !== null && outputTokens >= parsed.outputBound ? 'length' : 'stop',
      includeUsage: parsed.includeUsage,
      headers,
    };
    if (!isBroken) visit.timer = clock.schedule(workMs, () => this.#complete(visit));
    yield { do: 'wait', ms: networkMs };
    if (fault?.kind === 'silence') return yield { do: 'wait', ms: Infinity };
    if (parsed.isEmbedding) yield* embeddingBody(parts, workMs, fault);
    else if (parsed.stream) yield* streamEvents(parts, firstMs, paceMs, isBroken ? fault : null);
    else yield* completeBody(parts, workMs, isBroken ? fault : null);
  }

  /** Processing time of a prompt that arrives now, including those queued before it. */
  #prefill(): number {
    const { prefillMs = 0 } = this.behaviour;
    const now = this.#parts.clock.now();
    this.#prefilledAt = Math.max(now, this.#prefilledAt) + prefillMs;
    return this.#prefilledAt - now;
  }

  /** Reserves from the limits; returns the rate-limit headers. */
  #begin({ parsed, taken }: Work, outputTokens: number, accounts: readonly LimitAccount[], visit: Visit): Record<string, string> {
    const now = this.#parts.clock.now();
    const held = accounts.map((account) => account.take(now, taken));
    visit.running = { accounts, held, taken, outputTokens, countedOutput: this.#outputCount(parsed) === 'never' ? 0 : outputTokens };
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

  /** Called when the caller ends the exchange: work here stops after the network delay. */
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
    const { accounts, held, taken, outputTokens, countedOutput } = visit.running!;
    const now = this.#parts.clock.now();
    visit.running = null;
    this.count.running--;
    this.count.outputTokens += outputTokens;
    accounts.forEach((account, i) => account.release(now, held[i]!, { inputTokens: taken.inputTokens, outputTokens: countedOutput }));
  }

  #refusalOf(accounts: readonly LimitAccount[], count: CallCount): LimitRefusal | null {
    const now = this.#parts.clock.now();
    for (const account of accounts) {
      const refusal = account.refusal(now, count);
      if (refusal !== null) return refusal;
    }
    return null;
  }

  #cachedOf({ inputTokens }: ProviderRequest): number {
    const { cached } = this.behaviour;
    return cached === undefined || inputTokens <= cached.aboveTokens ? 0 : Math.floor(inputTokens * cached.share);
  }

  #behaviourOf(model: string): ModelBehaviour {
    const { models } = this.behaviour;
    const own = models === undefined || !Object.hasOwn(models, model) ? undefined : models[model];
    if (own === undefined) return this.behaviour;
    const now = this.#parts.clock.now();
    const phase = own.phases?.findLast(({ fromMs = -Infinity, untilMs = Infinity }) => now >= fromMs && now < untilMs);
    return { ...this.behaviour, ...own, ...phase };
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

/** What one call reserves at the provider. */
class Visit {
  running: Running | null = null;
  timer: { cancel(): void } | null = null;
}

const NOTHING: CallCount = { inputTokens: 0, outputTokens: 0 };
