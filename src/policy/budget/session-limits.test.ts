import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SessionLimits, SESSIONS_MAX } from './session-limits.ts';

const bounds = { requestsPerMinute: Infinity, tokens: Infinity, usd: Infinity };

describe('the limits of a session', () => {
  it('refuse the request after the allowed ones, and say when the next one is allowed', () => {
    const limits = new SessionLimits({ ...bounds, requestsPerMinute: 2 });
    assert.deepEqual(
      [0, 1, 2].map((now) => limits.admit(now, 'a')?.limit ?? null),
      [null, null, 'requestsPerMinute'],
    );
    assert.deepEqual(limits.admit(2, 'a'), { limit: 'requestsPerMinute', bound: 2, retryAfterMs: 29_998 });
    assert.equal(limits.admit(2, 'b'), null, 'another session');
    assert.equal(limits.admit(30_000, 'a'), null);
  });

  it('end a session that has used its tokens or its money', () => {
    const limits = new SessionLimits({ ...bounds, tokens: 100, usd: 0.5 });
    limits.record(0, 'a', 99, 0);
    assert.equal(limits.admit(1, 'a'), null);
    limits.record(1, 'a', 1, 0);
    assert.deepEqual(limits.admit(2, 'a'), { limit: 'tokens', bound: 100, used: 100 });
    limits.record(2, 'b', 0, 0.5);
    assert.deepEqual(limits.admit(3, 'b'), { limit: 'usd', bound: 0.5, used: 0.5 });
  });

  it('apply anew at once when they change', () => {
    const limits = new SessionLimits({ ...bounds, tokens: 10 });
    limits.record(0, 'a', 10, 0);
    limits.configure({ ...bounds, tokens: 20 });
    assert.equal(limits.admit(1, 'a'), null);
  });

  it('forget sessions that are idle for a day, and the oldest beyond the limit', () => {
    const limits = new SessionLimits({ ...bounds, tokens: 1 });
    limits.record(0, 'a', 1, 0);
    limits.admit(86_400_000, 'b');
    assert.equal(limits.size, 1);
    for (let i = 0; i < SESSIONS_MAX + 5; i++) limits.admit(86_400_000, `s${i}`);
    assert.equal(limits.size, SESSIONS_MAX);
  });
});
