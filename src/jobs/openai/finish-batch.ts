/** Finishes a batch: its result files appear together with its final state. */
import type { DoneItem, OpenJob, ResultFile } from '../../store/jobs/job-store.ts';
import type { JobHost } from '../host.ts';
import { resultPages } from '../results.ts';
import { resultLine } from './result-line.ts';

export async function finishBatch(host: JobHost, job: OpenJob): Promise<void> {
  const { store, clock, settings } = host;
  const size = { succeeded: 0, failed: 0 };
  const usage = new UsageSum();
  for await (const items of resultPages(store, job.id, null)) {
    for (const item of items) {
      size[item.succeeded ? 'succeeded' : 'failed'] += resultLine(job.id, item).byteLength;
      usage.add(item);
    }
  }
  const nowMs = Math.floor(clock.epochMs());
  const { retentionMs } = settings();
  const lifeMs = expiryMs(job) ?? retentionMs;
  const state = job.ending ?? 'completed';
  const files: ResultFile[] = [];
  const ids: Record<string, string> = {};
  for (const [kind, succeeded] of [
    ['output', true],
    ['error', false],
  ] as const) {
    const bytes = size[succeeded ? 'succeeded' : 'failed'];
    if (bytes === 0) continue;
    // Derived from the job's id, so that a repeat after a crash creates the same file.
    const id = `file-${job.id.replace('batch_', '')}${kind}`;
    ids[`${kind}_file_id`] = id;
    const filename = `${job.id}_${kind}.jsonl`;
    files.push({
      id,
      client: job.client,
      createdAtMs: nowMs,
      expiresAtMs: nowMs + lifeMs,
      purpose: 'batch_output',
      filename,
      bytes,
      job: job.id,
      succeeded,
    });
  }
  await store.changeJob(job.id, ['finalizing'], {
    state,
    keepUntilMs: nowMs + Math.max(lifeMs, retentionMs),
    files,
    data: { ...ids, [`${state}_at`]: nowMs, usage: usage.toObject() },
  });
}

function expiryMs({ data }: OpenJob): number | null {
  const wish = data['output_expires_after'] as { seconds?: number } | null | undefined;
  return typeof wish?.seconds === 'number' ? wish.seconds * 1000 : null;
}

/** The token usage of all items, in the format of the batch object. */
class UsageSum {
  #input = 0;
  #cached = 0;
  #output = 0;
  #reasoning = 0;

  add({ facts }: DoneItem): void {
    const usage = facts['usage'] as Record<string, unknown> | undefined;
    if (usage === undefined) return;
    const detail = (name: string, field: string): number => toCount((usage[name] as Record<string, unknown> | null | undefined)?.[field]);
    this.#input += toCount(usage['prompt_tokens'] ?? usage['input_tokens']);
    this.#output += toCount(usage['completion_tokens'] ?? usage['output_tokens']);
    this.#cached += detail('prompt_tokens_details', 'cached_tokens');
    this.#reasoning += detail('completion_tokens_details', 'reasoning_tokens');
  }

  toObject(): object {
    return {
      input_tokens: this.#input,
      input_tokens_details: { cached_tokens: this.#cached },
      output_tokens: this.#output,
      output_tokens_details: { reasoning_tokens: this.#reasoning },
      total_tokens: this.#input + this.#output,
    };
  }
}

function toCount(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}
