/**
 * What becomes of each fault of a provider before anything was sent to the caller: how often whom is asked, what the
 * caller is told, and what it means for the target. With one target alone, and with a healthy second one; streamed and
 * plain; over the socket and in process.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import type { StormFault } from '../../src/storm/index.ts';
import { chatAnswer, chatStream } from '../../src/testing/index.ts';
import type { SimulatedAnswer, SimulatedCall } from '../../src/testing/index.ts';
import { startVirtualWorld } from './virtual.ts';
import { contentOf, errorOf, idle, startWorld, WAYS } from './world.ts';
import type { Seen, Way, World } from './world.ts';

/** Short pauses; everything else as by default. */
const config = { policy: { retry: { baseDelay: '4ms', maxDelay: '16ms' } } } as const;

/** Only where a silence is the story: a busy machine is silent for as long at times. */
const impatient = { policy: { ...config.policy, timeouts: { headers: '250ms', firstContent: '250ms', idle: '250ms' } } } as const;

const configFor = (reason: string) => (reason === 'timeout' || reason === 'stalled' ? impatient : config);

const MAX_ATTEMPTS = 4;

/** What the caller reads at the end: the provider's own bytes, our words for its failure, or an error of ours by code. */
type Told = 'its bytes' | 'its words' | 'all_targets_failed' | 'upstream_auth_failed';

interface Fault {
  readonly fault: StormFault;
  /** As in the timeline and in x-breakwater-fallback. */
  readonly reason: string;
  readonly verdict: 'retry' | 'switch' | 'reject';
  /** Told to the caller where no other target is there. */
  readonly status: number;
  readonly told: Told;
  readonly health?: 'failure';
  readonly holds?: 'cooldown' | 'bench';
  /** Upstream calls while it is alone. */
  readonly calls?: number;
  /** Only in this form; default: both. */
  readonly only?: 'plain' | 'stream';
}

const limited = { reason: 'rate_limited', verdict: 'retry', status: 429, holds: 'cooldown' } as const;
const failing = { verdict: 'retry', health: 'failure' } as const;
const serverError = { ...failing, reason: 'server_error' } as const;
const overloaded = { ...failing, reason: 'overloaded' } as const;
const broken = { ...failing, status: 502, told: 'all_targets_failed' } as const;
const spent = { reason: 'quota', verdict: 'switch', holds: 'bench', told: 'its bytes' } as const;
const refused = { reason: 'auth', verdict: 'switch', holds: 'bench', status: 502, told: 'upstream_auth_failed' } as const;

const FAULTS: readonly Fault[] = [
  { fault: { kind: '429' }, ...limited, told: 'its bytes' },
  { fault: { kind: '429-ms', retryAfterMs: 30 }, ...limited, told: 'its bytes' },
  { fault: { kind: '429-text', ms: 30 }, ...limited, told: 'its bytes' },
  { fault: { kind: '429-retry', retryAfter: 0 }, ...limited, told: 'its bytes' },
  { fault: { kind: '429-retry', retryAfter: 'Wed, 21 Oct 2015 07:28:00 GMT' }, ...limited, told: 'its bytes' },
  { fault: { kind: '429-retry', retryAfter: 'Wed, 21 Oct 2015 07:28:00 -0000' }, ...limited, told: 'its bytes' },
  { fault: { kind: '429-absurd' }, ...limited, told: 'its bytes' },
  { fault: { kind: '429-absurd', retryAfter: '99999999999' }, ...limited, told: 'its bytes' },
  { fault: { kind: '429-empty' }, ...limited, told: 'its words' },
  { fault: { kind: '429-slow-down' }, ...limited, told: 'its bytes' },
  { fault: { kind: '429-quota' }, ...spent, status: 429 },
  { fault: { kind: 'status', status: 402 }, ...spent, status: 402 },
  { fault: { kind: '400', message: 'You have reached your spend limit.' }, ...spent, status: 400 },
  { fault: { kind: '401' }, ...refused },
  { fault: { kind: '403' }, ...refused },
  { fault: { kind: '429-too-large' }, reason: 'too_large', verdict: 'switch', status: 429, told: 'its bytes' },
  { fault: { kind: '400-context' }, reason: 'context_length', verdict: 'switch', status: 400, told: 'its bytes' },
  { fault: { kind: '400-content-filter' }, reason: 'content_filter', verdict: 'switch', status: 400, told: 'its bytes' },
  { fault: { kind: '400-parameter', param: 'messages' }, reason: 'unsupported', verdict: 'switch', status: 400, told: 'its bytes' },
  { fault: { kind: '404' }, reason: 'model_not_found', verdict: 'switch', status: 404, told: 'its bytes' },
  { fault: { kind: '400' }, reason: 'invalid_request', verdict: 'reject', status: 400, told: 'its bytes' },
  { fault: { kind: 'status', status: 422 }, reason: 'invalid_request', verdict: 'reject', status: 422, told: 'its bytes' },
  { fault: { kind: '413' }, reason: 'invalid_request', verdict: 'reject', status: 413, told: 'its words' },
  { fault: { kind: '408' }, reason: 'timeout', verdict: 'retry', status: 408, told: 'its bytes' },
  { fault: { kind: '409' }, reason: 'conflict', verdict: 'retry', status: 409, told: 'its bytes' },
  { fault: { kind: 'status', status: 425 }, reason: 'conflict', verdict: 'retry', status: 425, told: 'its bytes' },
  { fault: { kind: '500' }, ...serverError, status: 500, told: 'its bytes' },
  { fault: { kind: '500-html' }, ...serverError, status: 500, told: 'its words' },
  { fault: { kind: '502' }, ...serverError, status: 502, told: 'its bytes' },
  { fault: { kind: '502-html' }, ...serverError, status: 502, told: 'its words' },
  { fault: { kind: '504' }, ...serverError, status: 504, told: 'its bytes' },
  { fault: { kind: '504-html' }, ...serverError, status: 504, told: 'its words' },
  { fault: { kind: '503' }, ...overloaded, status: 503, told: 'its bytes' },
  { fault: { kind: '503-html' }, ...overloaded, status: 503, told: 'its words' },
  { fault: { kind: '529' }, ...overloaded, status: 529, told: 'its bytes' },
  { fault: { kind: 'error-first' }, ...serverError, status: 502, told: 'its words' },
  { fault: { kind: 'error-preamble' }, ...serverError, status: 502, told: 'its words' },
  { fault: { kind: 'error-content' }, ...serverError, status: 502, told: 'its words', only: 'plain' },
  { fault: { kind: 'reset' }, ...broken, reason: 'connection' },
  { fault: { kind: 'close' }, ...broken, reason: 'connection' },
  { fault: { kind: 'silence' }, ...broken, reason: 'timeout' },
  { fault: { kind: 'silence-content' }, ...broken, reason: 'timeout' },
  { fault: { kind: 'stall' }, ...broken, reason: 'timeout', only: 'plain' },
  { fault: { kind: 'cut' }, ...broken, reason: 'interrupted', only: 'plain' },
  { fault: { kind: 'cut-reset' }, ...broken, reason: 'interrupted', only: 'plain' },
  { fault: { kind: 'malformed' }, ...broken, reason: 'malformed', only: 'plain' },
  { fault: { kind: 'trailing' }, ...broken, reason: 'malformed', only: 'plain' },
  { fault: { kind: 'html' }, ...broken, reason: 'malformed' },
];

const nameOf = ({ kind, ...more }: StormFault) => [kind, ...Object.values(more).filter((value) => typeof value !== 'object')].join(' ');

function formsOf(fault: { readonly only?: 'plain' | 'stream' }): boolean[] {
  return fault.only === undefined ? [false, true] : [fault.only === 'stream'];
}

const formName = (stream: boolean) => (stream ? 'streamed' : 'plain');

/** What every final error of a request must say, and its timeline. */
function assertFailed(world: World, seen: Seen, expected: Fault, attempts: number): void {
  assert.equal(seen.status, expected.status);
  assert.equal(seen.headers.get('x-breakwater-attempts'), String(attempts));
  assert.equal(seen.headers.get('x-should-retry'), 'false', 'all retrying was done here');
  assert.match(seen.headers.get('content-type')!, /^application\/json/);
  const error = errorOf(seen.text);
  if (expected.told === 'its bytes') assert.match(seen.text, /^\{\n {2}"error": \{/, "the provider's own bytes");
  else if (expected.told === 'its words') assert.notEqual(error.message, '');
  else assert.equal(error.code, expected.told);
  assert.equal(world.eventsOf('received').length, 1);
  const finished = world.eventsOf('finished');
  assert.equal(finished.length, 1);
  assert.equal(finished[0]!.outcome, 'failed');
  assert.equal(finished[0]!.attempts, attempts);
}

function assertAttempts(world: World, expected: Fault, failures: number): void {
  assert.equal(world.eventsOf('attempt').length, world.eventsOf('attempt_end').length);
  const ends = world.eventsOf('attempt_end').slice(0, failures);
  assert.deepEqual(
    ends.map((end) => `${end.target} ${end.verdict} ${end.reason}`),
    ends.map(() => `a/m ${expected.verdict} ${expected.reason}`),
  );
}

function assertEffects(world: World, expected: Fault): void {
  const target = world.gateway.targets().find((status) => status.provider === 'a')!;
  assert.equal(target.breaker.failureRatio, expected.health === 'failure' ? 1 : 0, 'the mark for the breaker');
  assert.equal(target.inFlight, 0);
  assert.equal(target.benchedMs > 60_000, expected.holds === 'bench');
  const cooled = world.eventsOf('cooldown').filter((event) => event.kind === 'cooldown');
  assert.equal(cooled.length > 0, expected.holds === 'cooldown');
}

function assertAnswered(seen: Seen, by: string, attempts: number, fallback: string | null): void {
  assert.equal(seen.status, 200);
  assert.equal(seen.headers.get('x-breakwater-target'), by);
  assert.equal(seen.headers.get('x-breakwater-attempts'), String(attempts));
  assert.equal(seen.headers.get('x-breakwater-fallback'), fallback);
  assert.notEqual(contentOf(seen.text), '');
}

async function alone(t: TestContext, expected: Fault, stream: boolean, way: Way): Promise<void> {
  const world = await startWorld(t, { storms: { a: { faults: [expected.fault] } }, config: configFor(expected.reason) });
  const seen = await world.ask({ stream }, {}, way);
  const calls = expected.calls ?? (expected.verdict === 'retry' ? MAX_ATTEMPTS : 1);
  assert.equal(world.storms['a']!.stats().calls, calls);
  assertFailed(world, seen, expected, calls);
  assertAttempts(world, expected, calls);
  assertEffects(world, expected);
  await idle(world.storms['a']!);
}

async function withSecond(t: TestContext, expected: Fault, stream: boolean, way: Way): Promise<void> {
  const world = await startWorld(t, { storms: { a: { faults: [expected.fault] }, b: {} }, config: configFor(expected.reason) });
  const seen = await world.ask({ stream }, {}, way);
  const [a, b] = [world.storms['a']!.stats(), world.storms['b']!.stats()];
  assert.equal(a.calls, 1);
  if (expected.verdict === 'reject') {
    assert.equal(b.calls, 0);
    assertFailed(world, seen, expected, 1);
  } else {
    assert.equal(b.calls, 1);
    assertAnswered(seen, 'b/m', 2, expected.reason);
  }
  assertAttempts(world, expected, 1);
  assertEffects(world, expected);
}

describe('a target that fails', { concurrency: 4 }, () => {
  for (const expected of FAULTS) {
    for (const stream of formsOf(expected)) {
      for (const way of WAYS) {
        const name = `${nameOf(expected.fault)}, ${formName(stream)}, ${way}`;
        it(`alone: ${name}`, (t) => alone(t, expected, stream, way));
        it(`with a healthy second: ${name}`, (t) => withSecond(t, expected, stream, way));
      }
    }
  }
});

/** Strange, but answers: passed on by the first target. */
const ANSWERS: readonly { readonly fault: StormFault; readonly only?: 'plain' | 'stream'; readonly hollow?: true }[] = [
  { fault: { kind: 'drip', ms: 2 } },
  { fault: { kind: 'bytes' } },
  { fault: { kind: 'gzip' } },
  { fault: { kind: 'wrong-type' } },
  { fault: { kind: 'comments', ms: 2 }, only: 'stream' },
  { fault: { kind: 'crlf' }, only: 'stream' },
  { fault: { kind: 'no-done' }, only: 'stream' },
  { fault: { kind: 'no-finish' } },
  { fault: { kind: 'json-for-stream' } },
  { fault: { kind: 'bom' }, only: 'plain' },
  { fault: { kind: 'truncated', afterTokens: 3 } },
  { fault: { kind: 'refusal' }, hollow: true },
  { fault: { kind: 'content-filter' }, hollow: true },
  { fault: { kind: 'prose' } },
];

describe('an answer that is strange but whole', { concurrency: 4 }, () => {
  for (const { fault, only, hollow } of ANSWERS) {
    for (const stream of formsOf(only === undefined ? {} : { only })) {
      for (const way of WAYS) {
        it(`is passed on: ${nameOf(fault)}, ${formName(stream)}, ${way}`, async (t) => {
          const world = await startWorld(t, { storms: { a: { faults: [fault] }, b: {} }, config });
          const seen = await world.ask({ stream }, {}, way);
          assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [1, 0]);
          assert.equal(seen.status, 200);
          assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
          assert.equal(seen.headers.get('x-breakwater-fallback'), null);
          assert.equal(seen.headers.get('content-encoding'), null);
          assert.match(seen.headers.get('content-type')!, stream ? /^text\/event-stream/ : /^application\/json/);
          if (hollow !== true) assert.notEqual(contentOf(seen.text), '');
          if (stream) assert.match(seen.text, /data: \[DONE\]\r?\n\r?\n$/);
          assert.equal(world.eventsOf('finished')[0]!.outcome, 'success');
          assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 0);
        });
      }
    }
  }
});

describe('an answer with nothing in it', { concurrency: 4 }, () => {
  const kinds = ['empty-choices', 'empty-null', 'empty'] as const;
  for (const kind of kinds) {
    for (const stream of [false, true]) {
      it(`${kind}, ${formName(stream)}: the next target answers`, async (t) => {
        const world = await startWorld(t, { storms: { a: { faults: [{ kind }] }, b: {} }, config });
        const seen = await world.ask({ stream });
        assertAnswered(seen, 'b/m', 2, 'empty');
        assert.equal(world.storms['a']!.stats().calls, 1);
        assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 0);
      });

      it(`${kind}, ${formName(stream)}: asked for once more, then returned and marked`, async (t) => {
        const world = await startWorld(t, { storms: { a: { faults: [{ kind }] } }, config });
        const seen = await world.ask({ stream });
        assert.equal(world.storms['a']!.stats().calls, 2);
        assert.equal(seen.status, 200);
        assert.equal(seen.headers.get('x-breakwater-quality'), 'empty');
        assert.equal(seen.headers.get('x-breakwater-target'), 'a/m');
        assert.match(seen.text, /chatcmpl-storm1"/, 'the first one, as it came');
      });
    }
  }
});

describe('a stream that breaks after its first content', { concurrency: 4 }, () => {
  const paced = { tokens: 10, tokensPerSecond: 40, eventsPerPacket: 1 };
  const stalled = { code: 'stream_stalled', type: 'timeout_error' };
  const interrupted = { code: 'stream_interrupted', type: 'api_error' };
  const cases = [
    { fault: { kind: 'error-content', afterTokens: 3 }, ...interrupted, reason: 'server_error' },
    { fault: { kind: 'cut', afterTokens: 3 }, ...interrupted, reason: 'interrupted' },
    { fault: { kind: 'cut-reset', afterTokens: 3 }, ...interrupted, reason: 'interrupted' },
    { fault: { kind: 'malformed', afterTokens: 3 }, ...interrupted, reason: 'malformed' },
    { fault: { kind: 'no-end' }, ...interrupted, reason: 'interrupted' },
    { fault: { kind: 'stall', afterTokens: 3 }, ...stalled, reason: 'stalled' },
  ] as const;
  for (const { fault, code, type, reason } of cases) {
    for (const way of WAYS) {
      it(`${fault.kind}: ends with an error in band and nothing else is asked, ${way}`, async (t) => {
        const world = await startWorld(t, { storms: { a: { timing: paced, faults: [fault] }, b: {} }, config: configFor(reason) });
        const seen = await world.ask({ stream: true }, {}, way);
        assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [1, 0]);
        assert.equal(seen.status, 200);
        assert.equal(seen.broken, false, 'the stream itself ends in good order');
        assert.notEqual(contentOf(seen.text), '');
        assert.equal(errorOf(seen.text).code, code);
        assert.equal(errorOf(seen.text).type, type);
        assert.doesNotMatch(seen.text, /\[DONE\]|"finish_reason":"/);
        const end = world.eventsOf('attempt_end')[0]!;
        assert.deepEqual([end.reason, end.phase], [reason, 'committed']);
        assert.deepEqual([world.eventsOf('finished')[0]!.outcome, world.eventsOf('finished')[0]!.code], ['interrupted', code]);
        assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 1);
        await idle(world.storms['a']!);
      });
    }
  }
});

describe('an error in JSON where a stream was asked', () => {
  it('is judged by its own words (virtual time)', async (t) => {
    const error = JSON.stringify({ error: { message: 'slow down', code: 'rate_limit_exceeded', type: 'requests' } });
    const steps = [
      { do: 'head', status: 200, headers: { 'content-type': 'application/json' } } as const,
      { do: 'send', bytes: error } as const,
    ];
    const world = await startVirtualWorld(t, { providers: { a: () => ({ steps }), b: () => chatStream() } });
    const seen = await world.answerTo({ stream: true });
    assert.equal(seen.headers.get('x-breakwater-fallback'), 'rate_limited');
    assert.equal(contentOf(seen.text), 'one two three');
    assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 0);
  });
});

describe('a wait that the provider asks for', { concurrency: 8 }, () => {
  const gapOf = (world: World) => {
    const [first = 0, second = 0] = world.storms['a']!.stats().starts;
    return second - first;
  };
  const waits = [
    { name: 'in seconds', fault: { kind: '429-retry', retryAfter: 1 }, atLeast: 1000, below: 3400 },
    {
      name: 'in milliseconds, before the seconds',
      fault: { kind: '429-retry', retryAfter: 1, retryAfterMs: 250 },
      atLeast: 250,
      below: 600,
    },
    { name: 'as a date', fault: { kind: '429-date', ms: 2000 }, atLeast: 900, below: 3400 },
    { name: 'in words', fault: { kind: '429-text', ms: 700 }, atLeast: 700, below: 2000 },
    { name: 'with a 503', fault: { kind: '503', retryAfter: '0.6' }, atLeast: 600, below: 2000 },
  ] as const;
  for (const { name, fault, atLeast, below } of waits) {
    it(`is kept at one target alone: ${name}`, async (t) => {
      const world = await startWorld(t, { storms: { a: { faults: [{ ...fault, calls: { first: 1 } }] } }, config });
      const seen = await world.ask();
      assertAnswered(seen, 'a/m', 2, null);
      const gap = gapOf(world);
      assert.ok(gap >= atLeast && gap < below, `${gap} ms between the calls`);
    });

    it(`holds nobody who can go elsewhere: ${name}`, async (t) => {
      const world = await startWorld(t, { storms: { a: { faults: [{ ...fault, calls: { first: 1 } }] }, b: {} }, config });
      assertAnswered(await world.ask(), 'b/m', 2, fault.kind === '503' ? 'overloaded' : 'rate_limited');
      const next = await world.ask();
      assert.equal(next.headers.get('x-breakwater-target'), next.ms > 150 ? 'a/m' : 'b/m');
    });
  }

  it('of exactly the longest that is waited for is waited for', async (t) => {
    const policy = { ...config.policy, retry: { ...config.policy.retry, maxRetryAfter: '1s' } };
    const faults = [{ kind: '429-retry', retryAfter: 1, calls: { first: 1 } }] as const;
    const world = await startWorld(t, { storms: { a: { faults: [...faults] } }, config: { policy } });
    assertAnswered(await world.ask(), 'a/m', 2, null);
  });

  it('of a day is told to the caller, and the target is left alone', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '429-retry', retryAfter: 86_400 }] } }, config });
    const first = await world.ask();
    assert.equal(first.status, 429);
    assert.equal(first.headers.get('retry-after'), '86400');
    assert.equal(first.headers.get('x-should-retry'), 'false');
    assert.ok(first.ms < 500);
    const second = await world.ask();
    assert.deepEqual([second.status, errorOf(second.text).code], [429, 'rate_limited']);
    assert.ok(Number(second.headers.get('retry-after')) > 86_000);
    assert.equal(second.headers.get('x-should-retry'), 'false');
    assert.equal(world.storms['a']!.stats().calls, 1);
    assert.ok(world.gateway.targets()[0]!.cooldownMs > 86_000_000);
  });

  it('of a day with a second target sends everybody there', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '429-retry', retryAfter: 86_400 }] }, b: {} }, config });
    assertAnswered(await world.ask(), 'b/m', 2, 'rate_limited');
    assertAnswered(await world.ask(), 'b/m', 1, 'rate_limited');
    assert.equal(world.storms['a']!.stats().calls, 1);
  });

  it('beyond the deadline is not slept', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '429-retry', retryAfter: 30 }] } }, config });
    const seen = await world.ask({}, { 'x-breakwater-deadline-ms': '2000' });
    assert.ok(seen.ms < 500, `${seen.ms} ms`);
    assert.equal(seen.status, 429);
    assert.equal(seen.headers.get('retry-after'), '30');
    assert.equal(world.storms['a']!.stats().calls, 1);
  });

  for (const value of ['-1', 'soon', '99999999999', '1e400', 'NaN']) {
    it(`that makes no sense is not believed: ${value}`, async (t) => {
      const world = await startWorld(t, { storms: { a: { faults: [{ kind: '429-absurd', retryAfter: value }] } }, config });
      const seen = await world.ask();
      assert.equal(world.storms['a']!.stats().calls, MAX_ATTEMPTS);
      assert.ok(seen.ms < 1000);
      assert.ok(Number(seen.headers.get('retry-after') ?? 0) <= 1);
    });
  }
});

describe('one of two credentials', () => {
  it('that is refused is benched; its caller never hears of it', async (t) => {
    const world = await startWorld(t, {
      storms: { a: { apiKeys: ['sk-good'] } },
      providers: { a: { apiKeys: ['sk-bad', 'sk-good'] } },
      config,
    });
    for (let i = 0; i < 20; i++) assert.equal((await world.ask()).status, 200);
    const refusals = world.storms['a']!.stats().byStatus['401'] ?? 0;
    assert.ok(refusals <= 1, `${refusals} calls with the bad key`);
    assert.equal(world.storms['a']!.stats().calls, 20 + refusals);
    const benched = world.gateway.targets().filter((target) => target.benchedMs > 0);
    assert.deepEqual(
      benched.map((target) => target.credential),
      refusals === 0 ? [] : [1],
    );
  });

  it('all refused: one call for each, and upstream_auth_failed', async (t) => {
    const world = await startWorld(t, { storms: { a: { apiKeys: ['x'] } }, providers: { a: { apiKeys: ['k1', 'k2'] } }, config });
    const seen = await world.ask();
    assert.deepEqual([seen.status, errorOf(seen.text).code], [502, 'upstream_auth_failed']);
    assert.equal(world.storms['a']!.stats().calls, 2);
    const next = await world.ask();
    assert.deepEqual([next.status, errorOf(next.text).code], [503, 'no_target_available']);
    assert.ok(Number(next.headers.get('retry-after')) > 200);
    assert.equal(next.headers.get('x-should-retry'), 'false');
    assert.equal(world.storms['a']!.stats().calls, 2);
    assert.doesNotMatch(JSON.stringify(world.events) + seen.text + next.text, /k1|k2/, 'no key is told');
  });

  it('that is spent leaves the other in use', async (t) => {
    const faults = [{ kind: '429-quota', calls: [1] }] as const;
    const world = await startWorld(t, {
      storms: { a: { faults: [{ ...faults[0], calls: [1] }] } },
      providers: { a: { apiKeys: ['k1', 'k2'] } },
      config,
    });
    assert.equal((await world.ask()).status, 200);
    for (let i = 0; i < 10; i++) assert.equal((await world.ask()).status, 200);
    assert.equal(world.storms['a']!.stats().calls, 12);
    assert.equal(
      new Set(
        world
          .eventsOf('attempt')
          .slice(1)
          .map((attempt) => attempt.credential),
      ).size,
      1,
    );
  });
});

describe('several targets that fail', { concurrency: 4 }, () => {
  it('share one budget of attempts', async (t) => {
    const faults = [{ kind: '500' }] as const;
    const world = await startWorld(t, { storms: { a: { faults: [...faults] }, b: { faults: [...faults] } }, config });
    const seen = await world.ask();
    const calls = [world.storms['a']!.stats().calls, world.storms['b']!.stats().calls];
    assert.equal(calls[0]! + calls[1]!, MAX_ATTEMPTS);
    assert.deepEqual([seen.status, errorOf(seen.text).code], [500, 'all_targets_failed']);
    assert.match(errorOf(seen.text).message, /1\. a\/m: 500 .*2\. b\/m: 500 .*4\. /);
    assert.equal(seen.headers.get('x-breakwater-attempts'), '4');
  });

  it('for a reason that lies in the request pass the last words on', async (t) => {
    const faults = [{ kind: '400-context' }] as const;
    const world = await startWorld(t, { storms: { a: { faults: [...faults] }, b: { faults: [...faults] } }, config });
    const seen = await world.ask();
    assert.deepEqual([seen.status, errorOf(seen.text).code], [400, 'context_length_exceeded']);
    assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [1, 1]);
  });

  it('are not asked at all where the caller turned fallback off', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: 'error-preamble' }] }, b: {} }, config });
    const seen = await world.ask({ stream: true }, { 'x-breakwater-fallback': 'off' });
    assert.deepEqual([world.storms['a']!.stats().calls, world.storms['b']!.stats().calls], [4, 0]);
    assert.equal(seen.status, 502);
  });

  it('a field that a target does not take is left out for it once', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '400-parameter', param: 'temperature' }] }, b: {} }, config });
    assertAnswered(await world.ask({ temperature: 0.2 }), 'a/m', 2, null);
    assert.equal(world.storms['b']!.stats().calls, 0);
    assert.match(world.eventsOf('note')[0]!.note, /temperature left out/);
  });

  for (const [name, retryAfter] of [
    ['for half a minute', '30'],
    ['for a day', '86400'],
  ] as const) {
    it(`a target that does not take a field, and pauses ${name}, is not waited for (virtual time)`, async (t) => {
      const failure = (afterMs: number, status: number, headers: Record<string, string>, error: object): SimulatedAnswer => ({
        steps: [
          { do: 'wait', ms: afterMs },
          { do: 'head', status, headers: { 'content-type': 'application/json', ...headers } },
          { do: 'send', bytes: JSON.stringify({ error }) },
        ],
      });
      const unsupported = { message: 'no', type: 'invalid_request_error', code: 'unsupported_parameter', param: 'temperature' };
      const a = (call: SimulatedCall) =>
        call.body.includes('temperature')
          ? failure(50, 400, {}, unsupported)
          : failure(20, 429, { 'retry-after': retryAfter }, { message: 'slow down', code: 'rate_limit_exceeded' });
      const world = await startVirtualWorld(t, { providers: { a, b: () => chatAnswer() } });
      const asked = world.ask({ temperature: 0.2 });
      world.ask();
      const seen = await world.until(asked.done);
      assert.deepEqual([seen.status, seen.headers.get('x-breakwater-target')], [200, 'b/m']);
      assert.ok(seen.endAtMs < 100, `${seen.endAtMs} ms`);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [2, 2]);
    });
  }
});

describe('a target that cannot be reached', { concurrency: 4 }, () => {
  const places = { refused: 'http://127.0.0.1:1/v1', 'no TLS where TLS is asked': null } as const;
  for (const [name, place] of Object.entries(places)) {
    it(`${name}: counted, marked, and the next one answers`, async (t) => {
      const world = await startWorld(t, {
        storms: { a: {}, b: {} },
        providers: { a: { baseUrl: place ?? 'https://127.0.0.1:1/v1' } },
        config,
      });
      assertAnswered(await world.ask(), 'b/m', 2, 'connection');
      assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 1);
      assert.equal(world.eventsOf('attempt_end')[0]!.failure, 'connect');
    });

    it(`${name}, alone: tried again, then told`, async (t) => {
      const world = await startWorld(t, { storms: { a: {} }, providers: { a: { baseUrl: place ?? 'https://127.0.0.1:1/v1' } }, config });
      const seen = await world.ask();
      assert.deepEqual([seen.status, errorOf(seen.text).code], [502, 'all_targets_failed']);
      assert.equal(seen.headers.get('x-breakwater-attempts'), '4');
    });
  }
});

describe('the breaker of a target', { concurrency: 4 }, () => {
  const quick = { policy: { ...config.policy, maxAttempts: 1, breaker: { openFor: '300ms' } } };

  it('opens after five failures in a row; nobody is sent there, and the caller hears when it may', async (t) => {
    const world = await startWorld(t, {
      storms: { a: { faults: [{ kind: '500' }] } },
      config: { policy: { ...config.policy, maxAttempts: 1 } },
    });
    for (let i = 0; i < 5; i++) assert.equal((await world.ask()).status, 500);
    for (let i = 0; i < 20; i++) {
      const seen = await world.ask({}, { 'x-breakwater-deadline-ms': '1000' });
      assert.deepEqual([seen.status, errorOf(seen.text).code], [503, 'no_target_available']);
      assert.equal(seen.headers.get('x-should-retry'), 'true');
      const waitMs = Number(seen.headers.get('retry-after-ms'));
      assert.ok(waitMs > 3000 && waitMs <= 6000, `${waitMs} ms`);
      assert.equal(seen.headers.get('x-breakwater-attempts'), '0');
    }
    assert.equal(world.storms['a']!.stats().calls, 5);
    assert.deepEqual(
      world.eventsOf('breaker').map((event) => [event.from, event.to]),
      [['closed', 'open']],
    );
  });

  it('open sends everybody to the next tier; a probe brings traffic back', async (t) => {
    const world = await startWorld(t, {
      storms: { a: { faults: [{ kind: '500' }] }, b: {} },
      config: { policy: { ...config.policy, breaker: { openFor: '300ms' } } },
    });
    for (let i = 0; i < 5; i++) assertAnswered(await world.ask(), 'b/m', 2, 'server_error');
    assertAnswered(await world.ask({}, { 'x-breakwater-deadline-ms': '250' }), 'b/m', 1, 'open');
    world.storms['a']!.setFaults([]);
    await new Promise((resolve) => setTimeout(resolve, 400));
    for (let i = 0; i < 3; i++) assertAnswered(await world.ask(), 'a/m', 1, null);
    assert.deepEqual(
      world.eventsOf('breaker').map((event) => event.to),
      ['open', 'half-open', 'closed'],
    );
  });

  it('is waited for where it may close within the deadline', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '500', calls: { first: 5 } }] } }, config: quick });
    for (let i = 0; i < 5; i++) await world.ask();
    const seen = await world.ask();
    assertAnswered(seen, 'a/m', 1, null);
    assert.ok(Number(seen.headers.get('x-breakwater-queue-ms')) >= 200);
  });

  it("stays closed over a hundred faults of the caller's own", async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '400' }] } }, config });
    for (let i = 0; i < 100; i++) assert.equal((await world.ask()).status, 400);
    assert.equal(world.storms['a']!.stats().calls, 100);
    assert.equal(world.gateway.targets()[0]!.breaker.state, 'closed');
  });

  it('stays closed over one error in fifty', async (t) => {
    const world = await startWorld(t, { storms: { a: { faults: [{ kind: '500', calls: { every: 50 } }] } }, config });
    for (let i = 0; i < 150; i++) assert.equal((await world.ask()).status, 200);
    assert.equal(world.storms['a']!.stats().calls, 153);
    assert.equal(world.eventsOf('breaker').length, 0);
  });
});
