/**
 * Every fault that Storm knows, in every form that can matter: alone and with a healthy second target, plain and
 * streamed, over the socket and in process. What the official SDK sees, whom the gateway asked, what the timeline tells,
 * what it means for the target; and that nothing is held when it is over.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import OpenAI from 'openai';
import { FAULT_NAMES } from '../../src/storm/fault-names.ts';
import type { StormFault, StormFaultKind } from '../../src/storm/index.ts';
import type { Timeline } from '../../src/telemetry/timelines.ts';
import { expectationsOf } from './fault-expectations.ts';
import type { Breaks, Expectation, Fails, Fate, Passes, Poor } from './fault-fates.ts';
import { askBySdk } from './sdk-caller.ts';
import type { Said, SdkSeen } from './sdk-caller.ts';
import { eventually, startWorld } from './world.ts';
import type { Way, World } from './world.ts';

const MAX_ATTEMPTS = 4;
const CONCURRENCY = 3;
/** Chunks of an answer without end. */
const LEAVES_AFTER = 20;
/** No usual case takes longer, in milliseconds: the slowest is silent four times for a quarter of a second. */
const LONGEST_MS = 5000;

const policy = { retry: { baseDelay: '4ms', maxDelay: '16ms' } };
/** Only where a silence is the story: a busy machine is silent for as long at times. */
const impatient = { ...policy, timeouts: { headers: '250ms', firstContent: '250ms', idle: '250ms' } };
/** Where only the whole answer tells: a stream that came in pieces is on its way before. */
const buffered = { ...policy, quality: { buffer: true } };
/** Where the fault strikes after content, that is on its way before, even on a busy machine. */
const paced = { tokensPerSecond: 10, plainMs: 0, eventsPerPacket: 1 };

const TRUTH: Said = { content: 'größer 港口 🌊 calm.', refusal: '', reasoning: '', tools: [], finish: 'stop' };
/** Storm says it back. */
const MESSAGE = `echo ${TRUTH.content}`;

interface Case {
  readonly fault: StormFault;
  readonly fate: Fate;
  readonly stream: boolean;
  readonly way: Way;
  readonly body: Record<string, unknown>;
  readonly withinMs: number;
}

interface Stage extends Case {
  readonly world: World;
  readonly seen: SdkSeen;
  readonly timeline: Timeline;
  /** What the provider with the fault tells the same caller where there is no gateway. */
  direct(): Promise<SdkSeen>;
}

/** Asks once, and waits until all is over. */
async function play(t: TestContext, given: Case, names: readonly ('a' | 'b')[]): Promise<Stage> {
  const { fault, fate, stream, way } = given;
  const isSilent =
    ('reason' in fate && (fate.reason === 'stalled' || (fate.reason === 'timeout' && fault.kind !== '408'))) || 'isSilent' in fate;
  const provider = { limits: { concurrency: CONCURRENCY } };
  const world = await startWorld(t, {
    storms: Object.fromEntries(
      names.map((name) => [name, name === 'a' ? { faults: [fault], timing: fate.end === 'breaks' ? paced : {} } : {}]),
    ),
    providers: Object.fromEntries(names.map((name) => [name, provider])),
    config: { policy: isSilent ? impatient : fate.end === 'poor' ? buffered : policy },
    timelines: true,
  });
  const body = { messages: [{ role: 'user', content: MESSAGE }], max_tokens: 100, stream, ...given.body };
  const inProcess = new OpenAI({ baseURL: 'http://breakwater/v1', apiKey: 'unused', maxRetries: 0, fetch: world.fetch });
  const leaveAfter = fate.end === 'endless' ? LEAVES_AFTER : Infinity;
  const seen = await askBySdk(way === 'socket' ? world.openai : inProcess, { ...body, model: 'fast' }, {}, leaveAfter);
  assert.ok(seen.ms < given.withinMs, `${seen.ms} ms`);
  const id = seen.headers.get('x-request-id')!;
  await eventually(() => world.eventsOf('finished').length > 0, 'the end of the request');
  const told = await fetch(`${world.url}/admin/requests/${id}`);
  assert.equal(told.status, 200);
  const direct = () => {
    const provider = new OpenAI({ baseURL: world.storms['a']!.url, apiKey: 'sk-test', maxRetries: 0 });
    return askBySdk(provider, { ...body, model: 'm' });
  };
  return { ...given, world, seen, timeline: (await told.json()) as Timeline, direct };
}

/** What the timeline says of attempts and the end, in order. */
function storyOf({ entries }: Timeline): string[] {
  return entries.flatMap(({ type, details }) => {
    if (type === 'attempt') return [`asks ${String(details['target'])}`];
    if (type === 'attempt_end') return [`${String(details['target'])}: ${String(details['verdict'])} ${String(details['reason'])}`];
    if (type === 'committed') return [`commits ${String(details['target'])}`];
    if (type === 'finished') return [`${String(details['outcome'])} ${String(details['status'])}`];
    return type === 'received' ? ['received'] : [];
  });
}

const failedAt = (target: string, { verdict, reason }: { verdict: string; reason: string }) => [
  `asks ${target}`,
  `${target}: ${verdict} ${reason}`,
];
const repeated = (times: number, lines: string[]) => Array.from({ length: times }, () => lines).flat();
const answeredBy = (target: string) => [`asks ${target}`, `commits ${target}`, `${target}: success null`, 'success 200'];

function assertCalls({ world }: Stage, a: number, b: number): void {
  const calls = Object.fromEntries(Object.entries(world.storms).map(([name, storm]) => [name, storm.stats().calls]));
  assert.deepEqual(calls, 'b' in world.storms ? { a, b } : { a }, 'upstream calls');
}

async function assertNothingHeld({ world }: Stage): Promise<void> {
  for (const storm of Object.values(world.storms)) await eventually(() => storm.stats().running === 0, 'nothing runs at the provider');
  await eventually(() => world.gateway.queue().inFlight === 0, 'nothing is in flight');
  const { waiting, heldBytes } = world.gateway.queue();
  assert.deepEqual([waiting, heldBytes], [0, 0]);
  for (const target of world.gateway.targets()) {
    assert.equal(target.inFlight, 0);
    const { available } = target.limits.find((limit) => limit.kind === 'concurrency')!;
    assert.equal(available, CONCURRENCY, `permits of ${target.target}`);
  }
  assert.equal(world.eventsOf('finished').length, 1);
  assert.deepEqual(world.eventsOf('warning'), []);
}

function assertEffects({ world }: Stage, { holds }: Partial<Fails>, health: 'failure' | undefined): void {
  const target = world.gateway.targets().find((status) => status.provider === 'a')!;
  assert.equal(target.breaker.failureRatio, health === 'failure' ? 1 : 0, 'the mark for the breaker');
  assert.equal(target.quarantinedMs > 60_000, holds === 'quarantine', 'the quarantine');
  assert.equal(
    world.eventsOf('cooldown').some((event) => event.kind === 'cooldown'),
    holds === 'cooldown',
    'the cooldown',
  );
}

/** Ids of tool calls bear the number of Storm's call. */
const withoutIds = (said: readonly Said[]): Said[] =>
  said.map((one) => ({ ...one, tools: one.tools.map((tool) => ({ ...tool, id: tool.id?.replace(/storm\d+/, 'storm') })) }));

async function assertAnswered(
  stage: Stage,
  by: 'a' | 'b',
  says: 'the truth' | 'what it says',
  attempts: number,
  fallback: string | null,
): Promise<void> {
  const { seen } = stage;
  assert.equal(seen.end, 'answer', JSON.stringify(seen));
  const said = says === 'the truth' ? [TRUTH] : (await stage.direct()).said;
  assert.deepEqual(withoutIds(seen.said), withoutIds(said), 'all that was said, and no more');
  assert.equal(seen.headers.get('x-breakwater-target'), `${by}/m`);
  assert.equal(seen.headers.get('x-breakwater-attempts'), String(attempts));
  assert.equal(seen.headers.get('x-breakwater-fallback'), fallback);
  assert.equal(seen.headers.get('content-encoding'), null);
  assert.match(seen.headers.get('content-type')!, stage.stream ? /^text\/event-stream/i : /^application\/json/i);
}

async function assertTold(stage: Stage, expected: Fails, attempts: number): Promise<void> {
  const { seen } = stage;
  if (seen.end !== 'error') assert.fail(`an error status was expected: ${JSON.stringify(seen)}`);
  assert.equal(seen.error.status, expected.status);
  assert.equal(seen.headers.get('x-breakwater-attempts'), String(attempts));
  assert.equal(seen.headers.get('x-should-retry'), 'false', 'all retrying was done here');
  if (expected.told === 'its words') assert.notEqual((seen.error.error as { message?: string }).message ?? '', '');
  else if (expected.told !== 'its bytes') assert.equal(seen.error.code, expected.told);
  else {
    const direct = await stage.direct();
    assert.deepEqual(seen.error, (direct as typeof seen).error, "the provider's own error");
  }
}

/** What was to be said, cut off somewhere, or at its end. */
function assertPart(part: Said, { after }: Breaks): void {
  assert.notEqual(part.content, '');
  assert.equal(TRUTH.content.slice(0, part.content.length), part.content, 'a part of what was said');
  assert.equal(part.content.length === TRUTH.content.length, after !== undefined);
  assert.equal(part.finish, after === 'all of it' ? 'stop' : null, 'no finish reason on a truncated answer');
}

async function playPasses(stage: Stage, fate: Passes): Promise<void> {
  const { calls = 1, says } = fate;
  assertCalls(stage, calls, 0);
  const said = storyOf(stage.timeline);
  assert.deepEqual(said.slice(-4), answeredBy('a/m'));
  assert.equal(said.length, 1 + 2 * calls + 2);
  assertEffects(stage, {}, undefined);
  await assertAnswered(stage, 'a', says === undefined ? 'the truth' : 'what it says', calls, null);
}

async function playHollow(stage: Stage, isAlone: boolean): Promise<void> {
  assertCalls(stage, isAlone ? 2 : 1, 1);
  const failed = failedAt('a/m', { verdict: 'retry', reason: 'empty' });
  const story = isAlone ? [...failed, ...failed, 'success 200'] : [...failed, ...answeredBy('b/m')];
  assert.deepEqual(storyOf(stage.timeline), ['received', ...story]);
  assertEffects(stage, {}, undefined);
  assert.equal(stage.seen.headers.get('x-breakwater-quality'), isAlone ? 'empty' : null);
  await assertAnswered(stage, isAlone ? 'a' : 'b', isAlone ? 'what it says' : 'the truth', 2, isAlone ? null : 'empty');
}

async function playPoor(stage: Stage, { mark }: Poor, isAlone: boolean): Promise<void> {
  assertCalls(stage, 1, 1);
  const story = [...failedAt('a/m', { verdict: 'switch', reason: 'quality' }), ...(isAlone ? ['success 200'] : answeredBy('b/m'))];
  assert.deepEqual(storyOf(stage.timeline), ['received', ...story]);
  assertEffects(stage, {}, undefined);
  assert.equal(stage.seen.headers.get('x-breakwater-quality'), isAlone ? mark : null);
  const attempts = isAlone ? 1 : 2;
  await assertAnswered(stage, isAlone ? 'a' : 'b', isAlone ? 'what it says' : 'the truth', attempts, isAlone ? null : 'quality');
}

async function playFails(stage: Stage, fate: Fails, isAlone: boolean): Promise<void> {
  const isOver = isAlone || fate.verdict === 'reject';
  const repairs = stage.stream && fate.asksStreamAgain === true ? 1 : 0;
  const calls = repairs + (isAlone ? (fate.calls ?? (fate.verdict === 'retry' ? MAX_ATTEMPTS : 1)) : 1);
  assertCalls(stage, calls, isOver ? 0 : 1);
  const story = [...repeated(calls, failedAt('a/m', fate)), ...(isOver ? [`failed ${fate.status}`] : answeredBy('b/m'))];
  assert.deepEqual(storyOf(stage.timeline), ['received', ...story]);
  assertEffects(stage, fate, fate.health);
  if (isOver) await assertTold(stage, fate, calls);
  else await assertAnswered(stage, 'b', 'the truth', calls + 1, fate.reason);
}

async function playBreaks(stage: Stage, fate: Breaks): Promise<void> {
  const { seen } = stage;
  assertCalls(stage, 1, 0);
  const end = [`a/m: retry ${fate.reason}`, 'interrupted 200'];
  assert.deepEqual(storyOf(stage.timeline), ['received', 'asks a/m', 'commits a/m', ...end]);
  assert.equal(stage.timeline.code, fate.code);
  assertEffects(stage, {}, 'failure');
  if (seen.end !== 'in band') assert.fail(`an error in band was expected: ${JSON.stringify(seen)}`);
  assert.equal(seen.error.code, fate.code);
  assert.equal(seen.error.type, fate.code === 'stream_stalled' ? 'timeout_error' : 'api_error');
  assert.ok(seen.deltas > 0);
  if (fate.says === undefined) assertPart(seen.said[0]!, fate);
  else {
    const { said } = await stage.direct();
    const told = fate.says === 'as the fault has it' ? said : said.map((each) => ({ ...each, finish: null }));
    assert.deepEqual(withoutIds(seen.said), withoutIds(told));
  }
}

async function playEndless(stage: Stage): Promise<void> {
  assertCalls(stage, 1, 0);
  assert.equal(stage.seen.deltas, LEAVES_AFTER);
  assert.deepEqual(storyOf(stage.timeline), ['received', 'asks a/m', 'commits a/m', 'a/m: cancelled cancelled', 'cancelled 499']);
  assertEffects(stage, {}, undefined);
}

async function check(t: TestContext, given: Case, isAlone: boolean): Promise<void> {
  const stage = await play(t, given, isAlone ? ['a'] : ['a', 'b']);
  await assertNothingHeld(stage);
  const { fate } = given;
  if (fate.end === 'passes') await playPasses(stage, fate);
  else if (fate.end === 'hollow') await playHollow(stage, isAlone);
  else if (fate.end === 'poor') await playPoor(stage, fate, isAlone);
  else if (fate.end === 'fails') await playFails(stage, fate, isAlone);
  else if (fate.end === 'breaks') await playBreaks(stage, fate);
  else await playEndless(stage);
}

const nameOf = (fault: StormFault, body: object) =>
  Object.entries({ ...fault, ...body })
    .map(([key, value]) => (key === 'kind' ? String(value) : `${key}=${JSON.stringify(value)}`))
    .join(' ');

function checkAll(kind: StormFaultKind, expected: Expectation): void {
  const fault: StormFault = { kind, ...expected.with };
  const { body = {}, withinMs = LONGEST_MS } = expected;
  for (const stream of [false, true]) {
    const fate = stream ? expected.stream : expected.plain;
    for (const isAlone of [true, false]) {
      // Each form and each cast is seen by either way.
      const way = stream === isAlone ? 'process' : 'socket';
      const name = `${nameOf(fault, body)}, ${stream ? 'streamed' : 'plain'}, ${isAlone ? 'alone' : 'with a healthy second'}, ${way}`;
      it(`${name}: ${fate.end}`, (t) => check(t, { fault, fate, stream, way, body, withinMs }, isAlone));
    }
  }
}

describe('a provider with the fault', { concurrency: 16 }, () => {
  for (const kind of FAULT_NAMES) {
    const expected = expectationsOf(kind);
    if (expected.length === 0)
      it(`${kind}: needs an entry in test/e2e/fault-expectations.ts`, () => assert.fail('nobody has said what becomes of it'));
    for (const each of expected) checkAll(kind, each);
  }
});
