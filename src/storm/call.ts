/** One call from its request to the end of its answer: whose key, which limit, which fault, what is said. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../core/clock.ts';
import { toBodyAnswer, toPackets, toPlainAnswer, toStreamAnswer } from './answer.ts';
import type { Answer } from './answer.ts';
import { createSeededRandom, hashNumbers, sample } from './chance.ts';
import { countTokens, speak } from './content.ts';
import type { Choice } from './content.ts';
import { isFailure } from './dialect.ts';
import type { AnswerFacts, Ask, Dialect, Endpoint, Failure, Received } from './dialect.ts';
import { FAULT_KINDS } from './fault-kinds.ts';
import type { FaultBehaviour, Scene } from './fault-kinds.ts';
import type { FaultPlan } from './faults.ts';
import { toLimitFailure } from './limit-failure.ts';
import { createAccount } from './limits.ts';
import type { Account } from './limits.ts';
import type { StormFault, StormOptions } from './options.ts';
import { play } from './player.ts';
import type { CallRecord, Tally } from './stats.ts';

/** Keys whose limits are kept apart; beyond it, new keys share one account. */
const ACCOUNTS_MAX = 10_000;

const LENGTH_DEFAULT = { min: 20, max: 60 };

export interface CallSettings {
  options: StormOptions;
  models: readonly string[];
  dialects: readonly Dialect[];
  plan: FaultPlan;
  tally: Tally;
  clock: Clock;
}

export interface CallHandler {
  handle(received: Received, req: IncomingMessage, res: ServerResponse): void;
  /** Forgets what was spent of the limits. */
  reset(): void;
}

/** A call on its way. */
interface Call {
  dialect: Dialect;
  record: CallRecord;
  account: Account | undefined;
  res: ServerResponse;
}

/** Makes the handler of all calls. */
export function createCallHandler(settings: CallSettings): CallHandler {
  const { options, dialects, plan, tally, clock } = settings;
  const { limits, timing = {}, seed = 1, name = 'storm' } = options;
  const keys = options.apiKeys === undefined ? undefined : new Set(options.apiKeys);
  const known = new Set(settings.models);
  let accounts = new Map<string, Account>();

  function accountOf(key: string): Account | undefined {
    if (limits === undefined) return undefined;
    const id = accounts.has(key) || accounts.size < ACCOUNTS_MAX ? key : '';
    let account = accounts.get(id);
    if (account === undefined) accounts.set(id, (account = createAccount(limits, options.minuteMs ?? 60_000)));
    return account;
  }

  function handle(received: Received, req: IncomingMessage, res: ServerResponse): void {
    const [dialect, endpoint] = routeOf(received);
    const key = dialect.keyOf(received.headers);
    const read: Ask | Failure = keys !== undefined && !keys.has(key) ? { reason: 'bad-key' } : readAsk(endpoint, received);
    if (endpoint?.counted === false) {
      tally.listed(endpoint.label);
      serveList(dialect, read, res);
      return;
    }
    const tag = req.headers['x-storm-tag'];
    const asked = isFailure(read) ? undefined : read;
    const record = tally.begin(
      endpoint?.label ?? 'other',
      asked?.model ?? '',
      typeof tag === 'string' ? tag : undefined,
      asked?.stream ?? false,
    );
    keepRequest(record, received);
    const call: Call = { dialect, record, account: undefined, res };
    if (isFailure(read)) fail(call, read);
    else serve(call, read, key, headerOf(received, 'x-storm-fault'));
  }

  function routeOf({ method, path }: Received): [Dialect, Endpoint | undefined] {
    for (const dialect of dialects) {
      const endpoint = dialect.route(method, path);
      if (endpoint !== undefined) return [dialect, endpoint];
    }
    return [dialects[0]!, undefined];
  }

  function readAsk(endpoint: Endpoint | undefined, received: Received): Ask | Failure {
    if (endpoint === undefined) return { reason: 'not-found', message: `Invalid URL (${received.method} ${received.path})` };
    const ask = endpoint.read(received);
    if (isFailure(ask) || !endpoint.counted || options.strictModels !== true) return ask;
    return known.has(ask.model) || ask.model.startsWith('fault-') ? ask : { reason: 'no-model', model: ask.model };
  }

  function keepRequest(record: CallRecord, received: Received): void {
    const { keepBodies = 0 } = options;
    if (keepBodies === 0) return;
    record.headers = received.headers;
    record.body = received.body;
    const old = tally.find(record.call - keepBodies);
    if (old !== undefined) {
      delete old.headers;
      delete old.body;
    }
  }

  function serve(call: Call, ask: Ask, key: string, header: string | undefined): void {
    const { record, dialect } = call;
    const account = accountOf(key);
    const tokens = ask.inputTokens + (limits?.countOutput === false ? 0 : (ask.outputBound ?? 0));
    const refusal = account?.admit(clock.now(), tokens);
    tally.judged(record, refusal?.by);
    if (refusal !== undefined) {
      fail(call, toLimitFailure(refusal, ask.model, limits?.hints ?? 'both'), account);
      return;
    }
    call.account = account;
    record.inputTokens = ask.inputTokens;
    const picked = plan.pick({ call: record.call, model: ask.model, header, sinceMs: tally.sinceMs() });
    if (typeof picked === 'string') {
      fail(call, { reason: 'invalid', message: picked }, account);
      return;
    }
    const scene: Scene = { dialect, model: ask.model, call: record.call, epochMs: clock.epochMs(), fields: ask.fields };
    const fault: FaultBehaviour | undefined = picked === undefined ? undefined : FAULT_KINDS[picked.kind];
    if (picked !== undefined) record.fault = picked.kind;
    const failure = picked && fault?.refuse?.(picked, scene);
    if (failure !== undefined) fail(call, withOverrides(failure, picked!), account);
    else begin(call, answerOf(record, ask, picked, fault, scene), account);
  }

  function answerOf(record: CallRecord, ask: Ask, picked: StormFault | undefined, fault: FaultBehaviour | undefined, scene: Scene): Answer {
    const random = createSeededRandom(hashNumbers(seed, record.call));
    let choices: Choice[] = [];
    if (ask.prompt !== undefined) {
      choices = speak(ask.prompt, ask.model, seed, (chance) => sample(timing.tokens ?? LENGTH_DEFAULT, chance), ask.outputBound);
      if (fault?.content !== undefined) choices = choices.map((choice) => fault.content!(choice, picked!));
    }
    const output = countTokens(choices);
    record.outputTokens = output;
    const usage = { input: ask.inputTokens, output };
    const facts: AnswerFacts = { call: record.call, created: Math.floor(scene.epochMs / 1000), name, seed, usage };
    const stream = fault?.form === undefined ? ask.stream : fault.form === 'stream';
    const answer =
      stream && ask.events !== undefined
        ? toStreamAnswer(ask.events(choices, facts), timing, random)
        : toPlainAnswer(ask.plain(choices, facts), timing, output, random);
    return fault?.answer === undefined ? answer : fault.answer(answer, picked!, scene);
  }

  function fail(call: Call, failure: Failure, account?: Account): void {
    const { status, body } = call.dialect.failure(failure);
    const { raw } = failure;
    const answer = raw === undefined ? toBodyAnswer(status, 'application/json', body) : toBodyAnswer(status, raw.contentType, raw.body);
    Object.assign(answer.headers, failure.headers);
    begin(call, answer, account);
  }

  /** Sends the answer, and closes the books of the call exactly once. */
  function begin(call: Call, answer: Answer, account: Account | undefined): void {
    const { res, record, dialect } = call;
    answer.headers['x-request-id'] = `req_storm${seed}_${record.call}`;
    if (account !== undefined && limits?.advertise !== false) {
      const now = clock.now();
      Object.assign(answer.headers, dialect.limitHeaders(account.requests(now), account.tokens(now)));
    }
    let open = true;
    const close = (ending: 'sent' | 'broken' | 'aborted') => {
      open = false;
      call.account?.release();
      tally.end(record, ending, res.headersSent || ending === 'sent' ? answer.status : undefined);
    };
    res.once('close', () => {
      if (open) close('aborted');
      else if (record.ending === 'sent' && !res.writableFinished) tally.leftAfterAll(record);
    });
    play(res, { ...answer, steps: toPackets(answer.steps, timing.eventsPerPacket ?? Infinity) }, clock, close);
  }

  return {
    handle,
    reset() {
      accounts = new Map();
    },
  };
}

function serveList(dialect: Dialect, read: Ask | Failure, res: ServerResponse): void {
  if (isFailure(read)) {
    const { status, body } = dialect.failure(read);
    res.writeHead(status, { 'content-type': 'application/json' }).end(body);
    return;
  }
  const { contentType, body } = read.plain([], { call: 0, created: 0, name: '', seed: 0, usage: { input: 0, output: 0 } });
  res.writeHead(200, { 'content-type': contentType }).end(body);
}

function headerOf({ headers }: Received, name: string): string | undefined {
  const value = headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** What the fault's own settings say wins over its kind. */
function withOverrides(failure: Failure, fault: StormFault): Failure {
  const headers = { ...failure.headers };
  if (fault.retryAfter !== undefined) headers['retry-after'] = String(fault.retryAfter);
  if (fault.retryAfterMs !== undefined) headers['retry-after-ms'] = String(fault.retryAfterMs);
  const result: Failure = { ...failure, headers };
  if (fault.status !== undefined) result.status = fault.status;
  if (fault.message !== undefined) result.message = fault.message;
  return result;
}
