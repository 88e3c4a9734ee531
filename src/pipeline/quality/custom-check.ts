/**
 * The operator's own check of an answer, which may take its time: a function, or another model that is asked. It runs within the deadline of
 * the request and a limit of its own, outside `maxAttempts`. Only a clear no counts: a check that throws, is late, or gives no verdict is told in
 * the log, and the answer goes out. There is one, and a check out of order must not become an outage.
 */
import type { AnswerChoice, JudgeModel, QualityCheck } from '../../core/quality.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { ModelAnswer, ModelQuestion } from '../request/model-question.ts';
import { judgeMessages, readJudgement } from './judge-prompt.ts';
import type { ActiveRequest } from '../active/active-request.ts';
import type { TargetQuality } from '../route/target-quality.ts';
import { waitForWork } from './wait-for-work.ts';
import type { Waited } from './wait-for-work.ts';

export interface CheckEngine {
  /** Asks a model on behalf of a request; never rejects. */
  readonly askModel: (question: ModelQuestion) => Promise<ModelAnswer>;
}

/** Checks for one request; further answers pass without. */
export const CHECKS_MAX = 4;

type Checking = TargetQuality & { readonly check: QualityCheck | JudgeModel };

/** False: the check says no. */
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
  if (waited.kind === 'said' && typeof waited.value === 'boolean') return waited.value;
  const fault = faultOf(waited, limitMs);
  if (fault !== null) active.log(`its answer could not be checked: ${fault}`, target, 'warn');
  return true;
}

/** What there is to say against a check that gave no verdict; null: nothing, or nobody waits for it any more. */
function faultOf(waited: Waited<unknown>, limitMs: number): string | null {
  if (waited.kind === 'late') return `no verdict within ${Math.round(limitMs)} ms`;
  if (waited.kind === 'said') return String(waited.value);
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
    // Parsed only where the check looks at it: a request may be large.
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
  const answer = await engine.askModel({ parent: active.request, number: active.checks, model: judge.model, messages, deadline, signal });
  if (!answer.ok) return `the judge ${judge.model} did not answer (${answer.why})`;
  return readJudgement(answer.text) ?? `the judge ${judge.model} said neither PASS nor FAIL`;
}
