/** Timing of models during a time window. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { StormPhase } from './index.ts';
import { openStorm } from './sdk.fixture.ts';

async function timeOf(url: string, model: string, stream: boolean): Promise<number> {
  const body = JSON.stringify({ model, stream, messages: [{ role: 'user', content: 'hello' }] });
  const startedAt = performance.now();
  const response = await fetch(`${url}/chat/completions`, { method: 'POST', body });
  await response.text();
  return performance.now() - startedAt;
}

test('a phase delays its models only, by the last that applies, and non-streaming responses by their own timing', async () => {
  const phases: StormPhase[] = [
    { timing: { firstTokenMs: 60_000 } },
    { timing: {} },
    { models: ['slow'], until: 3_600_000, timing: { firstTokenMs: { samples: [400] } }, nonStreaming: { plainMs: 700 } },
    { from: 3_600_000, timing: { firstTokenMs: 60_000 } },
  ];
  await using storm = await openStorm({ phases });
  const times = await Promise.all([timeOf(storm.url, 'slow', true), timeOf(storm.url, 'slow', false), timeOf(storm.url, 'quick', true)]);
  assert.ok(times[0] >= 399 && times[1] >= 699 && times[1] > times[0] && times[2] < 60_000, String(times));
});
