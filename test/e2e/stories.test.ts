/**
 * What `breakwater why` and the page say about one request. Both show the story of the timeline; a record of the request log, which has less, tells
 * the same outcome, attempts and cost.
 */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { Clock } from '../../src/core/clock.ts';
import type { BreakwaterEvent } from '../../src/core/events.ts';
import { proseFor } from '../../src/storm/continuation.ts';
import { explainRecord } from '../../src/telemetry/explain-record.ts';
import { explanationLines, type Explanation } from '../../src/telemetry/explanation.ts';
import { createLogs } from '../../src/telemetry/logs.ts';
import { createRequestLog, type RequestRecord } from '../../src/telemetry/request-log.ts';
import { createTimelines } from '../../src/telemetry/timelines.ts';
import { Traces } from '../../src/telemetry/traces.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';
import { chatResponse } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse } from '../../src/testing/simulated-upstream.ts';
import { CODECS } from '../../src/wire/codecs.ts';
import type { DialectName, ModelEvent } from '../../src/wire/model.ts';
import { headStep } from './dialect-wires.ts';
import { HEDGE, after } from './hedge-world.ts';
import { startNativeWorld } from './native-world.ts';
import { startVirtualWorld, type VirtualWorld } from './virtual.ts';

interface Told {
  readonly story: Explanation;
  /** Of the record in the request log; null: the request was rejected, and has none. */
  readonly recorded: Explanation | null;
  readonly text: string;
}

/** The stories of all requests, in order, from the events of a gateway. */
async function storiesOf(events: readonly BreakwaterEvent[], clock: Clock): Promise<Told[]> {
  const own = createManualClock();
  const lines: string[] = [];
  const sink = { write: (text: string, done: (error: null) => void) => (lines.push(...text.split('\n').filter(Boolean)), done(null)) };
  const { log } = createLogs({ level: 'silent', sink, clock: own, secrets: [] });
  const requests = createRequestLog({ sink, path: '', clock: own, log, redact: (text) => text });
  const traces = new Traces(clock);
  for (const event of events) {
    if (!('requestId' in event)) continue;
    const trace = traces.record(event, clock.epochMs());
    if (event.type === 'finished') requests.record(event, trace);
  }
  await requests.flush();
  const records = new Map(lines.map((line) => JSON.parse(line) as RequestRecord).map((record) => [record.id, record]));
  const timelines = createTimelines(traces, clock);
  return timelines
    .list()
    .toReversed()
    .map(({ id }) => {
      const { story } = timelines.get(id)!;
      const record = records.get(id);
      return {
        story,
        recorded: record === undefined ? null : explainRecord(record),
        text: explanationLines(id, story).slice(2).join('\n'),
      };
    });
}

const tell = (world: VirtualWorld): Promise<Told[]> => storiesOf(world.events, world.clock);

function assertSame({ story, recorded }: Told): void {
  assert.equal(recorded!.summary, story.summary);
  assert.equal(recorded!.time, story.time);
  assert.equal(recorded!.cost, story.cost);
  const attempts = (of: Explanation): (string | undefined)[] =>
    of.steps.filter(({ kind }) => kind === 'attempt').map(({ target }) => target);
  assert.deepEqual(attempts(recorded!), attempts(story));
  assert.equal(recorded!.steps.at(-1)!.text, story.steps.at(-1)!.text);
}

const WHOLE = proseFor('prose en 7')!;
const AT = Math.floor(WHOLE.length / 2);
const BEGIN: readonly ModelEvent[] = [
  { type: 'start', id: 'msg_1', model: 'm' },
  { type: 'part_start', choice: 0, part: 0, head: { type: 'text' } },
];
const says = (text: string): ModelEvent => ({ type: 'delta', choice: 0, part: 0, text });
const END: readonly ModelEvent[] = [
  { type: 'part_end', choice: 0, part: 0, opaque: null },
  { type: 'finish', choice: 0, reason: 'stop', raw: '', stopSequence: null },
  { type: 'usage', usage: { inputTokens: 5, cachedInputTokens: 0, outputTokens: 9 } },
  { type: 'end' },
];

function streamOf(dialect: DialectName, events: readonly ModelEvent[]): string {
  const writer = CODECS[dialect].createWriter({ id: 'r', model: 'm', createdAt: 1, includeUsage: true, tools: [], echo: {} });
  return events.map((event) => writer.write(event)).join('');
}

const PRICED = { prices: { 'a/m': { input: 100_000, output: 100_000 }, 'b/m': { input: 1, output: 1 } } } as const;

/** Asks until the budget is spent; the story of the last request. */
async function overBudget(t: TestContext, more: object): Promise<Told> {
  const on = await startVirtualWorld(t, {
    providers: { a: after(300), b: after(10) },
    models: { fast: ['a/m'], cheap: ['b/m'] },
    config: { ...PRICED, clients: [{ name: 'web', key: 'web-key-1234', budget: { usd: 5, per: 'day', ...more } }] },
  });
  const headers = { authorization: 'Bearer web-key-1234', 'x-breakwater-deadline-ms': '5000' };
  for (let i = 0; i < 4; i++) await on.answerTo({}, headers);
  return (await tell(on)).at(-1)!;
}

describe('the story of a request', () => {
  it('that joined another, and of one served from the cache', async (t) => {
    const on = await startVirtualWorld(t, { providers: { a: after(300) }, config: { policy: { cache: { enabled: true } } } });
    await on.until(Promise.all([on.ask().done, on.ask().done]));
    await on.answerTo();
    const [first, joined, hit] = await tell(on);
    for (const told of [first!, joined!, hit!]) assertSame(told);
    assert.match(joined!.story.summary, /after 300 ms and 0 attempts, served by an identical request that ran at the same time$/);
    assert.match(joined!.text, /shares the response to \S+, an identical request in progress/);
    assert.match(hit!.story.summary, /after 0 ms and 0 attempts, served from the cache$/);
  });

  it('whose hedge won', async (t) => {
    const on = await startVirtualWorld(t, { providers: { a: after(5000), b: after(100) }, config: { policy: { hedge: HEDGE } } });
    await on.answerTo();
    const [told] = await tell(on);
    assertSame(told!);
    assert.match(told!.story.summary, /after 600 ms and 2 attempts, served by b\/m as a fallback \(first choice: too slow\)$/);
    assert.match(told!.text, /attempt 1, a\/m: cancelled after 600 ms/);
    assert.match(told!.text, /attempt 2, b\/m, a hedge beside a silent attempt: succeeded in 100 ms/);
    assert.match(told!.story.time, /some ran in parallel/);
  });

  it('whose budget is spent: which, how much of it, and until when', async (t) => {
    const told = await overBudget(t, {});
    assertSame(told);
    assert.match(told.story.summary, /was refused with 429 \(budget_exceeded\) after 0 ms and 0 attempts$/);
    assert.match(
      told.story.steps.at(-1)!.text,
      /refused, status 429 \(budget_exceeded\): .*budget of client "web", \$5 per day.*next day begins at/,
    );
  });

  it('over budget that used the cheaper target', async (t) => {
    const told = await overBudget(t, { onExhausted: 'b/m' });
    assertSame(told);
    assert.match(told.story.summary, /served by b\/m as a fallback \(first choice: over the client's budget\)$/);
  });

  it('that found the queue full', async (t) => {
    const config = { policy: { queue: { maxSize: 1 } } };
    const on = await startVirtualWorld(t, { providers: { a: after(300) }, limits: { concurrency: 1 }, config });
    await on.until(Promise.all([on.ask().done, on.ask().done, on.ask().done]));
    const [, queued, shed] = await tell(on);
    assertSame(shed!);
    assert.match(queued!.text, /0 ms – 300 ms {2}queued, no target can start: a\/m: concurrency limit, until a running request ends/);
    assert.match(shed!.story.summary, /was refused with 429 \(queue_full\)/);
    assert.match(shed!.story.steps.at(-1)!.text, /refused, status 429 \(queue_full\): .*full/);
  });

  it('whose caller left', async (t) => {
    const on = await startVirtualWorld(t, { providers: { a: after(3000) } });
    const asked = on.ask();
    const done = asked.done.catch(() => null);
    await on.clock.advanceAsync(500);
    asked.leave();
    await on.until(done);
    await on.clock.advanceAsync(5000);
    const [told] = await tell(on);
    assertSame(told!);
    assert.match(told!.story.summary, /was cancelled by the caller after 500 ms and 1 attempt$/);
    assert.match(told!.text, /attempt 1, a\/m: cancelled after 500 ms/);
  });

  it('whose first response failed its quality check, and what it cost', async (t) => {
    const on = await startVirtualWorld(t, {
      providers: { a: () => chatResponse({ words: ['no'] }), b: () => chatResponse({ words: Array(30).fill('words') as string[] }) },
      config: { ...PRICED, policy: { quality: { minLength: 40 } } },
    });
    await on.answerTo();
    const [told] = await tell(on);
    assertSame(told!);
    assert.match(told!.story.summary, /served by b\/m as a fallback \(first choice: failed a quality check\)$/);
    assert.match(
      told!.text,
      /attempt 1, a\/m: failed after 0 ms: failed a quality check \(short\) – “the response is shorter than required”/,
    );
    assert.match(told!.story.cost!, /of which 6 tokens \(\$0\.6\) on calls whose response was not used$/);
  });

  it('that another dialect continued', async (t) => {
    const broken = (): SimulatedResponse => {
      const bytes = streamOf('openai-chat', [...BEGIN, ...(WHOLE.slice(0, AT).match(/.{1,9}/gs) ?? []).map(says)]);
      return { steps: [headStep(true), { do: 'send', bytes }, { do: 'wait', ms: 5 }, { do: 'break', code: 'ECONNRESET' }] };
    };
    const rest = (): SimulatedResponse => {
      const bytes = streamOf('anthropic-messages', [...BEGIN, ...(WHOLE.slice(AT).match(/.{1,9}/gs) ?? []).map(says), ...END]);
      return { steps: [headStep(true), { do: 'send', bytes }] };
    };
    const on = await startVirtualWorld(t, {
      providers: { a: broken, b: rest },
      configured: {
        a: { protocol: 'openai', baseUrl: 'http://a/v1', apiKey: 'sk-test' },
        b: { protocol: 'anthropic', baseUrl: 'http://b', apiKey: 'sk-test' },
      },
      models: { fast: ['a/m', { target: 'b/m', prefill: true }] },
      config: { policy: { stream: { recover: 'continue' } } },
    });
    await on.answerTo({ stream: true, max_tokens: 9000 });
    const [told] = await tell(on);
    assertSame(told!);
    assert.match(told!.story.summary, /after 5 ms and 2 attempts, served by b\/m as a fallback/);
    assert.match(told!.text, /a\/m: broke off after 653 characters; to be continued/);
    assert.match(told!.text, /b\/m: continues the response from character 653/);
  });

  for (const native of ['off', 'prefer'] as const) {
    it(`of a batch, run ${native === 'off' ? 'here' : 'by the provider'}`, async (t) => {
      const on = await startNativeWorld(t, { config: { batch: { native } } });
      on.clock.speed = 4;
      await on.ended((await on.create(1)).id);
      const [told, ...more] = await storiesOf(on.events, on.clock);
      assert.equal(more.length, 0);
      assertSame(told!);
      assert.match(told!.text, /received from anonymous, priority job/);
      assert.equal(/a\/m: the response was made in a batch of the provider/.test(told!.text), native === 'prefer');
      assert.match(told!.story.cost!, native === 'prefer' ? /\$0\.009$/ : /\$0\.018$/);
    });
  }
});
