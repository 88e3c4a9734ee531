/** Usage and cost of the calls of one request: of those whose responses were delivered, and of those wasted. */
import type { PaidCall, Wasted } from '../../core/events.ts';
import type { TokenUsage } from '../../core/facts.ts';
import { costBeyond, costOf, isFree } from '../../core/price.ts';
import type { Spent } from '../request/gateway-request.ts';
import type { RouteTarget } from '../route/route.ts';

/** Sums of costs are rounded to this many digits, to hide the error of binary fractions. */
const DIGITS = 12;

/** A finished call that its provider bills. */
export interface BilledCall {
  /** The number of the attempt. */
  readonly attempt: number;
  readonly target: RouteTarget;
  /** Null: the response reported none. */
  readonly usage: TokenUsage | null;
  /** What it used beyond `usage`, by estimate; null: nothing. */
  readonly estimated: TokenUsage | null;
}

export class Spending {
  /** Of all calls with known usage; null: none. */
  usage: TokenUsage | null = null;
  /** Of all calls with known usage, in US dollars; null: none, or one of them has no price. */
  costUsd: number | null = null;
  /** Calls that reported no usage, or not all of it. */
  unmeasuredCalls = 0;
  /** The estimated cost in US dollars of what these did not report. */
  estimatedUsd = 0;
  readonly #calls: BilledCall[] = [];
  /** The numbers of the attempts whose responses were passed on, in part or whole; a continued response has several. */
  readonly #delivered: number[] = [];
  #estimated: TokenUsage | null = null;
  #known = 0;
  /** The questions to quality judges; null: none. */
  #checks: Spent | null = null;

  /** Returns the cost of the reported usage in US dollars; null: unknown. */
  add(call: BilledCall): number | null {
    this.#calls.push(call);
    const { target, usage, estimated } = call;
    const cost = costUsd(target, usage);
    if (usage !== null) {
      this.costUsd = this.usage === null ? cost : sumOf(this.costUsd, cost);
      this.usage = this.usage === null ? usage : combined(this.usage, usage);
      this.#known += cost ?? 0;
    }
    if (estimated !== null) {
      this.#estimated = this.#estimated === null ? estimated : combined(this.#estimated, estimated);
      this.estimatedUsd += estimatedUsd(call);
    }
    if (isUnmeasured(call)) this.unmeasuredCalls++;
    return cost;
  }

  /** The response to the attempt is passed on to the caller. */
  deliver(attempt: number): void {
    this.#delivered.push(attempt);
  }

  /** Adds what a question to a quality judge has cost. */
  addCheck(spent: Spent): void {
    this.#checks = this.#checks === null ? spent : together(this.#checks, spent);
  }

  /** Known and estimated cost of the questions to quality judges, in US dollars. */
  get checksUsd(): number {
    return this.#checks?.chargedUsd ?? 0;
  }

  /** Known and estimated usage, without that of quality judges; null: neither. */
  get counted(): TokenUsage | null {
    if (this.#estimated === null || this.usage === null) return this.#estimated ?? this.usage;
    return combined(this.usage, this.#estimated);
  }

  /** So far. */
  get spent(): Spent {
    const own: Spent = { usage: this.counted, costUsd: this.costUsd, chargedUsd: this.#known + this.estimatedUsd };
    return this.#checks === null ? own : together(own, this.#checks);
  }

  get calls(): readonly PaidCall[] {
    return this.#calls.map((call) => ({
      target: call.target.state.name,
      usage: call.usage,
      ...(call.estimated !== null && { estimated: call.estimated }),
      wasted: !this.#isDelivered(call),
      priceBasis: call.target.state.priceBasis,
    }));
  }

  /** The calls whose responses were not delivered. Undefined: none. */
  get wasted(): Wasted | undefined {
    if (this.#calls.every((call) => this.#isDelivered(call))) return undefined;
    const rest = new Spending();
    for (const call of this.#calls) if (!this.#isDelivered(call)) rest.add(call);
    const { usage, costUsd: cost, unmeasuredCalls } = rest;
    if (usage === null && unmeasuredCalls === 0) return undefined;
    return { usage: usage ?? NOTHING, costUsd: cost, ...(unmeasuredCalls > 0 && { unmeasuredCalls }) };
  }

  #isDelivered({ attempt }: BilledCall): boolean {
    return this.#delivered.includes(attempt);
  }
}

const NOTHING: TokenUsage = { inputTokens: 0, cachedInputTokens: 0, outputTokens: 0 };

/** The cost of a call in US dollars; null if usage or prices are unknown. */
export function costUsd(target: RouteTarget, usage: TokenUsage | null): number | null {
  const { price } = target.state;
  return price === null || usage === null ? null : costOf(price, usage);
}

/** The estimated cost of what a call did not report, in US dollars; 0 if prices are unknown. */
export function estimatedUsd({ target, usage, estimated }: Omit<BilledCall, 'attempt'>): number {
  const { price } = target.state;
  return price === null || estimated === null ? 0 : costBeyond(price, usage, estimated);
}

function isUnmeasured({ target, usage, estimated }: BilledCall): boolean {
  const { price } = target.state;
  return (usage === null || estimated !== null) && (price === null || !isFree(price));
}

function together(a: Spent, b: Spent): Spent {
  return {
    usage: a.usage === null || b.usage === null ? (a.usage ?? b.usage) : combined(a.usage, b.usage),
    costUsd: a.usage === null ? b.costUsd : b.usage === null ? a.costUsd : sumOf(a.costUsd, b.costUsd),
    chargedUsd: a.chargedUsd + b.chargedUsd,
  };
}

/** Null if one of them is unknown. */
function sumOf(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : Number((a + b).toPrecision(DIGITS));
}

/** Without the classes that only prices need. */
function combined(a: TokenUsage, b: TokenUsage): TokenUsage {
  const cacheWriteTokens = (a.cacheWriteTokens ?? 0) + (b.cacheWriteTokens ?? 0);
  const reasoningTokens = (a.reasoningTokens ?? 0) + (b.reasoningTokens ?? 0);
  return {
    inputTokens: a.inputTokens + b.inputTokens,
    cachedInputTokens: a.cachedInputTokens + b.cachedInputTokens,
    outputTokens: a.outputTokens + b.outputTokens,
    ...(cacheWriteTokens === 0 ? {} : { cacheWriteTokens }),
    ...(reasoningTokens === 0 ? {} : { reasoningTokens }),
  };
}
