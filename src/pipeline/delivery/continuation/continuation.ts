/**
 * Continues a response that broke off after it was committed, where the policy says so (`stream.recover: continue`): the text so far is sent
 * to a target that continues partial responses, and its output is appended once it is recognised as a continuation (`policy/continuation`).
 * Attempts, retry budget, permits and verdicts are as usual; only the deadline, which ends with the commit, becomes one idle timeout from
 * the break.
 */
import { BreakwaterError } from '../../../core/errors.ts';
import type { Failure } from '../../../core/facts.ts';
import { isContinuable } from '../../../policy/continuation/splice.ts';
import type { SpliceRefusal } from '../../../policy/continuation/splice.ts';
import type { Judgement } from '../../../policy/verdict.ts';
import { supportsContinuation, encodeContinuation } from '../../../wire/continuation-request.ts';
import { DeliveredStream } from '../../../wire/delivered-stream.ts';
import type { Attempt } from '../../attempt/attempt.ts';
import { capableOf } from '../../conversion/capability.ts';
import { RecordingFilter } from './splice-filter.ts';
import type { StreamFilter } from './splice-filter.ts';
import type { GatewayRequest } from '../../request/gateway-request.ts';
import type { Tiers } from '../../route/route.ts';
import type { Output } from '../output.ts';
import { rememberFailure } from '../../retry/record-failure.ts';

/** The text of a response that may have to be continued; one per request whose policy asks for it. */
export class Continuation {
  readonly #output: Output;
  readonly #original: GatewayRequest;
  readonly #tiers: Tiers;
  readonly delivered: DeliveredStream;
  /** Filters the chunks of the current attempt. */
  filter: StreamFilter;
  /** The error of the break. */
  #error: BreakwaterError | null = null;
  #refusals = '';

  private constructor(output: Output, tiers: Tiers) {
    this.#output = output;
    this.#original = output.active.request;
    this.#tiers = tiers;
    const { id, facts, dialect } = this.#original;
    const createdAt = Math.floor(output.engine.clock.epochMs() / 1000);
    const options = { id, model: facts.model, createdAt, includeUsage: facts.wantsUsage, tools: [], echo: {} };
    this.delivered = new DeliveredStream(dialect.name, options);
    this.filter = new RecordingFilter(this.delivered);
  }

  /** Null: this response is not continued. */
  static for(output: Output, attempt: Attempt): Continuation | null {
    const { request, route } = output.active;
    const { facts, fallback, dialect } = request;
    if (!supportsContinuation(dialect.name) || facts.choices !== 1) return null;
    if (attempt.options.target.policy.stream.recover !== 'continue' || facts.operation !== 'chat' || !facts.stream) return null;
    const tiers = route.select(`prefill ${fallback}`, (target) => target.prefill && (fallback || target.tier === 0));
    if (tiers.length === 0) return null;
    return new Continuation(output, tiers);
  }

  /** Called when an attempt broke off after some of its text was delivered; true: a continuation is tried. */
  tryBreak(attempt: Attempt, failure: Failure, judgement: Judgement, error: BreakwaterError): boolean {
    const { active, retry } = this.#output;
    if (retry.broken !== null) return this.#failBeforeJoin(attempt, failure, judgement);
    if (judgement.verdict === 'reject' || judgement.requestAtFault || retry.attemptsLeft <= 0 || active.isOver) return false;
    const request = this.#nextRequest();
    if (request === null) return false;
    const { tiers } = capableOf(request, active.route, this.#tiers);
    if (tiers.length === 0) return false;
    rememberFailure(retry, attempt, failure, judgement);
    retry.broken = attempt;
    this.#error = error;
    this.#refusals = '';
    active.request = request;
    retry.tiers = tiers;
    retry.repairedFor = null; // may be a target that does not continue
    active.deadline = active.engine.clock.now() + attempt.idleMs;
    active.log(`broke off after ${this.delivered.text.length} characters; to be continued`, attempt.options.target);
    return true;
  }

  #failBeforeJoin(attempt: Attempt, failure: Failure, judgement: Judgement): true {
    rememberFailure(this.#output.retry, attempt, failure, judgement);
    this.noteFailure(attempt, `did not continue: ${failure.message}`);
    if (judgement.verdict === 'reject') this.giveUp();
    return true;
  }

  /** A continuation failed before any of its text was delivered. */
  noteFailure(attempt: Attempt, why: string): void {
    this.#refusals += `; ${attempt.options.target.state.name} ${why}`;
  }

  noteRefusal(attempt: Attempt, why: SpliceRefusal): void {
    const { active, retry } = this.#output;
    this.noteFailure(attempt, REFUSALS[why]);
    const { name } = attempt.options.target.state;
    for (const other of this.#tiers.flat()) if (other.state.name === name) retry.tried.exclude(other);
    active.log(`does not continue the response: it ${REFUSALS[why]}`, attempt.options.target);
  }

  /** The text of the continuation begins to be delivered. */
  join(attempt: Attempt): void {
    const { active, retry } = this.#output;
    retry.broken = null;
    active.spending.deliver(attempt.options.number);
    active.log(`continues the response from character ${this.delivered.text.length}`, attempt.options.target);
  }

  /** No target continues: reports the break to the caller. */
  giveUp(): void {
    const output = this.#output;
    const { broken } = output.retry;
    output.retry.broken = null;
    if (broken === null || this.#error === null) return;
    const error = new BreakwaterError(this.#error.code, `${this.#error.message}${this.#refusals}`);
    output.downstream.fail(error);
    output.breakOff('interrupted', broken.status, error.code, broken);
  }

  #nextRequest(): GatewayRequest | null {
    const { text, deltas } = this.delivered;
    const sent = text.trimEnd();
    if (!isContinuable(sent)) return null;
    const { facts, dialect } = this.#original;
    const body = encodeContinuation(dialect.name, this.#original.body, facts.model, sent, deltas);
    if (body === null) return null;
    return {
      ...this.#original,
      body,
      facts: {
        ...facts,
        inputTokens: facts.inputTokens + Math.ceil(Buffer.byteLength(sent) / 4),
        outputBound: facts.outputBound === null ? null : facts.outputBound - deltas,
      },
    };
  }
}

const REFUSALS: Readonly<Record<SpliceRefusal, string>> = {
  starts_over: 'starts over',
  repeats: 'repeats the text so far',
  preamble: 'comments on the response',
  language: 'changes the language',
  break: 'does not fit the text so far',
  nothing: 'adds nothing',
  other_content: 'contains something other than text',
};
