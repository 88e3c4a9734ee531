/** A failure caused by one request is no evidence against a credential: a second, different request has to fail in the same way. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse } from '../../src/testing/simulated-chat.ts';
import type { SimulatedResponse, SimulatedCall } from '../../src/testing/simulated-upstream.ts';
import { keyed, MINUTE, statuses, targetsOf, times } from './keyed.ts';
import { json, openai } from './provider-bodies.ts';
import { startVirtualWorld } from './virtual.ts';
import { errorOf } from './world.ts';

const SECOND = 1_000;
const POISON = 'poison';
const isPoison = ({ body }: SimulatedCall): boolean => body.includes(POISON);
const isOwnQuestion = ({ request }: SimulatedCall): boolean => request.method === 'GET';
const says = (content: string, more: object = {}) => ({ messages: [{ role: 'user', content }], ...more });
const error = (status: number, message: string): SimulatedResponse => json(status, { error: { message, code: status } });
const bare = (status: number): SimulatedResponse => json(status, '');

const CLIENTS = ['one', 'two', 'three'].map((name) => ({ name, key: `sk-client-${name}` }));
const as = (client: string) => ({ authorization: `Bearer sk-client-${client}` });
const OF_REQUEST: Readonly<Record<string, SimulatedResponse>> = {
  '402: fewer max_tokens': error(
    402,
    'This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 1209.',
  ),
  '401: a scope': error(401, 'You have insufficient permissions for this operation. Missing scopes: model.request.'),
  '403: a verification': error(403, 'Your organization must be verified to stream this model.'),
  '403: a region': error(403, 'Country, region, or territory not supported'),
  '401: one model': error(401, 'Your key is not allowed to use the model gpt-5'),
};

describe('a request that is refused because of its content', () => {
  for (const [what, refusal] of Object.entries(OF_REQUEST)) {
    it(`${what}: is sent to one other credential, and other clients are not affected`, async (t) => {
      const answer = (call: SimulatedCall) => (isPoison(call) ? refusal : chatResponse());
      const world = await startVirtualWorld(t, {
        keys: ['sk-key-one-1', 'sk-key-two-2'],
        providers: { a: answer, b: answer },
        config: { clients: CLIENTS },
      });
      for (let i = 0; i < 20; i++) {
        const before = world.upstream.calls.length;
        assert.notEqual((await world.answerTo(says(POISON), as(i % 2 === 0 ? 'one' : 'two'))).status, 200);
        assert.equal(world.upstream.calls.length - before, 2, 'one other credential');
        const seen = await world.answerTo(says('hello'), as('three'));
        assert.deepEqual([seen.status, seen.headers.get('x-breakwater-attempts')], [200, '1']);
      }
      assert.equal(world.eventsOf('cooldown').length, 0);
      assert.ok(world.gateway.targets().every(({ quarantinedMs, suspected }) => quarantinedMs === 0 && !suspected));
    });
  }

  it('gets the message of the provider where the caller can act on it', async (t) => {
    const world = await keyed(t, 2, () => OF_REQUEST['402: fewer max_tokens']!);
    const seen = await world.answerTo();
    assert.deepEqual([seen.status, world.byKey()], [402, [1, 1]]);
    assert.match(errorOf(seen.text).message, /fewer max_tokens/);
  });

  it('is served by another provider, although the first one has another key', async (t) => {
    const world = await keyed(t, 2, () => OF_REQUEST['401: a scope']!, { providers: { b: () => chatResponse() } });
    const seen = await world.answerTo();
    assert.deepEqual([seen.status, seen.headers.get('x-breakwater-target'), seen.headers.get('x-breakwater-attempts')], [200, 'b/m', '2']);
    assert.equal(seen.headers.get('x-breakwater-fallback'), 'auth');
  });

  it('is served by another model of the same key', async (t) => {
    const world = await keyed(t, 1, (_key, _nth, call) => (call.body.includes('"big"') ? OF_REQUEST['401: one model']! : null), {
      models: { fast: ['a/big', 'a/small'] },
    });
    assert.equal((await world.answerTo()).headers.get('x-breakwater-target'), 'a/small');
  });
});

for (const status of [401, 402, 403]) {
  describe(`a bare ${status}`, () => {
    it('does not pause the only key', async (t) => {
      const world = await keyed(t, 1, (_key, nth, call) => (isOwnQuestion(call) ? bare(404) : nth === 1 ? bare(status) : null));
      const first = await world.answerTo();
      assert.equal(first.status, status === 402 ? 402 : 502);
      if (status !== 402) assert.equal(errorOf(first.text).code, 'upstream_auth_failed');
      assert.deepEqual(await statuses(world, 50), [200]);
      assert.equal(world.eventsOf('cooldown').length, 0);
    });

    it('repeated any number of times never quarantines a key', async (t) => {
      const world = await keyed(t, 1, (_key, _nth, call) => (isOwnQuestion(call) ? bare(404) : isPoison(call) ? bare(status) : null));
      for (let i = 0; i < 20; i++) {
        await world.answerTo(says(POISON));
        await world.clock.advanceAsync(SECOND);
      }
      assert.equal((await world.answerTo()).status, 200);
      assert.equal(world.eventsOf('cooldown').length, 0);
    });

    it('of one client and model, in any number, never quarantines a key for other clients', async (t) => {
      const world = await keyed(t, 2, (_key, _nth, call) => (isOwnQuestion(call) ? bare(404) : isPoison(call) ? bare(status) : null), {
        config: { clients: CLIENTS },
      });
      for (let i = 0; i < 20; i++) {
        await world.answerTo(says(`${POISON} ${i}`), { ...as('one'), 'x-breakwater-deadline-ms': '500' });
        await world.clock.advanceAsync(SECOND);
      }
      for (let i = 0; i < 10; i++) {
        const seen = await world.answerTo({}, as('two'));
        assert.deepEqual([seen.status, seen.headers.get('x-breakwater-attempts'), seen.endAtMs], [200, '1', 0]);
      }
      assert.ok(world.eventsOf('cooldown').every(({ why }) => why!.includes('for one client and model alone')));
      assert.deepEqual(
        targetsOf(world).map(({ quarantinedMs }) => quarantinedMs),
        [0, 0],
      );
    });

    it('of two clients, without a success in between, quarantines the key', async (t) => {
      const world = await keyed(t, 2, (key, _nth, call) => (isOwnQuestion(call) ? bare(404) : key === 0 ? bare(status) : null), {
        config: { clients: CLIENTS },
      });
      while (world.byKey()[0] === 0) assert.equal((await world.answerTo({}, as('one'))).status, 200);
      assert.equal(targetsOf(world)[0]!.suspected, true);
      for (let i = 0; i < 10; i++) assert.equal((await world.answerTo({}, as('two'))).headers.get('x-breakwater-attempts'), '1');
      assert.deepEqual(world.byKey()[0], 1, 'a suspected key is avoided for a moment while another is available');
      await world.clock.advanceAsync(6 * SECOND);
      for (let i = 0; i < 10; i++) assert.equal((await world.answerTo({}, as('two'))).status, 200);
      assert.equal(targetsOf(world)[0]!.quarantinedMs > MINUTE, true);
      assert.equal(targetsOf(world)[0]!.quarantine!.status, status);
    });

    it('of two clients, with a success in between, does not', async (t) => {
      const world = await keyed(t, 1, (_key, _nth, call) => (isPoison(call) ? bare(status) : null), { config: { clients: CLIENTS } });
      for (let i = 0; i < 10; i++) {
        await world.answerTo(says(POISON), as(i % 2 === 0 ? 'one' : 'two'));
        assert.equal((await world.answerTo({}, as('three'))).status, 200);
      }
      assert.equal(world.eventsOf('cooldown').length, 0);
    });
  });
}

describe('the free probe of a suspected key', () => {
  const dead = (call: SimulatedCall, listing: SimulatedResponse) => (isOwnQuestion(call) ? listing : bare(401));

  it('decides if no other request arrives: if refused too, the key is quarantined', async (t) => {
    const world = await keyed(t, 1, (_key, _nth, call) => dead(call, bare(401)));
    assert.equal((await world.answerTo()).status, 502);
    assert.equal(targetsOf(world)[0]!.quarantinedMs, 0);
    await world.clock.advanceAsync(3 * SECOND);
    assert.ok(targetsOf(world)[0]!.quarantinedMs > 4 * MINUTE);
    assert.equal(world.upstream.calls.filter(isOwnQuestion).length, 1);
    const refused = await world.answerTo({}, { 'x-breakwater-deadline-ms': '1000' });
    assert.equal(refused.status, 503);
    assert.match(errorOf(refused.text).message, /credential 1 quarantined for \d+\.\d s \(the provider refuses the key, 401\)/);
  });

  it('is sent once for a hundred refusals, and is no evidence if it succeeds or fails otherwise', async (t) => {
    for (const listing of [bare(404), bare(500), json(200, { data: [] }), error(403, 'Missing scopes: api.model.read')]) {
      const world = await keyed(t, 1, (_key, _nth, call) => dead(call, listing));
      const asked = times(100, () => world.ask().done);
      await world.clock.advanceAsync(20 * SECOND);
      await Promise.all(asked);
      assert.equal(world.upstream.calls.filter(isOwnQuestion).length, 1);
      assert.equal(targetsOf(world)[0]!.quarantinedMs, 0);
    }
  });

  it('is not sent after a success', async (t) => {
    const world = await keyed(t, 1, (_key, nth) => (nth === 1 ? bare(401) : null));
    await world.answerTo();
    await world.answerTo();
    await world.clock.advanceAsync(20 * SECOND);
    assert.equal(world.upstream.calls.filter(isOwnQuestion).length, 0);
  });

  it('that hangs is aborted, and none outlives the gateway', async (t) => {
    const hangs: SimulatedResponse = { steps: [{ do: 'wait', ms: 3_600_000 }] };
    const world = await keyed(t, 1, (_key, _nth, call) => dead(call, hangs));
    await world.answerTo();
    await world.clock.advanceAsync(20 * SECOND);
    assert.equal(world.upstream.calls.filter(isOwnQuestion).length, 1);
    assert.equal(targetsOf(world)[0]!.quarantinedMs, 0);
    await world.answerTo(says('another'), {});
    await world.close();
    await world.clock.advanceAsync(20 * SECOND);
    assert.equal(world.upstream.calls.filter(isOwnQuestion).length, 1);
  });
});

describe('a dead key of a provider whose /models needs no key, with one client and one model', () => {
  const publicModels = (call: SimulatedCall) => (isOwnQuestion(call) ? json(200, { data: [] }) : null);

  for (const [refusal, status] of [
    ['401', 401],
    ['403', 403],
    ['402', 402],
  ] as const) {
    it(`a bare ${refusal}: the only key is quarantined, probed every few seconds, and restored after one success`, async (t) => {
      let dead = true;
      const world = await keyed(t, 1, (_key, _nth, call) => publicModels(call) ?? (dead ? bare(status) : null));
      let n = 0;
      const ask = () => world.answerTo(says(`question ${n++}`), { 'x-breakwater-deadline-ms': '500' });
      for (let second = 0; second < 60; second++) {
        for (let i = 0; i < 5; i++) assert.notEqual((await ask()).status, 200);
        await world.clock.advanceAsync(SECOND);
      }
      const calls = world.upstream.calls.filter((call) => !isOwnQuestion(call)).length;
      assert.ok(calls >= 18 && calls <= 50, `${calls} calls in 60 s for 300 requests`);
      assert.ok(targetsOf(world)[0]!.quarantinedMs > MINUTE);
      assert.equal(targetsOf(world)[0]!.quarantine!.status, status);
      dead = false;
      await world.clock.advanceAsync(4 * SECOND);
      for (let i = 0; i < 10; i++) assert.equal((await ask()).status, 200);
      assert.equal(targetsOf(world)[0]!.quarantinedMs, 0);
    });
  }

  it('with another healthy provider, the key is not used', async (t) => {
    const world = await keyed(t, 1, (_key, _nth, call) => publicModels(call) ?? bare(401), { providers: { b: () => chatResponse() } });
    for (let i = 0; i < 120; i++) {
      assert.equal((await world.answerTo(says(`question ${i}`))).status, 200);
      await world.clock.advanceAsync(SECOND);
    }
    assert.equal(
      world.upstream.calls.filter((call) => !isOwnQuestion(call)).length - world.callsTo('b'),
      6,
      'until three bodies span five seconds',
    );
    assert.equal(world.callsTo('b'), 120);
  });
});

describe('the only key, in quarantine', () => {
  it('is probed every few seconds, and one success ends the quarantine', async (t) => {
    let dead = true;
    const world = await keyed(t, 1, () => (dead ? openai(401, 'invalid_api_key', 'invalid_request_error') : null));
    assert.deepEqual(await statuses(world, 1), [502]);
    for (let second = 0; second < 30; second++) {
      for (let i = 0; i < 5; i++) await world.answerTo({}, { 'x-breakwater-deadline-ms': '500' });
      await world.clock.advanceAsync(SECOND);
    }
    const [calls] = world.byKey();
    assert.ok(calls! >= 8 && calls! <= 12, `${calls} calls in 30 s`);
    dead = false;
    await world.clock.advanceAsync(4 * SECOND);
    assert.deepEqual(await statuses(world, 20), [200]);
  });

  it('by inference is waited for, and every request is served', async (t) => {
    let dead = true;
    const world = await keyed(t, 1, (_key, _nth, call) => (isOwnQuestion(call) ? bare(404) : dead ? bare(403) : null), {
      config: { clients: CLIENTS },
    });
    await world.answerTo({}, as('one'));
    await world.answerTo({}, as('two'));
    assert.ok(targetsOf(world)[0]!.quarantinedMs > MINUTE);
    dead = false;
    const seen = await world.until(Promise.all(times(20, () => world.ask({}, as('three')).done)));
    assert.ok(seen.every((answer) => answer.status === 200 && answer.endAtMs <= 4 * SECOND));
  });

  it('by inference, and refused again, is no longer waited for', async (t) => {
    const world = await keyed(t, 1, (_key, _nth, call) => (isOwnQuestion(call) ? bare(404) : bare(403)), { config: { clients: CLIENTS } });
    await world.answerTo({}, as('one'));
    await world.answerTo({}, as('two'));
    const seen = await world.until(Promise.all(times(20, () => world.ask({}, as('three')).done)));
    assert.ok(
      seen.every((answer) => answer.endAtMs <= 4 * SECOND),
      `${Math.max(...seen.map((answer) => answer.endAtMs))} ms`,
    );
    assert.deepEqual(world.byKey(), [3]);
  });

  it('is not used while another provider is healthy', async (t) => {
    const world = await keyed(t, 1, () => openai(401, 'invalid_api_key', 'x'), { providers: { b: () => chatResponse() } });
    for (let i = 0; i < 60; i++) {
      assert.equal((await world.answerTo()).status, 200);
      await world.clock.advanceAsync(SECOND);
    }
    assert.deepEqual(world.byKey(), [1]);
  });
});
