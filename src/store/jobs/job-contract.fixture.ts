/** What the contract suites of the job store share. */
import assert from 'node:assert/strict';
import type { Beat, Identity, ItemResult, JobLimits, JobStore, LeasedItem, NewJob } from './job-store.ts';

export const LIMITS: JobLimits = { bytesMax: 1024 ** 3, openJobsMax: 3 };
export const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
export const text = (found: Uint8Array | null): string | null => (found === null ? null : Buffer.from(found).toString());

export function newJob(id: string, more: Partial<NewJob> = {}): NewJob {
  const common = { kind: 'openai-batch', client: 'web', dialect: 'openai-chat', path: '/chat/completions', priority: 'job' };
  return { id, ...common, createdAtMs: 1_000, endsAtMs: 1_000_000, data: { input: 'x' }, ...more };
}

export const identity = (machine: string, pid = 1, startedAtMs = 1): Identity => ({ machine, pid, startedAtMs });

export const beat = (runner: number, more: Partial<Beat> = {}): Beat => ({
  runner,
  nowMs: 2_000,
  silenceMaxMs: 15_000,
  ...identity('here'),
  ...more,
});
export const succeeded: ItemResult = { succeeded: true, status: 200, facts: { target: 'a/m' }, body: bytes('{"ok":1}'), error: null };

/** A job in progress with so many items of one model, and a runner. */
export async function inProgress(store: JobStore, count: number, id = 'batch_1'): Promise<number> {
  const runner = await store.register(identity('here', 1), 1_000);
  assert.equal(await store.createJob(newJob(id), LIMITS), 'created');
  assert.equal(await store.claimJob(id, runner), true);
  const items = Array.from({ length: count }, (_, n) => ({ n, customId: `c${n}`, model: 'fast', body: bytes(`{"n":${n}}`) }));
  assert.equal(await store.addItems(id, runner, items, LIMITS), true);
  assert.notEqual(await store.changeJob(id, ['validating'], { state: 'in_progress' }), null);
  return runner;
}

export async function take(store: JobStore, runner: number, countMax = 10, nowMs = 2_000): Promise<readonly LeasedItem[]> {
  return (await store.lease({ runner, job: 'batch_1', model: 'fast', countMax, bytesMax: 1_000_000, nowMs })).items;
}

export type Story = (name: string, play: (store: JobStore) => Promise<void>) => void;
