/**
 * Judges a candidate before it is committed: by the rules of the policy, then against the JSON format of the request, then by
 * the operator's own check. By default a response is parsed again only if it ended at its length limit, or its request names a format.
 */
import { isAtLimit } from '../../core/finish-reason.ts';
import type { AnswerChoice, FailedQualityCheck } from '../../core/quality.ts';
import { insideFence } from '../../wire/code-fence.ts';
import type { ResponseFormat } from '../../wire/dialect.ts';
import { CHECKS_MAX, passesCheck } from './custom-check.ts';
import type { CheckEngine } from './custom-check.ts';
import type { Engine } from '../request/engine.ts';
import type { SchemaCheck } from './schema/schema-check.ts';
import type { Attempt } from '../attempt/attempt.ts';
import { tryWithin } from './bounded-work.ts';
import type { ActiveRequest } from '../active/active-request.ts';
import { settleCompleted } from '../settle/settle-response.ts';
import type { Fit } from './schema/messages.ts';
import type { TargetQuality } from '../route/target-quality.ts';
import { waitForWork } from '../active/wait-for-work.ts';

/** State shared by quality checks. */
export interface QualityEngine extends Engine, CheckEngine {
  readonly schemas: SchemaCheck;
}

/** How long a request waits for the validation of a response, in milliseconds. */
const SCHEMA_WAIT_MS_MAX = 5_000;

/** A larger response is not rewritten without its code fence. */
const REWRITTEN_BYTES_MAX = 1024 * 1024;

/** Time limit of all patterns together for one response, in milliseconds. */
const PATTERNS_MS_MAX = 50;

/** Why the candidate fails; null: it passes, or can't be judged before it is committed. */
export function judgeCandidate(
  engine: QualityEngine,
  active: ActiveRequest,
  attempt: Attempt,
): FailedQualityCheck | null | Promise<FailedQualityCheck | null> {
  const { quality } = attempt.options.target;
  const { facts, isNested } = attempt.options.request;
  if (facts.operation !== 'chat' && facts.operation !== 'completions') return null;
  if (!attempt.canBeJudged) {
    if (quality.buffer || !facts.stream)
      active.note('the response was not judged: it is too large, or memory is short', attempt.options.target);
    attempt.isUnchecked = needsMoreThanOpening(attempt);
    return null;
  }
  const { rules } = quality;
  const hasMore = facts.choices > 1;
  const isCutOff = hasMore || isAtLimit(attempt.facts.finishReason);
  const mayBeReasoningOnly = hasMore || attempt.facts.onlyReasoning === true || (facts.stream && quality.buffer);
  const readsByRules = rules.readsAll || (rules.readsTruncated && isCutOff) || (rules.readsReasoning && mayBeReasoningOnly);
  const readsFormat = quality.jsonSchema && facts.hasResponseFormat;
  const readsByCheck = quality.check !== null && isNested !== true && active.checks < CHECKS_MAX;
  if (!readsByRules && !readsFormat && !readsByCheck) return null;
  const choices = attempt.readChoices();
  const failedCheck = readsByRules ? judgeByRules(active, attempt, choices) : null;
  if (failedCheck === null && rules.readsReasoning && choices.length < facts.choices) return 'short';
  if (failedCheck !== null || (!readsFormat && !readsByCheck)) return failedCheck;
  return judgeFormatAndCheck(engine, active, attempt, choices, readsFormat, readsByCheck);
}

/** True if a stream may still fail a check that its opening has passed. */
function needsMoreThanOpening({ options }: Attempt): boolean {
  const { rules, jsonSchema, check } = options.target.quality;
  const { facts, isNested } = options.request;
  if (rules.readsBeyondOpenings || (facts.choices > 1 && rules.readsAll)) return true;
  return (jsonSchema && facts.hasResponseFormat) || (check !== null && isNested !== true);
}

function judgeByRules(active: ActiveRequest, attempt: Attempt, choices: readonly AnswerChoice[]): FailedQualityCheck | null {
  const { rules } = attempt.options.target.quality;
  if (!rules.hasPatterns) return rules.judge(choices);
  const failedCheck = tryWithin(PATTERNS_MS_MAX, () => rules.judge(choices));
  if (failedCheck === undefined)
    active.log(`quality patterns took longer than ${PATTERNS_MS_MAX} ms and were skipped`, attempt.options.target, 'warn');
  return failedCheck ?? null;
}

async function judgeFormatAndCheck(
  engine: QualityEngine,
  active: ActiveRequest,
  attempt: Attempt,
  choices: readonly AnswerChoice[],
  readsFormat: boolean,
  readsByCheck: boolean,
): Promise<FailedQualityCheck | null> {
  // The provider is done: its place is released before a slow check, which may need it for a judge at the same provider.
  settleCompleted(active, attempt);
  if (readsFormat) {
    const failedCheck = await judgeFormat(engine, active, attempt, choices);
    if (failedCheck !== null || active.isOver) return failedCheck;
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
): Promise<FailedQualityCheck | null> {
  const format = attempt.options.request.dialect.request.format(attempt.options.request.body);
  if (format === null) return null;
  const texts: (string | null)[] = [];
  for (const { text, callsTool, hasMedia, refusal } of choices) {
    // A tool call, audio, or a refusal in its own field is not JSON text.
    if (callsTool || hasMedia || refusal !== '') {
      texts.push(null);
      continue;
    }
    const inside = insideFence(text);
    const fit = await fitOf(engine, active, format, inside ?? text);
    if (fit === 'differs') return 'schema';
    if (fit !== 'fits') active.note(`its JSON was not validated: ${fit}`, attempt.options.target);
    texts.push(inside);
  }
  if (texts.every((text) => text === null)) return null;
  const whole = attempt.wholeResponse();
  if (whole.byteLength > REWRITTEN_BYTES_MAX) return null;
  attempt.replaceResponse(attempt.options.request.dialect.response.withTexts(whole, texts));
  active.note('its JSON was taken out of a code fence', attempt.options.target);
  return null;
}

async function fitOf(engine: QualityEngine, active: ActiveRequest, format: ResponseFormat, text: string): Promise<Fit> {
  const { request } = active;
  const fit = engine.schemas.fit(request.client.name, format, text);
  if (!(fit instanceof Promise)) return fit;
  const waited = await waitForWork(active, fit, Math.min(SCHEMA_WAIT_MS_MAX, active.deadline - engine.clock.now()));
  return waited.kind === 'done' ? waited.value : 'it timed out';
}
