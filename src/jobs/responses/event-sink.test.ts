import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ItemKey, Job } from '../../store/jobs/job-store.ts';
import { createManualClock } from '../../testing/manual-clock.ts';
import type { JobHost } from '../host.ts';
import { EventSink } from './event-sink.ts';

test('events after the reader has left are not saved, and nothing waits for them', async () => {
  const saved: string[] = [];
  const store = { restartEvents: async () => 0, appendEvents: async () => saved.push('events') > 0 };
  const host = { clock: createManualClock(), store } as unknown as JobHost;
  const sink = new EventSink(host, { id: 'resp_1', createdAtMs: 0 } as Job, {} as ItemKey, new AbortController().signal, () => {});
  const write = () => sink.write(Buffer.from('data: {"type":"response.output_text.delta","delta":"x"}\n\n'));
  sink.head(200, []);
  write();
  await sink.settled();
  sink.leave();
  write();
  await sink.settled();
  assert.deepEqual(saved, ['events']);
});
