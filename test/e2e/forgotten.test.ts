/** What a reload has removed leaves nothing behind in the store. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseConfig } from '../../src/gateway/config/index.ts';
import type { ConfigInput } from '../../src/gateway/config/index.ts';
import { openStore } from '../../src/store/open-store.ts';
import { createManualClock } from '../../src/testing/manual-clock.ts';
import { chatError } from '../../src/testing/simulated-chat.ts';
import { createSimulatedUpstream } from '../../src/testing/simulated-upstream.ts';
import { chatBody, startGateway } from './harness.ts';

const COLLECTIONS = ['breaker', 'bucket', 'cooldown', 'quarantine', 'learned-rate', 'learned-target', 'latency'];

test('targets and keys that a reload removes are removed from the store, others stay', async (t) => {
  const clock = createManualClock();
  const store = await openStore('memory:', { clock, onWarning: () => {} });
  const provider = (name: string) => ({ protocol: 'openai' as const, baseUrl: `http://${name}/v1`, apiKey: `sk-of-${name}` });
  const both: ConfigInput = {
    providers: { a: provider('a'), b: provider('b') },
    models: { fast: ['a/m', 'b/m'] },
    policy: { deadline: '5s' },
  };
  const upstream = createSimulatedUpstream(clock, () => chatError(500));
  const gateway = await startGateway(both, { clock, transport: upstream, store });
  t.after(() => gateway.close());
  for (let i = 0; i < 8; i++) {
    const answer = gateway.fetch('http://breakwater/v1/chat/completions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(chatBody()),
    });
    await clock.advanceAsync(6_000);
    await (await answer).text();
  }
  const saved = async (): Promise<string[]> =>
    (await Promise.all(COLLECTIONS.map((name) => store.getAll(name)))).flatMap((all) => [...all.keys()]);
  const before = await saved();
  assert.ok(before.some((key) => key.startsWith('a/m')) && before.some((key) => key.startsWith('b/m')), before.join());
  const parsed = parseConfig({ ...both, providers: { b: provider('b') }, models: { fast: ['b/m'] } }, { source: 'library' });
  assert.ok(parsed.ok);
  await gateway.gateway.reload(parsed.config);
  await clock.advanceAsync(1_000);
  const after = await saved();
  assert.deepEqual(
    after.filter((key) => /^a[/#]|[ ]a[/]/.test(key)),
    [],
  );
  assert.ok(
    after.some((key) => key.startsWith('b/m')),
    after.join(),
  );
});
