/** No money, a suspended account or an invalid key, in the words of single vendors: one call, and the key says why and until when. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse, chatStream } from '../../src/testing/index.ts';
import type { SimulatedResponse } from '../../src/testing/index.ts';
import { keyed, MINUTE, targetsOf } from './keyed.ts';
import { json } from './provider-bodies.ts';
import { contentOf, errorOf } from './world.ts';

const HOUR = 60 * MINUTE;
/** The manual clock begins with 2025. */
const BEGIN = Date.UTC(2025, 0, 1);

interface Case {
  readonly answer: SimulatedResponse;
  readonly reason: 'auth' | 'quota';
  readonly forMs: number;
}

const base = (code: number, text: string) => json(200, { id: 'x', choices: null, base_resp: { status_code: code, status_msg: text } });
const openRouter = (reset: string | number) =>
  json(429, {
    error: {
      message: 'Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day',
      code: 429,
      metadata: { headers: { 'X-RateLimit-Limit': '50', 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': reset } },
    },
  });

const CASES: Readonly<Record<string, Case>> = {
  '429 insufficient_balance_error': {
    answer: json(429, { type: 'error', error: { type: 'insufficient_balance_error', message: 'insufficient balance (1008)' } }),
    reason: 'quota',
    forMs: 10 * MINUTE,
  },
  '200 with base_resp 1008': { answer: base(1008, 'insufficient balance'), reason: 'quota', forMs: 10 * MINUTE },
  '200 with base_resp 2049': { answer: base(2049, 'invalid api key'), reason: 'auth', forMs: 5 * MINUTE },
  '200 with an error that is only a text': { answer: json(200, { error: 'Insufficient balance' }), reason: 'quota', forMs: 10 * MINUTE },
  '429 free-models-per-day, until a reset in milliseconds': {
    answer: openRouter(String(BEGIN + 7 * HOUR)),
    reason: 'quota',
    forMs: 7 * HOUR,
  },
  '429 free-models-per-day, until a reset in seconds, sooner than our own guess': {
    answer: openRouter((BEGIN + 20 * MINUTE) / 1000),
    reason: 'quota',
    forMs: 20 * MINUTE,
  },
  '429 usage_limit_reached, until resets_at': {
    answer: json(429, {
      error: { type: 'usage_limit_reached', message: 'The usage limit has been reached', resets_at: BEGIN / 1000 + 7200 },
    }),
    reason: 'quota',
    forMs: 2 * HOUR,
  },
  '400 until the date in its text': {
    answer: json(400, {
      error: {
        type: 'invalid_request_error',
        message: 'You have reached your specified API usage limits. You will regain access on 2025-01-02 at 00:00 UTC.',
      },
    }),
    reason: 'quota',
    forMs: 24 * HOUR,
  },
  '412 suspended': {
    answer: json(412, { error: { message: 'Account x is suspended, possibly due to reaching the monthly spending limit' } }),
    reason: 'quota',
    forMs: 10 * MINUTE,
  },
  '400 incorrect key': {
    answer: json(400, { code: 'Client specified an invalid argument', error: 'Incorrect API key provided: xa***en' }),
    reason: 'auth',
    forMs: 5 * MINUTE,
  },
  '403 of Cloudflare': {
    answer: json(403, { success: false, errors: [{ code: 10000, message: 'Invalid API token credentials: expired access token' }] }),
    reason: 'auth',
    forMs: 5 * MINUTE,
  },
};

describe('a key whose refusal speaks of the whole account', () => {
  for (const [what, { answer, reason, forMs }] of Object.entries(CASES)) {
    it(`${what}: is quarantined after one call, and the reason told`, async (t) => {
      const world = await keyed(t, 2, (key) => (key === 0 ? answer : null));
      for (let i = 0; i < 10; i++) assert.equal((await world.answerTo()).status, 200);
      assert.equal(world.byKey()[0], 1);
      const [status] = targetsOf(world);
      assert.equal(status!.quarantinedMs, forMs);
      assert.equal(status!.quarantine!.reason, reason);
      assert.notEqual(status!.quarantine!.message, '');
      const [event] = world.eventsOf('cooldown');
      assert.deepEqual([event!.subject, event!.kind, event!.forMs, event!.reason], ['a#1', 'quarantine', forMs, reason]);
      assert.match(event!.why!, /^(the account has no quota or credit|the provider refuses the key)/);
      assert.ok(world.eventsOf('note').some(({ note }) => note.startsWith(`credential 1 quarantined for ${(forMs / 1000).toFixed(1)} s`)));
    });

    it(`${what}, alone: one call, then the caller is told why and until when`, async (t) => {
      const world = await keyed(t, 1, () => answer);
      await world.answerTo();
      const seen = await world.answerTo({}, { 'x-breakwater-deadline-ms': '2000' });
      assert.deepEqual([seen.status, errorOf(seen.text).code, world.byKey()], [503, 'no_target_available', [1]]);
      const why = reason === 'quota' ? 'the account has no quota or credit, or is suspended' : 'the provider refuses the key';
      assert.ok(errorOf(seen.text).message.includes(`credential 1 quarantined for ${(forMs / 1000).toFixed(1)} s (${why}`), seen.text);
    });
  }

  for (const status of [401, 403]) {
    it(`${status} about money is told as ours: to the caller a ${status} would be about its own key`, async (t) => {
      const world = await keyed(t, 1, () => json(status, { error: { message: 'Your account is suspended' } }));
      const seen = await world.answerTo();
      assert.deepEqual([seen.status, errorOf(seen.text).code], [502, 'upstream_auth_failed']);
      assert.match(
        errorOf(seen.text).message,
        /credential 1 \(the account has no quota or credit, or is suspended, \d+\); it is quarantined for 600.0 s/,
      );
    });
  }

  it('is not tried before the reset that the provider named, though it is alone, and then it is', async (t) => {
    const world = await keyed(t, 1, (_key, nth) => (nth === 1 ? openRouter(BEGIN + 7 * HOUR) : null));
    await world.answerTo();
    for (let hour = 0; hour < 6; hour++) {
      await world.clock.advanceAsync(HOUR);
      assert.equal((await world.answerTo({}, { 'x-breakwater-deadline-ms': '2000' })).status, 503);
    }
    await world.clock.advanceAsync(HOUR);
    assert.equal((await world.answerTo()).status, 200);
    assert.deepEqual(world.byKey(), [2]);
  });

  it('in the first event of a stream goes to the next key', async (t) => {
    const broken: SimulatedResponse = {
      steps: [
        { do: 'head', status: 200, headers: { 'content-type': 'text/event-stream' } },
        {
          do: 'send',
          bytes: `data: ${JSON.stringify({ choices: null, base_resp: { status_code: 1008, status_msg: 'insufficient balance' } })}\n\n`,
        },
      ],
    };
    const world = await keyed(t, 2, (key) => (key === 0 ? broken : chatStream()));
    for (let i = 0; i < 4; i++) assert.equal(contentOf((await world.answerTo({ stream: true })).text), 'one two three');
    assert.equal(world.byKey()[0], 1);
  });
});

describe('a success', () => {
  it('with base_resp 0 is one', async (t) => {
    const whole = { id: 'x', choices: [{ index: 0, message: { role: 'assistant', content: 'hi' }, finish_reason: 'stop' }] };
    const world = await keyed(t, 1, () => json(200, { ...whole, base_resp: { status_code: 0, status_msg: '' } }));
    assert.equal((await world.answerTo()).status, 200);
  });

  it('of a rate limit of a minute, told with its reset, is a pause and no quarantine', async (t) => {
    const reset = BEGIN + 20_000;
    const limited = json(429, {
      error: { message: 'Rate limit exceeded: free-models-per-min.', code: 429, metadata: { headers: { 'X-RateLimit-Reset': reset } } },
    });
    const world = await keyed(t, 1, (_key, nth) => (nth === 1 ? limited : chatResponse()));
    const seen = await world.answerTo();
    assert.equal(seen.status, 200);
    assert.ok(seen.endAtMs >= 20_000 && seen.endAtMs < 21_000, `${seen.endAtMs} ms`);
  });
});
