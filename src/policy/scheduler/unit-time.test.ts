import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Need, Resource } from '../../core/resource.ts';
import { UnitTime } from './unit-time.ts';

const ONE: Need = { requests: 1, inputTokens: 0, outputTokens: 0 };

/** Ten requests are left, and each further one takes `unit.ms`. */
function pool(unit: { ms: number }): Resource {
  const earliestAfter = (now: number, ahead: Need, need: Need): number => now + Math.max(0, ahead.requests + need.requests - 10) * unit.ms;
  return { kind: 'requests', isPooled: true, earliestAfter } as Partial<Resource> as Resource;
}

test('what is left of a pool does not depend on a refill rate that has just changed', () => {
  const unit = { ms: 86_400 };
  const time = new UnitTime(pool(unit));
  const before = time.ms(0, ONE, 1);
  unit.ms *= 3; // two instances have joined
  assert.equal(time.ms(500, ONE, 1), before, 'cached');
  assert.ok(Math.abs(time.freeBeside(500, ONE, 1, before) - 9) < 1e-3, `${time.freeBeside(500, ONE, 1, before)}`);
});
