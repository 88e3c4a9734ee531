/**
 * The operator's own quality check: a function, or a judge model. It runs within the deadline of the request and a timeout of its own, outside
 * `maxAttempts`. Only a clear failure counts: if a check throws, times out, or gives no verdict, this is logged and the response passes. A
 * valid response already exists; a broken check must not cause an outage.
 */
import type { AnswerChoice, JudgeModel, QualityCheck } from '../../core/quality.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { ModelReply, ModelQuery } from '../request/model-query.ts';
import { judgeMessages, readJudgement } from './judge-prompt.ts';
import type { ActiveRequest } from '../active/active-request.ts';
import type { TargetQuality } from '../route/target-quality.ts';
import { waitForWork } from '../active/wait-for-work.ts';
import type { Waited } from '../active/wait-for-work.ts';

export interface CheckEngine {
  /** Asks a model on behalf of a request; never rejects. */
  readonly askModel: (question: ModelQuery) => Promise<ModelReply>;
}

/** Maximum checks per request; further responses pass without. */
export const CHECKS_MAX = 4;

type Checking = TargetQuality & { readonly check: QualityCheck | JudgeModel };

/** False: the response fails the check. */
export async function passesCheck(
  engine: CheckEngine,
  active: ActiveRequest,
  attempt: Attempt,
  choices: readonly AnswerChoice[],
  checking: Checking,
): Promise<boolean> {
  const { clock } = active.engine;
  const { target } = attempt.options;
  const endsAt = Math.min(active.deadline, clock.now() + checking.checkTimeoutMs);
  active.checks++;
  const abort = new AbortController();
  const work =
    typeof checking.check === 'function'
      ? callCheck(active, attempt, choices, checking.check, abort.signal)
      : askJudge(engine, active, choices, checking.check, endsAt, abort.signal);
  const limitMs = endsAt - clock.now();
  const waited = await waitForWork(active, work, limitMs);
  abort.abort();
  // A question to a judge ends at once when it is aborted; its cost is known before the request is charged.
  if (typeof checking.check !== 'function') await work;
  if (waited.kind === 'done' && typeof waited.value === 'boolean') return waited.value;
  const fault = faultOf(waited, limitMs);
  if (fault !== null) active.log(`the response could not be checked: ${fault}`, target, 'warn');
  return true;
}

/** Why a check gave no verdict; null: the request is over. */
function faultOf(waited: Waited<unknown>, limitMs: number): string | null {
  if (waited.kind === 'late') return `no verdict within ${Math.round(limitMs)} ms`;
  if (waited.kind === 'done') return String(waited.value);
  if (waited.kind !== 'thrown') return null;
  return waited.error instanceof Error ? waited.error.message.slice(0, 200) : 'it threw';
}

async function callCheck(
  active: ActiveRequest,
  attempt: Attempt,
  choices: readonly AnswerChoice[],
  check: QualityCheck,
  signal: AbortSignal,
): Promise<boolean | string> {
  const { request } = active;
  let parsed: Record<string, unknown> | null = null;
  const passed: unknown = await check({
    text: choices[0]?.text ?? '',
    choices,
    model: request.facts.model,
    target: attempt.options.target.state.name,
    // Parsed only if the check reads it: a request may be large.
    get request() {
      return (parsed ??= JSON.parse(Buffer.from(request.body.bytes).toString()) as Record<string, unknown>);
    },
    signal,
  });
  return typeof passed === 'boolean' ? passed : 'the check gave neither true nor false';
}

async function askJudge(
  engine: CheckEngine,
  active: ActiveRequest,
  choices: readonly AnswerChoice[],
  judge: JudgeModel,
  deadline: number,
  signal: AbortSignal,
): Promise<boolean | string> {
  const { dialect, body } = active.request;
  const messages = judgeMessages(judge.instruction, dialect.name, body, choices);
  const reply = await engine.askModel({
    parent: active.request,
    number: active.checks,
    model: judge.model,
    messages,
    deadline,
    signal,
    onSpent: (spent) => active.spending.addCheck(spent),
  });
  if (!reply.ok) return `the judge ${judge.model} did not respond (${reply.why})`;
  return readJudgement(reply.text) ?? `the judge ${judge.model} replied neither PASS nor FAIL`;
}
