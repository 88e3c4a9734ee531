/**
 * Faults that are put into the source while it is loaded, to check that the simulation finds them. They are not part of the product: a
 * loader replaces some text of one file, and throws if that text is not there.
 */
import { existsSync } from 'node:fs';
import { registerHooks } from 'node:module';

export interface Mutation {
  /** The faulty part. */
  readonly what: string;
  /** Below src. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** The invariant that must be violated: the start of its messages. */
  readonly foundBy: RegExp;
  /** The only scene to run (`set-scenes.ts`); absent: drawn seeds. */
  readonly scene?: number;
  /** The seed to try first, which finds the fault as the simulation is today; the others follow in order. Default 1. */
  readonly seed?: number;
}

export const MUTATIONS: Readonly<Record<string, Mutation>> = {
  'limiter: refills a fifth too fast': {
    what: 'limiter',
    file: 'policy/rate-limiter/token-bucket.ts',
    from: 'options.limit / options.windowMs,',
    to: '(options.limit * 1.2) / options.windowMs,',
    foundBy: /^limit: /,
  },
  'limiter: refunds tokens that overflowed': {
    what: 'limiter',
    file: 'policy/rate-limiter/lagged-level.ts',
    from: 'Math.min(amount, this.#capacity - fullest)',
    to: 'Math.min(amount, this.#capacity - this.#level)',
    foundBy: /^limit: /,
  },
  'limiter: one more at once': {
    what: 'limiter',
    file: 'policy/concurrency-limiter/concurrency-limiter.ts',
    from: 'this.#inUse < this.#limit',
    to: 'this.#inUse <= this.#limit',
    foundBy: /^limit: /,
  },
  'limiter: the window is a tenth too short': {
    what: 'limiter',
    file: 'policy/rate-limiter/sliding-window.ts',
    from: 'options.windowMs + guardMs(options.windowMs)',
    to: 'options.windowMs * 0.9',
    foundBy: /^limit: /,
    seed: 5,
  },
  'breaker: never opens': {
    what: 'breaker',
    file: 'policy/circuit-breaker/circuit-breaker.ts',
    from: 'if (!this.#mustOpen(now)) return;',
    to: 'return;',
    foundBy: /^breaker: /,
    seed: 3,
  },
  'breaker: admits every call while open': {
    what: 'breaker',
    file: 'policy/circuit-breaker/circuit-breaker.ts',
    from: 'return Math.max(now, this.#probeAt(now, need));',
    to: 'return now;',
    foundBy: /^breaker: /,
  },
  'breaker: any number of probes': {
    what: 'breaker',
    file: 'policy/circuit-breaker/circuit-breaker.ts',
    from: 'this.#running < this.#options.probes',
    to: 'this.#running < 100',
    foundBy: /^breaker: \d+ probes/,
  },
  'blame: one source opens a breaker for all': {
    what: 'blame',
    file: 'policy/circuit-breaker/circuit-breaker.ts',
    from: 'if (suspect === null) return this.#open(now);',
    to: 'return this.#open(now);',
    foundBy: /^blame: /,
    scene: -5,
  },
  'blame: no source is ever contradicted': {
    what: 'blame',
    file: 'core/blame.ts',
    from: 'if (suspect.streak > 0 && !isOf(suspect, source)) suspect.contradicted = true;',
    to: 'suspect.contradicted = false;',
    foundBy: /^blame: /,
    scene: -6,
  },
  'permit: a cancelled one returns nothing': {
    what: 'permit',
    file: 'core/permit.ts',
    from: 'this.resources[i]!.cancel(now, this.#tickets[i]!, this.need);',
    to: '{}',
    foundBy: /^permits: /,
    seed: 11,
  },
  'permit: the last resource is not settled': {
    what: 'permit',
    file: 'core/permit.ts',
    from: 'for (let i = 0; i < this.resources.length; i++) this.resources[i]!.settle',
    to: 'for (let i = 0; i < this.resources.length - 1; i++) this.resources[i]!.settle',
    foundBy: /^permits: /,
    seed: 2,
  },
  'deadline: an attempt ignores it': {
    what: 'deadline',
    file: 'pipeline/attempt/attempt.ts',
    from: 'Math.min(options.deadline, this.startedAt + policy.timeouts.attempt)',
    to: 'this.startedAt + policy.timeouts.attempt',
    foundBy: /^deadline: /,
    seed: 2,
  },
  'deadline: the queue ignores it': {
    what: 'deadline',
    file: 'pipeline/retry/request-applicant.ts',
    from: 'return Math.min(this.#waitUntil, this.#retry.active.deadline - this.usualMs);',
    to: 'return 1e9;',
    foundBy: /^deadline: /,
    seed: 3,
  },
  'fairness: no class keeps a share': {
    what: 'fairness',
    file: 'policy/scheduler/resource-queue.ts',
    from: 'Math.min(CREDIT_MAX, each.credit + shares[earning]!)',
    to: 'Math.min(CREDIT_MAX, each.credit + 0 * shares[earning]!)',
    foundBy: /^share: /,
  },
  'attempts: one more than allowed': {
    what: 'attempts',
    file: 'pipeline/retry/next-attempt.ts',
    from: 'retry.attempts >= active.route.maxAttempts',
    to: 'retry.attempts > active.route.maxAttempts',
    foundBy: /^attempts: /,
    seed: 5,
  },
  'attempts: the retry budget is unlimited': {
    what: 'attempts',
    file: 'policy/retry-budget.ts',
    from: 'return this.balance(now) >= 1 + this.#reservedAgainst(now, client) - EPSILON;',
    to: 'return true;',
    foundBy: /^attempts: .* was called again/,
  },
  'queue: a cancelled request keeps its place': {
    what: 'permit',
    file: 'pipeline/admission/admission.ts',
    from: 'this.#scheduler.cancel(this.#clock.now(), applicant);',
    to: '',
    foundBy: /invariant broken|^permits: /,
  },
  'hedges: they are not charged to the budget': {
    what: 'hedges',
    file: 'pipeline/group/attempt-group.ts',
    from: 'hedgeBudget.take();',
    to: '',
    foundBy: /^hedges: /,
    seed: 7,
  },
  'hedges: the attempt that lost the race continues': {
    what: 'hedges',
    file: 'pipeline/group/attempt-group.ts',
    from: 'for (const attempt of remaining) end(attempt);',
    to: '',
    foundBy: /^commit: while another attempt runs/,
    seed: 2,
  },
  'attempts: a retry that waits is not charged to the budget': {
    what: 'attempts',
    file: 'pipeline/retry/next-attempt.ts',
    from: '!held.some((one) => one.budget === budget)',
    to: 'held.length > 0',
    foundBy: /^attempts: .* was called again/,
    seed: 39,
  },
  'ramp: a recovered target gets full load at once': {
    what: 'ramp',
    file: 'policy/circuit-breaker/circuit-breaker.ts',
    from: 'this.#limit = this.#options.probes + 1;',
    to: 'this.#limit = Infinity;',
    foundBy: /^ramp: /,
    seed: 6,
  },
  'ramp: responses raise its limit tenfold': {
    what: 'ramp',
    file: 'policy/circuit-breaker/circuit-breaker.ts',
    from: 'this.#limit += by;',
    to: 'this.#limit += 10 * by;',
    foundBy: /^ramp: /,
    seed: 7,
  },
  'recovery: a target with demand is probed no sooner': {
    what: 'recovery',
    file: 'policy/circuit-breaker/circuit-breaker.ts',
    from: 'return this.#hasDemand ? this.#probeWithDemandAt : this.#openUntil;',
    to: 'return this.#openUntil;',
    foundBy: /^choice: .* not called/,
    scene: -4,
  },
  'choice: weights are ignored': {
    what: 'choice',
    file: 'policy/selection/selection.ts',
    from: 'target.slowness / (target.weight *',
    to: 'target.slowness / (1 *',
    foundBy: /^choice: .* weights/,
    scene: -1,
  },
  'choice: failures cost no weight': {
    what: 'choice',
    file: 'policy/selection/selection.ts',
    from: '** HEALTH_POWER',
    to: '** 0',
    foundBy: /^choice: .* fails/,
    scene: -2,
  },
  'choice: slowness costs no weight': {
    what: 'choice',
    file: 'policy/selection/selection.ts',
    from: 'target.turn = at + target.slowness /',
    to: 'target.turn = at + 1 /',
    foundBy: /^choice: .* slower/,
    scene: -3,
  },
  'commit: a broken stream ends as if it were complete': {
    what: 'commit',
    file: 'pipeline/delivery/relay.ts',
    from: 'downstream.fail(error);',
    to: "downstream.endWith(Buffer.from('data: [DONE]\\n\\n'));",
    foundBy: /^answer: /,
  },
};

/** Loads the mutated file instead of its own from now on, in this thread. Throws if the text to replace is missing. */
export function applyMutation(name: string): void {
  const mutation = MUTATIONS[name];
  if (mutation === undefined) throw new Error(`there is no mutation ${name}`);
  const url = new URL(`../../src/${mutation.file}`, import.meta.url).href;
  if (!existsSync(new URL(url))) throw new Error(`there is no file ${mutation.file} to mutate`);
  registerHooks({
    load(loaded, context, nextLoad) {
      const found = nextLoad(loaded, context);
      if (loaded !== url) return found;
      const source = String(found.source);
      if (!source.includes(mutation.from)) throw new Error(`${mutation.file} has no ${JSON.stringify(mutation.from)} to mutate any more`);
      return { ...found, source: source.replace(mutation.from, mutation.to) };
    },
  });
}
