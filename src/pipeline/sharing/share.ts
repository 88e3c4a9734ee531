/** Decides how a request is answered: from the cache, by joining an identical request in flight, or by running it. */
import type { Claimed, FlightLead, Flights, ForeignClaim, Reclaim } from '../../cluster/flights.ts';
import type { Clock } from '../../core/clock.ts';
import { BreakwaterError } from '../../core/errors.ts';
import type { InFlightEntry, ResponseCache } from './response-cache.ts';
import { ResponseReader } from './response-reader.ts';
import type { Engine } from '../request/engine.ts';
import type { GatewayRequest } from '../request/gateway-request.ts';
import { cacheKeyOf, type Digest, fingerprintOf, HASHED_AT_ONCE_BYTES_MAX, scopeOf } from './request-identity.ts';
import type { Route } from '../route/route.ts';
import type { Running } from '../request/running-list.ts';
import { followElsewhere } from './follow-elsewhere.ts';
import { RemoteReader } from './remote-reader.ts';
import { SharedResponse } from './shared-response.ts';
import type { ResponseSink } from '../request/response-sink.ts';
import { canServe, type ResponsePurpose, type WholeResponse } from './whole-response.ts';

const NO_NAMES: readonly string[] = [];
/** Instances that are followed one after the other, where each goes away before its response begins. */
const FOLLOWS_MAX = 2;

export interface SharingEngine extends Engine {
  /** Cached responses, and those in progress that others may join. */
  readonly responses: ResponseCache;
  /** Those that other instances make; null: there are none. */
  readonly flights: Flights | null;
}

/** True if the response may be shared with other requests, or taken from one. */
export function isShared(request: GatewayRequest, route: Route): boolean {
  return request.idempotencyKey !== null || (route.policy.cache.enabled && request.cache !== 'off');
}

/** The keys of a request. */
export interface Identity {
  /** Null: no idempotency key. */
  readonly keyName: string | null;
  readonly fingerprint: string;
  /** Null: not cacheable. */
  readonly cacheKey: string | null;
  /** Set if the gateway stopped during hashing. */
  readonly stopError: BreakwaterError | null;
}

/** The response to be produced, with this request as its first reader; null: the request has a response. */
export function share(
  engine: SharingEngine,
  request: GatewayRequest,
  route: Route,
  sink: ResponseSink,
  identity: Identity,
): Promise<SharedResponse | null> | SharedResponse {
  const { keyName, fingerprint, stopError } = identity;
  const reader = new ResponseReader(engine, request, route, sink);
  if (request.caller.hasLeft) return endAtOnce(reader, () => reader.leave());
  if (stopError !== null) return endAtOnce(reader, () => reader.fail(stopError, null));

  const known = keyName === null ? null : engine.responses.findKeyed(keyName);
  if (mayHaveStopped(known) && known.fingerprint === fingerprint) return joinIfAlive(engine, reader, route, identity, known.response);
  return shareAs(engine, reader, route, identity);
}

/** A repeat of a response that has begun at another instance joins its reader here, once that instance has written a heartbeat for it. */
async function joinIfAlive(
  engine: SharingEngine,
  reader: ResponseReader,
  route: Route,
  identity: Identity,
  found: SharedResponse,
): Promise<SharedResponse | null> {
  // It emits its events later, as the reader that makes a response or as one that joins it.
  reader.isFirst = true;
  engine.running.add(reader);
  const isAlive = (await found.lifeCheck?.isAlive()) === true;
  engine.running.remove(reader);
  if (reader.isOver) {
    reader.emitOwnEvents();
    return null;
  }
  reader.isFirst = false;
  if (isAlive && found.canJoin) return join(reader, found);
  return shareAs(engine, reader, route, identity);
}

/** As `share`, with the reader of the request. */
function shareAs(
  engine: SharingEngine,
  reader: ResponseReader,
  route: Route,
  identity: Identity,
): Promise<SharedResponse | null> | SharedResponse {
  const { responses } = engine;
  const { keyName, fingerprint, cacheKey } = identity;
  const { request } = reader;
  const known = keyName === null ? null : responses.findKeyed(keyName);
  const keyed = mayHaveStopped(known) ? null : known;
  if (known !== null) {
    if (known.fingerprint !== fingerprint) return endAtOnce(reader, () => reader.fail(conflict(), null));
    if ('whole' in known) return replay(reader, known.whole);
    if (keyed === null) known.response?.discard();
    else if (known.response?.canJoin === true) return join(reader, known.response);
  }

  // A stored response of the idempotency key takes precedence over the cache.
  const checksStoredKey = keyName !== null && keyed === null && responses.mayBeStored(`i:${keyName}`);
  const mayUseCached = cacheKey !== null && request.cache === 'on';
  const cached = mayUseCached ? servable(responses.findCached(cacheKey), request) : null;
  const freshness = cached === null ? 'gone' : responses.freshness(cached, route.policy.cache);
  if (cached !== null && freshness === 'fresh' && !checksStoredKey) {
    if (keyName !== null) responses.cacheKeyed(keyName, fingerprint, cached);
    return replay(reader, cached);
  }
  const inFlight =
    mayUseCached && route.policy.cache.coalesce && !checksStoredKey ? responses.findInFlight(cacheKey, formsFor(request)) : null;
  if (inFlight !== null) {
    if (keyName !== null) responses.key(keyName, fingerprint, inFlight);
    return join(reader, inFlight);
  }

  const response = new SharedResponse(engine, responses, reader, { cacheKey, policy: route.policy.cache, dialect: request.dialect });
  if (keyName !== null && keyed === null) responses.key(keyName, fingerprint, response);
  const foreign = toClaim(engine, identity, request, route);
  if (checksStoredKey) return findStored(engine, response, reader, identity, route, foreign);
  allowJoins(engine, response, route, request);
  if (freshness === 'stale') response.stale = cached;
  const checksStored = mayUseCached && cached === null && responses.mayBeStored(`c:${cacheKey}`);
  return checksStored || foreign.length > 0 ? findStored(engine, response, reader, identity, route, foreign) : response;
}

/** True for a response that has begun at another instance, which may be gone: a repeat gets no part of it before a new heartbeat. */
function mayHaveStopped(keyed: ReturnType<ResponseCache['findKeyed']>): keyed is InFlightEntry & { response: SharedResponse } {
  return keyed !== null && 'response' in keyed && keyed.response?.isFollowing === true && keyed.response.isStarted;
}

/** Lets identical requests join the response. */
function allowJoins(
  { responses }: Pick<SharingEngine, 'responses'>,
  response: SharedResponse,
  { policy }: Route,
  request: GatewayRequest,
): void {
  if (response.purpose.cacheKey !== null && policy.cache.coalesce && response.canJoin) responses.open(response, formOf(request));
}

/** The names under which other instances may make the response, or follow it. */
function toClaim(
  { flights }: SharingEngine,
  { keyName, cacheKey }: Identity,
  request: GatewayRequest,
  { policy }: Route,
): readonly string[] {
  if (flights?.isAvailable !== true) return NO_NAMES;
  const names = keyName === null ? [] : [`i:${keyName}`];
  if (cacheKey !== null && request.cache === 'on' && policy.cache.coalesce) names.push(`c:${cacheKey} ${formOf(request)}`);
  return names;
}

/** Looks in the store for a response of an earlier process or another instance, then at the responses that other instances make. */
async function findStored(
  engine: SharingEngine,
  response: SharedResponse,
  reader: ResponseReader,
  identity: Identity,
  route: Route,
  names: readonly string[],
): Promise<SharedResponse | null> {
  let again: Reclaim | null = null;
  for (let follows = 0; follows <= FOLLOWS_MAX; follows++) {
    engine.running.add(reader);
    // Claimed before it looks: a response is in the store before its claim is released.
    const claimed: Claimed | null = names.length === 0 ? null : await claim(engine, response, names, identity, again);
    const isFound = await takeStored(engine, response, reader, identity, route);
    const foreign: ForeignClaim | null = claimed?.foreign ?? null;
    const isTaken = !isFound && foreign?.at === 0 && identity.keyName !== null && !foreign.isSame;
    const isConflict = isTaken && !(await engine.flights!.isGone(foreign));
    engine.running.remove(reader);
    if (isFound) return null;
    if (isConflict) {
      response.discard();
      response.conflict(conflict());
      return null;
    }
    if (foreign === null || reader.isStopped || response.hasLeft) break;
    const isKeyed = foreign.at === 0 && identity.keyName !== null;
    if (!isTaken && (await followElsewhere(engine, engine.flights!, response, reader, foreign, isKeyed))) return null;
    // An instance that does not answer is gone: its claim is replaced, unless a third one was first.
    again = { id: claimed!.id, instead: foreign.owner };
  }
  if (reader.isStopped) response.giveUp();
  return response;
}

/** True: the response, or its refusal, is in the store. */
async function takeStored(
  { responses }: SharingEngine,
  response: SharedResponse,
  reader: ResponseReader,
  { keyName, fingerprint, cacheKey }: Identity,
  route: Route,
): Promise<boolean> {
  const keyed = keyName !== null && responses.mayBeStored(`i:${keyName}`) ? await responses.findStoredKeyed(keyName) : null;
  if (keyed === null && response.inFlightName === null) allowJoins({ responses }, response, route, reader.request);
  const mayUseCached = keyed === null && cacheKey !== null && reader.request.cache === 'on';
  const cached = mayUseCached
    ? servable(responses.findCached(cacheKey) ?? (await responses.findStoredCached(cacheKey)), reader.request)
    : null;
  if (keyed !== null && keyed.fingerprint !== fingerprint) {
    responses.settleConflict(response, keyName!, keyed);
    response.conflict(conflict());
    return true;
  }
  const freshness = cached === null ? 'gone' : responses.freshness(cached, route.policy.cache);
  const whole = keyed?.whole ?? (freshness === 'fresh' ? cached : null);
  if (whole !== null) {
    responses.settle(response, whole);
    response.replay(whole);
    return true;
  }
  if (freshness === 'stale') response.stale = cached;
  return false;
}

/** Null: the store is away. */
async function claim(
  { flights, clock, responses }: SharingEngine,
  response: SharedResponse,
  names: readonly string[],
  { keyName, fingerprint, cacheKey }: Identity,
  again: Reclaim | null,
): Promise<Claimed | null> {
  const record: FlightLead['record'] = (recorder, urgency) => {
    if (!response.canJoin) return null;
    const remote = new RemoteReader(clock, recorder, urgency);
    response.join(remote);
    return () => remote.leave();
  };
  const claimed = await flights!.claim(names, fingerprint, { record }, again);
  if (claimed === null) return null;
  const { policy } = response.purpose;
  const complete = completeLead(clock, responses, { keyName, cacheKey, policy });
  if (response.isOver || response.hasLeft) flights!.end(claimed.id, null);
  else response.onEnded = (isWhole) => flights!.end(claimed.id, isWhole ? complete : null);
  return claimed;
}

/** Records a complete response from memory. It refers to no request, whose body would be retained. */
function completeLead(
  clock: Clock,
  responses: ResponseCache,
  { keyName, cacheKey, policy }: Pick<Identity, 'keyName' | 'cacheKey'> & Pick<ResponsePurpose, 'policy'>,
): FlightLead {
  return {
    record(recorder, urgency) {
      const kept = urgency.isKeyed && keyName !== null ? responses.findKeyed(keyName) : null;
      const cached = urgency.isKeyed || cacheKey === null ? null : responses.findCached(cacheKey);
      const fresh = cached !== null && responses.freshness(cached, policy) === 'fresh' ? cached : null;
      const whole = kept !== null && 'whole' in kept ? kept.whole : fresh;
      if (whole === null) return null;
      new RemoteReader(clock, recorder, urgency).take(whole);
      return () => {};
    },
  };
}

/** The path, with what a Gemini request says there instead of in its body. */
function addressOf({ path, dialect, facts }: GatewayRequest): string {
  return dialect.protocol === 'gemini' ? `${path} ${facts.model} ${facts.stream}` : path;
}

/** The keys of a request; a promise for a large body, which is hashed in slices. */
export function identify(engine: SharingEngine, request: GatewayRequest, route: Route): Identity | Promise<Identity> {
  const { idempotencyKey, cache, facts, body } = request;
  const isForCache = cache !== 'off' && facts.operation !== 'bytes' && route.policy.cache.enabled;
  const keyName = idempotencyKey === null ? null : `${scopeOf(request, route)}\0${idempotencyKey}`;
  const fingerprint = keyName === null ? null : fingerprintOf(request);
  const cacheKey = isForCache ? cacheKeyOf(request, route) : null;
  const make = (stopError: BreakwaterError | null): Identity => ({
    keyName,
    fingerprint: fingerprint === null ? '' : `${addressOf(request)} ${fingerprint.text()}`,
    cacheKey: cacheKey?.text() ?? null,
    stopError,
  });
  if (body.bytes.byteLength > HASHED_AT_ONCE_BYTES_MAX) return hashInSlices(engine, [fingerprint, cacheKey]).then(make);
  fingerprint?.step(Infinity);
  cacheKey?.step(Infinity);
  return make(null);
}

/** Registered as a running request, so that the gateway waits for it. Returns the error to end with if the gateway stopped meanwhile. */
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

/** The form of a response: a stream with usage at its end, a stream without, or non-streaming. */
function formOf({ facts }: GatewayRequest): string {
  return facts.stream ? (facts.wantsUsage ? 'usage' : 'stream') : 'non-streaming';
}

/** The forms in flight that can serve a request, the best first. Streams with and without usage can't serve each other. */
function formsFor(request: GatewayRequest): readonly string[] {
  const own = formOf(request);
  return own === 'non-streaming' ? ['non-streaming', 'usage', 'stream'] : [own, 'non-streaming'];
}

/** Null for a response that is too large to be converted to the requested form. */
function servable(kept: WholeResponse | null, request: GatewayRequest): WholeResponse | null {
  return kept !== null && canServe(kept, request) ? kept : null;
}

function conflict(): BreakwaterError {
  return new BreakwaterError(
    'idempotency_conflict',
    'this idempotency key was used with a different request: use a new key for a new request',
    {
      param: 'idempotency-key',
    },
  );
}

function replay(reader: ResponseReader, whole: WholeResponse): Promise<null> {
  return endAtOnce(reader, () => reader.take(whole, 'hit'));
}

async function endAtOnce(reader: ResponseReader, end: () => void): Promise<null> {
  reader.begin();
  try {
    end();
  } catch (error) {
    reader.drop(error);
  }
  return null;
}

async function join(reader: ResponseReader, response: SharedResponse): Promise<null> {
  reader.begin();
  reader.note(`shares the response to ${response.firstId}, an identical request in progress`);
  response.join(reader);
  await reader.whenOver();
  return null;
}
