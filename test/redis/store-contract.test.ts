import { after, test } from 'node:test';
import { testStoreContract } from '../../src/store/contract.test-suite.ts';
import { parseRedisUrl } from '../../src/store/redis/address.ts';
import { openRedisStore } from '../../src/store/redis/redis-store.ts';
import { skipWithoutRedis, startRedis } from './server.ts';

if (skipWithoutRedis !== false) {
  void test('the store contract on Redis', { skip: skipWithoutRedis }, () => {});
} else {
  const server = await startRedis();
  after(() => server.stop());
  let opened = 0;
  testStoreContract({
    name: 'redis',
    open: (_t, clock, limits) =>
      openRedisStore(parseRedisUrl(`${server.url}?namespace=contract-${opened++}`), {
        clock,
        onWarning: () => {},
        ...(limits && { limits }),
      }),
  });
}
