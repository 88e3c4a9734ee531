/**
 * Judges a candidate before it is committed (design 4.6): the rules of the policy, then the JSON that the request asks for, then the
 * operator's own check. What nobody asked for costs nothing: by default an answer is read again only if it ended at its length limit,
 * or its request names a format.
 */
import { isAtLimit } from '../../core/finish-reason.ts';
import type { AnswerChoice, Shortfall } from '../../core/quality.ts';
import { insideFence } from '../../wire/code-fence.ts';
import type { ResponseFormat } from '../../wire/dialect.ts';
import { CHECKS_MAX, passesCheck } from './custom-check.ts';
import type { CheckEngine } from './custom-check.ts';
import type { Engine } from '../request/engine.ts';
import type { SchemaCheck } from './schema/schema-check.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { tryWithin } from './bounded-work.ts';
import type { ActiveRequest } from '../active/active-request.ts';
import { settleAnswered } from '../settle/settle-response.ts';
import type { Fit } from './schema/messages.ts';
import type { TargetQuality } from '../route/target-quality.ts';
import { waitForWork } from './wait-for-work.ts';

/** What quality checks share. */
export interface QualityEngine extends Engine, CheckEngine {
  readonly schemas: SchemaCheck;
}

/** How long a request waits to hear whether an answer fits its schema, in milliseconds. */
const SCHEMA_WAIT_MS_MAX = 5_000;

/** A larger answer is not written anew without its code fence. */
const REWRITTEN_BYTES_MAX = 1024 * 1024;

/** How long all patterns together may take on one answer, in milliseconds. */
const PATTERNS_MS_MAX = 50;

/** What the answer lacks; null: it is good enough, or can't be judged before it goes on. */
export function judgeCandidate(
  engine: QualityEngine,
  active: ActiveRequest,
  attempt: Attempt,
): Shortfall | null | Promise<Shortfall | null> {
  const { quality } = attempt.options.target;
  const { facts, isNested } = attempt.options.request;
  if (facts.operation !== 'chat' && facts.operation !== 'completions') return null;
  if (!attempt.canBeJudged) {
    if (quality.buffer || !facts.stream)
      active.note('the answer is too large, or memory too full, for it to be judged', attempt.options.target);
    attempt.isUnjudged = asksMoreThanOpening(attempt);
    return null;
  }
  const { rules } = quality;
  const hasMore = facts.choices > 1;
  const isCutOff = hasMore || isAtLimit(attempt.facts.finishReason);
  const mayOnlyThink = hasMore || attempt.facts.onlyReasoning === true || (facts.stream && quality.buffer);
  const readsByRules = rules.readsAll || (rules.readsCutOff && isCutOff) || (rules.readsThoughts && mayOnlyThink);
  const readsFormat = quality.jsonSchema && facts.hasResponseFormat;
  const readsByCheck = quality.check !== null && isNested !== true && active.checks < CHECKS_MAX;
  if (!readsByRules && !readsFormat && !readsByCheck) return null;
  const choices = attempt.readChoices();
  const shortfall = readsByRules ? judgeByRules(active, attempt, choices) : null;
  if (shortfall === null && rules.readsThoughts && choices.length < facts.choices) return 'short';
  if (shortfall !== null || (!readsFormat && !readsByCheck)) return shortfall;
  return judgeFurther(engine, active, attempt, choices, readsFormat, readsByCheck);
}

/** True if a stream that has passed by its opening may fall short all the same. */
function asksMoreThanOpening({ options }: Attempt): boolean {
  const { rules, jsonSchema, check } = options.target.quality;
  const { facts, isNested } = options.request;
  if (rules.readsBeyondOpenings || (facts.choices > 1 && rules.readsAll)) return true;
  return (jsonSchema && facts.hasResponseFormat) || (check !== null && isNested !== true);
}

function judgeByRules(active: ActiveRequest, attempt: Attempt, choices: readonly AnswerChoice[]): Shortfall | null {
  const { rules } = attempt.options.target.quality;
  if (!rules.hasPatterns) return rules.judge(choices);
  const shortfall = tryWithin(PATTERNS_MS_MAX, () => rules.judge(choices));
  if (shortfall === undefined)
    active.log(`quality patterns took longer than ${PATTERNS_MS_MAX} ms, and say nothing`, attempt.options.target, 'warn');
  return shortfall ?? null;
}

async function judgeFurther(
  engine: QualityEngine,
  active: ActiveRequest,
  attempt: Attempt,
  choices: readonly AnswerChoice[],
  readsFormat: boolean,
  readsByCheck: boolean,
): Promise<Shortfall | null> {
  // The provider is done: nobody waits for its place until a check has been made, least of all a judge at the same provider.
  settleAnswered(active, attempt);
  if (readsFormat) {
    const shortfall = await judgeFormat(engine, active, attempt, choices);
    if (shortfall !== null || active.isOver) return shortfall;
  }
  if (!readsByCheck) return null;
  return (await passesCheck(engine, active, attempt, choices, attempt.options.target.quality as Checking)) ? null : 'mismatch';
}

type Checking = TargetQuality & { check: NonNullable<TargetQuality['check']> };

async function judgeFormat(
  engine: QualityEngine,
  active: ActiveRequest,
  attempt: Attempt,
  choices: readonly AnswerChoice[],
): Promise<Shortfall | null> {
  const format = attempt.options.request.dialect.request.format(attempt.options.request.body);
  if (format === null) return null;
  const texts: (string | null)[] = [];
  for (const { text, callsTool, hasMedia, refusal } of choices) {
    // A call of a tool, audio, or a refusal in its own field is an answer of another kind.
    if (callsTool || hasMedia || refusal !== '') {
      texts.push(null);
      continue;
    }
    const inside = insideFence(text);
    const fit = await fitOf(engine, active, format, inside ?? text);
    if (fit === 'differs') return 'schema';
    if (fit !== 'fits') active.note(`its JSON was not judged: ${fit}`, attempt.options.target);
    texts.push(inside);
  }
  if (texts.every((text) => text === null)) return null;
  const whole = attempt.wholeAnswer();
  if (whole.byteLength > REWRITTEN_BYTES_MAX) return null;
  attempt.replaceAnswer(attempt.options.request.dialect.response.withTexts(whole, texts));
  active.note('its JSON was taken out of a code fence', attempt.options.target);
  return null;
}

async function fitOf(engine: QualityEngine, active: ActiveRequest, format: ResponseFormat, text: string): Promise<Fit> {
  const { request } = active;
  const fit = engine.schemas.fit(request.client.name, format, text);
  if (!(fit instanceof Promise)) return fit;
  const waited = await waitForWork(active, fit, Math.min(SCHEMA_WAIT_MS_MAX, active.deadline - engine.clock.now()));
  return waited.kind === 'said' ? waited.value : 'it took too long';
}
