/**
 * Lanes whose requests the configuration does not allow at present: their client, its permission or their model has been removed since the
 * job was created. A mistake in the configuration, or a rollout, must not end thousands of requests: they stay queued until the configuration
 * allows them again, or the batch's window ends. It is read before items of a lane are leased, handed over or read from a provider's batch.
 *
 * The reasons are part of the job's data, one member for each model, so that every instance shows them, and the items expire with them. An
 * instance that may run the items of a model removes its reason, whichever instance has saved it.
 */
import type { ItemError, Job, OpenJob } from '../store/jobs/job-store.ts';
import type { JobHost } from './host.ts';
import { saved } from './saved.ts';
import { clientGone, modelNotAllowed, wasUnavailable } from './unavailable-models.ts';

/** Why the items of a model wait. */
export interface WaitingReason extends ItemError {
  readonly model: string;
  readonly sinceMs: number;
}

/** What is used of a lane. */
export interface HeldLane {
  job: Pick<Job, 'id' | 'client' | 'data'>;
  readonly model: string;
  /** Null: its items are run. */
  hold: WaitingReason | null;
}

/** Before the model, in the names of the members of a job's data. */
const MEMBER = 'waiting ';

export function waitingReasons({ data }: Pick<Job, 'data'>): readonly WaitingReason[] {
  const found = Object.entries(data).filter(([name, reason]) => name.startsWith(MEMBER) && reason !== null);
  return found.map(([, reason]) => reason as WaitingReason);
}

export class LaneHolds<L extends HeldLane> {
  readonly #host: JobHost;
  readonly #lanes: ReadonlyMap<string, L>;
  readonly #closing: AbortSignal;
  /** Lanes whose reason is being saved. */
  readonly #saving = new Set<L>();

  constructor(host: JobHost, lanes: ReadonlyMap<string, L>, closing: AbortSignal) {
    this.#host = host;
    this.#lanes = lanes;
    this.#closing = closing;
  }

  /** Whether the configuration allows the items of the lane now. If not, the reason is saved. */
  async allows(lane: L): Promise<boolean> {
    const reason = await this.#reasonOf(lane);
    const reasons = waitingReasons(lane.job);
    const shown = reasons.find(({ model }) => model === lane.model);
    const before = lane.hold ?? shown;
    if (reason === null) {
      lane.hold = null;
      if (before !== undefined) this.#save(lane);
      return true;
    }
    const { code, message } = reason;
    if (lane.hold?.message === message) return false;
    if (![...this.#of(lane.job.id), ...reasons].some((other) => other.code === code))
      this.#host.warn(`requests of ${lane.job.id} wait until the configuration allows them, or the batch's window ends`, message);
    lane.hold = { model: lane.model, code, message, sinceMs: before?.sinceMs ?? Math.floor(this.#host.clock.epochMs()) };
    if (shown?.message !== message) this.#save(lane);
    return false;
  }

  /** Ends the queued items of an expired job, those of models that wait with their reason. */
  async expire(job: Pick<OpenJob, 'id' | 'data'>, error: ItemError): Promise<void> {
    const { store } = this.#host;
    const reasons = new Map([...waitingReasons(job), ...this.#of(job.id)].map((reason) => [reason.model, reason]));
    for (const [model, reason] of reasons) {
      const message = `${error.message}; it waited for the configuration: ${reason.message}`;
      while ((await store.endQueued(job.id, { code: error.code, message }, model)) > 0);
    }
    while ((await store.endQueued(job.id, error)) > 0);
  }

  async #reasonOf({ job, model }: L): Promise<ItemError | null> {
    const client = this.#host.client(job.client);
    if (client === null) return clientGone(job.client);
    if (wasUnavailable(job, model)) return null; // its requests end when they run
    if (!client.mayUse(model)) return modelNotAllowed(model);
    const isKnown = await this.#host.hasModel(model);
    if (isKnown === true) return null;
    const unread = isKnown === null ? ", and a provider's list of models can't be read at present" : '';
    return { code: 'model_not_found', message: `unknown model ${JSON.stringify(model.slice(0, 200))}${unread}` };
  }

  /** The reasons of a job that are known here. */
  #of(job: string): WaitingReason[] {
    return [...this.#lanes.values()].flatMap((lane) => (lane.job.id === job && lane.hold !== null ? [lane.hold] : []));
  }

  #save(lane: L): void {
    if (!this.#saving.has(lane)) void this.#saveLatest(lane);
  }

  async #saveLatest(lane: L): Promise<void> {
    this.#saving.add(lane);
    let written: WaitingReason | null;
    do {
      const { hold, job } = lane;
      written = hold;
      const change = { data: { [MEMBER + lane.model]: hold } };
      const changed = await saved(this.#host, this.#closing, () => this.#host.store.changeJob(job.id, ['in_progress'], change));
      if (changed) lane.job = { ...lane.job, data: changed.data };
    } while (lane.hold !== written && !this.#closing.aborted);
    this.#saving.delete(lane);
  }
}
