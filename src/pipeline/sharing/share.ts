/** Before a run: is the answer there already, or on its way, or must it be made? */
import { BreakwaterError } from '../../core/errors.ts';
import type { AnswerBook } from './response-cache.ts';
import { AnswerReader } from './response-reader.ts';
import type { Engine } from '../request/engine.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import { cacheKeyOf, type Digest, fingerprintOf, HASHED_AT_ONCE_BYTES_MAX, scopeOf } from './request-identity.ts';
import type { Route } from '../route/route.ts';
import type { Running } from '../request/running-list.ts';
import { SharedAnswer } from './shared-response.ts';
import type { AnswerSink } from '../request/response-sink.ts';
import { canServe, type WholeAnswer } from './whole-response.ts';

export interface SharingEngine extends Engine {
  /** Cached responses, and those in progress that others may join. */
  readonly answers: AnswerBook;
}

/** True if the answer may be given to more than this request, or may come from another one. */
export function isShared(request: GatewayRequest, route: Route): boolean {
  return request.idempotencyKey !== null || (route.policy.cache.enabled && request.cache !== 'off');
}

/** What the request is known by. */
export interface Identity {
  /** Null: none was given. */
  readonly keyName: string | null;
  readonly fingerprint: string;
  /** Null: not for the cache. */
  readonly cacheKey: string | null;
  /** The gateway stopped meanwhile. */
  readonly stopError: BreakwaterError | null;
}

/** The answer that is to be made, with this request as its first reader; null: the request was answered. */
export function share(
  engine: SharingEngine,
  request: GatewayRequest,
  route: Route,
  sink: AnswerSink,
  identity: Identity,
): Promise<SharedAnswer | null> | SharedAnswer {
  const { answers } = engine;
  const { keyName, fingerprint, cacheKey, stopError } = identity;
  const reader = new AnswerReader(engine, request, route, sink);
  if (request.caller.hasLeft) return endAtOnce(reader, () => reader.leave());
  if (stopError !== null) return endAtOnce(reader, () => reader.fail(stopError, null));

  const keyed = keyName === null ? null : answers.findKeyed(keyName);
  if (keyed !== null) {
    if (keyed.fingerprint !== fingerprint) return endAtOnce(reader, () => reader.fail(conflict(), null));
    if ('whole' in keyed) return replay(reader, keyed.whole);
    if (keyed.answer?.canJoin === true) return join(reader, keyed.answer);
  }

  // What an earlier process has left of the key comes before all that the cache knows, and is nobody else's.
  const asksForKey = keyName !== null && keyed === null && answers.mayBeStored(`i:${keyName}`);
  const wantsKept = cacheKey !== null && request.cache === 'on';
  const cached = wantsKept ? servable(answers.findCached(cacheKey), request) : null;
  const freshness = cached === null ? 'gone' : answers.freshness(cached, route.policy.cache);
  if (cached !== null && freshness === 'fresh' && !asksForKey) {
    if (keyName !== null) answers.keepKeyed(keyName, fingerprint, cached);
    return replay(reader, cached);
  }
  const flying = wantsKept && route.policy.cache.coalesce && !asksForKey ? answers.findFlying(cacheKey, formsFor(request)) : null;
  if (flying !== null) {
    if (keyName !== null) answers.key(keyName, fingerprint, flying);
    return join(reader, flying);
  }

  const answer = new SharedAnswer(engine, answers, reader, { cacheKey, policy: route.policy.cache, dialect: request.dialect });
  if (keyName !== null && keyed === null) answers.key(keyName, fingerprint, answer);
  if (asksForKey) return lookUp(engine, answer, reader, identity, route);
  openToAll(engine, answer, route, request);
  if (freshness === 'stale') answer.stale = cached;
  const asksStore = wantsKept && cached === null && answers.mayBeStored(`c:${cacheKey}`);
  return asksStore ? lookUp(engine, answer, reader, identity, route) : answer;
}

/** From here on whoever asks for the same may share it. */
function openToAll({ answers }: SharingEngine, answer: SharedAnswer, { policy }: Route, request: GatewayRequest): void {
  if (answer.purpose.cacheKey !== null && policy.cache.coalesce && answer.canJoin) answers.open(answer, formOf(request));
}

/** An earlier process may have left it. */
async function lookUp(
  engine: SharingEngine,
  answer: SharedAnswer,
  reader: AnswerReader,
  { keyName, fingerprint, cacheKey }: Identity,
  route: Route,
): Promise<SharedAnswer | null> {
  const { answers } = engine;
  engine.running.add(reader);
  const keyed = keyName !== null && answers.mayBeStored(`i:${keyName}`) ? await answers.findStoredKeyed(keyName) : null;
  if (keyed === null && answer.flyingAs === null) openToAll(engine, answer, route, reader.request);
  const wantsKept = keyed === null && cacheKey !== null && reader.request.cache === 'on';
  const cached = wantsKept ? servable(answers.findCached(cacheKey) ?? (await answers.findStoredCached(cacheKey)), reader.request) : null;
  engine.running.remove(reader);
  if (keyed !== null && keyed.fingerprint !== fingerprint) {
    answers.settleConflict(answer, keyName!, keyed);
    answer.conflict(conflict());
    return null;
  }
  const freshness = cached === null ? 'gone' : answers.freshness(cached, route.policy.cache);
  const whole = keyed?.whole ?? (freshness === 'fresh' ? cached : null);
  if (whole !== null) {
    answers.settle(answer, whole);
    answer.replay(whole);
    return null;
  }
  if (freshness === 'stale') answer.stale = cached;
  if (reader.isStopped) answer.giveUp();
  return answer;
}

/** What the request is known by: for a large body a promise, as it is hashed in slices. */
export function identify(engine: SharingEngine, request: GatewayRequest, route: Route): Identity | Promise<Identity> {
  const { idempotencyKey, cache, facts, body } = request;
  const isForCache = cache !== 'off' && facts.operation !== 'bytes' && route.policy.cache.enabled;
  const keyName = idempotencyKey === null ? null : `${scopeOf(request, route)}\0${idempotencyKey}`;
  const fingerprint = keyName === null ? null : fingerprintOf(request);
  const cacheKey = isForCache ? cacheKeyOf(request, route) : null;
  const make = (stopError: BreakwaterError | null): Identity => ({
    keyName,
    fingerprint: fingerprint === null ? '' : `${request.path} ${fingerprint.text()}`,
    cacheKey: cacheKey?.text() ?? null,
    stopError,
  });
  if (body.bytes.byteLength > HASHED_AT_ONCE_BYTES_MAX) return hashInSlices(engine, [fingerprint, cacheKey]).then(make);
  fingerprint?.step(Infinity);
  cacheKey?.step(Infinity);
  return make(null);
}

/** Counts among the running requests, so that the gateway waits for it. Gives the error to end with, if the gateway stopped meanwhile. */
async function hashInSlices({ running, slices }: Engine, digests: readonly (Digest | null)[]): Promise<BreakwaterError | null> {
  let stopError: BreakwaterError | null = null;
  const seat: Running = { older: null, newer: null, stop: (error) => (stopError = error) };
  running.add(seat);
  try {
    for (const digest of digests) if (digest !== null) await slices.run(() => digest.step());
  } finally {
    running.remove(seat);
  }
  return stopError;
}

/** The forms of one answer: a stream with the usage at its end, a stream without, and a plain one. */
function formOf({ facts }: GatewayRequest): string {
  return facts.stream ? (facts.wantsUsage ? 'usage' : 'stream') : 'plain';
}

/** Which of the forms under way serve a request, the best first. Two streams that end otherwise don't serve each other. */
function formsFor(request: GatewayRequest): readonly string[] {
  const own = formOf(request);
  return own === 'plain' ? ['plain', 'usage', 'stream'] : [own, 'plain'];
}

/** A large answer that was kept in the other form is as good as none. */
function servable(kept: WholeAnswer | null, request: GatewayRequest): WholeAnswer | null {
  return kept !== null && canServe(kept, request) ? kept : null;
}

function conflict(): BreakwaterError {
  return new BreakwaterError(
    'idempotency_conflict',
    'this idempotency key was used with another request: use a new key for a new request',
    {
      param: 'idempotency-key',
    },
  );
}

function replay(reader: AnswerReader, whole: WholeAnswer): Promise<null> {
  return endAtOnce(reader, () => reader.take(whole, 'hit'));
}

async function endAtOnce(reader: AnswerReader, end: () => void): Promise<null> {
  reader.begin();
  try {
    end();
  } catch (error) {
    reader.drop(error);
  }
  return null;
}

async function join(reader: AnswerReader, answer: SharedAnswer): Promise<null> {
  reader.begin();
  reader.note(`shares the answer to the same request, ${answer.firstId}, which is under way`);
  answer.join(reader);
  await reader.whenOver();
  return null;
}
