/** The budget of a client over several gateways on a real server, held against the provider's own count. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatBody } from '../e2e/harness.ts';
import { errorOf, eventually } from '../e2e/world.ts';
import { startFleet, type FleetMember } from './fleet-world.ts';
import { skipWithoutRedis, startRedis } from './server.ts';

const WEB = { authorization: 'Bearer web-key-1234' };
const TOKENS = 10;
/** Estimates are exact: each call costs one cent, for its output alone. */
const PRICE = { input: 0, output: 1_000 };
const CALL_USD = (TOKENS * PRICE.output) / 1e6;
const BUDGET_USD = 6;
const options = { skip: skipWithoutRedis };

void test(
  '1,000 parallel requests over two gateways use the budget up to the last cent, and no more',
  { skip: skipWithoutRedis },
  async (t) => {
    const redis = await startRedis();
    t.after(() => redis.stop());
    const fleet = await startFleet(t, {
      url: redis.url,
      storm: { timing: { tokens: TOKENS, plainMs: 100 } },
      config: {
        clients: [{ name: 'web', key: 'web-key-1234', budget: { usd: BUDGET_USD, per: 'month' } }],
        prices: { 'p/m': PRICE },
      },
    });
    const [first, second] = [await fleet.join(), await fleet.join()];
    const ask = (member: FleetMember): ReturnType<FleetMember['ask']> => member.ask({ max_tokens: TOKENS }, WEB);
    const answers = await Promise.all(Array.from({ length: 1_000 }, (_, i) => ask(i % 3 === 0 ? second : first)));
    const billedUsd = (): number => (fleet.storm.stats().tokens.output * PRICE.output) / 1e6;
    const served = answers.filter(({ status }) => status === 200).length;
    const refused = answers.filter(({ status, text }) => status === 429 && errorOf(text).code === 'budget_exceeded').length;
    assert.deepEqual([served, refused, fleet.storm.stats().calls], [BUDGET_USD / CALL_USD, 1_000 - BUDGET_USD / CALL_USD, served]);
    assert.ok(Math.abs(billedUsd() - BUDGET_USD) < 1e-9, `$${billedUsd()}`);

    const spent = ({ gateway }: FleetMember): number => gateway.money.clients.status().get('web')!.spentUsd;
    await eventually(() => [first, second].every((member) => Math.abs(spent(member) - billedUsd()) < 1e-9), 'both know what was spent');
    await first.close();
    const third = await fleet.join();
    const { status, text } = await ask(third);
    assert.equal(status, 429);
    assert.match(errorOf(text).message, /\$6 per month, has no room .*: \$6 spent; the next month begins at/);
    assert.equal(fleet.storm.stats().calls, served);
  },
);

void test('the cheaper target of a client is used only once its budget is spent at all instances', options, async (t) => {
  const redis = await startRedis();
  t.after(() => redis.stop());
  const budget = { usd: 4 * CALL_USD, per: 'month' as const, onExhausted: 'p/cheap' };
  const fleet = await startFleet(t, {
    url: redis.url,
    storm: { timing: { tokens: TOKENS } },
    config: { clients: [{ name: 'web', key: 'web-key-1234', budget }], prices: { 'p/m': PRICE } },
  });
  const members = [await fleet.join(), await fleet.join()];
  const used: (string | null)[] = [];
  for (let i = 0; i < 6; i++) {
    const response = await members[i % 2]!.chat(chatBody({ max_tokens: TOKENS }), WEB);
    await response.text();
    used.push(response.headers.get('x-breakwater-fallback'));
  }
  assert.deepEqual(used, [null, null, null, null, 'budget', 'budget']);
});
