import { after, test } from 'node:test';
import { systemClock } from '../../src/gateway/system-clock.ts';
import { testJobContract } from '../../src/store/jobs/job-contract.test-suite.ts';
import { parseRedisUrl } from '../../src/store/redis/address.ts';
import { createRedisJobs } from '../../src/store/redis/jobs/redis-jobs.ts';
import { skipWithoutRedis, startRedis } from './server.ts';

if (skipWithoutRedis !== false) {
  void test('the contract of jobs on Redis', { skip: skipWithoutRedis }, () => {});
} else {
  const server = await startRedis();
  after(() => server.stop());
  let opened = 0;
  testJobContract({
    name: 'redis',
    open: async () =>
      createRedisJobs({
        address: parseRedisUrl(`${server.url}?namespace=jobs-${opened++}`),
        clock: systemClock,
        isProcessGone: () => false,
        usesServerTime: false,
      }),
  });
}
