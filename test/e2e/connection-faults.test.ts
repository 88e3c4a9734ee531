/** A connection that can't be opened: what the caller and the operator read, and how often it is tried. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { chatResponse } from '../../src/testing/simulated-chat.ts';
import { startVirtualWorld } from './virtual.ts';
import { errorOf } from './world.ts';

const refusing = (code: string) => () => ({ refuse: code, steps: [] });

describe('a connection fault', () => {
  for (const code of ['ENOTFOUND', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'CERT_HAS_EXPIRED', 'ERR_TLS_CERT_ALTNAME_INVALID']) {
    it(`${code}: is tried once on a target, and named with host, cause and cure`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: refusing(code) } });
      const seen = await world.answerTo();
      assert.deepEqual([seen.status, world.callsTo('a')], [502, 1]);
      assert.match(errorOf(seen.text).message, /no connection to http:\/\/a: .+: .+/);
      assert.ok(errorOf(seen.text).message.includes(code));
      assert.equal(world.eventsOf('attempt_end')[0]!.reason, 'connection');
      assert.equal(world.gateway.targets()[0]!.breaker.failureRatio, 1);
    });

    it(`${code}: is tried with one key, then the next provider answers`, async (t) => {
      const world = await startVirtualWorld(t, {
        keys: ['sk-key-1', 'sk-key-2'],
        providers: { a: refusing(code), b: () => chatResponse() },
      });
      assert.equal((await world.answerTo()).status, 200);
      assert.deepEqual([world.callsTo('a'), world.callsTo('b')], [1, 1]);
    });
  }

  for (const code of ['ECONNREFUSED', 'EAI_AGAIN']) {
    it(`${code}: may pass, and is tried four times`, async (t) => {
      const world = await startVirtualWorld(t, { providers: { a: refusing(code) } });
      const seen = await world.answerTo();
      assert.deepEqual([seen.status, world.callsTo('a')], [502, 4]);
      assert.match(errorOf(seen.text).message, /no connection to http:\/\/a: /);
    });
  }
});
