/** Streams that are judged before they are committed: by their opening, or whole (virtual time). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatStream, streamEnd, streamStart } from '../../src/testing/index.ts';
import type { ChatOptions, SimulatedResponse, SimulatedStep } from '../../src/testing/index.ts';
import { startVirtualWorld } from './virtual.ts';
import type { VirtualOptions, VirtualSeen } from './virtual.ts';
import { contentOf, errorOf } from './world.ts';

type Config = NonNullable<VirtualOptions['config']>;
type Quality = NonNullable<NonNullable<Config['policy']>['quality']>;

const wordsOf = (text: string): string[] => text.match(/\s*\S+/g) ?? [];
const slow = (text: string, more: ChatOptions = {}): SimulatedResponse => chatStream({ words: wordsOf(text), gapMs: 100, ...more });
const REFUSAL = "I'm sorry, but I can't help with that request, whatever it is about.";
const GOOD = 'The harbour lay calm in the morning, and every boat had come back.';

const finish = (reason: string): SimulatedStep[] =>
  streamEnd().map((step) => ('bytes' in step ? { ...step, bytes: String(step.bytes).replace('"stop"', `"${reason}"`) } : step));
const cutOff = (text: string): SimulatedResponse => ({
  steps: [...streamStart({ words: wordsOf(text), gapMs: 100 }), ...finish('length')],
});

const withQuality = (quality: Quality, more: object = {}): Config => ({ policy: { quality, ...more } });

function assertFrom(seen: VirtualSeen, target: string, text: string, mark: string | null = null): void {
  assert.equal(seen.status, 200);
  assert.equal(seen.headers.get('x-breakwater-target'), target);
  assert.equal(contentOf(seen.text), text);
  assert.equal(seen.headers.get('x-breakwater-quality'), mark);
  assert.ok(seen.text.endsWith('data: [DONE]\n\n'));
}

describe('a stream whose opening tells', () => {
  it('refuses in words: the next target answers, and the caller sees nothing of it', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => slow(REFUSAL), b: () => slow(GOOD) },
      config: withQuality({ rejectRefusal: true }),
    });
    const seen = await world.answerTo({ stream: true });
    assertFrom(seen, 'b/m', GOOD);
    assert.equal(seen.headers.get('x-breakwater-fallback'), 'quality');
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
  });

  it('refuses everywhere: the first whole refusal goes out, marked', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => slow(REFUSAL), b: () => slow(REFUSAL) },
      config: withQuality({ rejectRefusal: true }),
    });
    assertFrom(await world.answerTo({ stream: true }), 'a/m', REFUSAL, 'refused');
    assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
  });

  it('is no refusal: it goes on as soon as that is known, and not when it is whole', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => slow(GOOD) }, config: withQuality({ rejectRefusal: true }) });
    const seen = await world.answerTo({ stream: true });
    assertFrom(seen, 'a/m', GOOD);
    assert.ok(seen.headAtMs < 150, `${seen.headAtMs} ms`);
    assert.ok(seen.endAtMs > 1_000);
  });

  it('is too short: the next target answers', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => slow('Too short.'), b: () => slow(GOOD) },
      config: withQuality({ minLength: 40 }),
    });
    assertFrom(await world.answerTo({ stream: true }), 'b/m', GOOD);
  });

  it('is long enough after some words: it goes on then', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => slow(GOOD) }, config: withQuality({ minLength: 40 }) });
    const seen = await world.answerTo({ stream: true });
    assertFrom(seen, 'a/m', GOOD);
    assert.ok(seen.headAtMs > 400 && seen.headAtMs < seen.endAtMs - 300, `${seen.headAtMs} ms of ${seen.endAtMs}`);
  });

  it('says nothing of what only its end could tell: without buffer it goes out', async (t) => {
    const world = await startVirtualWorld(t, {
      providers: { a: () => cutOff(GOOD), b: () => slow(GOOD) },
      config: withQuality({ rejectTruncated: true }),
    });
    assertFrom(await world.answerTo({ stream: true }), 'a/m', GOOD);
    assert.equal(world.callsTo('b'), 0);
  });

  it('breaks off while it is held back: the next target answers', async (t) => {
    const broken: SimulatedResponse = {
      steps: [...streamStart({ words: ["I'm", ' sorry'], gapMs: 100 }), { do: 'break', code: 'ECONNRESET' }],
    };
    const world = await startVirtualWorld(t, {
      providers: { a: () => broken, b: () => slow(GOOD) },
      config: withQuality({ rejectRefusal: true }),
    });
    const seen = await world.answerTo({ stream: true });
    assertFrom(seen, 'b/m', GOOD);
    assert.equal(seen.headers.get('x-breakwater-fallback'), 'interrupted');
  });
});

describe('a stream that is held back whole', () => {
  const buffered = (quality: Quality = {}, more: object = {}) => withQuality({ rejectTruncated: true, buffer: true, ...quality }, more);

  it('is judged like a plain answer', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => cutOff(GOOD), b: () => slow(GOOD) }, config: buffered() });
    const seen = await world.answerTo({ stream: true });
    assertFrom(seen, 'b/m', GOOD);
    assert.equal(seen.headAtMs, seen.endAtMs);
  });

  it('is kept alive by comments meanwhile, and what its headers could not say stands in one', async (t) => {
    const long = Array.from({ length: 60 }, (_, i) => `word${i} `);
    const world = await startVirtualWorld(t, {
      providers: { a: () => cutOff(GOOD), b: () => chatStream({ words: long, gapMs: 1_000 }) },
      config: buffered({}, { stream: { keepAlive: '10s' } }),
    });
    const seen = await world.answerTo({ stream: true });
    assert.equal(contentOf(seen.text), long.join(''));
    assert.equal(seen.text.match(/: keep-alive/g)?.length, 6);
    assert.match(seen.text, /: breakwater target=b\/m attempts=2 fallback=quality\n/);
  });

  it('falls short everywhere after it was kept alive: the mark stands in a comment', async (t) => {
    const long = Array.from({ length: 30 }, (_, i) => `word${i} `).join('');
    const late: SimulatedResponse = { steps: [...streamStart({ words: wordsOf(long), gapMs: 1_000 }), ...finish('length')] };
    const world = await startVirtualWorld(t, { providers: { a: () => late }, config: buffered({}, { stream: { keepAlive: '10s' } }) });
    const seen = await world.answerTo({ stream: true });
    assert.match(seen.text, /: breakwater target=a\/m attempts=1 quality=truncated\n/);
    assert.ok(seen.text.endsWith('data: [DONE]\n\n'));
  });

  it('stalls: the idle limit holds, and the next target answers', async (t) => {
    const stalled: SimulatedResponse = { steps: [...streamStart(), { do: 'wait', ms: 3_600_000 }] };
    const world = await startVirtualWorld(t, {
      providers: { a: () => stalled, b: () => slow(GOOD) },
      config: buffered({}, { timeouts: { idle: '5s' } }),
    });
    const seen = await world.answerTo({ stream: true });
    assertFrom(seen, 'b/m', GOOD);
    assert.equal(seen.headers.get('x-breakwater-fallback'), 'timeout');
  });

  it('is not whole by the deadline: the caller is told', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => slow(`${GOOD} `.repeat(20)) }, config: buffered() });
    const seen = await world.answerTo({ stream: true }, { 'x-breakwater-deadline-ms': '20000' });
    assert.deepEqual([seen.status, errorOf(seen.text).code], [504, 'deadline_exceeded']);
    assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 0, 'it was never silent');
  });

  it('is larger than what is held: it goes out unjudged', async (t) => {
    const word = 'x'.repeat(1024 * 1024);
    const huge: SimulatedResponse = {
      steps: [...streamStart({ words: Array.from({ length: 18 }, () => word), gapMs: 100 }), ...finish('length')],
    };
    const world = await startVirtualWorld(t, { providers: { a: () => huge, b: () => slow(GOOD) }, config: buffered() });
    const seen = await world.answerTo({ stream: true });
    assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
    assert.equal(contentOf(seen.text).length, 18 * word.length);
    assert.ok(world.eventsOf('note').some(({ note }) => note.startsWith('the response was not judged: it is too large')));
  });

  it('leaves with its caller: nothing runs on', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => slow(GOOD) }, config: buffered() });
    const asked = world.ask({ stream: true });
    asked.done.catch(() => {});
    await world.until(new Promise((resolve) => world.clock.schedule(300, () => resolve(null))));
    assert.equal(world.upstream.running, 1);
    asked.leave();
    await world.until(asked.done.catch(() => null));
    assert.equal(world.upstream.running, 0);
    assert.equal(world.gateway.queue().inFlight, 0);
  });
});

it('the learned silence of a target is that until its first word, however long its streams are held', async (t) => {
  const world = await startVirtualWorld(t, {
    providers: { a: () => slow(GOOD, { firstContentAfterMs: 50 }) },
    config: withQuality({ buffer: true }),
  });
  await world.answerTo({ stream: true });
  assert.equal(world.eventsOf('attempt_end')[0]!.firstContentMs, 50);
  assert.ok(world.eventsOf('finished')[0]!.firstContentMs! > 1_000, 'the caller saw it when it was whole');
});
