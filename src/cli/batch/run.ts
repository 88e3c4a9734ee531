/** `breakwater batch run`: runs a file of requests as a batch, or resumes an earlier run. */
import { createHash } from 'node:crypto';
import { createWriteStream, openAsBlob } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, extname, join } from 'node:path';
import { once } from 'node:events';
import { systemClock } from '../../gateway/system-clock.ts';
import type { RunFlags } from './flags.ts';
import { OperatorError } from '../fail.ts';
import { openAccess, type Access } from './access.ts';
import { countsOf, hasEnded, type BatchApi, type BatchObject } from './api.ts';
import { readInput } from './input.ts';
import { Progress, renderProgress, type Pace } from './progress.ts';
import { saveResults } from './results.ts';

/** Polling interval, in milliseconds: short at first, so that a small batch finishes quickly. */
const [POLL_MIN_MS, POLL_MAX_MS] = [50, 1_000];
/** Interval of progress lines if stderr is not a terminal, in milliseconds. */
const LINE_MS = 10_000;
const LINES_MAX = 50_000;
/** Metadata key for the hash of the source file. */
const SOURCE = 'breakwater_source';

export async function runBatch(file: string, flags: RunFlags): Promise<void> {
  const access = await openAccess(flags);
  const { api } = access;
  let isStopped = false;
  const onSignal = (): void => {
    if (isStopped) process.exit(130);
    isStopped = true;
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal);
  try {
    const started = await startOrFind(access, file, flags);
    const show = new Display(flags.json === true);
    show.note({ type: 'started', id: started.batch.id, resumed: started.isResumed }, startText(started, access));
    const batch = await follow(api, started.batch, show, () => isStopped);
    if (!hasEnded(batch)) stopped(batch, access, file, show);
    else await end(api, batch, file, flags, show);
  } finally {
    await access.close();
  }
  if (isStopped) process.exit(130);
  process.exit();
}

interface Started {
  readonly batch: BatchObject;
  readonly isResumed: boolean;
}

async function startOrFind({ api }: Access, file: string, flags: RunFlags): Promise<Started> {
  const folder = await mkdtemp(join(tmpdir(), 'breakwater-batch-'));
  try {
    const path = join(folder, 'requests.jsonl');
    const { source, endpoint } = await writeRequests(file, path, flags, await modelOf(api, flags));
    const before = flags.again === true ? null : await findBefore(api, source);
    if (before !== null) return { batch: before, isResumed: true };
    const id = await api.upload(await openAsBlob(path), `${basename(file)}.jsonl`);
    return { batch: await api.create(id, endpoint, flags.window, { [SOURCE]: source, file: basename(file) }), isResumed: false };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The only possible model; null if there are several. */
async function modelOf(api: BatchApi, { model }: RunFlags): Promise<string | null> {
  if (model !== undefined) return model;
  const names = await api.models();
  return names.length === 1 ? names[0]! : null;
}

/** Writes the input as a batch file and returns the hash of its content. */
async function writeRequests(
  file: string,
  path: string,
  flags: RunFlags,
  model: string | null,
): Promise<{ source: string; endpoint: string }> {
  const maxTokens = flags.maxTokens === undefined ? null : Number(flags.maxTokens);
  if (maxTokens !== null && !(Number.isInteger(maxTokens) && maxTokens > 0))
    throw new OperatorError([`--max-tokens: must be a whole number above 0`]);
  const options = { model, template: flags.template ?? null, system: flags.system ?? null, maxTokens };
  const hash = createHash('sha256');
  const output = createWriteStream(path);
  let endpoint: string | null = null;
  let count = 0;
  for await (const line of readInput(file, options)) {
    endpoint ??= line.endpoint;
    if (line.endpoint !== endpoint)
      throw new OperatorError([
        `${file}: ${line.from} is for ${line.endpoint}, earlier requests are for ${endpoint}: a batch has one endpoint`,
      ]);
    if (++count > LINES_MAX) throw new OperatorError([`${file} contains more than ${LINES_MAX} requests: split it`]);
    hash.update(`${line.text}\n`);
    if (!output.write(`${line.text}\n`)) await once(output, 'drain');
  }
  output.end();
  await once(output, 'close');
  if (endpoint === null) throw new OperatorError([`${file} contains no requests`]);
  return { source: hash.digest('hex'), endpoint };
}

/** The last batch of the same content that did not fail, expire or get cancelled. */
async function findBefore(api: BatchApi, source: string): Promise<BatchObject | null> {
  for await (const batch of api.list()) {
    if (batch.metadata?.[SOURCE] === source && !['failed', 'expired', 'cancelled'].includes(batch.status)) return batch;
  }
  return null;
}

function startText({ batch, isResumed }: Started, { place }: Access): string {
  const { completed, failed, total } = batch.request_counts;
  if (!isResumed) return `${batch.id} in ${place}`;
  return hasEnded(batch)
    ? `${batch.id} was run before (--again repeats it)`
    : `resuming ${batch.id} at ${completed + failed}/${total}, in ${place}`;
}

async function follow(api: BatchApi, first: BatchObject, show: Display, isStopped: () => boolean): Promise<BatchObject> {
  const progress = new Progress();
  let batch = first;
  for (let delayMs = POLL_MIN_MS; ; delayMs = Math.min(POLL_MAX_MS, delayMs * 2)) {
    const now = systemClock.now();
    show.progress(batch, progress.note(countsOf(batch), now), now);
    if (hasEnded(batch) || isStopped()) return batch;
    await new Promise<void>((resolve) => {
      systemClock.schedule(delayMs, resolve);
    });
    batch = await api.get(batch.id).catch((error: unknown) => {
      if (error instanceof OperatorError) throw error;
      return batch; // The gateway is restarting; polling continues.
    });
  }
}

function stopped(batch: BatchObject, { isRemote }: Access, file: string, show: Display): void {
  const text = isRemote
    ? `${batch.id} continues in the gateway; breakwater batch run ${file} shows it again, breakwater batch cancel ${batch.id} cancels it`
    : `stopped; breakwater batch run ${file} resumes it`;
  show.note({ type: 'stopped', id: batch.id }, text);
}

async function end(api: BatchApi, batch: BatchObject, file: string, flags: RunFlags, show: Display): Promise<void> {
  const { id, status, request_counts: counts } = batch;
  for (const { line, message } of batch.errors?.data.slice(0, 20) ?? []) {
    show.note({ type: 'error', line, message }, `${line === null ? file : `request ${line}`}: ${message}`);
  }
  const output = flags.output ?? `${file.replace(/\/+$/, '').slice(0, -extname(file).length || undefined)}.results.jsonl`;
  const errors = output.replace(/(?:\.results)?(\.jsonl)?$/, '.errors.jsonl');
  const files = status === 'failed' ? [] : await saveResults(api, batch, output, errors);
  const result = `${status}: ${counts.completed} of ${counts.total} succeeded, ${counts.failed} failed${costText(batch)}`;
  show.note(
    { type: 'done', id, status, ...counts, costUsd: batch.breakwater?.cost_usd, files },
    files.length === 0 ? result : `${result}; wrote ${files.join(' and ')}`,
  );
  if (status !== 'completed' || counts.failed > 0) process.exitCode = 1;
}

/** `, $0.0123`; empty if no price is known. */
function costText({ breakwater, request_counts: { total } }: BatchObject): string {
  const { cost_usd: usd, priced_requests: priced = 0 } = breakwater ?? {};
  if (usd === undefined) return '';
  return `, $${Number(usd.toPrecision(3))}${priced < total ? ` for the ${priced} with a known price` : ''}`;
}

/** Text on stderr, or JSON lines on stdout. */
class Display {
  readonly #json: boolean;
  readonly #isTerminal = process.stderr.isTTY;
  #saidAt = -Infinity;
  #last = '';
  #hasLine = false;

  constructor(json: boolean) {
    this.#json = json;
  }

  note(fact: object, text: string): void {
    if (this.#json) return void process.stdout.write(`${JSON.stringify(fact)}\n`);
    process.stderr.write(`${this.#hasLine ? '\n' : ''}${text}\n`);
    this.#hasLine = false;
  }

  progress(batch: BatchObject, pace: Pace, now: number): void {
    const counts = countsOf(batch);
    const line = renderProgress(counts, pace);
    if (line === this.#last) return;
    if (this.#isTerminal && !this.#json) {
      process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns || 80) - 1)}`);
      this.#hasLine = true;
    } else if (hasEnded(batch) || now - this.#saidAt >= LINE_MS) {
      this.#saidAt = now;
      this.note({ type: 'progress', id: batch.id, ...counts, perSecond: pace.perSecond, leftMs: pace.leftMs }, line);
    } else return;
    this.#last = line;
  }
}
