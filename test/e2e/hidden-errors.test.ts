/** Errors inside a success status: a single target's error has the status that its code implies. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startScripted } from './scripted-provider.ts';
import { startVirtualWorld } from './virtual.ts';

const ONCE = { maxAttempts: 1, deadline: '10s' };
const CASES: readonly (readonly [string, object, number])[] = [
  ['a rate limit by its code', { message: 'Slow down', code: 'rate_limit_exceeded', type: 'requests' }, 429],
  ['a rate limit by its type', { message: 'Slow down: try again in 20s', type: 'rate_limit_error' }, 429],
  ['a context that is too long', { message: 'Too long', code: 'context_length_exceeded', type: 'invalid_request_error' }, 400],
  ['an invalid request', { message: 'No', type: 'invalid_request_error' }, 400],
  ['an unknown model', { message: 'No model', code: 'model_not_found' }, 404],
  ['an overloaded server', { message: 'Busy', type: 'overloaded_error' }, 503],
  ['a refused key, which is not the caller’s', { message: 'No', type: 'authentication_error' }, 502],
  ['an error that says nothing', { message: 'Something went wrong' }, 502],
];

describe('an error inside a success status', () => {
  for (const [what, error, status] of CASES)
    it(`has the status ${status} if it is ${what}`, async (t) => {
      const body = JSON.stringify({ error });
      for (const response of [body, `data: ${body}\n\n`])
        for (const caller of ['chat', 'messages', 'gemini', 'responses'] as const)
          for (const stream of [true, false]) {
            const seen = await (await startScripted(t, 'openai', [response], ONCE))(caller, stream);
            assert.equal(seen.status, status, `${caller}: ${seen.text}`);
            const isLimit = status === 429;
            assert.equal(seen.headers.get('x-should-retry'), String(/try again in/.test(body)));
            assert.equal(seen.headers.get('retry-after') !== null, isLimit);
          }
    });
});

describe('a Gemini caller', () => {
  for (const [what, error, status, word] of [
    ['of a proxy before Gemini', { message: 'no model', code: 'model_not_found' }, 404, 'NOT_FOUND'],
    ['without a code', { message: 'down' }, 503, 'UNAVAILABLE'],
  ] as const)
    it(`gets an error ${what} in the form of Gemini's errors`, async (t) => {
      const seen = await (await startScripted(t, 'gemini', [JSON.stringify({ error })], ONCE, false, status))('gemini', false);
      assert.equal(seen.status, status);
      assert.deepEqual(JSON.parse(seen.text), { error: { code: status, message: error.message, status: word } });
    });

  it("gets the bytes of Gemini's own error", async (t) => {
    const body = '{"error": {"code": 404, "message": "no model", "status": "NOT_FOUND", "details": []}}';
    const seen = await (await startScripted(t, 'gemini', [body], ONCE, false, 404))('gemini', false);
    assert.deepEqual([seen.status, seen.text], [404, body]);
  });

  it('has the request inside generateContentRequest counted, before any provider', async (t) => {
    const world = await startVirtualWorld(t, { providers: { a: () => ({ steps: [] }) } });
    const contents = [{ role: 'user', parts: [{ text: 'Say something about harbours.' }] }];
    const count = async (body: object): Promise<unknown> => {
      const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
      const response = await world.until(world.fetch('http://breakwater/v1beta/models/fast:countTokens', init));
      return world.until(response.json());
    };
    const plain = (await count({ contents })) as { totalTokens: number };
    assert.ok(plain.totalTokens > 0);
    const wrapped = (await count({ generateContentRequest: { model: 'models/fast', contents } })) as { totalTokens: number };
    assert.ok(wrapped.totalTokens >= plain.totalTokens);
    assert.equal(world.callsTo('a'), 0);
  });
});
