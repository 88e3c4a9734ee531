import assert from 'node:assert/strict';
import { test } from 'node:test';
import { requestLimit } from '../../policy/rate-limiter/measures.fixture.ts';
import { LeasedBucket } from '../../policy/rate-limiter/leased-bucket.ts';
import { LeasedWindow } from '../../policy/rate-limiter/leased-window.ts';
import { GatewayShare } from './gateway-share.ts';

const ONE = { requests: 1, inputTokens: 0, outputTokens: 0 };

test('a request that waits here when the gateway is back gets what it needs of a limit of a day, and nothing else does', async () => {
  const share = new GatewayShare(() => 2);
  share.set(true);
  const bucket = new LeasedBucket(requestLimit(1_000, 86_400_000), 0, () => {});
  const exchange = async (now: number): Promise<void> => {
    const { grants } = await share.exchange([bucket.claim(now, 2)!]);
    bucket.granted(now, grants[0]!);
  };
  await exchange(0);
  assert.ok(bucket.earliest(0, ONE) > 0, 'the gateway has the limit');
  bucket.detach(5_000, 2);
  await exchange(60_000);
  assert.ok(bucket.earliest(60_000, ONE) > 60_000);
  await exchange(60_100);
  assert.equal(bucket.earliest(60_100, ONE), 60_100);
  bucket.reserve(60_100, ONE);
  assert.ok(bucket.available(60_100) < 1);
});

test('so does one that waits for a sliding window of a day', async () => {
  const share = new GatewayShare(() => 2);
  share.set(true);
  const window = new LeasedWindow(requestLimit(1_000, 86_400_000), 0, () => {});
  const exchange = async (now: number): Promise<void> => {
    const { grants } = await share.exchange([window.claim(now, 2)!]);
    window.granted(now, grants[0]!);
  };
  await exchange(0);
  assert.ok(window.earliest(0, ONE) > 0, 'the gateway has the limit');
  window.detach(5_000, 2);
  for (let i = 0; i < 3; i++) window.reserve(5_000, ONE);
  await exchange(60_000);
  assert.ok(window.earliest(60_000, ONE) > 60_000);
  await exchange(60_100);
  assert.equal(window.earliest(60_100, ONE), 60_100);
  window.reserve(60_100, ONE);
  assert.ok(window.available(60_100) < 1);
  await exchange(61_000);
  assert.ok(window.available(61_000) < 1);
});
