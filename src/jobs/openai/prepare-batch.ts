/** Validation: the whole file is read before anything runs, and a single fault rejects it. */
import type { NewItem, OpenJob } from '../../store/jobs/job-store.ts';
import { StoreFailure } from '../../store/backend.ts';
import type { Files } from '../files.ts';
import type { JobHost } from '../host.ts';
import { readBatchLine, type LineError } from './batch-line.ts';
import { unavailableModels } from '../unavailable-models.ts';
import { LineReader, type Line } from './line-reader.ts';

const LINES_MAX = 50_000;
/** The most vectors of an embeddings batch. */
const INPUTS_MAX = 50_000;
const MODELS_MAX = 200;
const ERRORS_MAX = 1_000;
/** The longest line, in bytes. */
const LINE_BYTES_MAX = 64 * 1024 * 1024;
/** Lines read in one turn of the event loop: about 5 ms. */
const LINES_PER_TURN = 50;
/** Items saved in one call, and the size of their bodies in bytes. */
const GROUP_MAX = 500;
const GROUP_BYTES_MAX = 1024 * 1024;

/** If aborted, it leaves the batch in validation, and the next runner starts over. */
export async function prepareBatch(host: JobHost, files: Files, job: OpenJob, runner: number, signal: AbortSignal): Promise<void> {
  const { store, clock } = host;
  while ((await store.clearItems(job.id, runner)) > 0);
  const validation = new Validation(host, job, runner, signal);
  const file = await store.getFile(job.client, String(job.data['input_file_id']));
  if (file === null) validation.fail('invalid_file', 'the input file was deleted');
  else {
    let bytes = 0;
    const lines = new LineReader(LINE_BYTES_MAX);
    for await (const piece of files.read(file)) {
      bytes += piece.byteLength;
      for (const line of lines.read(piece)) await validation.take(line);
      if (validation.isHopeless) break;
    }
    for (const line of lines.end()) if (!validation.isHopeless) await validation.take(line);
    if (bytes < file.bytes && !validation.isHopeless) validation.fail('invalid_file', 'the input file was deleted');
    await validation.end();
  }
  if (validation.isLost) return;
  const { errors, model, total } = validation;
  const nowMs = clock.epochMs();
  if (errors.length === 0) {
    const unavailable = await unavailableModels(host, job.client, validation.models);
    await store.changeJob(job.id, ['validating'], { state: 'in_progress', data: { in_progress_at: nowMs, model, total, unavailable } });
    return;
  }
  while ((await store.clearItems(job.id, runner)) > 0);
  const keepUntilMs = nowMs + host.settings().retentionMs;
  await store.changeJob(job.id, ['validating'], { state: 'failed', keepUntilMs, data: { failed_at: nowMs, errors } });
}

class Validation {
  readonly errors: LineError[] = [];
  total = 0;
  #isLost = false;
  readonly #host: JobHost;
  readonly #job: OpenJob;
  readonly #runner: number;
  readonly #signal: AbortSignal;
  /** Line numbers by custom id. */
  readonly #seen = new Map<string, number>(); // at most LINES_MAX
  readonly models = new Set<string>(); // at most MODELS_MAX
  #inputs = 0;
  #group: NewItem[] = [];
  #groupBytes = 0;

  constructor(host: JobHost, job: OpenJob, runner: number, signal: AbortSignal) {
    this.#signal = signal;
    this.#host = host;
    this.#job = job;
    this.#runner = runner;
  }

  /** The batch was cancelled, another instance validates it, or this one is stopping. */
  get isLost(): boolean {
    return this.#isLost || this.#signal.aborted;
  }

  get isHopeless(): boolean {
    return this.isLost || this.errors.length >= ERRORS_MAX || this.total > LINES_MAX;
  }

  /** Null if there are several. */
  get model(): string | null {
    return this.models.size === 1 ? [...this.models][0]! : null;
  }

  fail(code: string, message: string, line: number | null = null, param: string | null = null): void {
    if (this.errors.length < ERRORS_MAX) this.errors.push({ code, message, param, line });
  }

  async take({ number, bytes }: Line): Promise<void> {
    this.total++;
    if (this.total === LINES_MAX + 1) return this.fail('too_many_tasks', `a batch may hold ${LINES_MAX} requests`);
    if (this.total % LINES_PER_TURN === 0) await new Promise<void>((resolve) => void this.#host.clock.schedule(0, resolve));
    if (this.isHopeless) return;
    if (bytes === null) return this.fail('line_too_large', `the line is longer than ${LINE_BYTES_MAX / 1024 / 1024} MB`, number);
    const read = await readBatchLine(this.#job, bytes, this.#host.slices);
    if ('code' in read) return this.fail(read.code, read.message, number, read.param);
    const { customId, model, body, inputs } = read;
    const before = this.#seen.get(customId);
    if (before !== undefined)
      return this.fail('duplicate_custom_id', `custom_id ${JSON.stringify(customId)} is also on line ${before}`, number, 'custom_id');
    this.#seen.set(customId, number);
    if (!this.#mayUse(model))
      return this.fail(
        'model_not_allowed',
        `this API key may not use the model ${JSON.stringify(model.slice(0, 200))}`,
        number,
        'body.model',
      );
    this.models.add(model);
    if (this.models.size === MODELS_MAX + 1) this.fail('too_many_models', `a batch may name ${MODELS_MAX} models`, number, 'body.model');
    this.#inputs += inputs;
    if (this.#job.path === '/embeddings' && this.#inputs > INPUTS_MAX && this.#inputs - inputs <= INPUTS_MAX)
      this.fail('too_many_inputs', `a batch of embeddings may hold ${INPUTS_MAX} inputs`, number, 'body.input');
    await this.#add({ n: this.total - 1, customId, model, body });
  }

  async end(): Promise<void> {
    if (this.total === 0) this.fail('empty_file', 'the input file holds no requests');
    await this.#save();
  }

  #mayUse(model: string): boolean {
    return this.#host.client(this.#job.client)?.mayUse(model) !== false;
  }

  async #add(item: NewItem): Promise<void> {
    if (this.errors.length > 0) return;
    this.#group.push(item);
    this.#groupBytes += item.body.byteLength;
    if (this.#group.length >= GROUP_MAX || this.#groupBytes >= GROUP_BYTES_MAX) await this.#save();
  }

  async #save(): Promise<void> {
    const group = this.#group.splice(0);
    this.#groupBytes = 0;
    if (group.length === 0 || this.errors.length > 0 || this.isLost) return;
    try {
      this.#isLost = !(await this.#host.store.addItems(this.#job.id, this.#runner, group, this.#host.settings()));
    } catch (error) {
      if (!(error instanceof StoreFailure) || error.fault !== 'full') throw error;
      this.fail('store_full', error.message);
    }
  }
}
