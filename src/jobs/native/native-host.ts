/** Batches at providers: what the jobs need from the gateway, and the saved state of each batch. */
import { FINAL_STATES, type Job } from '../../store/jobs/job-store.ts';
import type { RouteTarget } from '../../pipeline/route/route.ts';
import type { Transport } from '../../transport/transport.ts';

/** Where items can be handed over to. */
export interface NativeTarget {
  readonly api: 'openai' | 'anthropic';
  /** Its state is separate from that of calls. */
  readonly target: RouteTarget;
}

/** Which target and credential a batch belongs to: files and batches of one key are unknown to another. */
export interface NativeOwner {
  /** `provider/model`. */
  readonly target: string;
  /** The id of the credential. */
  readonly credential: string;
}

export interface NativeHost {
  readonly transport: Transport;
  /** Whether new batches are created. */
  readonly isOn: () => boolean;
  /** For new items of a model; null if its first targets have no batch API, or none that is usable. */
  find(model: string): NativeTarget | null;
  /** The target of an existing batch; null if it is no longer configured. */
  findOwner(model: string, owner: NativeOwner): NativeTarget | null;
}

/**
 * - `uploading`: the provider may have a file, and has no batch
 * - `creating`: the provider may have a batch
 * - `running`: it has one, named by `remote`
 */
export type NativeStage = 'uploading' | 'creating' | 'running';

/** One batch at a provider, as it is saved with its job. */
export interface NativeRecord extends NativeOwner {
  /** Its id in Breakwater. Items are handed over under it, and their custom ids at the provider start with it. */
  readonly id: string;
  readonly model: string;
  readonly items: number;
  readonly createdAtMs: number;
  /** Items not done by then are taken back. */
  readonly takeBackAtMs: number;
  stage: NativeStage;
  /** The provider's ids of the input file and of the batch. */
  file: string | null;
  remote: string | null;
  /** `remote` only resembles this batch: it is never cancelled. */
  isGuess?: boolean;
}

/** In the data of a job, under `native`. */
export interface NativeData {
  readonly batches: readonly NativeRecord[];
  /** Models without items left to hand over. */
  readonly planned: readonly string[];
  /** The provider's ids of the last batches that have ended. */
  readonly former?: readonly string[];
}

/** The claim was lost: another process continues the batches of the job. */
export class HeldElsewhere extends Error {
  constructor() {
    super('another process holds the batches of this job');
  }
}

export function nativeData({ data }: Pick<Job, 'data'>): NativeData {
  return (data['native'] as NativeData | undefined) ?? { batches: [], planned: [] };
}

/** For the batch object of an API: how many of its items are at providers. Undefined: none. */
export function handedOver(job: Pick<Job, 'data' | 'state'>): { readonly handed_over: number } | undefined {
  const { batches } = nativeData(job);
  return batches.length === 0 || FINAL_STATES.includes(job.state)
    ? undefined
    : { handed_over: batches.reduce((sum, { items }) => sum + items, 0) };
}
