/** Hands items of jobs over to batches of providers, and ends them with the results. */
import type { OpenJob } from '../../store/jobs/job-store.ts';
import type { JobHost } from '../host.ts';
import type { JobKind } from '../kinds.ts';
import { nativeData } from './native-host.ts';
import { NativeJob, WINDOW_MIN_MS } from './native-job.ts';
import { NativeShared, type NativeRunner, type NativeScope } from './native-shared.ts';

export class NativeBatches {
  readonly #host: JobHost;
  readonly #runner: NativeRunner;
  readonly #scope: NativeScope;
  readonly #jobs = new Map<string, NativeJob>(); // as many as there are open jobs
  readonly #abandoned = new Set<Promise<void>>();

  /** `stopping`: nothing new may start. `closing`: nothing may be waited for. */
  constructor(host: JobHost, runner: NativeRunner, signals: { stopping: AbortSignal; closing: AbortSignal }) {
    this.#host = host;
    this.#runner = runner;
    this.#scope = { ...signals, shared: new NativeShared() };
  }

  /** Takes the latest state of a job in progress. */
  look(job: OpenJob, kind: JobKind): void {
    let native = this.#jobs.get(job.id);
    if (native === undefined || native.isLost) {
      if (kind.mayBeHandedOver !== true || !this.#concerns(job)) return;
      native = new NativeJob(this.#host, this.#runner, kind, job, this.#scope);
      this.#jobs.set(job.id, native);
    }
    native.look(job);
  }

  /** True if queued items of the model are to be handed over, and must not be run. */
  keeps(job: string, model: string): boolean {
    return this.#jobs.get(job)?.keeps(model) ?? false;
  }

  /** True while items of the job are handed over, or results are read. */
  isBusy(job: string): boolean {
    return this.#jobs.get(job)?.isBusy ?? false;
  }

  /** True while files of the job may be left at providers. */
  holdsBatches(job: string): boolean {
    return this.#jobs.get(job)?.holdsBatches ?? false;
  }

  /** Cancels the batches of jobs that are no longer open. */
  keepOnly(open: readonly OpenJob[]): void {
    for (const [id, native] of this.#jobs) {
      if (open.some((job) => job.id === id)) continue;
      this.#jobs.delete(id);
      const abandoned = native.abandon().finally(() => this.#abandoned.delete(abandoned));
      this.#abandoned.add(abandoned);
    }
  }

  /** After `stopping` is aborted: resolves once nothing is running. */
  async idle(): Promise<void> {
    await Promise.all([...this.#abandoned, ...[...this.#jobs.values()].map((native) => native.idle())]);
  }

  #concerns(job: OpenJob): boolean {
    const { batches, planned } = nativeData(job);
    if (batches.length > 0) return true;
    const { native, clock } = this.#host;
    if (!native.isOn() || job.ending !== null || job.endsAtMs - clock.epochMs() < WINDOW_MIN_MS) return false;
    return job.models.some((model) => !planned.includes(model) && native.find(model) !== null);
  }
}
