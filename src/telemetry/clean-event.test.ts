import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EventBus } from '../core/events.ts';
import { createManualClock } from '../testing/manual-clock.ts';
import { attempt, attemptEnd, finished, queued, received } from './events.fixture.ts';
import type { LineSink } from './line-queue.ts';
import { createTelemetry } from './telemetry.ts';

const KEY = 'client-key-0001';
const target = `openai/${KEY}`;

test('a key in place of a model name is masked everywhere, also in the target of a route with a pattern', async () => {
  let written = '';
  const destination: LineSink = {
    write(text, done) {
      written += text;
      done(null);
    },
  };
  const telemetry = createTelemetry({
    logs: { level: 'debug', destination },
    requests: { file: '' },
    clock: createManualClock(),
    secrets: [KEY],
    snapshot: () => ({
      queueLength: { high: 0, normal: 0, low: 0, job: 0 },
      inFlight: 0,
      heldBytes: 0,
      resources: [{ id: `${target}:learned:concurrency`, subject: target, kind: 'concurrency', limit: 5, available: 5 }],
      estimates: [{ target, inputFactor: 1, cachedShare: 0 }],
      engines: [],
      breakers: [{ target, state: 'open' }],
    }),
  });
  const bus = new EventBus((error) => {
    throw error;
  });
  telemetry.attach(bus);
  const events = [
    received({ model: KEY }),
    queued({ blockers: [{ target, kind: 'tokens', waitMs: 5 }] }),
    attempt({ target }),
    { type: 'note', requestId: 'req-1', at: 1, note: 'n', target },
    { type: 'committed', requestId: 'req-1', at: 1, target, attempt: 1, race: 'hedge' },
    attemptEnd({ target }),
    { type: 'breaker', at: 1, target, from: 'closed', to: 'open', openForMs: 5_000 },
    { type: 'cooldown', at: 1, subject: `${target}#1`, kind: 'cooldown', forMs: 5, reason: 'rate_limited' },
    finished({ model: KEY, target, calls: [{ target, usage: null, wasted: false }] }),
  ] as const;
  for (const event of events) bus.emit(event);
  let frame = '';
  telemetry.feed.subscribe({ send: (bytes) => ((frame = Buffer.from(bytes).toString()), true), close() {} }, null)!.stop();
  await telemetry.flush();
  assert.equal(written.trim().split('\n').length, events.length);
  const shown = { written, frame, scraped: await telemetry.metrics.scrape(), timeline: JSON.stringify(telemetry.timelines.get('req-1')) };
  for (const [where, text] of Object.entries(shown)) {
    assert.ok(text.includes('openai/***'), where);
    assert.ok(!text.includes(KEY), where);
  }
});
