/**
 * Repairs requests after a target refuses an edit made by Breakwater, or a single field: the same target is retried at once
 * without it, free of any budget. The result is stored per target (`known-repairs.ts`), so that it costs one refusal, not one per request.
 *
 * An error leads to a repair if it names an edit, the caller's output limit under a name that the target does not support, or an unsupported
 * field. An error that names nothing leads to one if the request has an edit that the target has not accepted recently. If the same error
 * follows, the edit was not the cause: nothing is learned, and the error counts as it is.
 */
import type { Instant } from '../../core/clock.ts';
import type { Failure } from '../../core/facts.ts';
import { drop, rename } from '../../policy/repair/repair.ts';
import type { Repair } from '../../policy/repair/repair.ts';
import { REPAIRED, errorStatusOf } from '../../policy/verdict.ts';
import type { Judgement } from '../../policy/verdict.ts';
import { fieldOf } from '../../policy/verdict/caller-error.ts';
import { errorSignature } from '../../policy/verdict/error-signature.ts';
import { errorTexts } from '../../wire/error-texts.ts';
import type { Attempt } from '../attempt/attempt.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import { sentBody } from '../conversion/sent-body.ts';
import type { RouteTarget } from '../route/route.ts';
import type { RetryState } from './retry-state.ts';
import type { RepairTrial } from './tried-targets.ts';
import { stripAfter } from './strip.ts';
import { concerns, mayConcern, memberOf, otherLimit, undoable, valueOf } from '../attempt/edits.ts';

/** Maximum repairs of one request, over all targets. */
export const REPAIRS_MAX = 8;

/** Statuses with which servers refuse a field. */
const REFUSING: ReadonlySet<number | null> = new Set([400, 422, 500, 501]);

/** Members that determine the kind of response; they are never left out: another target may accept them. */
const ESSENTIAL: ReadonlySet<string> = new Set([
  'model', 'messages', 'prompt', 'input', 'stream', 'tools', 'functions', 'response_format', 'n', 'dimensions', 'encoding_format',
]); // prettier-ignore

type Found = Pick<RepairTrial, 'repairs' | 'suppressed' | 'isNamed'>;

const NOTHING: readonly Repair[] = [];
const NO_FIELDS: readonly string[] = [];

/** The repairs an attempt is sent with: those of this request, and those learned from others. */
export function repairsFor(retry: RetryState, target: RouteTarget): readonly Repair[] {
  const { tried } = retry;
  const { request, engine } = retry.active;
  const own = tried.repairs(target);
  const { repairs: book } = target.state;
  if (book.isEmpty) return own;
  const suppressed = tried.suppressed(target);
  const isOpen = ({ key }: Repair): boolean => !suppressed.includes(key) && !own.some((repair) => repair.key === key);
  const known = book.for(engine.clock.now(), (repair) => isOpen(repair) && mayConcern(request, target, repair));
  const learned = known.filter((repair) => concerns(request, target, repair, [...own, ...known]));
  if (learned.length === 0) return own;
  for (const repair of learned) noteRepair(retry, target, repair);
  return [...own, ...learned];
}

/** The repairs learned for the target that concern a request. */
export function learnedRepairs(request: GatewayRequest, target: RouteTarget, now: Instant): readonly Repair[] {
  const { repairs: book } = target.state;
  if (book.isEmpty) return NOTHING;
  const known = book.for(now, (repair) => mayConcern(request, target, repair));
  return known.filter((repair) => concerns(request, target, repair, known));
}

/** The caller's fields that an attempt was sent without. */
export function droppedFields({ options }: Attempt): readonly string[] {
  const omitted = options.cut?.fields ?? options.conversion?.dropped ?? NO_FIELDS;
  if (options.repairs.length === 0) return omitted;
  return [...omitted, ...options.repairs.filter(({ kind }) => kind === 'drop').map(({ field }) => field)];
}

/** A response has begun: the target accepts what it was sent. */
export function learnAccepted(retry: RetryState, attempt: Attempt, now: Instant): void {
  const { request, target, repairs, number } = attempt.options;
  const { repairs: book } = target.state;
  const trial = retry.tried.endTrial(target, number);
  if (trial !== null && !trial.isNamed) for (const repair of trial.repairs) book.learn(now, repair, false);
  for (const { key } of undoable(request, target, repairs)) book.trust(now, key);
  if (book.isEmpty) return;
  const body = sentBody(request, target.state);
  book.takes(
    now,
    (field) => memberOf(body, field) !== undefined && !repairs.some((repair) => repair.kind === 'drop' && repair.field === field),
  );
  book.accepted(
    attempt.startedAt,
    (repair) => concerns(request, target, repair, repairs) && !repairs.some(({ key }) => key === repair.key),
  );
}

/**
 * Retries with other edits if the failure can be repaired; returns the judgement of the failure, or null if there is nothing to repair.
 * Also ends the trial of an earlier repair.
 */
export function repairAfter(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement): Judgement | null {
  const { target, number } = attempt.options;
  const trial = retry.tried.endTrial(target, number);
  const stripped = retry.repairs >= REPAIRS_MAX ? null : stripAfter(retry, attempt, failure, judgement);
  if (stripped !== null) return stripped;
  const status = errorStatusOf(failure);
  if (!REFUSING.has(status) || judgement.effect !== 'none') return null;
  const signature = errorSignature(failure);
  if (trial?.signature === signature) clearTrial(retry, target, trial);
  if (retry.repairs >= REPAIRS_MAX || attempt.options.request.facts.operation === 'bytes') return null;
  const found =
    otherLimitName(retry, attempt, failure, judgement) ??
    namedEdits(retry, attempt, failure, signature) ??
    unsupportedField(attempt, failure, judgement) ??
    untestedEdits(retry, attempt, failure, judgement, signature);
  if (found === null) return null;
  const isServerError = judgement.reason === 'server_error' && !found.isNamed;
  if (isServerError && retry.attemptsLeft <= 0) return null;
  apply(retry, target, { ...found, signature, after: retry.attempts }, isServerError);
  return judgement.reason === 'unsupported' || !found.isNamed ? judgement : REPAIRED;
}

/** Ends a trial whose retry got the same error: the edits are not the cause. */
function clearTrial(retry: RetryState, target: RouteTarget, { repairs, suppressed, signature, isNamed }: RepairTrial): void {
  const { active } = retry;
  const { repairs: book } = target.state;
  const now = active.engine.clock.now();
  for (const repair of repairs) {
    // The caller's own value in its place is refused as well.
    if (isNamed && memberOf(sentBody(active.request, target.state), repair.field) !== undefined && repair.kind !== 'drop') continue;
    if (isNamed) book.unlearn(repair.key);
    book.clear(now, repair.key, signature);
  }
  for (const repair of suppressed) {
    book.learn(now, repair, true);
    book.clear(now, repair.key, signature);
  }
  active.note(`the same error without the change of ${listOf([...repairs, ...suppressed])}: that was not the cause`, target);
}

/** `isServerError`: probably not a refusal, so that the retry counts as a normal attempt. */
function apply(retry: RetryState, target: RouteTarget, trial: RepairTrial, isServerError: boolean): void {
  const { active } = retry;
  const { repairs: book } = target.state;
  const now = active.engine.clock.now();
  for (const repair of trial.suppressed) book.unlearn(repair.key);
  if (trial.isNamed) for (const repair of trial.repairs) book.learn(now, repair, true);
  retry.tried.repair(target, trial);
  retry.tried.waiveBudget(target);
  retry.repairedFor = target;
  if (!isServerError) retry.repairs++;
  for (const repair of trial.repairs) noteRepair(retry, target, repair);
  if (trial.suppressed.length > 0) active.note(`${listOf(trial.suppressed)} sent unchanged: the target requires it`, target);
}

/** Replaces a refused name of the output limit by the other one. If both are refused, another target is tried. */
function otherLimitName(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement): Found | null {
  const { request, target, repairs } = attempt.options;
  if (request.facts.operation !== 'chat') return null;
  const refused = judgement.reason === 'unsupported' ? fieldOf(failure.param) : null;
  const field = otherLimit(refused) === null ? limitToReplace(failure.message) : refused;
  const to = otherLimit(field);
  if (field === null || to === null) return null;
  const made = repairs.find((repair) => repair.kind === 'rename' && repair.to === field);
  if (made !== undefined) {
    const isOfThisRequest = retry.tried.repairs(target).includes(made);
    return isOfThisRequest ? null : { repairs: NOTHING, suppressed: [made], isNamed: true };
  }
  const repair = rename(field, to);
  if (repairs.some(({ key }) => key === repair.key) || retry.tried.suppressed(target).includes(repair.key)) return null;
  return concerns(request, target, repair, repairs) ? { repairs: [repair], suppressed: NOTHING, isNamed: true } : null;
}

/** "… use 'max_completion_tokens' instead": the name to be replaced. */
function limitToReplace(message: string): string | null {
  const use = /\buse ["'`]?(max_(?:completion_)?tokens)\b/i.exec(message)?.[1]?.toLowerCase();
  return use === undefined ? null : otherLimit(use);
}

/** Breakwater's own edits that the error names anywhere. */
function namedEdits(retry: RetryState, attempt: Attempt, failure: Failure, signature: string): Found | null {
  const { request, target, repairs } = attempt.options;
  const { repairs: book } = target.state;
  const now = retry.active.engine.clock.now();
  const own = retry.tried.repairs(target);
  const learnedDrops = repairs.filter((repair) => repair.kind === 'drop' && !own.includes(repair));
  const edits = undoable(request, target, repairs);
  if (edits.length === 0 && learnedDrops.length === 0) return null;
  const text = `${failure.param ?? ''} ${failure.message} ${failure.body === null ? '' : errorTexts(failure.body)}`;
  const isNamed = ({ key, field }: Repair): boolean => names(text, field) && !book.isCleared(now, key, signature);
  const found = { repairs: edits.filter(isNamed), suppressed: learnedDrops.filter(isNamed), isNamed: true };
  return found.repairs.length + found.suppressed.length === 0 ? null : found;
}

function names(text: string, field: string): boolean {
  const found = field === 'stream_options' ? ['stream_options', 'include_usage'] : [field];
  return found.some((word) => holdsWord(text, word));
}

function holdsWord(text: string, word: string): boolean {
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    if (!/\w/.test(text[at - 1] ?? ' ') && !/\w/.test(text[at + word.length] ?? ' ')) return true;
  }
  return false;
}

/** A field of the caller's that the target reports as unsupported. */
function unsupportedField(attempt: Attempt, failure: Failure, judgement: Judgement): Found | null {
  const { request, target, repairs } = attempt.options;
  const field = fieldOf(failure.param);
  if (judgement.reason !== 'unsupported' || field === null || ESSENTIAL.has(field) || otherLimit(field) !== null) return null;
  const body = sentBody(request, target.state);
  const member = memberOf(body, field);
  if (member === undefined || repairs.some((repair) => repair.kind === 'drop' && repair.field === field)) return null;
  const repair = drop(field, isAboutValue(failure) ? valueOf(body, member) : null);
  return concerns(request, target, repair, repairs) ? { repairs: [repair], suppressed: NOTHING, isNamed: true } : null;
}

/** True if only this value of the field is refused, not every value but the default. */
function isAboutValue({ code, message }: Failure): boolean {
  return (code === 'unsupported_value' || /^unsupported value/i.test(message)) && !/only the default/i.test(message);
}

/** Edits not accepted recently, for an error that names no cause. */
function untestedEdits(retry: RetryState, attempt: Attempt, failure: Failure, judgement: Judgement, signature: string): Found | null {
  const { request, target, repairs } = attempt.options;
  const { repairs: book } = target.state;
  if (failure.param !== null) return null;
  const now = retry.active.engine.clock.now();
  const edits = undoable(request, target, repairs).filter(({ key }) => !book.isTrusted(now, key) && !book.isCleared(now, key, signature));
  if (edits.length === 0) return null;
  if (judgement.reason === 'server_error') {
    const isFirst = !retry.failures.some((failed) => failed.target.state.name === target.state.name);
    const isSuspect = edits.some(({ key }) => book.has(key)) || (isFirst && book.isVagueAgain(now));
    if (errorStatusOf(failure) !== 500 || !isSuspect) return null;
  } else if (judgement.reason !== 'refused') return null;
  return { repairs: edits, suppressed: NOTHING, isNamed: false };
}

function noteRepair(retry: RetryState, target: RouteTarget, { kind, field, to }: Repair): void {
  const { active } = retry;
  if (kind === 'rename') active.note(`${field} sent as ${to}: the target does not support the original name`, target);
  else if (kind === 'unset') active.note(`${field} not set: the target does not accept it`, target);
  else active.note(`${field} left out: the target does not accept it`, target);
}

function listOf(repairs: readonly Repair[]): string {
  return repairs.map(({ field }) => field).join(', ');
}
