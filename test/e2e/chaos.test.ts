/**
 * Ten thousand requests while the first provider does everything wrong that Storm knows, by seeded chance, and a healthy
 * one stands behind it. Each request is answered with exactly what was to be said, or, where its stream broke after it
 * had begun, ends with an error in band. Nobody is asked more often than the budget allows, and nothing is left behind.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import OpenAI from 'openai';
import { FAULT_NAMES } from '../../src/storm/fault-names.ts';
import type { StormFault, StormFaultKind } from '../../src/storm/index.ts';
import { createSeededRandom } from '../../src/testing/index.ts';
import { expectationsOf } from './fault-expectations.ts';
import type { Expectation, Fate } from './fault-fates.ts';
import { askBySdk } from './sdk-caller.ts';
import type { Said, SdkSeen } from './sdk-caller.ts';
import { eventually, startWorld } from './world.ts';
import type { World } from './world.ts';

const SEED = Number(process.env['CHAOS_SEED'] ?? 4747);
const REQUESTS = Number(process.env['CHAOS_REQUESTS'] ?? 10_000);
const WORKERS = 32;
const CONCURRENCY = 64;
/** Share of the first provider's calls that a fault strikes. */
const FAULTY = 0.4;
/** No request takes longer, in milliseconds, however busy the machine is. */
const HANGS_MS = 30_000;
/** Growth of live memory after the first tenth, callers and providers included, in bytes. */
const GROWTH_MAX = 32 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
// Code that is compiled under another flag would be rejected by the compile cache of all other tests.
setFlagsFromString('--no-expose-gc');

function liveBytes(): number {
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

/** A poor answer is another one too, if it goes out: of a stream only what came whole is judged. */
const changesWords = (fate: Fate) => 'says' in fate || fate.end === 'poor';
const isReject = (fate: Fate) => fate.end === 'fails' && fate.verdict === 'reject';

/** Left out: what makes another answer of it and leaves nothing to compare with, what is the end of the request, and what is too large or slow. */
function fitOf(kind: StormFaultKind): readonly Expectation[] {
  const all = expectationsOf(kind);
  if (all.some(({ plain, stream }) => changesWords(plain) || changesWords(stream))) return [];
  return all.filter(
    (one) =>
      !isReject(one.plain) && !isReject(one.stream) && one.isLarge !== true && one.withinMs === undefined && one.oneChoiceOnly !== true,
  );
}

/** Each with the same share, so that together they strike `FAULTY` of the calls. */
function faultMix(): StormFault[] {
  const faults = FAULT_NAMES.flatMap((kind) => fitOf(kind).map((expected): StormFault => ({ kind, ...expected.with })));
  const probability = 1 - (1 - FAULTY) ** (1 / faults.length);
  return faults.map((fault) => ({ ...fault, probability }));
}

interface Wish {
  readonly body: Record<string, unknown>;
  readonly truth: readonly Said[];
  readonly outputTokens: number;
}

const PIECES = [
  'ship',
  ' harbour',
  ' größer',
  ' 港口',
  ' 🌊',
  ' "quoted"',
  '\n\n',
  ' data: [DONE]',
  ' \\u0000',
  ' é',
  '  ',
  ' </s>',
  ' {"error":1}',
  '\r\n',
];
const TOOL = {
  type: 'function',
  function: { name: 'sail', parameters: { type: 'object', properties: { to: { type: 'string' }, knots: { type: 'integer' } } } },
};

/** Everything that can be asked, with what is to be said: the healthy provider's word, asked without a gateway. */
async function makeWishes(world: World, random: () => number): Promise<Wish[]> {
  const direct = new OpenAI({ baseURL: world.storms['b']!.url, apiKey: 'sk-test', maxRetries: 0 });
  const wishes: Wish[] = [];
  for (let i = 0; i < 60; i++) {
    const length = 2 + Math.floor(random() * 40);
    const text = Array.from({ length }, () => PIECES[Math.floor(random() * PIECES.length)]).join('');
    const body: Record<string, unknown> = {
      messages: [{ role: 'user', content: i % 3 === 0 || i % 10 === 9 ? `prompt ${i}` : `echo ${text}.` }],
      max_tokens: 200,
    };
    if (i % 10 === 3) Object.assign(body, { tools: [TOOL], tool_choice: 'required' });
    if (i % 10 === 6) body['n'] = 2;
    if (i % 10 === 9) body['response_format'] = { type: 'json_schema', json_schema: { name: 'x', schema: TOOL.function.parameters } };
    const told = await askBySdk(direct, { ...body, model: 'm' });
    assert.equal(told.end, 'answer');
    wishes.push({ body, truth: told.said, outputTokens: told.usage![1] });
  }
  return wishes;
}

/** The ids of tool calls bear the number of Storm's call; what is said does not. */
const textsOf = (said: readonly Said[]) =>
  said.map(({ content, refusal, tools }) => ({ content, refusal, tools: tools.map(({ name, arguments: text }) => ({ name, text })) }));

function assertWhole(seen: SdkSeen, wish: Wish, asksUsage: boolean): void {
  assert.deepEqual(textsOf(seen.said), textsOf(wish.truth), 'exactly what was to be said');
  for (const [index, { finish, tools }] of seen.said.entries()) {
    assert.ok(finish === null || finish === wish.truth[index]!.finish, String(finish));
    for (const { id } of tools) assert.match(id ?? '', /^call_storm/);
  }
  // Some faults are odd figures.
  if (seen.headers.get('x-breakwater-target') === 'b/m') assert.equal(seen.usage?.[1], asksUsage ? wish.outputTokens : undefined);
}

function assertPart(seen: SdkSeen, wish: Wish): void {
  assert.ok(seen.deltas > 0, 'an error in band comes after content only');
  for (const [index, { content, tools }] of seen.said.entries()) {
    const whole = wish.truth[index]!;
    assert.ok(whole.content.startsWith(content), `${JSON.stringify(content)} is no part of what was to be said`);
    for (const [at, tool] of tools.entries()) assert.ok(whole.tools[at]!.arguments.startsWith(tool.arguments));
  }
}

/** What the gateway told of one request. */
interface Story {
  readonly asked: string[];
  readonly failed: string[];
  mended: boolean;
  committed: string | null;
  outcome: string | null;
}

/** Takes the events that have come, so that they do not pile up. */
function takeEvents(world: World, stories: Map<string, Story>): void {
  for (const event of world.events.splice(0)) {
    assert.notEqual(event.type, 'warning', JSON.stringify(event));
    if (!('requestId' in event)) continue;
    let story = stories.get(event.requestId);
    if (story === undefined)
      stories.set(event.requestId, (story = { asked: [], failed: [], mended: false, committed: null, outcome: null }));
    if (event.type === 'attempt') story.asked.push(event.provider);
    else if (event.type === 'attempt_end' && event.verdict !== 'success') story.failed.push(event.provider);
    else if (event.type === 'note') story.mended ||= event.note.includes('left out');
    else if (event.type === 'committed') story.committed = event.target;
    else if (event.type === 'finished') {
      assert.equal(story.outcome, null, 'one end');
      story.outcome = event.outcome;
    }
  }
}

interface Tally {
  whole: number;
  inBand: number;
}

/** What struck the call that was answered from. */
function faultOf(world: World, { headers }: SdkSeen): string {
  if (headers.get('x-breakwater-target') !== 'a/m') return 'no fault';
  const { log } = world.storms['a']!.stats();
  return log.find((call) => headers.get('x-upstream-request-id') === `req_storm1_${call.call}`)?.fault ?? 'no fault';
}

async function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} hangs`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

async function askAll(world: World, wishes: readonly Wish[], random: () => number, stories: Map<string, Story>): Promise<Tally> {
  const inProcess = new OpenAI({ baseURL: 'http://breakwater/v1', apiKey: 'unused', maxRetries: 0, fetch: world.fetch });
  const tally: Tally = { whole: 0, inBand: 0 };
  let next = 0;
  async function work(): Promise<void> {
    while (next < REQUESTS) {
      const number = next++;
      const wish = wishes[Math.floor(random() * wishes.length)]!;
      const stream = random() < 0.6;
      const asksUsage = random() < 0.5;
      const by = random() < 0.5 ? world.openai : inProcess;
      const options = stream && asksUsage ? { stream_options: { include_usage: true } } : {};
      const seen = await within(
        HANGS_MS,
        `request ${number} of seed ${SEED}`,
        askBySdk(by, { ...wish.body, ...options, temperature: 0.5, model: 'fast', stream }),
      );
      try {
        if (seen.end === 'answer') {
          assertWhole(seen, wish, asksUsage || !stream);
          tally.whole++;
        } else {
          assert.equal(seen.end, 'in band', JSON.stringify(seen));
          assert.ok(stream);
          assertPart(seen, wish);
          tally.inBand++;
        }
      } catch (error) {
        const from = `${seen.headers.get('x-breakwater-target')}, ${faultOf(world, seen)}`;
        throw new Error(`request ${number} of seed ${SEED}, ${stream ? 'streamed' : 'plain'}, from ${from}`, { cause: error });
      }
      if (number % 100 === 0) takeEvents(world, stories);
    }
  }
  await Promise.all(Array.from({ length: WORKERS }, work));
  return tally;
}

/** An operator who keeps on giving the broken provider another chance; else its first spent key would end the test. */
function keepInUse(world: World): () => void {
  const timer = setInterval(() => {
    for (const { target, provider } of world.gateway.targets()) if (provider === 'a') world.gateway.reset(target);
  }, 20);
  return () => clearInterval(timer);
}

function startChaos(t: TestContext): Promise<World> {
  const limits = { concurrency: CONCURRENCY };
  return startWorld(t, {
    storms: {
      a: { seed: 1, timing: { tokensPerSecond: { min: 300, max: 3000 }, plainMs: 0, eventsPerPacket: 3 } },
      b: { seed: 1 },
    },
    providers: {
      a: { limits, timeouts: { headers: '1s', firstContent: '1s', idle: '1s' } },
      b: { limits },
    },
    models: { fast: { targets: ['a/m', 'b/m'], patience: '20ms' } },
    config: { policy: { retry: { baseDelay: '10ms', maxDelay: '100ms' } } },
  });
}

async function assertNothingLeft(world: World): Promise<void> {
  const storms = Object.values(world.storms);
  await eventually(() => storms.every((storm) => storm.stats().running === 0), 'nothing runs at the providers');
  await eventually(() => world.gateway.queue().inFlight === 0, 'nothing is in flight');
  const { waiting, heldBytes } = world.gateway.queue();
  assert.deepEqual([waiting, heldBytes], [0, 0]);
  for (const target of world.gateway.targets()) {
    assert.equal(target.inFlight, 0);
    assert.deepEqual(
      target.limits.map(({ available }) => available),
      [CONCURRENCY],
      'every permit came back',
    );
  }
  await world.gateway.close();
  await eventually(() => storms.every((storm) => storm.stats().connections.open === 0), 'every connection is closed');
}

function assertBudget(stories: Map<string, Story>, world: World): string {
  const calls = { a: world.storms['a']!.stats().calls, b: world.storms['b']!.stats().calls };
  let [attempts, failed, askedFirst] = [0, 0, 0];
  for (const [id, { asked, failed: failures, mended, committed, outcome }] of stories) {
    const told = `request ${id}: ${asked.join(' ')}, ${failures.length} failed: ${outcome}`;
    assert.ok(outcome === 'success' || outcome === 'interrupted', told);
    assert.equal(outcome === 'interrupted', committed !== null && failures.length === asked.length, told);
    if (outcome === 'interrupted') assert.equal(committed, 'a/m', told);
    assert.ok(asked.length <= 4, told);
    assert.ok(asked.filter((provider) => provider === 'b').length <= 1, told);
    assert.ok(
      asked.filter((provider) => provider === 'a').length <= (mended ? 2 : 1),
      `nobody is asked again while another is untried: ${told}`,
    );
    assert.ok(!failures.includes('b'), `the healthy one never fails: ${told}`);
    attempts += asked.length;
    failed += failures.length;
    if (asked[0] === 'a') askedFirst++;
  }
  assert.equal(stories.size, REQUESTS);
  assert.ok(calls.a + calls.b <= attempts, `${calls.a} + ${calls.b} calls for ${attempts} attempts`);
  const share = failed / calls.a;
  const perRequest = (calls.a + calls.b) / REQUESTS;
  assert.ok(perRequest <= 1 / (1 - share) + 0.05, `${perRequest} calls per request while ${share} of the calls of one provider fail`);
  assert.ok(askedFirst > 0.7 * REQUESTS, `the broken provider was asked first only ${askedFirst} times`);
  return `${perRequest.toFixed(3)} calls per request, ${(100 * share).toFixed(1)} % of ${calls.a} calls failed`;
}

test('ten thousand requests against everything that can go wrong', async (t) => {
  t.diagnostic(`seed ${SEED}`);
  const random = createSeededRandom(SEED);
  const next = () => random.next();
  const world = await startChaos(t);
  const wishes = await makeWishes(world, next);
  const mix = faultMix();
  world.storms['b']!.reset();
  world.storms['a']!.setFaults(mix);
  const stop = keepInUse(world);
  t.after(stop);
  const stories = new Map<string, Story>();
  let bytesEarly = 0;
  const growth = setInterval(() => {
    if (bytesEarly === 0 && stories.size > REQUESTS / 10) bytesEarly = liveBytes();
  }, 50);
  t.after(() => clearInterval(growth));

  const tally = await askAll(world, wishes, next, stories);

  stop();
  await eventually(() => world.gateway.queue().inFlight === 0, 'the end of the last request');
  const grown = liveBytes() - bytesEarly;
  takeEvents(world, stories);
  const { byFault } = world.storms['a']!.stats();
  await assertNothingLeft(world);
  const budget = assertBudget(stories, world);
  t.diagnostic(
    `${tally.whole} whole, ${tally.inBand} ended in band; ${budget}; ${mix.length} faults; grew by ${Math.round(grown / 2 ** 20)} MB`,
  );
  assert.equal(tally.whole + tally.inBand, REQUESTS);
  const unseen = new Set(mix.map(({ kind }) => kind).filter((kind) => byFault[kind] === undefined));
  if (REQUESTS >= 10_000) assert.deepEqual([...unseen], [], 'every fault struck');
  assert.ok(grown < GROWTH_MAX, `${grown} bytes`);
});
